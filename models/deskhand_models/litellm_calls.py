"""Our calls of LiteLLM: they leave nothing behind when they are cut off, and do no work that nobody needs.

``adapt`` hooks into LiteLLM and the OpenAI client once; the hooks do something only inside ``watched``, so calls that
others make in the same process stay as they were. Some names hooked are private: where they are gone, calls only cost
more.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import TYPE_CHECKING, Any

from deskhand_models.faults import read_status
from deskhand_models.wire import MAX_ANSWER_BYTES, too_long

if TYPE_CHECKING:
    import httpx

_MAKING: ContextVar[_Making | None] = ContextVar("making", default=None)


def adapt(litellm: ModuleType) -> None:
    """Hook into LiteLLM and the OpenAI client, which it uses for OpenAI, Azure and servers compatible with them."""
    for name in ("completion", "embedding"):  # what acompletion and aembedding call in a thread
        setattr(litellm.main, name, _reporting(getattr(litellm.main, name)))
    if (describe := getattr(litellm.utils, "update_response_metadata", None)) is not None:
        litellm.utils.update_response_metadata = _leaving_undone(describe)
    import httpx
    from openai.resources.chat.completions import completions

    if (transform := getattr(completions, "async_maybe_transform", None)) is not None:
        completions.__dict__["async_maybe_transform"] = _leaving_as_is(transform)
    setattr(httpx.AsyncClient, "send", _staying_here(httpx.AsyncClient.send))  # noqa: B010 - mypy knows the methods
    setattr(httpx.Response, "aiter_bytes", _limited(httpx.Response.aiter_bytes))  # noqa: B010


@contextmanager
def watched() -> Iterator[None]:
    """Watch over what LiteLLM makes here, and let it keep no books of its own: nobody reads them.

    Its books cost 0.6 ms a call.
    """
    making = _Making()
    outer = _MAKING.set(making)
    try:
        with _without_books():
            yield
    finally:
        _MAKING.reset(outer)
        making.end()


class _Making:
    """The coroutine that LiteLLM makes for a call, in a thread of its own, before it waits for the network.

    A call that is cut off before that never awaits it; it is then closed here, whichever of the two comes last.
    """

    def __init__(self) -> None:
        self._made: object = None
        self._is_over = False

    def keep(self, made: object) -> None:
        """Take in what was made; called in the thread."""
        self._made = made
        if self._is_over:
            self._drop()

    def end(self) -> None:
        """The call is over; what was not begun by now never will be."""
        self._is_over = True
        self._drop()

    def _drop(self) -> None:
        made = self._made
        if inspect.iscoroutine(made) and inspect.getcoroutinestate(made) == inspect.CORO_CREATED:
            made.close()


def _reporting(make: Callable[..., object]) -> Callable[..., object]:
    """Return ``make`` so that it tells the call that it works for what it made."""

    @functools.wraps(make)
    def reporting(*args: Any, **kwargs: Any) -> object:
        made = make(*args, **kwargs)
        if (making := _MAKING.get()) is not None:
            making.keep(made)
        return made

    return reporting


def _leaving_undone(describe: Callable[..., None]) -> Callable[..., None]:
    """Return LiteLLM's ``describe`` so that it leaves answers of ours alone.

    It adds times, and a price by its own table; ours are settled by the ledger.
    """

    @functools.wraps(describe)
    def leave_undone(*args: Any, **kwargs: Any) -> None:
        if _MAKING.get() is None:
            describe(*args, **kwargs)

    return leave_undone


def _leaving_as_is(transform: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return the OpenAI client's ``transform`` of a request's body so that it leaves bodies of ours as they are.

    It looks in every value for names to change and dates to write. Bodies of ours are JSON already, no name of a chat
    request is ever changed, and the search is a sixth of a call's CPU. What stays is that options not given are left
    out.
    """
    from openai import NotGiven, Omit

    async def leave_as_is(data: Any, expected_type: object) -> Any:
        if _MAKING.get() is None or not isinstance(data, Mapping):
            return await transform(data, expected_type)
        return {name: value for name, value in data.items() if not isinstance(value, NotGiven | Omit)}

    return leave_as_is


def _staying_here(send: Callable[..., Awaitable[httpx.Response]]) -> Callable[..., Awaitable[httpx.Response]]:
    """Return httpx's ``send`` so that calls of ours follow no redirect: it would take key and customer's text along."""

    @functools.wraps(send)
    async def stay_here(*args: Any, **kwargs: Any) -> httpx.Response:
        if _MAKING.get() is None:
            return await send(*args, **kwargs)
        response = await send(*args, **{**kwargs, "follow_redirects": False})
        if response.is_redirect:  # said here: LiteLLM takes it for a server error of some providers
            raise read_status(response.status_code, "", response.headers)
        return response

    return stay_here


def _limited(iterate: Callable[..., AsyncIterator[bytes]]) -> Callable[..., AsyncIterator[bytes]]:
    """Return httpx's reader of an answer, unpacked, so that it stops where no answer to us is longer."""

    @functools.wraps(iterate)
    async def limited(*args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
        n_bytes = 0
        async for piece in iterate(*args, **kwargs):
            n_bytes += len(piece)
            if n_bytes > MAX_ANSWER_BYTES and _MAKING.get() is not None:
                raise too_long()
            yield piece

    return limited


@contextmanager
def _without_books() -> Iterator[None]:
    try:
        from litellm._internal_context import is_internal_call
    except ImportError:
        yield
        return
    outer = is_internal_call.set(True)
    try:
        yield
    finally:
        is_internal_call.reset(outer)
