"""Answers in a schema: asking for them natively or in words, and never taking one that does not hold."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError

from deskhand.interfaces import ChatMessage
from deskhand.jsonio import canonical_json, content_hash, first_problem

_OBJECT_KEYS = ("properties", "$defs", "definitions")


class NotInSchema(Exception):
    """An answer is not JSON, or not in the schema; the message says what is wrong, in words for the model."""


@dataclass(frozen=True)
class OutputSchema:
    """A Pydantic type as a model is asked for it. ``is_strict`` when every object in it is closed."""

    kind: type[BaseModel]
    json_schema: Mapping[str, Any]
    is_strict: bool

    @property
    def name(self) -> str:
        """The type's name."""
        return self.kind.__name__

    @property
    def digest(self) -> str:
        """The hash of the schema."""
        return content_hash(self.json_schema)[:16]

    def response_format(self) -> dict[str, Any]:
        """Return what asks an OpenAI-compatible server for this schema."""
        named = {"name": self.name[:64], "strict": self.is_strict, "schema": self.json_schema}
        return {"type": "json_schema", "json_schema": named}

    def ask_in_words(self, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
        """Return ``messages`` with the wish for this schema in the first one, which becomes or is the system's.

        Some models take one system message only, and only at the beginning.
        """
        wish = (
            "Answer with one JSON object that follows this JSON schema, and with nothing else: no code fence, no words"
            f" before or after it.\n{canonical_json(self.json_schema)}"
        )
        if messages and messages[0].role == "system":
            return [replace(messages[0], content=f"{messages[0].content}\n\n{wish}"), *messages[1:]]
        return [ChatMessage("system", wish), *messages]

    def read(self, text: str) -> dict[str, Any]:
        """Return the JSON object in ``text`` when it follows the schema. Raises NotInSchema."""
        value = _find_object(text)
        try:
            self.kind.model_validate_json(canonical_json(value))
        except ValidationError as exc:
            raise NotInSchema(f"it does not follow the schema: {first_problem(exc)}") from exc
        except (ValueError, RecursionError) as exc:  # a number that JSON does not know, or nested too deeply
            raise NotInSchema(f"it is not JSON: {exc}") from exc
        return value


def repair_turn(answer: str, problem: NotInSchema) -> tuple[ChatMessage, ChatMessage]:
    """Return the two messages that show a model its answer and what is wrong with it."""
    wish = f"This answer cannot be used: {problem}. Answer again with the corrected JSON object and nothing else."
    return ChatMessage("assistant", answer), ChatMessage("user", wish)


@lru_cache(maxsize=128)
def build_schema(kind: type[BaseModel]) -> OutputSchema:
    """Return the schema of ``kind``, closed where it can be: every field required, no others allowed.

    Native structured output wants it so, and a model that must name every field forgets none.
    """
    schema = copy.deepcopy(kind.model_json_schema())
    return OutputSchema(kind, schema, is_strict=_close(schema))


def _close(node: Any) -> bool:
    """Close every object below ``node`` in place; False when one has keys of its own choosing."""
    if isinstance(node, list):
        return all([_close(item) for item in node])
    if not isinstance(node, dict):
        return True
    is_closed = _close_object(node)
    children = [child for key in _OBJECT_KEYS for child in node.get(key, {}).values()]
    children += [node[key] for key in ("items", "prefixItems", "anyOf", "oneOf", "allOf") if key in node]
    return all([_close(child) for child in children]) and is_closed


def _close_object(node: dict[str, Any]) -> bool:
    node.pop("default", None)
    if node.get("type") != "object":
        return True
    if "properties" not in node:
        return False
    node["required"] = list(node["properties"])
    node["additionalProperties"] = False
    return True


def _find_object(text: str) -> dict[str, Any]:
    """Return the JSON object in ``text``, also within a code fence or between words. Raises NotInSchema."""
    start = text.find("{")
    if start < 0:
        raise NotInSchema("it holds no JSON object")
    try:
        value, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError) as exc:
        raise NotInSchema(f"it is not JSON: {exc}") from exc
    assert isinstance(value, dict)
    return value
