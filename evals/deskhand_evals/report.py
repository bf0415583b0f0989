"""What a run of a suite leaves behind: every row, with all that a verdict is computed from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from deskhand.config import Name
from deskhand.errors import InputError
from deskhand.jsonio import parse_json, read_text, validate
from deskhand.schema import Json, Model
from deskhand_evals.agreement import MIN_KAPPA

Measure = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_@^-]{0,63}$")]
MACRO_F1 = "macro_f1"
"""The measure of a classification that is computed over all rows, not as their mean."""


RMSE = "rmse"
"""The measure of numbers that is the root of the mean of ``SQUARED_ERROR`` over all rows."""
SQUARED_ERROR = "squared_error"


NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class RowStatus(StrEnum):
    """What became of one repeat of one case."""

    ok = "ok"
    error = "error"
    timeout = "timeout"


class Label(Model):
    """A class as it is and as it was predicted, with the confidence of the prediction where there is one."""

    truth: str | None
    predicted: str | None
    confidence: float | None = None


class Row(Model):
    """One repeat of one case. A measure that could not be taken stands in ``unscored`` with the reason.

    ``cost_usd`` and ``n_tokens`` are the target's; ``eval_usd`` and ``eval_tokens`` those of judges and customers.
    """

    part: str
    case: str
    repeat: int = 0
    cluster: str = ""
    slices: dict[str, str] = {}
    status: RowStatus = RowStatus.ok
    error: str = ""
    scores: dict[str, float] = {}
    labels: dict[str, Label] = {}
    unscored: dict[str, str] = {}
    notes: dict[str, str] = {}
    latency_ms: NotNegative = 0.0
    cost_usd: NotNegative = 0.0
    n_tokens: Annotated[int, Field(ge=0)] = 0
    eval_usd: NotNegative = 0.0
    eval_tokens: Annotated[int, Field(ge=0)] = 0
    input: str = ""
    expected: str = ""
    output: str = ""

    @property
    def has_failed(self) -> bool:
        """Whether the target gave nothing, or something could not be scored."""
        return self.status is not RowStatus.ok or bool(self.unscored)


class Rule(Model):
    """What a gate asks of a measure; exactly one of ``bar``, ``max_drop`` and ``invariant``.

    ``bar``: the mean is surely not below it (above it, where less is better). ``max_drop``: surely no drop as large
    as this since the baseline, in the measure's own unit. ``invariant``: every single row scores 1; cases in
    ``known`` break it already, which is shown and does not fail the gate.
    """

    measure: Measure | None = None
    bar: float | None = None
    max_drop: Annotated[float, Field(gt=0)] | None = None
    invariant: bool = False
    known: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one(self) -> Rule:
        if (self.bar is not None) + (self.max_drop is not None) + self.invariant != 1:
            raise ValueError("a gate rule has exactly one of bar, max_drop and invariant = true")
        if self.known and not self.invariant:
            raise ValueError("known cases belong to a rule with invariant = true")
        return self


class MeasureSpec(Model):
    """A measure of a scorer. ``is_share``: within [0, 1], where a failed row counts as 0."""

    name: str
    higher_is_better: bool = True
    is_share: bool = True
    per_row: bool = True


class ScorerSpec(Model):
    """A scorer as it was used. ``version`` hashes its code's version and all its options."""

    name: str
    kind: str
    version: str
    measures: Annotated[tuple[MeasureSpec, ...], Field(min_length=1)]
    rules: tuple[Rule, ...] = ()
    is_judge: bool = False
    min_kappa: float = MIN_KAPPA
    pairs: tuple[tuple[str, str], ...] = ()  # what people and the judge said of the same answers
    problem: str = ""  # why the judge could not be compared with people


class PartSpec(Model):
    """A part of a suite as it was run.

    ``prompts`` are the versions of the prompts that its target may use, ``simulator`` that of the simulated customer.
    ``mode`` says whether the outside was asked (``live``) or answered from a recording (``replay``).
    ``eval_usd`` and ``eval_tokens`` are what it took to compare its judges with people.
    """

    name: str
    target: str
    target_version: str = ""
    dataset: str
    dataset_version: str
    case_ids: tuple[str, ...]
    repeats: int = 1
    scorers: Annotated[tuple[ScorerSpec, ...], Field(min_length=1)]
    prompts: dict[str, str] = {}
    simulator: str = ""
    mode: str = "live"
    eval_usd: float = 0.0
    eval_tokens: int = 0
    recording: str = ""  # the version of the recording that was replayed
    problem: str = ""  # why the part could not be run at all


class GateSettings(Model):
    """``confidence`` is that of intervals, both sides; one side errs in at most (1 - confidence) / 2.

    More failed rows than ``max_failed``, surely, fail the gate; any failed row keeps it from passing.
    """

    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.97
    max_failed: Annotated[float, Field(ge=0, lt=1)] = 0.05
    budget_usd: Annotated[float, Field(ge=0)] | None = None


