"""Bringing a workspace's state back from a backup: checked wholly first, then put in place at once."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tarfile
import tempfile
import zlib
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from deskhand.config import WorkspaceFolder
from deskhand.errors import InputError, OwnedElsewhere, StoreError
from deskhand.jsonio import decode, parse_json, validate
from deskhand_runs.backup import DATABASES, MANIFEST, Manifest, Member, Progress, is_member_name
from deskhand_runs.checkpoints import SCHEMA as CHECKPOINTS_SCHEMA
from deskhand_runs.guard_tables import GuardTables
from deskhand_runs.ownership import is_owned
from deskhand_runs.pauses import EVERYWHERE, pause
from deskhand_runs.rows import SCHEMA
from deskhand_runs.store import RunStore

_MAX_MANIFEST_BYTES = 64_000_000
_BLOCK = 1 << 20
_KNOWN = {"runs.db": SCHEMA.version, "checkpoints.db": CHECKPOINTS_SCHEMA.version}
_DAMAGED = "it is damaged or no backup of deskhand; use another one"


class Restored(Manifest):
    """What was restored. ``moved_to`` is where the state before it lies; ``is_paused`` when write-back was stopped."""

    moved_to: str | None
    is_paused: bool


def put_back(
    folder: WorkspaceFolder, archive: Path, now: datetime, *, force: bool = False, progress: Progress | None = None
) -> Restored:
    """Put the state of a backup in place of the workspace's own, which is moved aside and not deleted.

    A write-back that was open in the backup may have been done since, by a tool that cannot look: then all
    write-back is paused, until a person has looked and says ``deskhand resume``.

    Args:
        folder: The workspace.
        archive: A file that ``back_up`` wrote.
        now: For the name of what is moved aside.
        force: Also replace a state that is not empty.
        progress: Told how many bytes are checked.

    Raises:
        InputError: The file is missing, damaged, no backup, or of a newer deskhand; nothing has changed.
        OwnedElsewhere: Another process uses the state; nothing has changed.
        StoreError: The state is not empty, or the disk failed.
    """
    _check_free(folder, force=force)
    try:
        folder.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".deskhand-restore-", dir=folder.root) as scratch:
            fresh = Path(scratch) / "state"
            fresh.mkdir(mode=0o700)
            manifest = _unpack(archive, fresh, progress)
            is_paused = _pause_open(fresh, now)
            _check_free(folder, force=force)
            moved_to = _swap(folder, fresh, now)
    except OSError as exc:
        raise StoreError(f"{folder.state}: cannot be restored ({exc}); check permissions and free space") from exc
    return Restored(**manifest.model_dump(), moved_to=str(moved_to) if moved_to else None, is_paused=is_paused)


def _check_free(folder: WorkspaceFolder, *, force: bool) -> None:
    """Raise unless the state may be replaced."""
    if is_owned(folder):
        raise OwnedElsewhere(f"{folder.state}: a process executes its runs; stop 'deskhand serve' first")
    there = [folder.state / name for name in DATABASES if (folder.state / name).exists()]
    for path in there:
        if _is_open(path):
            raise OwnedElsewhere(f"{path}: another process uses it; stop every deskhand of this workspace first")
    if there and not force:
        raise StoreError(
            f"{folder.state}: is not empty; add --force to replace it (it is moved aside, not deleted), or restore"
            " into another workspace"
        )


def _is_open(path: Path) -> bool:
    """Tell whether somebody has a database open: in WAL mode every connection holds a lock, even an idle one."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError as exc:
        return "locked" in str(exc) or "busy" in str(exc)
    except sqlite3.DatabaseError:
        return False  # damaged, which is why somebody restores
    return False


