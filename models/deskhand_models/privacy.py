"""What a model may see, and what of its answer may be kept: no personal data, and never a key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from deskhand.interfaces import ChatMessage, ToolCall
from deskhand.schema import Json
from deskhand.vault import PLACEHOLDER, PatternVault, Vault, map_strings
from deskhand_models.transport import Attempt

_HIDDEN = "***"
_LEAST_KEY = 8
"""Characters of a key that is one: shorter ones, such as "none" for a local server, are words of the language."""


def change_message(message: ChatMessage, change: Callable[[str], str]) -> ChatMessage:
    """Return ``message`` with every text of it changed, the arguments of its tool calls too."""
    calls = tuple(change_call(call, change) for call in message.tool_calls)
    return replace(message, content=change(message.content), tool_calls=calls)


def change_call(call: ToolCall, change: Callable[[str], str]) -> ToolCall:
    """Return a tool call with every text in its arguments changed."""
    return replace(call, args=cast(dict[str, Json], map_strings(dict(call.args), change)))


def mask_answer(text: str, vault: Vault) -> str:
    """Return what a model wrote without personal data, and leave ``vault`` as it is.

    Values of the vault become their placeholders. A value that the vault does not know was made up by the model: it
    loses its number, as ``[EMAIL]``, so that nothing is ever put back in its place, and a replay, which never sees
    the value, counts its placeholders as the run did.
    """
    known = {placeholder: value for placeholder, value in vault.export().items() if PLACEHOLDER.fullmatch(placeholder)}
    stood = set(PLACEHOLDER.findall(text))
    masked = PatternVault(known).mask(text)
    return PLACEHOLDER.sub(
        lambda match: match[0] if match[0] in known or match[0] in stood else f"{match[0].partition('_')[0]}]", masked
    )


def hide_key(text: str, key: str | None) -> str:
    """Return ``text`` without the key of the provider that sent it: some send back the headers of a request."""
    return text.replace(key, _HIDDEN) if key is not None and len(key) >= _LEAST_KEY else text


def without_key(attempt: Attempt, key: str | None) -> Attempt:
    """Return an answer without the key that it was asked with."""

    def hide(text: str) -> str:
        return hide_key(text, key)

    calls = tuple(
        replace(change_call(call, hide), id=hide(call.id), name=hide(call.name)) for call in attempt.tool_calls
    )
    return replace(attempt, text=hide(attempt.text), tool_calls=calls, finish_reason=hide(attempt.finish_reason))
