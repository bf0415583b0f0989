"""A function of the user's as a scorer, and the text of its module as its version."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from deskhand.attributes import load_attribute
from deskhand.config import Attribute
from deskhand.context import RunContext
from deskhand.errors import ConfigError
from deskhand.jsonio import content_hash
from deskhand.recorder import CallKind
from deskhand.schema import Json
from deskhand.vault import map_strings
from deskhand_evals.report import Measure, MeasureSpec, ScorerSpec
from deskhand_evals.scorers import Case, Output, Scored, Scorer, as_number


class Python(Scorer):
    """A function of yours, ``(case: dict, output) -> float | bool | dict of measure to float``, or raising.

    Its version is the text of its module. With a dict, the key ``""`` is the main measure, and ``extra`` names the
    others. ``is_share = false`` is for values that are not within 0 and 1.
    """

    function: Attribute
    extra: tuple[Measure, ...] = ()
    is_share: bool = True
    higher_is_better: bool = True

    def prepare(self, folder: Path) -> None:
        """Import the function."""
        if not callable(_load(self.function, folder)):
            raise ConfigError(f"scorer {self.name}: {self.function!r} is not a function; name one")

    def extra_version(self) -> str:
        """Return the text of the function's module."""
        return source_of(_loaded[self.function])

    def spec(self) -> ScorerSpec:
        """Return the spec with the extra measures."""
        names = [self.name, *(self.full_name(name) for name in self.extra)]
        form = {"is_share": self.is_share, "higher_is_better": self.higher_is_better}
        return super().spec().model_copy(update={"measures": tuple(MeasureSpec(name=name, **form) for name in names)})

    def score(self, case: Case, output: Output) -> Scored:
        """Call the function."""
        return Scored(_values(_loaded[self.function](dict(case.row), output.value)))

    async def score_async(self, case: Case, output: Output, ctx: RunContext | None = None) -> Scored:
        """Call the function; with ``judge = true`` it may ask a model, so what it says is recorded and replayed."""
        if not self.judge or ctx is None:
            return self.score(case, output)
        asked: Json = {"case": dict(case.row), "output": output.value}

        async def perform() -> Json:
            return dict(self.score(case, output).values)

        place = ctx.at(f"{self.function}@{content_hash(self.extra_version())[:12]}")
        return Scored(_values(await place.call(CallKind.tool, map_strings(asked, ctx.vault.mask), perform)))


def _values(given: Any) -> dict[str, float]:
    """Return what a function said as numbers; one alone is the main measure. Raises Unscored."""
    values = given if isinstance(given, Mapping) else {"": given}
    return {name: as_number(float(v) if isinstance(v, bool) else v, "score") for name, v in values.items()}


_loaded: dict[str, Callable[..., Any]] = {}


def _load(name: str, folder: Path) -> Callable[..., Any]:
    _loaded[name] = load_attribute(name, folder, key="scorer.function")
    return _loaded[name]


@lru_cache
def source_of(found: Any) -> str:
    """Return the text of the module in which something is defined; empty where there is none."""
    try:
        module = inspect.getmodule(found)
        return inspect.getsource(module) if module else ""
    except (OSError, TypeError):
        return ""
