"""Reading a request's body, however it is sent: never more than is allowed, never for longer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from deskhand.errors import InputError

if TYPE_CHECKING:
    from fastapi import Request

BODY_TIMEOUT_S = 20.0
"""A sender that has not sent its whole body by then is cut off."""


class Refused(InputError):
    """A request is answered with an error: ``status`` is HTTP's, ``code`` one word for logs and metrics."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


async def read_body(request: Request, max_bytes: int, *, timeout_s: float = BODY_TIMEOUT_S) -> bytes:
    """Return the raw body.

    Raises:
        Refused: 413 as soon as it is known to be longer than ``max_bytes``, whatever its length header says; 408
            when it is not there after ``timeout_s``; 400 when the sender hung up or its length is not a number.
    """
    _check_length(request.headers.get("content-length"), max_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            return await _read(request, max_bytes)
    except TimeoutError:
        raise Refused(408, "slow_body", f"the body did not arrive within {timeout_s:g} s; send it again") from None
    except ClientDisconnect:
        raise Refused(400, "cut_off", "the sender hung up before the end of the body; send it again") from None


def _check_length(given: str | None, max_bytes: int) -> None:
    if given is None:
        return
    if not (given.isascii() and given.isdigit()):
        raise Refused(400, "bad_length", "content-length is not a number; send the number of bytes")
    if len(given) > 18 or int(given) > max_bytes:
        raise _too_large(max_bytes)


async def _read(request: Request, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    n_bytes = 0
    async for chunk in request.stream():
        n_bytes += len(chunk)
        if n_bytes > max_bytes:
            raise _too_large(max_bytes)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(max_bytes: int) -> Refused:
    return Refused(413, "too_large", f"the body is longer than {max_bytes} bytes; send less, or raise max_body_bytes")
