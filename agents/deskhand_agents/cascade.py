"""The cascade: strategies in order, the first sure answer wins, and one that fails never stops the others."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from deskhand.answers import Answer, Evidence, Reason, Usage
from deskhand.context import RunContext
from deskhand.errors import BudgetExceeded, DeskhandError, OwnedElsewhere, ToolFailed, ToolRetry, Unavailable
from deskhand.telemetry import AGENT_NAME, CONFIDENCE, INPUT_TOKENS, OUTPUT_TOKENS, STRATEGY
from deskhand_agents.reasons import reason
from deskhand_agents.record_texts import neutral_error

_log = logging.getLogger(__name__)

REJECTED = "rejected_answer"
PROMPT = "prompt"
"""The kind of evidence that names the version of a prompt."""

Task = TypeVar("Task")
TaskIn = TypeVar("TaskIn", contravariant=True)
T = TypeVar("T")


class Strategy(Protocol[TaskIn, T]):
    """One way to answer a task.

    One whose confidence is only what a model says of itself has ``is_self_reported = True``. One that asks a model has
    ``prompt_evidence``, which says with which prompt.
    """

    @property
    def name(self) -> str:
        """Its name in results and spans, such as ``examples``."""
        ...

    async def __call__(self, task: TaskIn, ctx: RunContext, /) -> Answer[T]:
        """Return an answer; ``value`` is None when it has none.

        A strategy that finds its own answer wanting marks it ``needs_human``. Raises Unavailable when its model
        or service does not answer.
        """
        ...


@dataclass(frozen=True)
class Step(Generic[Task, T]):
    """A strategy and the confidence, 0 to 1, from which its answer stands.

    ``threshold`` None means that there is no certificate: the answer is only ever a suggestion.
    """

    strategy: Strategy[Task, T]
    threshold: float | None

    def accepts(self, answer: Answer[T]) -> bool:
        """Tell whether the answer may stand without looking further."""
        if answer.value is None or answer.needs_human or self.threshold is None:
            return False
        return answer.confidence >= self.threshold


@dataclass(frozen=True)
class Cascade(Generic[Task, T]):
    """An agent: a name and its strategies, best value first."""

    name: str
    steps: tuple[Step[Task, T], ...]

    async def run(self, task: Task, ctx: RunContext) -> Answer[T]:
        """Return the first accepted answer; else the surest one, marked ``needs_human``; else one without a value.

        ``usage`` is the sum over all strategies tried. ``evidence`` names the prompts of all that asked a model, of
        those too that failed or were rejected. A strategy that could not answer is named in ``reasons``; that alone
        does not ask for a person. So is why an answer without a value was rejected. Wrong input, an unusable store and
        a missed replay are raised on.
        """
        usage, notes, kept = Usage(), list[Reason](), list[tuple[Step[Task, T], Answer[T]]]()
        prompts: list[Evidence] = []
        for step in self.steps:
            outcome = await self._try(step, task, ctx)
            if isinstance(outcome, Reason):
                notes.append(outcome)
                prompts += _prompts_of(step.strategy)
                continue
            prompts += [found for found in outcome.evidence if found.kind == PROMPT]
            usage += outcome.usage
            if step.accepts(outcome):
                rejected = _rejected([answer for _, answer in kept])
                answer = replace(outcome, usage=usage, reasons=(*outcome.reasons, *rejected, *notes))
                return _with_prompts(answer, prompts)
            kept.append((step, _with_shortfall(step, outcome)))
        best = self._best(kept)
        rejected = _rejected([answer for _, answer in kept if answer is not best])
        return _with_prompts(replace(best, usage=usage).marked(*rejected, *notes), prompts)

    def _best(self, kept: Sequence[tuple[Step[Task, T], Answer[T]]]) -> Answer[T]:
        if not kept:
            return Answer(value=None, confidence=0.0, strategy="none", reasons=(reason("no_answer", self.name),))
        return max(kept, key=lambda pair: _rank(*pair))[1]

    async def _try(self, step: Step[Task, T], task: Task, ctx: RunContext) -> Answer[T] | Reason:
        name = step.strategy.name
        with ctx.tracer.span(f"{self.name}.{name}") as span:
            span |= {AGENT_NAME: self.name, STRATEGY: name}
            try:
                answer = await step.strategy(task, replace(ctx, agent=self.name))
            except BudgetExceeded as exc:
                return reason("over_budget", f"{name}: {exc}")
            except (Unavailable, OwnedElsewhere) as exc:
                return reason("strategy_unavailable", f"{name}: {exc}")
            except (ToolFailed, ToolRetry) as exc:
                return reason("strategy_failed", f"{name}: {neutral_error(exc).text}")
            except DeskhandError:
                raise
            except Exception as exc:  # the edge: one strategy's bug must not lose the ticket
                _log.exception("%s: strategy %s failed on its way", self.name, name)
                return reason("strategy_failed", f"{name}: {type(exc).__name__}")
            span[CONFIDENCE] = answer.confidence
            span |= {INPUT_TOKENS: answer.usage.prompt_tokens, OUTPUT_TOKENS: answer.usage.completion_tokens}
            return answer


def _prompts_of(strategy: object) -> list[Evidence]:
    """Return the prompt of a strategy that asked a model and got no answer."""
    found = getattr(strategy, "prompt_evidence", None)
    return [found] if isinstance(found, Evidence) else []


def _with_prompts(answer: Answer[T], prompts: Sequence[Evidence]) -> Answer[T]:
    more = [found for found in dict.fromkeys(prompts) if found not in answer.evidence]
    return replace(answer, evidence=(*answer.evidence, *more))


def _rank(step: Step[Task, T], answer: Answer[T]) -> tuple[bool, bool, float]:
    """Return what answers are compared by: what a model says of itself does not beat a confidence that was measured."""
    is_measured = answer.confidence > 0 and not getattr(step.strategy, "is_self_reported", False)
    return (answer.value is not None, is_measured, answer.confidence)


def _rejected(answers: Sequence[Answer[T]]) -> list[Reason]:
    """Return why answers without a value were thrown away."""
    return [why for answer in answers if answer.value is None for why in answer.reasons if why.code == REJECTED]


def _with_shortfall(step: Step[Task, T], answer: Answer[T]) -> Answer[T]:
    """Say why an answer was not accepted, unless it says so itself."""
    if answer.value is None or answer.needs_human:
        return answer
    if step.threshold is None:
        return replace(answer, reasons=(*answer.reasons, reason("uncertified", answer.strategy)))
    detail = f"{answer.strategy}: {answer.confidence:.2f} is below {step.threshold:.2f}"
    return replace(answer, reasons=(*answer.reasons, reason("low_confidence", detail)))
