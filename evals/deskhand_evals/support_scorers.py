"""Scorers of what support agents put out: facts, citations, promises, and the actions they ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from deskhand.answers import CommitmentStatus, Draft, Passage
from deskhand_evals.datasets import Fact
from deskhand_evals.metrics import states
from deskhand_evals.report import MeasureSpec
from deskhand_evals.scorers import Case, Compared, Output, Scored, Scorer, Unscored, pick
from deskhand_evals.scores import broken_quotes

_FACTS = TypeAdapter(tuple[Fact, ...])


class _Facts(Compared):
    def facts(self, case: Case) -> tuple[Fact, ...]:
        try:
            return _FACTS.validate_python(self.wanted(case))
        except ValidationError as exc:
            raise Unscored(f"{self.expected!r} of the case is not a list of facts") from exc


class RequiredFacts(_Facts):
    """The share of the facts in ``must`` that the text states; 1 where none is asked for."""

    expected: str = "must"

    def score(self, case: Case, output: Output) -> Scored:
        """Look for every fact."""
        facts, text = self.facts(case), self.text(output)
        missing = [fact.fact for fact in facts if not states(text, fact)]
        share = 1 - len(missing) / len(facts) if facts else 1.0
        return Scored({"": share}, note=f"missing: {'; '.join(missing)}" if missing else "")


class ForbiddenFacts(_Facts):
    """1 when the text states none of the facts in ``must_not``, else 0. Made to be an invariant."""

    expected: str = "must_not"

    def score(self, case: Case, output: Output) -> Scored:
        """Look for every fact."""
        text = self.text(output)
        stated = [fact.fact for fact in self.facts(case) if states(text, fact)]
        return Scored({"": float(not stated)}, note=f"stated: {'; '.join(stated)}" if stated else "")


def _broken(draft: Draft, output: Output, path: str) -> list[str]:
    """Return the quotes of a draft that do not stand in the passages at ``path``."""
    passages = pick(output.value, path, "output") or []
    return broken_quotes(draft, [Passage.model_validate(passage) for passage in passages])


class Quotes(Scorer):
    """1 when every quote of the draft stands in the passage it names, else 0; 1 where there is no draft.

    ``output`` is the path of the draft, ``passages`` that of the passages it was written from.
    """

    output: str = "draft"
    passages: str = "passages"

    def score(self, case: Case, output: Output) -> Scored:
        """Check every citation."""
        draft = _draft(output, self.output)
        if draft is None:
            return Scored({"": 1.0}, note="no draft")
        broken = _broken(draft, output, self.passages)
        return Scored({"": float(not broken)}, note=f"not in its passage: {'; '.join(broken)}" if broken else "")


class Citations(Scorer):
    """The share of the expected articles that the draft cites, and of its citations that are expected (precision)."""

    measures = (MeasureSpec(name=""), MeasureSpec(name="precision"))
    output: str = "draft"
    expected: str = "articles"

    def score(self, case: Case, output: Output) -> Scored:
        """Compare the cited articles with the expected ones."""
        wanted = pick(case.row, self.expected, "case")
        if not isinstance(wanted, list):
            raise Unscored(f"{self.expected!r} of the case is not a list of articles")
        draft = _draft(output, self.output)
        cited = _cited(draft) if draft else set()
        hits = len(cited & set(map(str, wanted)))
        recall = hits / len(set(map(str, wanted))) if wanted else float(not cited)
        precision = hits / len(cited) if cited else float(not wanted)
        return Scored({"": recall, "precision": precision}, note=f"cites {', '.join(sorted(cited)) or 'nothing'}")


def _cited(draft: Draft) -> set[str]:
    passages = {citation.passage_id for citation in draft.citations}
    return {passage.partition("@")[0] for passage in passages if not passage.startswith("record:")}


class Groundedness(Scorer):
    """The share of the draft's citations whose quote holds; 1 where there is no draft, 0 for one without citations."""

    output: str = "draft"
    passages: str = "passages"

    def score(self, case: Case, output: Output) -> Scored:
        """Check every citation."""
        draft = _draft(output, self.output)
        if draft is None:
            return Scored({"": 1.0}, note="no draft")
        if not draft.citations:
            return Scored({"": 0.0}, note="no citation")
        broken = _broken(draft, output, self.passages)
        return Scored({"": 1 - len(broken) / len(draft.citations)})


class Commitments(Scorer):
    """The share of the draft's promises that knowledge backs; 1 where it promises nothing."""

    output: str = "draft"

    def score(self, case: Case, output: Output) -> Scored:
        """Count the promises by their status."""
        draft = _draft(output, self.output)
        promises = draft.commitments if draft else ()
        open_ones = [promise.text for promise in promises if promise.status is not CommitmentStatus.backed]
        share = 1 - len(open_ones) / len(promises) if promises else 1.0
        return Scored({"": share}, note=f"not backed: {'; '.join(open_ones)}" if open_ones else "")


def _draft(output: Output, path: str) -> Draft | None:
    value = pick(output.value, path, "output")
    if value is None:
        return None
    try:
        return Draft.model_validate(value)
    except ValidationError as exc:
        raise Unscored(f"{path!r} of the output is not a draft") from exc


class State(Compared):
    """1 when everything in the expected object stands in the output with the same value; what is more does not matter.

    For the end state of a ticket: ``{"decision": "review", "draft": {"language": "en"}}``.
    """

    def score(self, case: Case, output: Output) -> Scored:
        """Compare recursively; lists must be equal in length."""
        wanted = self.wanted(case)
        if wanted is None:
            raise Unscored(f"{self.expected!r} of the case is empty")
        problem = state_difference(wanted, self.found(output), "")
        return Scored({"": float(not problem)}, note=problem)


