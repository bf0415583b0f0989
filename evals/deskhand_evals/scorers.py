"""Scorers: what is measured of one output. Each is a table of a suite file, checked when it is read."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import BeforeValidator, ConfigDict, Field

from deskhand.attributes import load_attribute
from deskhand.config import Attribute
from deskhand.context import RunContext
from deskhand.errors import ConfigError
from deskhand.jsonio import content_hash
from deskhand.recorder import CallKind
from deskhand.schema import Json, Model
from deskhand.vault import map_strings
from deskhand_evals.agreement import MIN_KAPPA
from deskhand_evals.metrics import ndcg_at, recall_at, reciprocal_rank
from deskhand_evals.report import (
    FAILED,
    MACRO_F1,
    RMSE,
    SQUARED_ERROR,
    Label,
    Measure,
    MeasureSpec,
    Rule,
    ScorerSpec,
)
from deskhand_evals.text_scores import chrf, rouge_l, rouge_n


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


def _as_rules(value: Any) -> Any:
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
    gate: Annotated[tuple[Rule, ...], BeforeValidator(_as_rules)] = ()
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

    def spec(self) -> ScorerSpec:
        """Return the scorer as reports keep it."""
        options = self.model_dump(mode="json", exclude={"gate", "human", "min_kappa"})
        return ScorerSpec(
            name=self.name,
            kind=self.kind,
            version=content_hash([self.code_version, options, self.extra_version()]),
            measures=tuple(m.model_copy(update={"name": self.full_name(m.name)}) for m in self.measures),
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


def _fold(text: str, ignore_case: bool) -> str:
    text = " ".join(text.split())
    return text.casefold() if ignore_case else text


class Exact(Compared):
    """1 when both are equal; texts with white space folded."""

    ignore_case: bool = False

    def score(self, case: Case, output: Output) -> Scored:
        """Compare as JSON values, texts folded."""
        found, wanted = (
            _fold(value, self.ignore_case) if isinstance(value, str) else value
            for value in (self.found(output), self.wanted(case))
        )
        return Scored({"": float(found == wanted and isinstance(found, bool) == isinstance(wanted, bool))})


class Contains(Compared):
    """The share of the expected texts (one, or a list) that stand in the output."""

    ignore_case: bool = True

    def score(self, case: Case, output: Output) -> Scored:
        """Look for every expected text."""
        wanted = self.wanted(case)
        texts = wanted if isinstance(wanted, list) else [wanted]
        if not texts or wanted is None:
            raise Unscored(f"{self.expected!r} of the case is empty")
        text = _fold(self.text(output), self.ignore_case)
        missing = [one for one in map(str, texts) if _fold(one, self.ignore_case) not in text]
        return Scored({"": 1 - len(missing) / len(texts)}, note=f"missing: {', '.join(missing)}" if missing else "")


class Regex(Compared):
    """1 when ``pattern`` is found anywhere in the output, or when it is not with ``forbidden = true``."""

    pattern: str
    forbidden: bool = False

    def prepare(self, folder: Path) -> None:
        """Check the pattern."""
        try:
            re.compile(self.pattern)
        except re.error as exc:
            raise ConfigError(f"scorer {self.name}: pattern: {exc}; correct it") from exc

    def score(self, case: Case, output: Output) -> Scored:
        """Search the output."""
        match = re.search(self.pattern, self.text(output))
        return Scored({"": float((match is None) == self.forbidden)}, note=f"found {match[0]!r}" if match else "")


class JsonSchema(Compared):
    """1 when the output holds the JSON schema given inline as ``json_schema``."""

    json_schema: dict[str, Json]

    def prepare(self, folder: Path) -> None:
        """Check the schema itself."""
        from jsonschema.exceptions import SchemaError
        from jsonschema.validators import validator_for

        try:
            validator_for(self.json_schema).check_schema(self.json_schema)
        except SchemaError as exc:
            raise ConfigError(f"scorer {self.name}: json_schema: {exc.message}; correct it") from exc

    def score(self, case: Case, output: Output) -> Scored:
        """Validate the output."""
        from jsonschema.validators import validator_for

        validator = validator_for(self.json_schema)(self.json_schema)
        problem = next(validator.iter_errors(self.found(output)), None)
        return Scored({"": float(problem is None)}, note=problem.message[:200] if problem else "")


class Number(Compared):
    """1 when a number is within ``tolerance`` (absolute) or ``relative`` of the expected one; and its errors."""

    measures = (
        MeasureSpec(name=""),
        MeasureSpec(name="mae", higher_is_better=False, is_share=False),
        MeasureSpec(name=SQUARED_ERROR, higher_is_better=False, is_share=False),
        MeasureSpec(name=RMSE, higher_is_better=False, is_share=False, per_row=False),
    )
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    relative: Annotated[float, Field(ge=0)] = 0.0

    def score(self, case: Case, output: Output) -> Scored:
        """Compare two numbers; a text is read as one."""
        found, wanted = _number(self.found(output), "output"), _number(self.wanted(case), "case")
        error = abs(found - wanted)
        is_near = error <= max(self.tolerance, self.relative * abs(wanted)) + 1e-12
        return Scored({"": float(is_near), "mae": error, SQUARED_ERROR: error**2}, note=f"{found:g}, not {wanted:g}")


def _number(value: Any, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise Unscored(f"{str(value)[:40]!r} in the {what} is not a number") from None
    if isinstance(value, bool) or not math.isfinite(number):
        raise Unscored(f"{value!r} in the {what} is not a finite number")
    return number


class Classification(Compared):
    """1 when the class is right; macro F1, per class figures, the confusion matrix and, with ``confidence``, ECE."""

    measures = (MeasureSpec(name=""), MeasureSpec(name=MACRO_F1, per_row=False))
    confidence: str = ""

    def score(self, case: Case, output: Output) -> Scored:
        """Compare two classes; null is a class of its own."""
        confidence = pick(output.value, self.confidence, "output") if self.confidence else None
        label = Label(
            truth=_class(self.wanted(case)),
            predicted=_class(self.found(output)),
            confidence=None if confidence is None else min(1.0, max(0.0, _number(confidence, "output"))),
        )
        return Scored({"": float(label.truth == label.predicted)}, label=label)

    def failed_label(self, case: Case) -> Label | None:
        """Return the truth beside a prediction that is none: a failed case stays in macro F1, as a wrong one."""
        try:
            return Label(truth=_class(self.wanted(case)), predicted=FAILED)
        except Unscored:
            return None


def _class(value: Any) -> str | None:
    if not (value is None or isinstance(value, str | int)):
        raise Unscored(f"{str(value)[:40]!r} is not a class")
    return None if value is None else str(value)


class Text(Compared):
    """ROUGE-L (the main measure), ROUGE-1, ROUGE-2 and chrF against the expected text."""

    measures = (MeasureSpec(name=""), *(MeasureSpec(name=name) for name in ("chrf", "rouge1", "rouge2")))

    def score(self, case: Case, output: Output) -> Scored:
        """Compare two texts."""
        wanted, found = self.wanted_text(case), self.text(output)
        values = {"": rouge_l(wanted, found), "chrf": chrf(wanted, found)}
        return Scored(values | {"rouge1": rouge_n(wanted, found, 1), "rouge2": rouge_n(wanted, found, 2)})


class Retrieval(Compared):
    """recall@k (the main measure), reciprocal rank and nDCG@k of a ranked list of ids."""

    measures = (MeasureSpec(name=""), MeasureSpec(name="mrr"), MeasureSpec(name="ndcg"))
    k: Annotated[int, Field(ge=1, le=1000)] = 5

    def score(self, case: Case, output: Output) -> Scored:
        """Compare the ranked ids with the relevant ones."""
        relevant, ranked = self.wanted(case), self.found(output)
        if not isinstance(relevant, list) or not relevant:
            raise Unscored(f"{self.expected!r} of the case is empty")
        if not isinstance(ranked, list):
            raise Unscored("the output is not a ranked list of ids")
        ids, ranks = [str(item) for item in relevant], [str(item) for item in ranked]
        return Scored(
            {
                "": recall_at(ids, ranks, self.k),
                "mrr": reciprocal_rank(ids, ranks),
                "ndcg": ndcg_at(ids, ranks, self.k),
            },
            note=f"found {', '.join(ranks[: self.k])}",
        )


class Cost(Scorer):
    """What a case cost, in USD."""

    measures = (MeasureSpec(name="", higher_is_better=False, is_share=False),)

    def score(self, case: Case, output: Output) -> Scored:
        """Return the cost."""
        return Scored({"": output.cost_usd})


class Latency(Scorer):
    """How long a case took, in milliseconds of wall time."""

    measures = (MeasureSpec(name="", higher_is_better=False, is_share=False),)

    def score(self, case: Case, output: Output) -> Scored:
        """Return the latency."""
        return Scored({"": output.latency_ms})


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
    return {name: _number(float(v) if isinstance(v, bool) else v, "score") for name, v in values.items()}


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