class Report(Model):
    """A finished run of a suite. The verdict is a function of this and of a baseline of the same form."""

    schema_version: Literal[1] = Field(alias="schema")
    id: str
    suite: Name
    suite_version: str
    created_at: str
    seed: int
    environment: dict[str, str]
    parameters: dict[str, Json] = {}
    gate: GateSettings
    parts: tuple[PartSpec, ...]
    rows: tuple[Row, ...]

    @model_validator(mode="after")
    def _sound(self) -> Report:
        """Refuse what no run leaves behind: a report may have been edited, and a verdict is computed from it."""
        shares = {
            part.name: {m.name for scorer in part.scorers for m in scorer.measures if m.is_share} for part in self.parts
        }
        if len(shares) < len(self.parts):
            raise ValueError("a part stands there twice")
        if len({(row.part, row.case, row.repeat) for row in self.rows}) < len(self.rows):
            raise ValueError("a row stands there twice")
        for row in self.rows:
            known = shares.get(row.part, set())
            if any(not (0 <= value <= 1 if name in known else isfinite(value)) for name, value in row.scores.items()):
                raise ValueError(f"row {row.case!r} of part {row.part!r}: a score is not within 0 and 1")
        return self

    def __repr__(self) -> str:
        """Return the id only: asyncio.run shows the result of its task to itself when it puts signals back."""
        return f"Report({self.id}, {len(self.rows)} rows)"

    @cached_property
    def rows_by_part(self) -> dict[str, list[Row]]:
        """The rows of each part, in order."""
        found: defaultdict[str, list[Row]] = defaultdict(list)
        for row in self.rows:
            found[row.part].append(row)
        return dict(found)

    def part(self, name: str) -> PartSpec | None:
        """Return a part by its name, or None."""
        return next((part for part in self.parts if part.name == name), None)

    @property
    def n_failed(self) -> int:
        """How many rows have failed."""
        return sum(row.has_failed for row in self.rows)

    @property
    def cost_usd(self) -> float:
        """What the run cost, with judges and simulated customers."""
        return sum(row.cost_usd for row in self.rows) + self.eval_usd

    @property
    def eval_usd(self) -> float:
        """What judges and simulated customers cost."""
        return sum(row.eval_usd for row in self.rows) + sum(part.eval_usd for part in self.parts)

    @property
    def n_tokens(self) -> int:
        """The tokens that models read and wrote, with those of judges and simulated customers."""
        tokens = sum(row.n_tokens + row.eval_tokens for row in self.rows)
        return tokens + sum(part.eval_tokens for part in self.parts)


class Column(NamedTuple):
    """A measure over a part: one value a case (the mean of its repeats), failed rows at the worst value."""

    cases: list[str]
    values: list[float]
    clusters: list[str]
    n_failed: int
    n_rows: int


def column(rows: Sequence[Row], measure: str, *, is_share: bool = True) -> Column:
    """Return the values of ``measure``. Rows without one count as 0 where it is a share, else they are only counted."""
    values: dict[str, list[float]] = {}
    clusters: dict[str, str] = {}
    n_failed = 0
    for row in rows:
        clusters.setdefault(row.case, row.cluster or row.case)
        score = row.scores.get(measure)
        n_failed += score is None
        if score is not None or is_share:
            values.setdefault(row.case, []).append(score or 0.0)
    cases = list(values)
    means = [sum(values[case]) / len(values[case]) for case in cases]
    return Column(cases, means, [clusters[case] for case in cases], n_failed, len(rows))


class Labels(NamedTuple):
    """A classification over a part: for each case its truth and the share of repeats for each predicted class."""

    cases: list[str]
    truth: list[str | None]
    predicted: list[dict[str | None, float]]
    clusters: list[str]


FAILED = "(failed)"
"""The class that stands for a row without a prediction: it is wrong, whatever the truth."""


def labels_of(rows: Sequence[Row], scorer: str) -> Labels:
    """Return what was predicted, failed rows as the class ``FAILED``. Cases whose truth is unknown are left out:
    their rows are counted as failed elsewhere.
    """
    truth: dict[str, str | None] = {}
    clusters: dict[str, str] = {}
    counts: defaultdict[str, Counter[str | None]] = defaultdict(Counter)
    for row in rows:
        label = row.labels.get(scorer)
        if label is not None:
            truth[row.case] = label.truth
        clusters.setdefault(row.case, row.cluster or row.case)
        counts[row.case][label.predicted if label is not None else FAILED] += 1
    cases = [case for case in counts if case in truth]
    shares: list[dict[str | None, float]] = [
        {name: n / counts[case].total() for name, n in counts[case].items()} for case in cases
    ]
    return Labels(cases, [truth[case] for case in cases], shares, [clusters[case] for case in cases])


def load_report(path: Path) -> Report:
    """Return a stored report. Raises InputError when it is missing or not one."""
    value = parse_json(read_text(path), str(path))
    try:
        return validate(Report, value, str(path))
    except InputError as exc:
        raise InputError(f"{exc}; name a report of 'deskhand eval run', a new baseline is --save-baseline") from exc
