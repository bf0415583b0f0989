"""The embedded transport: a small model in this process, through xllamacpp. It proves the path, not quality.

Its chat template knows no tools: they are described in words, a JSON schema allows a call of one of them or an
answer, and what comes back is put into the form in which others send tool calls.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from deskhand.errors import DeskhandError
from deskhand.jsonio import canonical_json
from deskhand.libraries import prepare
from deskhand_models.faults import AttemptFailed, Fault
from deskhand_models.transport import Attempt, Outgoing
from deskhand_models.weights import locate
from deskhand_models.wire import read_answer

PREFIX = "embedded/"
N_THREADS = 2
MAX_STRING = 120
"""Characters of a string that a schema does not limit: without a limit a small model repeats itself to the end."""

_PASSED_ON = ("max_tokens", "temperature", "top_p", "seed", "stop", "response_format")
_BOUNDS = frozenset({"enum", "const", "pattern", "maxLength"})


class EmbeddedTransport:
    """Carries requests to models in this process. Each is loaded once, with the context of its configuration."""

    def __init__(self) -> None:
        self._servers: dict[tuple[Path, int], Any] = {}
        self._lock = threading.Lock()

    async def load(self) -> None:
        """Do nothing: what is loaded depends on the model."""

    async def send(self, outgoing: Outgoing) -> Attempt:
        """Return the answer of one request, computed in a thread; one that is cut off computes on to its end.

        Raises:
            AttemptFailed: xllamacpp or the weights are missing, or there was no usable answer.
        """
        return await asyncio.to_thread(self._answer, outgoing)

    async def close(self) -> None:
        """Unload the models."""
        with self._lock:
            self._servers.clear()

    def _answer(self, outgoing: Outgoing) -> Attempt:
        if outgoing.texts:
            hint = "the embedded model makes no vectors; take it out of the tier embed"
            raise AttemptFailed(Fault.refused_request, hint, is_billed=False)
        settings = outgoing.model.settings
        server = self._server(settings.model.removeprefix(PREFIX), settings.context_tokens)
        tools = outgoing.body.get("tools") or ()
        answer = server.handle_chat_completions(build_request(outgoing.body))
        if "choices" not in answer:
            raise _read_error(answer)
        if tools:
            _into_calls(answer["choices"][0], f"call_{len(outgoing.body['messages'])}")
        return read_answer(answer)

    def _server(self, model: str, n_context: int) -> Any:
        prepare()  # before the import: it reads OMP_WAIT_POLICY
        try:
            xllamacpp = import_module("xllamacpp")
        except ImportError as exc:
            hint = "xllamacpp is not installed; run pip install 'deskhand[embedded]'"
            raise AttemptFailed(Fault.not_installed, hint, is_billed=False) from exc
        try:
            path = locate(model)
        except DeskhandError as exc:
            raise AttemptFailed(Fault.not_installed, str(exc), is_billed=False) from exc
        with self._lock:
            key = (path, n_context)
            if key not in self._servers:
                self._servers[key] = _start(xllamacpp, path, n_context)
            return self._servers[key]


def _start(xllamacpp: Any, path: Path, n_context: int) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel = str(path), n_context, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = N_THREADS
    params.verbosity, params.warmup = -1, False
    try:
        return xllamacpp.Server(params)
    except (RuntimeError, ValueError) as exc:
        raise AttemptFailed(
            Fault.not_installed, f"{path} cannot be loaded ({exc}); name another file", is_billed=False
        ) from exc


def _read_error(answer: Mapping[str, Any]) -> AttemptFailed:
    error = answer.get("error") or {}
    text = str(error.get("message", answer))
    is_long = "context" in text or error.get("type") == "exceed_context_size_error"
    return AttemptFailed(Fault.context_too_long if is_long else Fault.server_error, text)


def build_request(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request in the form that the model takes: tools in words and as a schema, every string limited."""
    request = {name: body[name] for name in _PASSED_ON if body.get(name) is not None}
    messages = [_plain(message) for message in body["messages"]]
    if body.get("tools"):
        functions = [tool["function"] for tool in body["tools"]]
        messages = _with_system(messages, _describe(functions))
        request["response_format"] = _schema_format("turn", _turn_schema(functions))
    elif "response_format" in request:
        schema = request["response_format"]["json_schema"]["schema"]
        request["response_format"] = _schema_format("answer", limit_strings(schema))
    return {"messages": messages, **request}


def _schema_format(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}


def _plain(message: Mapping[str, Any]) -> dict[str, str]:
    """Return a message without tool calls and results, which the template does not know."""
    if message["role"] == "tool":
        return {"role": "user", "content": f"Result of the tool: {message['content']}"}
    calls = [{"name": call["function"]["name"]} for call in message.get("tool_calls") or ()]
    return {"role": message["role"], "content": message.get("content") or canonical_json(calls)}


def _with_system(messages: list[dict[str, str]], text: str) -> list[dict[str, str]]:
    if messages and messages[0]["role"] == "system":
        return [{"role": "system", "content": f"{messages[0]['content']}\n\n{text}"}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def _describe(functions: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        f"- {function['name']}({', '.join(_parameters(function).get('properties') or {})}):"
        f" {function.get('description', '')}"
        for function in functions
    ]
    wish = 'Call one tool with {"name": ..., "arguments": {...}}, or answer with {"answer": ...}.'
    return "\n".join(["Tools:", *lines, wish])


def _parameters(function: Mapping[str, Any]) -> Mapping[str, Any]:
    return function.get("parameters") or {"type": "object", "properties": {}}


def _turn_schema(functions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the schema of one turn: a call of one of the functions, or an answer."""
    definitions: dict[str, Any] = {}
    turns: list[dict[str, Any]] = []
    for function in functions:
        parameters = limit_strings(_parameters(function))
        definitions |= parameters.pop("$defs", {})
        turns.append(_closed(name={"const": function["name"]}, arguments={**parameters, "additionalProperties": False}))
    turns.append(_closed(answer={"type": "string", "maxLength": 4 * MAX_STRING}))
    return {"anyOf": turns, **({"$defs": definitions} if definitions else {})}


def _closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def limit_strings(schema: Any) -> Any:
    """Return a JSON schema in which every string has a limit."""
    if isinstance(schema, list):
        return [limit_strings(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    limited = {key: limit_strings(value) for key, value in schema.items()}
    if limited.get("type") == "string" and not _BOUNDS & limited.keys():
        limited["maxLength"] = MAX_STRING
    return limited


def _into_calls(choice: dict[str, Any], call_id: str) -> None:
    """Change a choice that holds a turn into one with tool calls, or with the answer as its text."""
    if choice.get("finish_reason") == "length":
        return  # cut: read_answer says so
    try:
        turn = json.loads(choice["message"]["content"])
        name, arguments = turn.get("name"), turn.get("arguments")
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise AttemptFailed(Fault.bad_json, "the turn is not a JSON object") from exc
    if name is None:
        choice["message"] = {"role": "assistant", "content": str(turn.get("answer", ""))}
        return
    function = {"name": name, "arguments": json.dumps(arguments)}
    choice["message"] = {
        "role": "assistant", "content": None, "tool_calls": [{"id": call_id, "type": "function", "function": function}]
    }  # fmt: skip
    choice["finish_reason"] = "tool_calls"
