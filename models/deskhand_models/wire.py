"""The OpenAI-compatible form of prompts and answers, which both transports speak."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from deskhand.interfaces import ChatMessage, ToolCall
from deskhand.jsonio import canonical_json
from deskhand_models.faults import AttemptFailed, Fault
from deskhand_models.transport import Attempt, Outgoing, Tokens

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""Longest answer that is read, unpacked: 256 vectors of 4,096 numbers need 23 MB."""

_LEAST_ECHO = 40
"""Characters of a message whose repetition is no answer; shorter ones may be one."""

_ECHO_SHARE = 0.8
"""How much of the longer one of message and answer the shorter one must be."""

_MAX_DEPTH = 50
"""How deep the arguments of a tool call may be nested; no tool of anybody's needs a tenth of it."""

_MOST_INTEGER = 2**63

_MOST_TOKENS = 100_000_000
"""More than any model has context for: a larger count cannot be right."""

_THOUGHT = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)
"""What local reasoning models put before their answer."""


def build_message(message: ChatMessage) -> dict[str, Any]:
    """Return one message in the provider's form."""
    built: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_call_id:
        built["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        built["content"] = message.content or None  # some servers refuse an empty text beside tool calls
        built["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": canonical_json(call.args)}}
            for call in message.tool_calls
        ]
    return built


def too_long() -> AttemptFailed:
    """Return the failure of an answer beyond ``MAX_ANSWER_BYTES``."""
    return AttemptFailed(Fault.bad_json, f"the answer is longer than {MAX_ANSWER_BYTES} bytes")


