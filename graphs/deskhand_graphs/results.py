"""Turning the state of a graph into what ``deskhand run`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter

from deskhand.answers import Usage
from deskhand.records import Outcome, RunResult, RunStatus
from deskhand.schema import Json, Model
from deskhand.vault import PatternVault, Vault, map_strings

M = TypeVar("M", bound=Model)
_COPIED = ("triage", "summary", "draft", "decision", "actions", "findings", "passages", "trace")
_INTERNAL = frozenset({"ticket", "round", "instruction", "vault", "view", "language", "flags", "not_found", "review"})
_JSON: TypeAdapter[Json] = TypeAdapter(Json)


def build_result(state: Mapping[str, Any], *, run_id: str, graph: str, status: RunStatus) -> RunResult:
    """Return the result of a run from its graph's state, personal data put back for the person who reads it."""
    fields: dict[str, Any] = {key: state[key] for key in _COPIED if state.get(key) is not None}
    usage = sum(state.get("usage", {}).values(), Usage())
    known = set(RunResult.model_fields) | _INTERNAL
    result = RunResult(
        **fields,
        run_id=run_id,
        ticket_id=state["ticket"].id,
        graph=graph,
        status=status,
        needs_human=bool(state.get("needs_human", fields.get("decision") is not Outcome.nothing)),
        reasons=_flat(state.get("reasons", {})),
        evidence=_flat(state.get("evidence", {})),
        usage=usage,
        values={key: to_json(value) for key, value in state.items() if key not in known},
    )
    return unmask(result, PatternVault(state.get("vault", {})))


def _flat(by_node: Mapping[str, tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(item for items in by_node.values() for item in items)


def unmask(model: M, vault: Vault) -> M:
    """Return ``model`` with every placeholder in its texts replaced by its value."""
    return model.model_validate(map_strings(model.model_dump(mode="json"), vault.unmask))


def to_json(value: Any) -> Json:
    """Return any state value as JSON: pydantic models by their fields, what JSON cannot hold by its text."""
    adapter: TypeAdapter[Any] = TypeAdapter(Any)
    return _JSON.validate_python(adapter.dump_python(value, mode="json", fallback=str))
