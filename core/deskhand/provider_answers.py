"""What the test kit's provider says when nothing is scripted: the tool asked for, a filled schema, a short text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deskhand.schema import Json

TEXT = "This is an answer of the test provider."
"""What it says when neither a tool nor a schema is asked for."""

PROSE = "Certainly! I would be glad to help. Let me think about what you asked and come back to you soon."
FOREIGN = "Gerne helfe ich Ihnen weiter. Bitte haben Sie einen Moment Geduld, wir kümmern uns sofort darum."

_MAX_STRING = 120
_MAX_DEPTH = 12
_RECORD_ID = re.compile(r"\b[A-Z]{2,6}-\d+\b")
_WORD = re.compile(r"[a-z0-9]{3,}")
_FENCED = re.compile(r"<<(\w+) (\S+): [^\n]*>>\n(.*?)\n<<end \1 \2>>", re.DOTALL)
_SENTENCE = re.compile(r"[^\s#<>\[].{9,}?(?:[.!?](?=\s|$)|\n|$)")


@dataclass(frozen=True)
class ProviderRequest:
    """A request as the provider received it. ``number`` counts the requests for this model, from 1."""

    path: str
    model: str
    body: Mapping[str, Any] = field(repr=False)
    authorization: str = field(default="", repr=False)
    number: int = 1

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """The messages of the prompt."""
        return self.body.get("messages") or ()

    @property
    def prompt(self) -> str:
        """The texts of all messages, one after another."""
        return "\n".join(message_text(message) for message in self.messages)

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        """The functions that the model may call, each with ``name`` and ``parameters``."""
        return [tool["function"] for tool in self.body.get("tools") or ()]


def message_text(message: Mapping[str, Any]) -> str:
    """Return the text of one message, whether it is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content)
    return str(content or "")


def sensible_message(request: ProviderRequest) -> dict[str, Any]:
    """Return the assistant's message that follows the request.

    Where tools are offered and none has answered yet, it calls the one asked for, or the one that shares most words
    with the prompt. Where a JSON schema is given, its text is an instance of it. Else it says ``TEXT``.
    """
    choice = request.body.get("tool_choice", "auto")
    has_result = any(message.get("role") == "tool" for message in request.messages)
    is_forced = choice == "required" or isinstance(choice, Mapping)
    if request.tools and choice != "none" and (is_forced or not has_result):
        return call_message([(*_call(request, choice),)], request.number)
    return {"role": "assistant", "content": _text(request)}


def call_message(calls: Sequence[tuple[str, Mapping[str, Json]]], number: int) -> dict[str, Any]:
    """Return a message that calls tools, given as names and arguments."""
    rows = [
        {"id": f"call_{number}_{i}", "type": "function", "function": {"name": name, "arguments": json.dumps(args)}}
        for i, (name, args) in enumerate(calls)
    ]
    return {"role": "assistant", "content": None, "tool_calls": rows}


def _text(request: ProviderRequest) -> str:
    wanted = request.body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        schema = wanted["json_schema"]["schema"]
        return json.dumps(fill_schema(schema, _material(request)), ensure_ascii=False)
    return json.dumps({"answer": TEXT}) if wanted.get("type") == "json_object" else TEXT


def _material(request: ProviderRequest) -> str:
    """What the request is about: the fenced texts where there are some, else what the user said last."""
    fenced = [match[3] for match in _FENCED.finditer(request.prompt)]
    if fenced:
        return "\n\n".join(fenced)
    said = [message_text(message) for message in request.messages if message.get("role") == "user"]
    return said[-1] if said else request.prompt


def _call(request: ProviderRequest, choice: object) -> tuple[str, dict[str, Json]]:
    material = _material(request)
    if isinstance(choice, Mapping):
        name = choice["function"]["name"]
        tool = next((tool for tool in request.tools if tool["name"] == name), {"name": name})
    else:
        tool = max(request.tools, key=lambda tool: _likeness(tool, material))
    args = fill_schema(tool.get("parameters") or {"type": "object"}, material)
    return tool["name"], args if isinstance(args, dict) else {}


