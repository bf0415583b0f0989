"""Where the values in a tool call come from: the system of record, configuration, or nobody knows.

The value decides, not the model's word: an argument comes from a record when a read tool has returned exactly this
value in this run. Text that a customer wrote never counts, nor do the fields that a tool names as ``untrusted``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from deskhand.schema import Json

CONFIG = "config"
"""The value is a default of the tool: whoever configured it chose it."""

MODEL = "model"
"""The model chose the value; it may have read it in the ticket or in an article."""

RECORD = "record:"
"""The beginning of ``record:<tool>:<n><record>#<field>``: a field of the n-th result of this run."""

Scalar = str | int | float


@dataclass(frozen=True)
class _Record:
    name: str
    fields: Mapping[str, Scalar]

    def field_of(self, name: str, value: Json) -> str | None:
        """Return the first field that holds exactly ``value``, of the same type.

        Where fields have the argument's own name, only these count: a return's number is no ``order_id``.
        """
        named = [key for key in self.fields if key.rpartition("/")[2] == name]
        return next((key for key in named or self.fields if _is_same(self.fields[key], value)), None)


def _is_same(held: Scalar, value: Json) -> bool:
    return type(held) is type(value) and held == value


@dataclass
class Records:
    """What the read tools of one run have returned, cut into single records.

    A list element is a record of its own, together with the single values around the list, so that the id of
    one order and the total of another are not taken for one record.
    """

    _records: list[_Record] = field(default_factory=list)
    _n_results: int = 0

    def note(self, tool_name: str, result: Json, *, untrusted: tuple[str, ...] = ()) -> None:
        """Take in the result of a read tool; fields named in ``untrusted`` are left out, at any depth."""
        self._n_results += 1
        records = [*_cut(f"{RECORD}{tool_name}:{self._n_results}", result, {}, frozenset(untrusted))]
        self._records += reversed(records)

    def trace(self, args: Mapping[str, Json]) -> dict[str, str]:
        """Return where each argument comes from, ``model`` where no record holds it.

        The record that holds the most of the arguments is preferred; among equals the newest, and the whole before
        its parts.
        """
        sources = dict.fromkeys(args, MODEL)
        for found in sorted((_found(record, args) for record in self._records), key=len):
            sources |= found
        return sources


def _found(record: _Record, args: Mapping[str, Json]) -> dict[str, str]:
    fields = {name: record.field_of(name, value) for name, value in args.items()}
    return {name: f"{record.name}#{key}" for name, key in fields.items() if key is not None}


def _cut(name: str, value: Json, around: Mapping[str, Scalar], untrusted: frozenset[str]) -> Iterator[_Record]:
    leaves = dict(_leaves("", value, untrusted))
    own = {key: leaf for key, leaf in leaves.items() if isinstance(leaf, str | int | float)}
    yield _Record(name, {**own, **around})
    for key, leaf in leaves.items():
        if isinstance(leaf, list):
            for number, element in enumerate(leaf):
                yield from _cut(f"{name}/{key}/{number}", element, {**own, **around}, untrusted)


def _leaves(path: str, value: Json, untrusted: frozenset[str]) -> Iterator[tuple[str, Json]]:
    """Yield the single values and the lists of ``value``; empty ones and truth values prove nothing."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in untrusted:
                yield from _leaves(f"{path}/{key}" if path else key, inner, untrusted)
    elif value not in (None, "") and not isinstance(value, bool):
        yield path, value