def state_difference(wanted: Any, found: Any, path: str) -> str:
    """Return where ``found`` is not as ``wanted``, empty when it is; what ``found`` has besides does not matter."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        problems = (state_difference(value, found.get(key), f"{path}.{key}") for key, value in wanted.items())
        return next(filter(None, problems), "")
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = enumerate(zip(wanted, found, strict=True))
        return next(filter(None, (state_difference(a, b, f"{path}.{n}") for n, (a, b) in pairs)), "")
    same = wanted == found and isinstance(wanted, bool) == isinstance(found, bool)
    return "" if same else f"{path.lstrip('.') or 'value'}: {str(found)[:60]}, not {str(wanted)[:60]}"


class ToolCalls(Compared):
    """1 when the calls (``{name, args}``) are the expected ones; recall and precision besides.

    ``mode``: ``ordered`` is the same calls in the same order, ``unordered`` in any, ``subset`` that all expected
    ones are made, in any order, ``in_order`` that they are made in their order, others between them, ``prefix`` that
    they come first, and ``within`` that no other is made. An expected call names only the arguments that matter;
    numbers may differ by ``tolerance``. A call may be written as its name alone.
    """

    measures = (MeasureSpec(name=""), MeasureSpec(name="recall"), MeasureSpec(name="precision"))
    output: str = "actions"
    mode: Literal["ordered", "unordered", "subset", "in_order", "prefix", "within"] = "unordered"
    tolerance: float = Field(default=0.0, ge=0)

    def score(self, case: Case, output: Output) -> Scored:
        """Compare two lists of calls."""
        wanted, found = _as_calls(self.wanted(case)), _as_calls(self.found(output) or [])
        if not _are_calls(wanted):
            raise Unscored(f"{self.expected!r} of the case is not a list of calls with a name")
        if not _are_calls(found):
            raise Unscored(f"{self.output!r} of the output is not a list of calls with a name")
        n_matched = match_calls(wanted, found, self.tolerance)
        values = {
            "": float(self._holds(wanted, found, n_matched)),
            "recall": n_matched / len(wanted) if wanted else 1.0,
            "precision": n_matched / len(found) if found else 1.0,
        }
        return Scored(values, note=f"called {', '.join(call['name'] for call in found) or 'nothing'}")

    def _holds(self, wanted: list[Any], found: list[Any], n_matched: int) -> bool:
        if self.mode in ("ordered", "prefix"):
            if self.mode == "ordered" and len(wanted) != len(found):
                return False
            pairs = zip(wanted, found, strict=False)
            return len(found) >= len(wanted) and all(is_same_call(a, b, self.tolerance) for a, b in pairs)
        if self.mode == "in_order":
            rest = iter(found)
            return all(any(is_same_call(a, b, self.tolerance) for b in rest) for a in wanted)
        if self.mode == "within":
            return n_matched == len(found)
        return n_matched == len(wanted) and (self.mode == "subset" or len(found) == len(wanted))


class Trajectory(ToolCalls):
    """Tool calls over a whole run, in the order in which they were made: ``tool_calls`` on ``calls``, ``in_order``."""

    output: str = "calls"
    mode: Literal["ordered", "unordered", "subset", "in_order", "prefix", "within"] = "in_order"


def _as_calls(value: Any) -> Any:
    """Return names of calls as calls."""
    return [{"name": call} if isinstance(call, str) else call for call in value] if isinstance(value, list) else value


def _are_calls(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(c, Mapping) and isinstance(c.get("name"), str) for c in value)


def is_same_call(wanted: Mapping[str, Any], found: Mapping[str, Any], tolerance: float = 0.0) -> bool:
    """Tell whether ``found`` is the call ``wanted``: its name, and every argument that ``wanted`` names."""
    args, given = wanted.get("args") or {}, found.get("args") or {}
    return wanted["name"] == found["name"] and all(
        key in given and _is_near(value, given[key], tolerance) for key, value in args.items()
    )


def _is_near(a: Any, b: Any, tolerance: float) -> bool:
    are_numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (a, b))
    return abs(a - b) <= tolerance + 1e-12 if are_numbers else bool(a == b and type(a) is type(b))


def match_calls(wanted: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]], tolerance: float) -> int:
    """Return how many expected calls can be given a call of their own at once (a largest bipartite matching)."""
    taken: dict[int, int] = {}

    def place(number: int, seen: set[int]) -> bool:
        for other, call in enumerate(found):
            if other not in seen and is_same_call(wanted[number], call, tolerance):
                seen.add(other)
                if other not in taken or place(taken[other], seen):
                    taken[other] = number
                    return True
        return False

    return sum(place(number, set()) for number in range(len(wanted)))


class Policy(Scorer):
    """1 when no action was carried or asked for that may not be: none named in ``forbidden``, all verdicts allowed.

    Made to be an invariant. ``output`` is the path of the actions.
    """

    output: str = "actions"
    forbidden: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ("allowed", "needs_approval")

    def score(self, case: Case, output: Output) -> Scored:
        """Check every action."""
        actions = pick(output.value, self.output, "output") or []
        if not _are_calls(actions):
            raise Unscored(f"{self.output!r} of the output is not a list of actions")
        wrong = [a["name"] for a in actions if a["name"] in self.forbidden or a.get("verdict") not in self.verdicts]
        return Scored({"": float(not wrong)}, note=f"not allowed: {', '.join(wrong)}" if wrong else "")
