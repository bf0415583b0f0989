"""Options that go together: the fields of a dataclass, one parameter of a command, options of the command line."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Return ``command`` as typer reads it: for each parameter that is a dataclass, its fields as parameters.

    The fields are annotated as parameters of commands are, and have defaults. They stand in the help where the
    dataclass stands in the signature.
    """
    parameters = inspect.signature(command, eval_str=True).parameters
    groups: dict[str, Any] = {name: one.annotation for name, one in parameters.items() if is_dataclass(one.annotation)}
    spread_out = [
        parameter
        for name, one in parameters.items()
        for parameter in (_of_fields(one.annotation) if name in groups else [one.replace(kind=one.KEYWORD_ONLY)])
    ]

    @functools.wraps(command)
    def call(**given: Any) -> None:
        made = {name: group(**{f.name: given.pop(f.name) for f in fields(group)}) for name, group in groups.items()}
        command(**given, **made)

    call.__signature__ = inspect.Signature(spread_out)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in spread_out}
    return call


def _of_fields(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=hints[f.name])
        for f in fields(group)
    ]
