"""What a scorer is: it says what is measured of one output. Each is a table of a suite file, checked when read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import BeforeValidator, ConfigDict, Field

from deskhand.context import RunContext
from deskhand.jsonio import content_hash
from deskhand.schema import Json, Model
from deskhand_evals.agreement import MIN_KAPPA
from deskhand_evals.report import Label, Measure, MeasureSpec, Rule, ScorerSpec


@dataclass(frozen=True)
class Case:
    """One case: its row of the dataset, and what it belongs to."""

    id: str
    row: Mapping[str, Json]
    cluster: str = ""
    slices: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Output:
    """What a target gave for a case. ``value`` is JSON; scorers look into it by path.

    ``cost_usd`` and ``n_tokens`` are what a target says of itself; calls of models through ``ctx`` are counted anyway.
    """

    value: Json
    cost_usd: float = 0.0
    latency_ms: float = 0.0
    n_tokens: int = 0


class Scored(NamedTuple):
    """The values of a scorer's measures ("" is the main one), and what a reader should know."""

    values: dict[str, float]
    label: Label | None = None
    note: str = ""


class Unscored(Exception):
    """A case cannot be scored: what is expected of it, or what was put out, is missing."""


def as_list(value: Any) -> Any:
    """Return one table of a suite file as a list of one: ``[part]`` for ``[[part]]``."""
    return [value] if isinstance(value, Mapping) else value


class Scorer(Model):
    """A scorer's table. ``output`` and ``expected`` are paths such as ``draft.text`` or ``citations.0.quote``.

    ``gate`` is a rule or a list of rules. A ``judge`` may gate only after ``human`` (JSONL of ``{id, output, human}``
    and the dataset's other fields) shows that it agrees with people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # a suite uses few of the kinds

    code_version: ClassVar[int] = 1
    measures: ClassVar[tuple[MeasureSpec, ...]] = (MeasureSpec(name=""),)
    defaults: ClassVar[dict[str, str]] = {}

    kind: str
    name: Measure
    output: str = ""
    expected: str = "expected"
    gate: Annotated[tuple[Rule, ...], BeforeValidator(as_list)] = ()
    judge: bool = False
    human: str = ""
    min_kappa: Annotated[float, Field(ge=-1, le=1)] = MIN_KAPPA

    def score(self, case: Case, output: Output) -> Scored:
        """Return what is measured. Raises Unscored; any other error marks the row too."""
        raise NotImplementedError

    async def score_async(self, case: Case, output: Output, ctx: RunContext | None = None) -> Scored:
        """Return the same; judges wait here, so that other cases go on, and ask through ``ctx``, which may replay."""
        return self.score(case, output)

    async def aclose(self) -> None:
        """Give back connections that scoring opened, in the loop that used them."""

    def failed_label(self, case: Case) -> Label | None:
        """Return the label of a case without a usable output, where the scorer has labels and the truth is known."""
        return None

    def prepare(self, folder: Path) -> None:
        """Load what the scorer needs, once before the run. Raises ConfigError."""

    def extra_version(self) -> str:
        """Return what a score depends on besides the options and ``code_version``."""
        return ""

    def full_name(self, measure: str) -> str:
        """Return the name of a measure in reports: the scorer's own for the main one."""
        return f"{self.name}.{measure}" if measure else self.name

    def measured(self) -> tuple[MeasureSpec, ...]:
        """Return the measures by their names in reports, the main one first."""
        return tuple(m.model_copy(update={"name": self.full_name(m.name)}) for m in self.measures)

    def spec(self) -> ScorerSpec:
        """Return the scorer as reports keep it."""
        options = self.model_dump(mode="json", exclude={"gate", "human", "min_kappa", "timeout_s"})
        return ScorerSpec(
            name=self.name,
            kind=self.kind,
            version=content_hash([self.code_version, options, self.extra_version()]),
            measures=self.measured(),
            rules=self.gate,
            is_judge=self.judge,
            min_kappa=self.min_kappa,
        )


def pick(value: Any, path: str, what: str) -> Any:
    """Return what stands at ``path`` in ``value``; None on the way gives None. Raises Unscored."""
    for key in filter(None, path.split(".")):
        if value is None:
            return None
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise Unscored(f"no {path!r} in the {what}")
    return value


class Compared(Scorer):
    """A scorer that compares what was put out with what was expected."""

    def found(self, output: Output) -> Any:
        """Return what was put out. Raises Unscored."""
        return pick(output.value, self.output, "output")

    def wanted(self, case: Case) -> Any:
        """Return what was expected. Raises Unscored."""
        return pick(case.row, self.expected, "case")

    def text(self, output: Output) -> str:
        """Return the output as text: nothing is an empty one."""
        value = self.found(output)
        return "" if value is None else value if isinstance(value, str) else str(value)

    def wanted_text(self, case: Case) -> str:
        """Return the expected text. Raises Unscored where there is none."""
        value = self.wanted(case)
        if value is None:
            raise Unscored(f"{self.expected!r} of the case is empty")
        return str(value)


def as_number(value: Any, what: str) -> float:
    """Return ``value`` as a finite number; a text is read as one. Raises Unscored, naming ``what`` it stands in."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise Unscored(f"{str(value)[:40]!r} in the {what} is not a number") from None
    if isinstance(value, bool) or not math.isfinite(number):
        raise Unscored(f"{value!r} in the {what} is not a finite number")
    return number