def _likeness(tool: Mapping[str, Any], material: str) -> float:
    words = frozenset(_WORD.findall(material.lower()))
    own = _WORD.findall(f"{tool['name']} {tool.get('description', '')}".lower().replace("_", " "))
    wanted = (tool.get("parameters") or {}).get("properties") or {}
    is_named = bool(_RECORD_ID.search(material)) and any(f"{word}_id" in wanted for word in words)
    return is_named + len(words.intersection(own)) / (1 + len(own))


def fill_schema(schema: Mapping[str, Any], material: str = "") -> Json:
    """Return an instance of a JSON schema, with values out of ``material`` where they fit.

    Every property is given, and one element of a list of objects. Enumerations take the value that occurs most in
    the material, ids a record id of it, other strings its first two sentences, or the sentence behind the id chosen
    beside them.
    """
    return _Filler(schema.get("$defs") or {}, material).fill(schema, "", {}, 0)


class _Filler:
    def __init__(self, definitions: Mapping[str, Any], material: str) -> None:
        self._definitions, self._material = definitions, material

    def fill(self, schema: Mapping[str, Any], name: str, beside: Mapping[str, Json], depth: int) -> Json:
        schema = self._resolve(schema)
        if "const" in schema:
            return schema["const"]  # type: ignore[no-any-return]
        if schema.get("enum"):
            return self._nearest(schema["enum"])
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = next(one for one in kind if one != "null")
        if depth > _MAX_DEPTH:
            return None
        if kind == "object":
            return self._fill_object(schema, depth)
        if kind == "array":
            items = self._resolve(schema.get("items") or {})
            n_items = schema.get("minItems", 1 if "properties" in items and schema.get("maxItems", 1) else 0)
            return [self.fill(items, name, beside, depth + 1) for _ in range(n_items)]
        return self._scalar(kind, schema, name, beside)

    def _resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        for _ in range(_MAX_DEPTH):
            options = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
            if "$ref" in schema:
                schema = self._definitions[schema["$ref"].rpartition("/")[2]]
            elif options:
                schema = next((one for one in options if one.get("type") != "null"), options[0])
            else:
                break
        return schema

    def _fill_object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Json]:
        properties: Mapping[str, Any] = schema.get("properties") or {}
        done: dict[str, Json] = {}
        for name in sorted(properties, key=lambda name: not name.endswith("id")):  # ids first: the others follow them
            done[name] = self.fill(properties[name], name, done, depth + 1)
        return {name: done[name] for name in properties}

    def _scalar(self, kind: str, schema: Mapping[str, Any], name: str, beside: Mapping[str, Json]) -> Json:
        if kind == "boolean":
            return False
        if kind in ("integer", "number"):
            low, high = schema.get("minimum", 0), schema.get("maximum")
            middle = low + 0.9 * (high - low) if high is not None else max(low, 1)
            return int(middle) if kind == "integer" else round(float(middle), 3)
        return None if kind == "null" else self._string(schema, name, beside)

    def _string(self, schema: Mapping[str, Any], name: str, beside: Mapping[str, Json]) -> str:
        ids = _RECORD_ID.findall(self._material)
        text = ids[0] if name.endswith("id") and ids else self._sentence(beside)
        text = text[: min(schema.get("maxLength", _MAX_STRING), 1_000)]
        return text.ljust(schema.get("minLength", 0), "x")

    def _sentence(self, beside: Mapping[str, Json]) -> str:
        for value in beside.values():
            place = self._material.find(value) if isinstance(value, str) and value else -1
            if place >= 0:
                rest = self._material[place + len(str(value)) :].partition("\n")[2]
                match = _SENTENCE.search(rest)
                if match:
                    return match[0].strip()
        sentences = (match[0].strip() for match in _SENTENCE.finditer(self._material))
        said = [sentence for sentence in sentences if not sentence.endswith(":")]
        return " ".join(said[:2]) or TEXT

    def _nearest(self, values: Sequence[Json]) -> Json:
        material = self._material.lower()

        def n_found(value: Json) -> int:
            words = _WORD.findall(str(value).lower().replace("_", " "))
            return sum(material.count(word) for word in words)

        return max((value for value in values if value is not None), key=n_found, default=None)
