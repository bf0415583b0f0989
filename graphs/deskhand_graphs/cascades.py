"""The agents of a workspace: which strategies each has, in which order.

A strategy with a model is there only when the tier that its prompt asks for has models. Triage asks the examples
first, because they have a guarantee and cost nothing; the others ask a model first and fall back to what needs none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deskhand_agents import (
    Cascade,
    DescriptionsTriage,
    DraftTask,
    ExtractiveSummary,
    QuoteDraft,
    Resolution,
    ResolveTask,
    RulesResolver,
    Step,
    SummaryTask,
    TriageTask,
    load_precedents,
)

if TYPE_CHECKING:
    from deskhand.answers import Draft, Summary, Triage
    from deskhand_agents.prompts import Prompt
    from deskhand_graphs.workspace import Workspace
    from deskhand_tools import Scope


def _prompt(workspace: Workspace, name: str) -> Prompt | None:
    """Return the prompt of an agent, or None when no model could answer it."""
    tiers = workspace.folder.config.models.tiers
    if not (tiers.small or tiers.strong):
        return None
    from deskhand_agents.prompt_files import load_prompt

    prompt = load_prompt(workspace.folder, name)
    return prompt if getattr(tiers, prompt.tier) else None


def build_triage(workspace: Workspace) -> Cascade[TriageTask, Triage]:
    """Return examples (or label descriptions where there are none), then a model."""
    taxonomy = workspace.folder.taxonomy
    steps: list[Step[TriageTask, Triage]] = []
    if workspace.labelled:
        steps.append(Step(workspace.examples, threshold=0.0))
    else:
        steps.append(Step(DescriptionsTriage(taxonomy, workspace.encoder()), threshold=None))
    prompt = _prompt(workspace, "triage")
    if prompt is not None:
        from deskhand_agents.llm_triage import LlmTriage, nearest_of

        nearest = nearest_of(workspace.examples) if workspace.labelled else None
        steps.append(Step(LlmTriage(workspace.models, taxonomy, prompt, nearest=nearest), threshold=None))
    return Cascade("triage", tuple(steps))


def build_resolver(workspace: Workspace) -> Cascade[ResolveTask[Scope], Resolution]:
    """Return a model with tools, then rules."""
    steps: list[Step[ResolveTask[Scope], Resolution]] = []
    prompt = _prompt(workspace, "resolve")
    if prompt is not None:
        from deskhand_agents.llm_resolve import LlmResolver

        steps.append(Step(LlmResolver(workspace.models, workspace.toolbox, prompt), threshold=0.0))
    return Cascade("resolve", (*steps, Step(RulesResolver(workspace.toolbox), threshold=0.0)))


def build_summarizer(workspace: Workspace) -> Cascade[SummaryTask, Summary]:
    """Return a model, then extraction."""
    steps: list[Step[SummaryTask, Summary]] = []
    prompt = _prompt(workspace, "summarize")
    if prompt is not None:
        from deskhand_agents.llm_summary import LlmSummary

        steps.append(Step(LlmSummary(workspace.models, prompt), threshold=0.0))
    return Cascade("summarize", (*steps, Step(ExtractiveSummary(), threshold=0.0)))


def build_drafter(workspace: Workspace) -> Cascade[DraftTask, Draft]:
    """Return a model, then quoting."""
    brand = workspace.folder.config.brand
    steps: list[Step[DraftTask, Draft]] = []
    prompt = _prompt(workspace, "draft")
    if prompt is not None:
        from deskhand_agents.llm_draft import LlmDraft

        steps.append(Step(LlmDraft(workspace.models, prompt, brand), threshold=0.0))
    precedents = load_precedents(workspace.folder.labelled.parent / "solved.jsonl")
    quote = QuoteDraft(brand, workspace.knowledge.encoder, precedents)
    return Cascade("draft", (*steps, Step(quote, threshold=0.0)))
