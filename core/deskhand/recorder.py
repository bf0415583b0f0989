"""Recordings: what a run asked of the world and what it was told, so that it can be run again for nothing.

A recording is a JSONL file with rows ``{kind, key, path, n, request, response}``. ``key`` is the hash of the
request, ``path`` the place in the run that asked, and ``n`` counts equal requests from one place. Requests and
responses are masked by the caller before they come here.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, cast

from deskhand import errors
from deskhand.errors import DeskhandError, InputError, ReplayMiss, StoreError
from deskhand.jsonio import canonical_json, decode, parse_lines, read_bytes
from deskhand.schema import Json

_COMPARED_ROWS = 50
"""How many rows a miss is compared with: each comparison takes about 1 ms."""


class CallKind(StrEnum):
    """What a row records."""

    run = "run"
    model = "model"
    tool = "tool"
    retrieval = "retrieval"
    time = "time"
    id = "id"
    decision = "decision"


@dataclass(frozen=True)
class Row:
    """One recorded call. Exactly one of ``response`` and ``error`` says what came back."""

    kind: CallKind
    key: str
    path: str
    n: int
    request: Json
    response: Json = None
    error: dict[str, Json] | None = None

    @property
    def place(self) -> tuple[str, str, str, int]:
        """What identifies the row within its recording."""
        return (self.kind, self.path, self.key, self.n)

    def to_line(self) -> str:
        """Return the row as one line of JSON, without a newline; a lone surrogate is written as its escape."""
        return self.line_around(canonical_json(self.request), canonical_json(self.response))

    def line_around(self, request: str, response: str) -> str:
        """Return the line from the canonical JSON of its request and its response, which is left out for an error.

        A run writes every row once, and most of a row is these two: nothing is encoded twice.
        """
        error = f'"error":{canonical_json(self.error)},' if self.error else ""
        place = f'"key":{json.dumps(self.key)},"kind":"{self.kind}","n":{self.n},"path":{canonical_json(self.path)}'
        told = "" if self.error else f',"response":{response}'
        return _encodable(f'{{{error}{place},"request":{request}{told}}}')


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class Recorder(Protocol):
    """What stands between a run and the world."""

    async def call(self, kind: CallKind, path: str, request: Json, perform: Callable[[], Awaitable[Json]]) -> Json:
        """Return what ``perform`` returns, or what it returned when the run was recorded.

        A DeskhandError is recorded too and raised again on replay.

        Raises:
            ReplayMiss: On replay, nothing was recorded for this request at this place.
        """
        ...

    def call_now(self, kind: CallKind, path: str, request: Json, perform: Callable[[], Json]) -> Json:
        """Do the same for a call that does not wait, such as reading the clock."""
        ...


class NoRecorder:
    """Performs every call and keeps nothing."""

    async def call(self, kind: CallKind, path: str, request: Json, perform: Callable[[], Awaitable[Json]]) -> Json:
        """Perform the call."""
        return await perform()

    def call_now(self, kind: CallKind, path: str, request: Json, perform: Callable[[], Json]) -> Json:
        """Perform the call."""
        return perform()


@dataclass
class _Counter:
    _seen: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def place(self, kind: CallKind, path: str, request: Json, text: str) -> Row:
        """Return the row of the next such call. ``text`` is the canonical JSON of ``request``."""
        # The hash of [kind, request], whose JSON need not be made again.
        key = hashlib.sha256(f'["{kind}",{text}]'.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        n = self._seen[kind, path, key]
        self._seen[kind, path, key] += 1
        return Row(kind, key, path, n, request)


class FileRecorder:
    """Performs every call and appends it to a file; a run that goes on after a crash appends to the same one.

    A row stands in the file before its caller sees the response. One process at a time writes a recording.
    """

    def __init__(self, file: Path) -> None:
        """Open ``file`` for appending. Raises StoreError when it cannot be written."""
        self._counter = _Counter()
        self.path = file
        try:
            self._descriptor = _open(file)
        except OSError as exc:
            raise StoreError(f"{file}: cannot be written ({exc.strerror}); check the folder's permissions") from exc
        self._drop_torn_line()

    async def call(self, kind: CallKind, path: str, request: Json, perform: Callable[[], Awaitable[Json]]) -> Json:
        """Perform the call and append its row."""
        text = canonical_json(request)
        row = self._counter.place(kind, path, request, text)
        try:
            response = await perform()
        except DeskhandError as exc:
            self._append(_failed(row, exc).line_around(text, ""))
            raise
        return self._keep(row, text, response)

    def call_now(self, kind: CallKind, path: str, request: Json, perform: Callable[[], Json]) -> Json:
        """Perform the call and append its row."""
        text = canonical_json(request)
        row = self._counter.place(kind, path, request, text)
        try:
            response = perform()
        except DeskhandError as exc:
            self._append(_failed(row, exc).line_around(text, ""))
            raise
        return self._keep(row, text, response)

    def _keep(self, row: Row, request: str, response: Json) -> Json:
        """Append the row and return the response as a replay will."""
        told = canonical_json(response)
        self._append(row.line_around(request, told))
        return cast(Json, json.loads(_encodable(told)))

    def _drop_torn_line(self) -> None:
        """Cut off the line in which an earlier process died, so that the next row does not grow out of it."""
        if not os.fstat(self._descriptor).st_size:
            return
        raw = read_bytes(self.path)
        whole = raw.rfind(b"\n") + 1
        if whole < len(raw):
            os.ftruncate(self._descriptor, whole)

    def _append(self, line: str) -> None:
        left = f"{line}\n".encode()
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as exc:
            raise StoreError(f"{self.path}: cannot be written ({exc.strerror}); free some space") from exc

    def close(self) -> None:
        """Close the file; the recorder must not be used afterwards."""
        os.close(self._descriptor)


def _failed(row: Row, exc: DeskhandError) -> Row:
    # Errors of other rooms are recorded as the nearest one of core, which every room may know on replay.
    known = next(kind for kind in type(exc).__mro__ if getattr(errors, kind.__name__, None) is kind)
    attributes = {
        key: value if value is None or isinstance(value, (str, int, float)) else str(value)
        for key, value in vars(exc).items()
        if not key.startswith("_")
    }
    error: dict[str, Json] = {**attributes, "type": known.__name__, "message": str(exc)}
    return Row(row.kind, row.key, row.path, row.n, row.request, error=error)


def _open(file: Path) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
    try:
        return os.open(file, flags, 0o600)
    except FileNotFoundError:  # the first recording of a folder
        file.parent.mkdir(parents=True, exist_ok=True)
        return os.open(file, flags, 0o600)


class ReplayRecorder:
    """Answers every call from a recording and performs none."""

    def __init__(self, rows: dict[tuple[str, str, str, int], Row]) -> None:
        self._rows = rows
        self._counter = _Counter()

    async def call(self, kind: CallKind, path: str, request: Json, perform: Callable[[], Awaitable[Json]]) -> Json:
        """Return the recorded response."""
        return self.call_now(kind, path, request, lambda: None)

    def call_now(self, kind: CallKind, path: str, request: Json, perform: Callable[[], Json]) -> Json:
        """Return the recorded response."""
        text = canonical_json(request)
        asked = self._counter.place(kind, path, request, text)
        row = self._rows.get(asked.place)
        if row is None:
            as_recorded = replace(asked, request=json.loads(text))
            raise ReplayMiss(_explain_miss(as_recorded, list(self._rows.values())))
        if row.error is not None:
            raise _raised(row.error)
        return copy.deepcopy(row.response)  # the caller may change it, and the rows may be replayed again


def _raised(error: dict[str, Json]) -> DeskhandError:
    kind = getattr(errors, str(error["type"]))
    raised: DeskhandError = kind.__new__(kind, error["message"])  # not its constructor: attributes may be more or fewer
    vars(raised).update({key: value for key, value in error.items() if key not in ("type", "message")})
    return raised


def load_recording(file: Path) -> list[Row]:
    """Return the rows of a recording; a row written again after a crash replaces the earlier one.

    A last line without a newline is one in which the process died: nobody saw its response, and it is left out.

    Raises:
        InputError: The file is missing, a line is not a row, or it is empty.
    """
    rows: dict[tuple[str, str, str, int], Row] = {}
    raw = read_bytes(file)
    for where, value in parse_lines(decode(raw[: raw.rfind(b"\n") + 1], str(file)), str(file)):
        row = _read_row(value, where)
        rows[row.place] = row
    if not rows:
        raise InputError(f"{file}: the recording is empty; record the run again with --record")
    return list(rows.values())


def _read_row(value: Any, where: str) -> Row:
    try:
        row = Row(CallKind(value["kind"]), value["key"], value["path"], value["n"], value["request"],
                  value.get("response"), value.get("error"))  # fmt: skip
        if not (isinstance(row.key, str) and isinstance(row.path, str) and type(row.n) is int):
            raise ValueError("key and path must be text, n a number")
        if row.error is not None and not _is_error(row.error):
            raise ValueError("the error has no known type and message")
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise InputError(f"{where}: not a row of a recording ({exc!r}); record the run again with --record") from exc
    return row


def _is_error(error: Mapping[str, object]) -> bool:
    kind = getattr(errors, str(error["type"]), None)
    return isinstance(kind, type) and issubclass(kind, DeskhandError) and isinstance(error["message"], str)


def replay(rows: list[Row]) -> ReplayRecorder:
    """Return a recorder that answers from ``rows``."""
    return ReplayRecorder({row.place: row for row in rows})


def _explain_miss(asked: Row, rows: list[Row]) -> str:
    head = (
        f"replay: no {asked.kind} call number {asked.n + 1} with this request was recorded at {asked.path or 'the run'}"
    )
    nearest = _nearest(asked, rows)
    if nearest is None:
        return f"{head}; record the run again with --record"
    before, after = (_shown_lines(row.request) for row in (nearest, asked))
    diff = list(difflib.unified_diff(before, after, f"recorded at {nearest.path}", "asked now", lineterm="", n=1))
    if not diff:
        where = f"call number {nearest.n + 1} at {nearest.path or 'the run'}"
        return f"{head}; the same request was recorded as {where}; record the run again with --record"
    shown = "\n".join(diff[:40])
    return f"{head}; record it again with --record, or undo this change:\n{shown}"


def _shown_lines(request: Json) -> list[str]:
    """Return a request in lines short enough to read; the lines of a prompt are lines here too."""
    text = json.dumps(request, indent=1, sort_keys=True, ensure_ascii=False).replace("\\n", "\n")
    return [line[at : at + 160] for line in text.split("\n") for at in range(0, len(line) or 1, 160)]


def _nearest(asked: Row, rows: list[Row]) -> Row | None:
    text = canonical_json(asked.request)

    def likeness(row: Row) -> float:
        return difflib.SequenceMatcher(None, canonical_json(row.request), text).quick_ratio()

    same_kind = [row for row in rows if row.kind is asked.kind]
    same_path = [row for row in same_kind if row.path == asked.path]
    return max((same_path or same_kind)[:_COMPARED_ROWS], key=likeness, default=None)
