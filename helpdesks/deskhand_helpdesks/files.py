"""Reading tickets from a file, a folder or standard input, so that one bad ticket does not stop the others."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from deskhand.errors import InputError
from deskhand.jsonio import Line, decode, parse_json, validate
from deskhand.tickets import MAX_MESSAGE_CHARS, Ticket

MAX_FILE_BYTES = 50_000_000
"""Largest file of tickets, and most that is read from standard input."""

STDIN = "-"
"""The source that means standard input."""

_STDIN_NAME = "standard input"

_AGAIN = "correct it and run the command again"


@dataclass(frozen=True)
class LoadedTicket:
    """One ticket, or why there is none. ``where`` is its file, with ``:line`` or ``[number]`` when it holds many."""

    where: str
    ticket: Ticket | None = None
    error: InputError | None = None


def load_tickets(source: str | Path, *, stdin: BinaryIO | None = None) -> Iterator[LoadedTicket]:
    """Yield every ticket in ``source`` in order; what cannot be used is yielded as an error, never raised.

    Args:
        source: A ``.json`` file (one ticket or an array), a ``.jsonl`` file, a folder (its ``*.json``, by name), or
            ``-`` for standard input, JSON or JSON Lines. Other files are read like standard input.
        stdin: What ``-`` reads, for tests; the process's standard input when left out.
    """
    seen: dict[str, str] = {}
    for entry in _load(str(source), stdin):
        yield _refuse_repeated(entry, seen)


def _load(source: str, stdin: BinaryIO | None) -> Iterator[LoadedTicket]:
    try:
        if source == STDIN:
            yield from _load_stream(stdin or sys.stdin.buffer, _STDIN_NAME)
        elif _is_folder(Path(source)):
            yield from _load_folder(Path(source))
        else:
            yield from _load_file(Path(source))
    except InputError as exc:
        yield LoadedTicket(_STDIN_NAME if source == STDIN else source, error=exc)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that no file can have; opening it says so
        return False


def _load_folder(folder: Path) -> Iterator[LoadedTicket]:
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix == ".json" and not path.name.startswith("."))
    except OSError as exc:
        raise InputError(f"{folder}: cannot be read ({exc.strerror}); check its permissions") from exc
    if not files:
        raise InputError(f"{folder}: no ticket in it (*.json); put one there or name another folder")
    for file in files:
        try:
            yield from _load_file(file)
        except InputError as exc:
            yield LoadedTicket(str(file), error=exc)


def _load_file(path: Path) -> Iterator[LoadedTicket]:
    try:
        # bounded twice: by the size a file has, and by what is read of a pipe or a device, which has none
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _too_large(str(path))
        with path.open("rb") as file:
            yield from _load_stream(file, str(path))
    except FileNotFoundError as exc:
        raise InputError(f"{path}: no such file or folder; check the path") from exc
    except OSError as exc:
        raise InputError(f"{path}: cannot be read ({exc.strerror}); check its permissions") from exc
    except ValueError as exc:
        raise InputError(f"{str(path)!r}: not a file name ({exc}); check the path") from exc


def _too_large(where: str) -> InputError:
    return InputError(f"{where}: larger than {MAX_FILE_BYTES // 1_000_000} MB; split it into several files")


def _load_stream(stream: BinaryIO, where: str) -> Iterator[LoadedTicket]:
    raw = stream.read(MAX_FILE_BYTES + 1)
    if len(raw) > MAX_FILE_BYTES:
        raise _too_large(where)
    if b"\0" in raw:
        raise InputError(f"{where}: is binary, not a ticket; hand in JSON text in UTF-8")
    text = decode(raw, where)
    if not text.strip():
        raise InputError(f"{where}: is empty; put a ticket into it as JSON")
    values = _lines(text, where) if where.endswith(".jsonl") else _values(text, where)
    yield from (_ticket(value) for value in values)


def _values(text: str, where: str) -> Iterator[Line | LoadedTicket]:
    """Yield what a text of unknown form holds: an object, an array of them, or one on each line."""
    try:
        value = parse_json(text, where)
    except InputError:
        if not where.endswith(".json") and _is_json_lines(text):
            yield from _lines(text, where)
            return
        raise
    if isinstance(value, list):
        if not value:
            raise InputError(f"{where}: an empty array, no ticket in it; put one there")
        yield from (Line(f"{where}[{number}]", item) for number, item in enumerate(value))
    else:
        yield Line(where, value)


def _is_json_lines(text: str) -> bool:
    """Tell whether some line is a JSON object by itself; no line of a broken, indented object is one."""
    for line in text.split("\n"):
        if line.lstrip().startswith("{"):
            with suppress(InputError):
                parse_json(line, "")
                return True
    return False


def _lines(text: str, where: str) -> Iterator[Line | LoadedTicket]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            place = f"{where}:{number}"
            try:
                yield Line(place, parse_json(line, place))
            except InputError as exc:
                yield LoadedTicket(place, error=exc)


def _ticket(found: Line | LoadedTicket) -> LoadedTicket:
    if isinstance(found, LoadedTicket):
        return found
    try:
        return LoadedTicket(found.where, ticket=parse_ticket(found.value, found.where))
    except InputError as exc:
        return LoadedTicket(found.where, error=exc)


def parse_ticket(value: Any, where: str) -> Ticket:
    """Return a JSON value as a ticket. Raises InputError that names ``where``, the first wrong field and its value."""
    if not isinstance(value, dict):
        kind = {str: "a string", list: "an array", type(None): "null"}.get(type(value), "a single value")
        raise InputError(f"{where}: a ticket is a JSON object, this is {kind}; {_AGAIN}")
    _check_lengths(value, where)
    try:
        return validate(Ticket, value, where)
    except InputError as exc:
        raise InputError(f"{exc}; {_AGAIN}") from exc


def _check_lengths(value: dict[str, Any], where: str) -> None:
    """Refuse a message that is too long by its own id; the place in the list would help nobody to find it."""
    messages = value.get("messages")
    for message in messages if isinstance(messages, list) else ():
        text = message.get("text") if isinstance(message, dict) else None
        if isinstance(text, str) and len(text) > MAX_MESSAGE_CHARS:
            name = str(message.get("id"))[:80]
            raise InputError(
                f"{where}: message {name!r} has {len(text):,} characters, the limit is {MAX_MESSAGE_CHARS:,};"
                " shorten it, or list what is long as an attachment"
            )


def _refuse_repeated(entry: LoadedTicket, seen: dict[str, str]) -> LoadedTicket:
    if entry.ticket is None:
        return entry
    first = seen.setdefault(entry.ticket.id, entry.where)
    if first == entry.where:
        return entry
    error = InputError(f"{entry.where}: ticket {entry.ticket.id!r} was already read from {first}; remove one of them")
    return LoadedTicket(entry.where, error=error)
