"""Scorers of texts, numbers, classes and rankings, and of what a case cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from deskhand.errors import ConfigError
from deskhand.schema import Json
from deskhand_evals.metrics import ndcg_at, recall_at, reciprocal_rank
from deskhand_evals.patterns import PatternError, check_pattern, check_schema, schema_problem, search
from deskhand_evals.report import FAILED, MACRO_F1, RMSE, SQUARED_ERROR, Label, MeasureSpec
from deskhand_evals.scorers import Case, Compared, Output, Scored, Scorer, Unscored, as_number, pick
from deskhand_evals.text_scores import chrf, rouge_l, rouge_n


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

    code_version: ClassVar[int] = 2
    pattern: str
    forbidden: bool = False

    def prepare(self, folder: Path) -> None:
        """Check the pattern."""
        try:
            check_pattern(self.pattern)
        except PatternError as exc:
            raise ConfigError(f"scorer {self.name}: pattern: {exc}; correct it") from exc

    def score(self, case: Case, output: Output) -> Scored:
        """Search the output."""
        found = search(self.pattern, self.text(output))
        note = "" if found is None else f"found {found!r}"
        return Scored({"": float((found is None) == self.forbidden)}, note=note)


class JsonSchema(Compared):
    """1 when the output holds the JSON schema given inline as ``json_schema``."""

    code_version: ClassVar[int] = 2
    json_schema: dict[str, Json]

    def prepare(self, folder: Path) -> None:
        """Check the schema itself."""
        try:
            check_schema(self.json_schema)
        except PatternError as exc:
            raise ConfigError(f"scorer {self.name}: json_schema: {exc}; correct it") from exc

    def score(self, case: Case, output: Output) -> Scored:
        """Validate the output."""
        problem = schema_problem(self.json_schema, self.found(output))
        return Scored({"": float(not problem)}, note=problem[:200])


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
        found, wanted = as_number(self.found(output), "output"), as_number(self.wanted(case), "case")
        error = abs(found - wanted)
        is_near = error <= max(self.tolerance, self.relative * abs(wanted)) + 1e-12
        return Scored({"": float(is_near), "mae": error, SQUARED_ERROR: error**2}, note=f"{found:g}, not {wanted:g}")


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
            confidence=None if confidence is None else min(1.0, max(0.0, as_number(confidence, "output"))),
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