def _unpack(archive: Path, target: Path, progress: Progress | None) -> Manifest:
    """Write the members to ``target`` when all of them are as the manifest says. Raises InputError."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            manifest = _read_manifest(archive, tar)
            _check_space(target, manifest)
            _extract(archive, tar, manifest, target, progress)
    except FileNotFoundError as exc:
        raise InputError(f"{archive}: no such file; check the path") from exc
    except (tarfile.TarError, zlib.error, EOFError, OSError) as exc:
        if isinstance(exc, OSError) and not isinstance(exc, tarfile.ReadError) and exc.errno is not None:
            raise
        raise InputError(f"{archive}: cannot be read ({exc}); {_DAMAGED}") from exc
    for member in manifest.members:
        _check_database(archive, target, member)
    return manifest


def _read_manifest(archive: Path, tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    if first is None or first.name != MANIFEST or not first.isreg() or first.size > _MAX_MANIFEST_BYTES:
        raise InputError(f"{archive}: does not begin with {MANIFEST}; {_DAMAGED}")
    value = parse_json(decode(_opened(tar, first).read(), f"{archive}: {MANIFEST}"), f"{archive}: {MANIFEST}")
    if isinstance(value, dict) and isinstance(value.get("format"), int) and value["format"] > 1:
        raise InputError(f"{archive}: has format {value['format']}, this deskhand knows 1; upgrade deskhand")
    manifest = validate(Manifest, value, f"{archive}: {MANIFEST}")
    names = [member.name for member in manifest.members]
    wrong = next((name for name in names if not is_member_name(name)), None)
    if wrong is not None:
        raise InputError(f"{archive}: {wrong!r} has no place in a state; {_DAMAGED}")
    if len({name.casefold() for name in names}) != len(names):
        raise InputError(f"{archive}: a name stands in it twice; {_DAMAGED}")
    return manifest


def _opened(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(entry)
    assert file is not None, "a regular file can be opened"
    return file


def _check_space(target: Path, manifest: Manifest) -> None:
    needed, free = sum(member.size for member in manifest.members), shutil.disk_usage(target).free
    if needed > free:
        raise StoreError(f"{target}: {needed:,} bytes are needed and {free:,} are free; free some space and try again")


def _extract(archive: Path, tar: tarfile.TarFile, manifest: Manifest, target: Path, progress: Progress | None) -> None:
    """Write exactly the members of the manifest, in its order: no other name of the archive is ever used."""
    total, done = sum(member.size for member in manifest.members), 0
    for member in manifest.members:
        entry = tar.next()
        if entry is None or entry.name != member.name or not entry.isreg() or entry.size != member.size:
            found = "nothing" if entry is None else repr(entry.name)
            raise InputError(f"{archive}: {found} is where {member.name!r} should be; {_DAMAGED}")
        path = target / member.name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _copy(_opened(tar, entry), path) != member.sha256:
            raise InputError(f"{archive}: {member.name} is not what was backed up; {_DAMAGED}")
        done += member.size
        if progress:
            progress(done, total)
    if tar.next() is not None:
        raise InputError(f"{archive}: holds more than its manifest says; {_DAMAGED}")


def _copy(source: IO[bytes], path: Path) -> str:
    """Write a new file, synced, and return its SHA-256."""
    digest = hashlib.sha256()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while block := source.read(_BLOCK):
            digest.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _check_database(archive: Path, target: Path, member: Member) -> None:
    """Raise InputError for a database that this deskhand cannot use."""
    if member.name not in DATABASES:
        return
    known = _KNOWN.get(member.name)
    if known is not None and (member.schema_version or 0) > known:
        raise InputError(
            f"{archive}: {member.name} has schema {member.schema_version}, this deskhand knows up to {known};"
            " upgrade deskhand"
        )
    try:
        with closing(sqlite3.connect(target / member.name)) as connection:
            problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as exc:
        problem = str(exc)
    if problem != "ok":
        raise InputError(f"{archive}: {member.name} is damaged ({problem}); {_DAMAGED}")


def _pause_open(fresh: Path, now: datetime) -> bool:
    """Stop write-back when something in the restored state is still to be written."""
    if not (fresh / "runs.db").exists():
        return False
    with RunStore(fresh / "runs.db") as store:
        if not store.pending_write_back():
            return False
        return pause(GuardTables(store), EVERYWHERE, "restore", now)


def _swap(folder: WorkspaceFolder, fresh: Path, now: datetime) -> Path | None:
    """Put the new state in place and return where the old one lies.

    Two renames: after a crash in between there is no state, and the same restore works again.
    """
    aside = None
    if folder.state.exists():
        aside = _free_name(folder.root / f"{folder.state.name}.before-{now.astimezone(UTC):%Y%m%d-%H%M%S}")
        folder.state.rename(aside)
    fresh.rename(folder.state)
    if aside is not None and (aside / "backups").is_dir():
        (aside / "backups").rename(folder.state / "backups")
    descriptor = os.open(folder.root, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return aside


def _free_name(path: Path) -> Path:
    """Return the path, or with a number when it is taken."""
    names = (path if n == 0 else path.with_name(f"{path.name}-{n}") for n in range(1_000))
    return next(name for name in names if not name.exists())
