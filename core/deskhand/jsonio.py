"""Reading and writing JSON so that errors name the place, equal values give equal bytes, and a crash
never leaves half a file.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from deskhand.errors import InputError, StoreError

M = TypeVar("M", bound=BaseModel)


class Line(NamedTuple):
    """One parsed line of a JSONL file and where it stood, as ``file:line``."""

    where: str
    value: Any


_SECRET_NAME = re.compile(r"(?:key|token(?!s)|secret|password|authorization)[^.]*(?:\.\d+)?\Z", re.IGNORECASE)
"""The end of the name of a field whose value is not shown."""

_SECRET_ADDRESS = re.compile(r"://\S*[@?]")
"""An address with a password or a query in it."""

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: object) -> str:
    """Return ``value`` as JSON with sorted keys and no spaces: equal values give equal text."""
    return _CANONICAL.encode(value)


def content_hash(value: object) -> str:
    """Return the SHA-256 of the canonical JSON of ``value``, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()


def parse_json(text: str, where: str) -> Any:
    """Return the value in ``text``. Raises InputError that names ``where`` and the line and column."""
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError as exc:
        raise InputError(f"{where}: the JSON is nested too deeply; flatten it") from exc
    except ValueError as exc:
        detail = (
            f"line {exc.lineno}, column {exc.colno}: {exc.msg}" if isinstance(exc, json.JSONDecodeError) else str(exc)
        )
        raise InputError(f"{where}: not valid JSON ({detail}); fix the file and run the command again") from exc


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number that JSON knows")
    return number


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, with plain newlines and without a byte order mark.

    Raises:
        InputError: The file is missing, unreadable or not UTF-8.
    """
    return decode(read_bytes(path), str(path))


def decode(raw: bytes, where: str) -> str:
    """Return ``raw`` as text, as ``read_text`` does. Raises InputError that names ``where`` and the first bad byte."""
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as exc:
        raise InputError(f"{where}: not UTF-8 text (byte {exc.start}); save it as UTF-8") from exc
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file. Raises InputError when it is missing or unreadable."""
    try:
        return path.read_bytes()
    except FileNotFoundError as exc:
        raise InputError(f"{path}: no such file; check the path") from exc
    except IsADirectoryError as exc:
        raise InputError(f"{path}: is a folder; name a file in it") from exc
    except OSError as exc:
        raise InputError(f"{path}: cannot be read ({exc.strerror}); check its permissions") from exc
    except ValueError as exc:  # a NUL or a lone surrogate in the name
        raise InputError(f"{str(path)!r}: not a file name ({exc}); check the path") from exc


def parse_lines(text: str, where: str) -> Iterator[Line]:
    """Yield the values of a JSONL text, skipping blank lines. Raises InputError with the line number."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            place = f"{where}:{number}"
            yield Line(place, parse_json(line, place))


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the values of a JSONL file. Raises InputError when the file or a line cannot be read."""
    yield from parse_lines(read_text(path), str(path))


def validate(model: type[M], value: object, where: str) -> M:
    """Return ``value`` as a ``model``. Raises InputError naming the first wrong field and its place."""
    try:
        return model.model_validate_json(canonical_json(value))
    except ValidationError as exc:
        raise InputError(f"{where}: {first_problem(exc)}") from exc
    except RecursionError as exc:
        raise InputError(f"{where}: the JSON is nested too deeply; flatten it") from exc
    except (ValueError, TypeError) as exc:
        raise InputError(f"{where}: not a JSON value ({exc}); correct it") from exc


def first_problem(exc: ValidationError) -> str:
    """Return the first problem of a failed validation in one line, with how many more there are."""
    problems = exc.errors(include_url=False)
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"] and first["type"] == "value_error":  # a rule of the whole model, in its own words
        return f"{message}{more}"
    field = ".".join(str(part) for part in first["loc"]) or "value"
    shown = "" if first["type"] in ("missing", "string_too_long") else _shown(field, first["input"])
    return f"{field}: {message[:1].lower()}{message[1:]}{shown}{more}"


def _shown(field: str, value: object) -> str:
    """Return how a wrong value is shown. One that may be or hold a secret is not: messages end up in logs."""
    text = repr(value)
    if isinstance(value, (Mapping, BaseModel)) or _SECRET_NAME.search(field) or _SECRET_ADDRESS.search(text):
        return ""
    return f", got {text}" if len(text) <= 60 else f", got {text[:57]}..."


def write_atomic(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` so that a reader, or a crash, sees the old or the new file, never a part.

    Raises:
        StoreError: The folder cannot be written.
    """
    raw = text.encode("utf-8")
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch.open("xb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as exc:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise StoreError(
            f"{path}: cannot be written ({exc.strerror}); check the folder's permissions and free space"
        ) from exc
