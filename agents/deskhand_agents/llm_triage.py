"""Triage by a model: the strategy ``llm``. Its category is in the taxonomy or None."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, create_model

from deskhand.answers import Answer, Evidence, Share, Triage
from deskhand.config import Taxonomy
from deskhand.context import RunContext
from deskhand.interfaces import ChatModel
from deskhand.schema import Model
from deskhand_agents.labelled import LabelledTicket
from deskhand_agents.llm_output import DEADLINE_S, ask, prompt_evidence, thread_text
from deskhand_agents.prompts import Prompt, fenced
from deskhand_agents.reasons import reason
from deskhand_agents.triage import TriageTask, build_triage, decline

if TYPE_CHECKING:
    from deskhand_agents.examples import ExamplesTriage

MAX_EXAMPLES = 6
MAX_EXAMPLE_CHARS = 400
MAX_CHARS = 6_000
"""Longest ticket that is classified; what a ticket is about stands at its beginning and its end."""

Nearest = Callable[[TriageTask, RunContext], Awaitable[Sequence[LabelledTicket]]]
"""Finds the labelled tickets that are most like one, best first."""


class _Output(Model):
    category: str | None
    confidence: Share


class LlmTriage:
    """Classifies with a model, which sees the taxonomy as it is now and the nearest labelled tickets.

    Its confidence is the model's word and no guarantee: the answer is never certified.
    """

    name = "llm"
    is_self_reported = True

    def __init__(
        self,
        model: ChatModel,
        taxonomy: Taxonomy,
        prompt: Prompt,
        *,
        nearest: Nearest | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._model, self._taxonomy, self._prompt = model, taxonomy, prompt
        self._nearest, self._deadline_s = nearest, deadline_s
        self.prompt_evidence = prompt_evidence(prompt)
        self._ids = tuple(category.id for category in taxonomy.category)
        self._schema = _build_schema(self._ids) if self._ids else None

    async def __call__(self, task: TriageTask, ctx: RunContext) -> Answer[Triage]:
        """Return the category that the model chose; priority, sentiment and team come from rules, not from it."""
        text = thread_text(task.view, max_chars=MAX_CHARS)
        if self._schema is None or not task.view.customer_text.strip():
            return decline(task, self._taxonomy, self.name, [reason("no_category", "nothing to compare")])
        examples = await self._examples(task, ctx)
        variables = {
            "ticket": fenced(text, "ticket", ctx),
            "categories": self._taxonomy.category,
            "examples": [
                {"label": row.label, "text": fenced(row.text[:MAX_EXAMPLE_CHARS], "example", ctx)} for row in examples
            ],
        }
        output = await ask(self._model, self._prompt, variables, self._schema, deadline_s=self._deadline_s, ctx=ctx)
        category, confidence = output.value.category, output.value.confidence
        triage = build_triage(task, self._taxonomy, category, confidence=confidence if category else 0.0)
        why = () if category else (reason("no_category", "the model found none that fits"),)
        return Answer(
            value=triage,
            confidence=triage.confidence,
            strategy=self.name,
            usage=output.usage,
            evidence=(*output.evidence, *(_evidence(row) for row in examples)),
            needs_human=category is None,
            reasons=why,
        )

    async def _examples(self, task: TriageTask, ctx: RunContext) -> list[LabelledTicket]:
        """Return the nearest labelled tickets whose category still exists."""
        if self._nearest is None:
            return []
        found = await self._nearest(task, ctx)
        return [row for row in found if row.label in self._ids][:MAX_EXAMPLES]


def _build_schema(ids: Sequence[str]) -> type[_Output]:
    """Return a schema in which only the ids of the taxonomy are categories."""
    category: Any = Literal[tuple(ids)] | None
    confidence = Annotated[float, Field(ge=0.0, le=1.0)]
    fields: dict[str, Any] = {"category": (category, ...), "confidence": (confidence, ...)}
    return create_model("TriageOutput", __base__=_Output, **fields)


def _evidence(row: LabelledTicket) -> Evidence:
    return Evidence(kind="labelled_ticket", ref=f"labelled:{row.label}", text=row.text[:200])


def nearest_of(examples: ExamplesTriage) -> Nearest:
    """Return a search for the nearest labelled tickets over the strategy ``examples``; its calls are recorded."""

    async def nearest(task: TriageTask, ctx: RunContext) -> list[LabelledTicket]:
        answer = await examples(task, ctx)
        found = [evidence for evidence in answer.evidence if evidence.kind == "labelled_ticket"]
        return [
            LabelledTicket(text=evidence.text, label=evidence.ref.removeprefix("labelled:").partition("#")[0])
            for evidence in found
        ]

    return nearest
