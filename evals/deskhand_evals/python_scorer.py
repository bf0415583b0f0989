"""A function of the user's as a scorer, and the text of its module as its version."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PrivateAttr

from deskhand.attributes import load_attribute
from deskhand.config import Attribute
from deskhand.context import RunContext
from deskhand.errors import ConfigError
from deskhand.jsonio import content_hash
from deskhand.recorder import CallKind
from deskhand.schema import Json
from deskhand.vault import map_strings
from deskhand_evals.report import Measure, MeasureSpec
from deskhand_evals.scorer_process import ScorerProcess
from deskhand_evals.scorers import Case, Output, Scored, Scorer, as_number


class Python(Scorer):
    """A function of yours, ``(case: dict, output) -> float | bool | dict of measure to float``, or raising.

    It may be ``async``. Its version is the text of its module. With a dict, the key ``""`` is the main measure, and
    ``extra`` names the others. ``is_share = false`` is for values that are not within 0 and 1. It runs in a process of
    its own, one case after another; a call of more than ``timeout_s`` fails its case.
    """

    function: Attribute
    extra: tuple[Measure, ...] = ()
    is_share: bool = True
    higher_is_better: bool = True
    timeout_s: Annotated[float, Field(gt=0)] = 60.0
    _process: ScorerProcess | None = PrivateAttr(None)

    def prepare(self, folder: Path) -> None:
        """Import the function."""
        self._process = ScorerProcess(self.function, folder, self.timeout_s)
        if not callable(_load(self.function, folder)):
            raise ConfigError(f"scorer {self.name}: {self.function!r} is not a function; name one")

    def extra_version(self) -> str:
        """Return the text of the function's module."""
        return source_of(_loaded[self.function])

    def measured(self) -> tuple[MeasureSpec, ...]:
        """Return the main measure and the extra ones."""
        form = {"is_share": self.is_share, "higher_is_better": self.higher_is_better}
        return tuple(MeasureSpec(name=self.full_name(name), **form) for name in ("", *self.extra))

    async def score_async(self, case: Case, output: Output, ctx: RunContext | None = None) -> Scored:
        """Call the function; with ``judge = true`` it may ask a model, so what it says is recorded and replayed."""
        if not self.judge or ctx is None:
            return Scored(await self._ask(case, output))
        asked: Json = {"case": dict(case.row), "output": output.value}

        async def perform() -> Json:
            return dict(await self._ask(case, output))

        place = ctx.at(f"{self.function}@{content_hash(self.extra_version())[:12]}")
        return Scored(_values(await place.call(CallKind.tool, map_strings(asked, ctx.vault.mask), perform)))

    async def _ask(self, case: Case, output: Output) -> dict[str, float]:
        assert self._process is not None, "prepare() comes first"
        return _values(await self._process.ask(dict(case.row), output.value))

    async def aclose(self) -> None:
        """End the function's process."""
        if self._process is not None:
            await self._process.close()


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
