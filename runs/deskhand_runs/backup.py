"""Backup of what a workspace cannot rebuild, while it is in use, and its restoration.

A backup is one ``.tar.gz``: ``manifest.json`` with the sizes, SHA-256 sums and schema versions of the other members,
the databases, and the folders of ``FOLDERS``. It holds customers' data, and is readable by its owner only.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Literal, NamedTuple

from pydantic import AwareDatetime, Field

from deskhand import __version__
from deskhand.config import WorkspaceFolder
from deskhand.errors import InputError, StoreError
from deskhand.schema import Model
from deskhand.sqlite import store_error

DATABASES = ("runs.db", "checkpoints.db", "ledger.db", "knowledge.db")
"""In the order in which they are copied: a checkpoint may be newer than its run, which then finds it, and not older."""

FOLDERS = ("recordings", "experiments", "prompts")
"""What else cannot be rebuilt. Fitted arrays and the vector index can."""

MANIFEST = "manifest.json"
_PAGES = 2_000
_NAME = re.compile(r"deskhand-\d{8}-\d{6}\.tar\.gz")
_MEMBER = re.compile(rf"(?:{'|'.join(map(re.escape, DATABASES))}|(?:{'|'.join(FOLDERS)})(?:/[A-Za-z0-9_-][\w.-]*)+)")

Progress = Callable[[int, int], None]
"""Told how many bytes of how many are done."""


class Member(Model):
    """One file in a backup; ``schema_version`` is that of a database."""

    name: str
    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    schema_version: Annotated[int, Field(ge=0)] | None = None


class Manifest(Model):
    """What is in a backup."""

    format: Literal[1] = 1
    deskhand: str
    at: AwareDatetime
    members: tuple[Member, ...]


class _Source(NamedTuple):
    """A file that goes into a backup: a member's name, and where it lies ready."""

    name: str
    path: Path
    schema_version: int | None = None


def is_member_name(name: str) -> bool:
    """Tell whether a name may stand in a backup: a database, or a file below one of the folders, and nowhere else."""
    return _MEMBER.fullmatch(name) is not None


def default_path(folder: WorkspaceFolder, now: datetime) -> Path:
    """Return where a backup of this moment goes when nobody says: ``.deskhand/backups/deskhand-<time>.tar.gz``."""
    return _own_folder(folder) / f"deskhand-{now.astimezone(UTC):%Y%m%d-%H%M%S}.tar.gz"


def _own_folder(folder: WorkspaceFolder) -> Path:
    return folder.state / "backups"


def back_up(folder: WorkspaceFolder, target: Path, now: datetime, *, progress: Progress | None = None) -> Manifest:
    """Write a backup to ``target``, which appears whole or not at all, and return what is in it.

    Every database is copied as it was at one moment, in whole transactions; others may write meanwhile.

    The workspace's own folder of backups is made; any other must be there: one that was mistyped, or a disk that is
    not mounted, must not hold a backup that nobody finds again.

    Raises:
        InputError: ``target`` is there already, its folder is not, or there is nothing to back up.
        StoreError: A database cannot be read, or the target cannot be written.
    """
    if target.exists():
        raise InputError(f"{target}: is there already; name another file")
    report = progress or _no_progress
    try:
        if target.parent == _own_folder(folder):
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not target.parent.is_dir():
            raise InputError(f"{target.parent}: no such folder; make it, or correct the path")
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=target.parent) as scratch:
            manifest = _write(folder, Path(scratch), target, now, report)
    except (OSError, tarfile.TarError) as exc:
        raise StoreError(f"{target}: cannot be written ({exc}); check the folder's permissions and free space") from exc
    return manifest


def _write(folder: WorkspaceFolder, scratch: Path, target: Path, now: datetime, report: Progress) -> Manifest:
    n_bytes = sum(_size(path) for path in _files(folder))
    if n_bytes == 0:
        raise InputError(f"{folder.state}: there is nothing to back up yet; run a ticket first")
    meter = _Meter(report, 2 * n_bytes)
    sources = [*_copies(folder, scratch, meter), *_plain_copies(folder, scratch)]
    manifest = Manifest(deskhand=__version__, at=now, members=tuple(_member(source) for source in sources))
    part = scratch / "archive"
    with _created(part) as raw, tarfile.open(fileobj=raw, mode="w:gz", compresslevel=6) as archive:
        _add(archive, MANIFEST, io.BytesIO(manifest.model_dump_json(indent=1).encode()), now, meter)
        for source in sources:
            with source.path.open("rb") as file:
                _add(archive, source.name, file, now, meter)
    part.replace(target)
    _sync_folder(target.parent)
    meter.finish()
    return manifest