def parse_body(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in a body with status 200. Raises AttemptFailed (bad_json)."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as exc:
        shown = raw.decode("utf-8", "replace")
        raise AttemptFailed(Fault.bad_json, f"the answer is not JSON: {shown}") from exc
    if not isinstance(body, dict):
        raise AttemptFailed(Fault.bad_json, "the answer is not a JSON object")
    return body


def read_reply(outgoing: Outgoing, body: Mapping[str, Any]) -> Attempt:
    """Return what answers ``outgoing``: vectors or a completion. Raises AttemptFailed when it cannot be used."""
    if outgoing.texts:
        return read_vectors(body, len(outgoing.texts))
    return read_answer(body, f"call_{len(outgoing.body['messages'])}")


def read_vectors(body: Mapping[str, Any], n_texts: int) -> Attempt:
    """Return the vectors of an answer in the order of the texts. Raises AttemptFailed when they cannot be used."""
    usage = body.get("usage")
    tokens = read_tokens({**usage, "completion_tokens": 0}) if isinstance(usage, dict) else None
    rows = body.get("data")
    if not isinstance(rows, list) or not rows:
        error = body.get("error")
        detail = _to_text(error) if error else "the answer has no vectors"
        raise AttemptFailed(Fault.no_choices, detail, tokens=tokens)
    vectors = dict(_read_row(row, place) for place, row in enumerate(rows))
    lengths = {len(vector) for vector in vectors.values()}
    if sorted(vectors) != list(range(n_texts)) or len(rows) != n_texts or len(lengths) != 1:
        raise AttemptFailed(
            Fault.bad_json, f"{len(rows)} vectors of {len(lengths)} lengths for {n_texts} texts", tokens=tokens
        )
    return Attempt("", (), "stop", tokens, tuple(vectors[place] for place in range(n_texts)))


def _read_row(row: Any, place: int) -> tuple[int, list[float]]:
    vector = row.get("embedding") if isinstance(row, dict) else None
    index = row.get("index", place) if isinstance(row, dict) else None
    if type(index) is not int or not isinstance(vector, list) or not _has_direction(vector):
        raise AttemptFailed(Fault.bad_json, f"vector {place + 1} is not a list of numbers that point somewhere")
    return index, vector


def _has_direction(vector: list[Any]) -> bool:
    is_numbers = all(isinstance(number, (int, float)) and math.isfinite(number) for number in vector)
    return is_numbers and any(vector)


def read_answer(body: Mapping[str, Any], id_prefix: str = "call") -> Attempt:
    """Return the first choice of an answer. Raises AttemptFailed when there is none that can be used.

    Args:
        body: The JSON object of the answer.
        id_prefix: Begins the ids of tool calls that came without one.
    """
    tokens = read_tokens(body.get("usage"))
    try:
        choice = _first_choice(body)
        text, calls = _read_message(choice.get("message"), id_prefix)
        finish_reason = str(choice.get("finish_reason") or "stop")
        _check_usable(text, calls, finish_reason)
    except AttemptFailed as exc:
        exc.tokens = tokens
        raise
    return Attempt(text, calls, finish_reason, tokens)


def _first_choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return choices[0]
    error = body.get("error")  # llama.cpp and some proxies answer 200 with an error inside
    raise AttemptFailed(Fault.no_choices, _to_text(error) if error else "the answer has no choices")


def _read_message(message: Any, id_prefix: str) -> tuple[str, tuple[ToolCall, ...]]:
    if not isinstance(message, dict):
        raise AttemptFailed(Fault.empty, "the choice has no message")
    if message.get("refusal"):
        raise AttemptFailed(Fault.content_filter, f"the model refused: {message['refusal']}")
    content = message.get("content")
    text = _THOUGHT.sub("", content) if isinstance(content, str) else ""
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise AttemptFailed(Fault.bad_json, "tool_calls is not a list")
    return text, tuple(_read_call(call, f"{id_prefix}_{place}") for place, call in enumerate(calls))


def _read_call(call: Any, fallback_id: str) -> ToolCall:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        raise AttemptFailed(Fault.bad_json, "a tool call names no function")
    return ToolCall(
        id=str(call.get("id") or fallback_id), name=function["name"], args=_read_args(function.get("arguments"))
    )


def _read_args(arguments: Any) -> dict[str, Any]:
    """Return the arguments of a tool call; a tool without arguments may get an empty text."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments) if arguments.strip() else {}
        except (ValueError, RecursionError) as exc:
            raise AttemptFailed(Fault.bad_json, f"tool arguments are not JSON: {arguments}") from exc
    if arguments is None:
        return {}
    if not isinstance(arguments, dict) or not _is_sound(arguments):
        raise AttemptFailed(Fault.bad_json, f"tool arguments are not a JSON object: {_to_text(arguments)}")
    return arguments


def _is_sound(value: Any, depth: int = _MAX_DEPTH) -> bool:
    """Tell whether a value can be kept and sent on: numbers that others can read too, and no endless nesting."""
    if isinstance(value, (int, float)):
        return abs(value) < _MOST_INTEGER if isinstance(value, int) else math.isfinite(value)
    if not isinstance(value, (dict, list)):
        return True
    parts = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_is_sound(part, depth - 1) for part in parts)


def _to_text(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "nested too deeply"


def _check_usable(text: str, calls: Sequence[ToolCall], finish_reason: str) -> None:
    if finish_reason == "content_filter":
        raise AttemptFailed(Fault.content_filter, "the provider filtered the answer")
    if finish_reason == "length":
        raise AttemptFailed(Fault.truncated, "the answer was cut at max_output_tokens")
    if not text.strip() and not calls:
        raise AttemptFailed(Fault.empty, "the answer is empty")


def is_echo(attempt: Attempt, messages: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether a plain answer is little but one of the messages that were sent."""
    said = " ".join(attempt.text.split())
    if attempt.tool_calls or len(said) < _LEAST_ECHO:
        return False
    sent = (" ".join(str(message.get("content") or "").split()) for message in messages if message["role"] != "tool")
    return any(
        len(text) >= _LEAST_ECHO and min(len(text), len(said)) >= _ECHO_SHARE * max(len(text), len(said))
        and (text in said or said in text)
        for text in sent
    )  # fmt: skip


def read_tokens(usage: Any) -> Tokens | None:
    """Return what a provider says it used, or None when it does not say or cannot be right.

    Some providers count reasoning only in ``total_tokens`` or beside ``completion_tokens``: the larger count is taken.
    """
    if not isinstance(usage, dict):
        return None
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if not prompt or completion is None:
        return None
    details = usage.get("completion_tokens_details")
    reasoning = _count(details.get("reasoning_tokens")) if isinstance(details, dict) else None
    if reasoning and reasoning > completion:
        completion += reasoning
    return Tokens(prompt, max(completion, (_count(usage.get("total_tokens")) or 0) - prompt))


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS else None
