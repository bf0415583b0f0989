"""The direct transport: one POST to an OpenAI-compatible endpoint over a shared aiohttp session."""

from __future__ import annotations

import asyncio
import json
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from deskhand_models.faults import AttemptFailed, Fault, read_status
from deskhand_models.transport import Attempt, Outgoing
from deskhand_models.wire import MAX_ANSWER_BYTES, parse_body, read_reply, too_long

if TYPE_CHECKING:
    import aiohttp

_OWN_PREFIXES = ("openai/", "hosted_vllm/", "ollama/", "ollama_chat/", "llamafile/", "lm_studio/", "mistral/")
"""What LiteLLM puts before a model's name; the server itself knows the rest only."""


class DirectTransport:
    """Carries requests to ``api_base`` + ``/chat/completions`` or ``/embeddings``.

    One session serves all calls of an event loop.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def load(self) -> None:
        """Import aiohttp."""
        if "aiohttp" not in sys.modules:
            await asyncio.to_thread(import_module, "aiohttp")

    async def send(self, outgoing: Outgoing) -> Attempt:
        """Return the answer of one POST. Redirects are not followed: they would take the key along.

        Raises:
            AttemptFailed: There was no usable answer.
        """
        import aiohttp

        settings = outgoing.model.settings
        url = f"{settings.api_base}/{'embeddings' if outgoing.texts else 'chat/completions'}"
        headers = {"content-type": "application/json"}
        if outgoing.key:
            headers["authorization"] = f"Bearer {outgoing.key}"
        payload = json.dumps({"model": server_name(settings.model), **outgoing.body}).encode()
        try:
            async with self._open().post(url, data=payload, headers=headers, allow_redirects=False) as response:
                raw = await _read(response)
                answer_headers = {name.lower(): value for name, value in response.headers.items()}
                status = response.status
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as exc:
            raise AttemptFailed(Fault.connection, str(exc), is_billed=False) from exc
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise AttemptFailed(Fault.connection, f"{type(exc).__name__}: {exc}") from exc
        if status != 200:
            raise read_status(status, raw.decode("utf-8", "replace"), answer_headers)
        return read_reply(outgoing, parse_body(raw))

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        loop = asyncio.get_running_loop()
        if self._session is None or self._session.closed or self._loop is not loop:
            # Time is kept by the caller, for the whole attempt; how many calls run at once is the caller's too.
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None), connector=aiohttp.TCPConnector(limit=0)
            )
            self._loop = loop
        return self._session

    async def close(self) -> None:
        """Close the session's connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def server_name(model: str) -> str:
    """Return the name by which the server knows ``model``: without the provider that LiteLLM puts before it."""
    for prefix in _OWN_PREFIXES:
        if model.startswith(prefix):
            return model.removeprefix(prefix)
    return model


async def _read(response: aiohttp.ClientResponse) -> bytes:
    pieces, n_bytes = [], 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        n_bytes += len(piece)
        if n_bytes > MAX_ANSWER_BYTES:
            raise too_long()
    return b"".join(pieces)
