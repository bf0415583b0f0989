"""Regular expressions of suites: a search that backtracks for ever ends, and marks its case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from deskhand_evals.scorers import Unscored

LIMIT_S = 2.0
"""CPU time of one search, not wall time: a busy machine does not change a score."""


class PatternError(ValueError):
    """A pattern or a schema is wrong; the message says where."""


def check_pattern(pattern: str) -> None:
    """Raise PatternError unless ``pattern`` is a regular expression."""
    import regex  # type: ignore[import-untyped]

    try:
        regex.compile(pattern)
    except regex.error as exc:
        raise PatternError(str(exc)) from exc


def search(pattern: str, text: str) -> str | None:
    """Return the first match of ``pattern`` in ``text``, or None. Raises Unscored when it takes too long."""
    import regex

    try:
        found = regex.search(pattern, text, timeout=LIMIT_S)
    except TimeoutError:
        raise Unscored(
            f"the pattern {pattern[:80]!r} was still searching {len(text)} characters after {LIMIT_S:g} s;"
            " write it without repeats within repeats"
        ) from None
    return None if found is None else str(found[0])


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raise PatternError unless ``schema`` is a JSON schema."""
    from jsonschema.exceptions import SchemaError

    try:
        _validator_of(schema).check_schema(schema)
    except SchemaError as exc:
        raise PatternError(exc.message) from exc


def schema_problem(schema: Mapping[str, Any], value: Any) -> str:
    """Return what the first thing is in which ``value`` does not hold the schema; empty when it does."""
    problem = next(_validator_of(schema)(schema).iter_errors(value), None)
    return problem.message if problem else ""


def _validator_of(schema: Mapping[str, Any]) -> Any:
    from jsonschema.validators import validator_for

    return _ending(validator_for(schema))


@lru_cache
def _ending(validator: Any) -> Any:
    """Return a kind of validator whose patterns end."""
    from jsonschema import validators

    ending = {"pattern": _pattern, "patternProperties": _pattern_properties}
    return validators.extend(validator, ending)  # type: ignore[no-untyped-call]


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if validator.is_type(instance, "string") and search(pattern, instance) is None:
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, properties: Mapping[str, Any], instance: Any, schema: Any) -> Iterator[Any]:
    if not validator.is_type(instance, "object"):
        return
    for pattern, below in properties.items():
        for key, value in instance.items():
            if search(pattern, key) is not None:
                yield from validator.descend(value, below, path=key, schema_path=pattern)
