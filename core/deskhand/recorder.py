"""Recordings: what a run asked of the world and what it was told, so that it can be run again for nothing.

A recording is a JSONL file with rows ``{kind, key, path, n, request, response}``. ``key`` is the hash of the
request, ``path`` the place in the run that asked, and ``n`` counts equal requests from one place. Requests and
responses are masked by the caller before they come here.
"""

from __future__ import annotations

import difflib
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from deskhand import errors
from deskhand.errors import DeskhandError, InputError, ReplayMiss, StoreError
from deskhand.jsonio import canonical_json, content_hash, read_lines
from deskhand.schema import Json


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
    error: dict[str, str] | None = None

    @property
    def place(self) -> tuple[str, str, str, int]:
        """What identifies the row within its recording."""
        return (self.kind, self.path, self.key, self.n)

    def to_line(self) -> str:
        """Return the row as one line of JSON, without a newline."""
        fields: dict[str, Any] = {
            "kind": self.kind, "key": self.key, "path": self.path, "n": self.n, "request": self.request
        }  # fmt: skip
        fields |= {"error": self.error} if self.error else {"response": self.response}
        return canonical_json(fields)


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

    def place(self, kind: CallKind, path: str, request: Json) -> Row:
        key = content_hash([kind, request])[:32]
        n = self._seen[kind, path, key]
        self._seen[kind, path, key] += 1
        return Row(kind, key, path, n, request)


class FileRecorder:
    """Performs every call and appends it to a file; a run that goes on after a crash appends to the same one."""

    def __init__(self, file: Path) -> None:
        """Open ``file`` for appending. Raises StoreError when it cannot be written."""
        self._counter = _Counter()
        self.path = file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as exc:
            raise StoreError(f"{file}: cannot be written ({exc.strerror}); check the folder's permissions") from exc

    async def call(self, kind: CallKind, path: str, request: Json, perform: Callable[[], Awaitable[Json]]) -> Json:
        """Perform the call and append its row."""
        row = self._counter.place(kind, path, request)
        try:
            response = await perform()
        except DeskhandError as exc:
            self._append(_failed(row, exc))
            raise
        return self._append(_answered(row, response))

    def call_now(self, kind: CallKind, path: str, request: Json, perform: Callable[[], Json]) -> Json:
        """Perform the call and append its row."""
        return self._append(_answered(self._counter.place(kind, path, request), perform()))

    def _append(self, row: Row) -> Json:
        line = f"{row.to_line()}\n".encode("utf-8", "replace")
        try:
            os.write(self._descriptor, line)
        except OSError as exc:
            raise StoreError(f"{self.path}: cannot be written ({exc.strerror}); free some space") from exc
        return row.response

    def close(self) -> None:
        """Close the file; the recorder must not be used afterwards."""
        os.close(self._descriptor)


def _answered(row: Row, response: Json) -> Row:
    return Row(row.kind, row.key, row.path, row.n, row.request, response=json.loads(canonical_json(response)))


def _failed(row: Row, exc: DeskhandError) -> Row:
    error = {"type": type(exc).__name__, "message": str(exc), **{key: str(value) for key, value in vars(exc).items()}}
    return Row(row.kind, row.key, row.path, row.n, row.request, error=error)


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
        asked = self._counter.place(kind, path, json.loads(canonical_json(request)))
        row = self._rows.get(asked.place)
        if row is None:
            raise ReplayMiss(_explain_miss(asked, list(self._rows.values())))
        if row.error is not None:
            raise _raised(row.error)
        return row.response


def _raised(error: dict[str, str]) -> DeskhandError:
    kind = getattr(errors, error["type"], DeskhandError)
    extra = {key: value for key, value in error.items() if key not in ("type", "message")}
    raised: DeskhandError = kind(error["message"], **extra)
    return raised


def load_recording(file: Path) -> list[Row]:
    """Return the rows of a recording; a row written again after a crash replaces the earlier one.

    Raises:
        InputError: The file is missing, a line is not a row, or it is empty.
    """
    rows: dict[tuple[str, str, str, int], Row] = {}
    for where, value in read_lines(file):
        try:
            row = Row(CallKind(value["kind"]), value["key"], value["path"], value["n"], value["request"],
                      value.get("response"), value.get("error"))  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise InputError(
                f"{where}: not a row of a recording ({exc!r}); record the run again with --record"
            ) from exc
        rows[row.place] = row
    if not rows:
        raise InputError(f"{file}: the recording is empty; record the run again with --record")
    return list(rows.values())


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
    before, after = (
        json.dumps(row.request, indent=1, sort_keys=True, ensure_ascii=False).split("\n") for row in (nearest, asked)
    )
    diff = list(difflib.unified_diff(before, after, f"recorded at {nearest.path}", "asked now", lineterm="", n=1))
    shown = "\n".join(diff[:40]) or "the requests are equal: it was asked more often than recorded"
    return f"{head}; record it again with --record, or undo this change:\n{shown}"


def _nearest(asked: Row, rows: list[Row]) -> Row | None:
    text = canonical_json(asked.request)[:4_000]

    def likeness(row: Row) -> tuple[bool, float]:
        return row.path == asked.path, difflib.SequenceMatcher(None, canonical_json(row.request)[:4_000], text).ratio()

    same_kind = [row for row in rows if row.kind is asked.kind]
    return max(same_kind, key=likeness, default=None)