def _files(folder: WorkspaceFolder) -> list[Path]:
    found = [path for name in DATABASES if (path := folder.state / name).exists()]
    for name in FOLDERS:
        found += (path for path in sorted((folder.state / name).rglob("*")) if path.is_file() and not path.is_symlink())
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # forgotten since it was listed
        return 0


def _plain_copies(folder: WorkspaceFolder, scratch: Path) -> Iterator[_Source]:
    """Copy what is no database, since it may grow or be forgotten meanwhile; scratch files and odd names stay out."""
    for path in _files(folder):
        name = path.relative_to(folder.state).as_posix()
        if name in DATABASES or not is_member_name(name):
            continue
        copy = scratch / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            shutil.copyfile(path, copy)
            yield _Source(name, copy)


def _copies(folder: WorkspaceFolder, scratch: Path, meter: _Meter) -> Iterator[_Source]:
    """Copy the databases and yield the copies."""
    for name in DATABASES:
        source = folder.state / name
        if source.exists():
            yield _Source(name, scratch / name, _copy_database(source, scratch / name, meter))


def _copy_database(source: Path, target: Path, meter: _Meter) -> int:
    """Copy a database as it is at one moment and return its schema version.

    The read transaction holds that moment: without it, every write of another process would begin the copy anew.
    """
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, isolation_level=None)) as origin,
            closing(sqlite3.connect(target)) as copy,
        ):
            origin.execute("PRAGMA busy_timeout=30000")
            origin.execute("BEGIN")
            version = int(origin.execute("PRAGMA user_version").fetchone()[0])
            origin.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            size = int(origin.execute("PRAGMA page_size").fetchone()[0])
            done = meter.done
            origin.backup(
                copy, pages=_PAGES, progress=lambda _status, left, total: meter.at(done + (total - left) * size)
            )
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without companions
            problem = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as exc:
        raise store_error(source, exc) from exc
    if problem != "ok":
        raise StoreError(f"{source}: is damaged ({problem}); restore an earlier backup")
    return version


def _member(source: _Source) -> Member:
    with source.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    return Member(name=source.name, size=size, sha256=digest, schema_version=source.schema_version)


def _add(archive: tarfile.TarFile, name: str, file: IO[bytes], now: datetime, meter: _Meter) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = file.seek(0, os.SEEK_END)
    entry.mode, entry.mtime = 0o600, int(now.timestamp())
    file.seek(0)
    archive.addfile(entry, _Metered(file, meter))


@contextmanager
def _created(path: Path) -> Iterator[IO[bytes]]:
    """Yield a new file for its owner's eyes only, synced at the end."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Meter:
    """Counts bytes for a progress bar."""

    def __init__(self, report: Progress, total: int) -> None:
        self._report = report
        self._total = total
        self.done = 0

    def at(self, done: int) -> None:
        self.done = min(max(done, self.done), self._total)
        self._report(self.done, self._total)

    def finish(self) -> None:
        self.at(self._total)


class _Metered(io.RawIOBase):
    """A file that tells a meter what was read of it."""

    def __init__(self, file: IO[bytes], meter: _Meter) -> None:
        self._file = file
        self._meter = meter

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self._meter.at(self._meter.done + len(block))
        return block


def _no_progress(done: int, total: int) -> None:
    """Show nothing."""


def delete_old(folder: WorkspaceFolder, keep: int) -> int:
    """Delete all but the newest ``keep`` backups that went where nobody said, and return how many those were."""
    found = sorted(path for path in _own_folder(folder).glob("*.tar.gz") if _NAME.fullmatch(path.name))
    old = found[: max(0, len(found) - keep)]
    for path in old:
        with suppress(FileNotFoundError):
            path.unlink()
    return len(old)
