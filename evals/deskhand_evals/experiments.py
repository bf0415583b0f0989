"""Stored runs of suites: ``.deskhand/experiments/<id>/{plan.json, results.jsonl, report.json}``.

``results.jsonl`` grows by a line with every finished repeat of a case, so that a run that was killed goes on without
repeating one. ``report.json`` is written at the end.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from deskhand.config import WorkspaceFolder
from deskhand.errors import InputError, StoreError
from deskhand.ids import Ids, RandomIds
from deskhand.jsonio import decode, parse_lines, read_bytes, validate, write_atomic
from deskhand.schema import Json
from deskhand_evals.report import Report, Row, load_report


class Place(NamedTuple):
    """Which repeat of which case."""

    part: str
    case: str
    repeat: int


class Stored(NamedTuple):
    """A finished repeat of a case: its row and all that the target put out (None when it failed)."""

    row: Row
    output: Json


class Journal:
    """The results of a run that is under way; one process at a time writes it."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self.folder = folder
        self._descriptor = descriptor
        self.finished = {Place(s.row.part, s.row.case, s.row.repeat): s for s in _read(folder / "results.jsonl")}

    @property
    def id(self) -> str:
        """The experiment's id."""
        return self.folder.name

    def append(self, stored: Stored) -> None:
        """Keep a result. Raises StoreError when it cannot be written."""
        line = row_line(stored)
        self.finished[Place(stored.row.part, stored.row.case, stored.row.repeat)] = stored
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
        except OSError as exc:
            raise StoreError(f"{self.folder}: cannot be written ({exc.strerror}); free some space") from exc


def row_line(stored: Stored) -> bytes:
    """Return a result as one line of JSON."""
    row = stored.row.model_dump_json()
    output = json.dumps(stored.output, ensure_ascii=True)
    return f'{{"row":{row},"output":{output}}}\n'.encode()


def _read(file: Path) -> Iterator[Stored]:
    """Yield whole lines only: the last one may be torn by a crash."""
    raw = read_bytes(file)
    for where, value in parse_lines(decode(raw[: raw.rfind(b"\n") + 1], str(file)), str(file)):
        if not isinstance(value, dict) or "row" not in value:
            raise InputError(f"{where}: not a result of an eval; remove {file.parent} and run the suite again")
        yield Stored(validate(Row, value["row"], where), value.get("output"))


@dataclass(frozen=True)
class Experiments:
    """The experiments of a workspace."""

    root: Path
    ids: Ids = field(default_factory=RandomIds)

    @classmethod
    def of(cls, folder: WorkspaceFolder) -> Experiments:
        """Return those of a workspace."""
        return cls(folder.state / "experiments")

    @contextmanager
    def journal(self, plan: dict[str, Any], *, fresh: bool = False) -> Iterator[Journal]:
        """Yield the unfinished run of the same plan that nobody works on, or a new one.

        Raises:
            StoreError: The folder cannot be written.
        """
        try:
            opened = None if fresh else self._unfinished(plan)
            folder, descriptor = opened or self._new(plan)
        except OSError as exc:
            raise StoreError(f"{self.root}: cannot be written ({exc.strerror}); check its permissions") from exc
        try:
            yield Journal(folder, descriptor)
        finally:
            os.close(descriptor)

    def _unfinished(self, plan: dict[str, Any]) -> tuple[Path, int] | None:
        for folder in reversed(self._folders()):
            if (folder / "report.json").exists() or _plan_of(folder) != plan:
                continue
            descriptor = _locked(folder / "results.jsonl")
            if descriptor is not None:
                return folder, descriptor
        return None

    def _new(self, plan: dict[str, Any]) -> tuple[Path, int]:
        folder = self.root / self.ids.new("exp")
        folder.mkdir(parents=True)
        write_atomic(folder / "plan.json", json.dumps(plan, indent=1))
        descriptor = _locked(folder / "results.jsonl")
        assert descriptor is not None, "nobody else knows the new folder"
        return folder, descriptor

    def _folders(self) -> list[Path]:
        if not self.root.is_dir():
            return []
        return sorted(path for path in self.root.iterdir() if (path / "plan.json").is_file())

    def save(self, report: Report) -> Path:
        """Store a finished report and return its file."""
        path = self.root / report.id / "report.json"
        write_atomic(path, report_text(report))
        return path

    def list(self) -> list[Report]:
        """Return the finished experiments, newest first; those of another version are left out."""
        found = []
        for folder in reversed(self._folders()):
            with suppress(InputError):
                found.append(load_report(folder / "report.json"))
        return found

    def load(self, name: str) -> Report:
        """Return a report by its file, its id or the unique beginning of one, or ``latest``. Raises InputError."""
        if name.endswith(".json"):
            return load_report(Path(name))
        finished = [folder for folder in self._folders() if (folder / "report.json").is_file()]
        if name == "latest" and finished:
            return load_report(finished[-1] / "report.json")
        matches = [folder for folder in finished if folder.name.startswith(name)]
        exact = [folder for folder in matches if folder.name == name]
        if len(exact or matches) != 1:
            raise InputError(_not_one(name, len(matches), any_at_all=bool(finished)))
        return load_report((exact or matches)[0] / "report.json")

    def outputs(self, experiment_id: str) -> dict[Place, Stored]:
        """Return all that the targets of an experiment put out. Raises InputError when it is not there."""
        stored = _read(self.root / experiment_id / "results.jsonl")
        return {Place(s.row.part, s.row.case, s.row.repeat): s for s in stored}


def _not_one(name: str, n_matches: int, *, any_at_all: bool) -> str:
    """Say why a name is not that of one experiment."""
    if not any_at_all:
        return f"{name!r}: there are no finished experiments yet; run one with 'deskhand eval run'"
    problem = f"{n_matches} experiments begin with it" if n_matches else "no such finished experiment"
    return f"{name!r}: {problem}; 'deskhand eval list' shows their ids"


def report_text(report: Report) -> str:
    """Return a report as the JSON that ``load_report`` reads, one row a line."""
    head = report.model_dump_json(by_alias=True, exclude={"rows"})
    rows = ",\n".join(row.model_dump_json(exclude_defaults=True) for row in report.rows)
    return f'{head[:-1]},"rows":[\n{rows}\n]}}\n'


def _plan_of(folder: Path) -> Any:
    try:
        return json.loads((folder / "plan.json").read_bytes())
    except ValueError:
        return None


def _locked(file: Path) -> int | None:
    """Return a descriptor for appending whose lock is ours, with a torn last line cut off; None when it is taken."""
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    raw = file.read_bytes()
    os.ftruncate(descriptor, raw.rfind(b"\n") + 1)
    return descriptor
