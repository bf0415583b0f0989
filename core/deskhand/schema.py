"""The base of every type that crosses a boundary: strict, frozen, and the source of its JSON schema."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, JsonValue

Json = JsonValue
"""A value that JSON can hold."""


class Model(BaseModel):
    """A frozen value object; unknown fields are refused, so that a typing error is never silent."""

    model_config = ConfigDict(frozen=True, extra="forbid")
