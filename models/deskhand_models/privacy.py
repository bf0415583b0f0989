"""What a model may see, and what of its answer may be kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from deskhand.interfaces import ChatMessage, ToolCall
from deskhand.schema import Json
from deskhand.vault import PLACEHOLDER, PatternVault, Vault, map_strings


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
