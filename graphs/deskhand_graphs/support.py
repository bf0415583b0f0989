"""The graph `support`: from a ticket to a draft that waits for a person.

    screen -> triage -> gather -> summarize -> draft -> check -> decide -> review
       |                  ^                                        |         |
       +-> end            +---------------- ask again -------------|---------+-> end
                                                                   +-> end (nothing to do, or may be sent)

Every node is a function of the state and the run's context; the world is reached only through ``ctx.call``
and the toolbox, so that a recorded run can be replayed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from deskhand.actions import ActionVerdict, Decision, Effect, ReviewRequest, Verdict
from deskhand.answers import Answer, Draft, Evidence, Passage
from deskhand.context import RunContext
from deskhand.recorder import CallKind
from deskhand.records import Outcome
from deskhand.schema import Json
from deskhand.tickets import Ticket
from deskhand.vault import map_strings
from deskhand.view import SentReply, view_ticket
from deskhand_agents import (
    CheckTask,
    DraftTask,
    Flag,
    Resolution,
    ResolveTask,
    SummaryTask,
    TriageTask,
    check_draft,
    detect_language,
    knows_language,
    neutral_text,
    reason,
    screen,
    search_queries,
)
from deskhand_graphs.history import sent_replies
from deskhand_graphs.state import SupportState
from deskhand_graphs.step import step
from deskhand_tools import REPLY, Scope

if TYPE_CHECKING:
    from langgraph.graph import StateGraph

    from deskhand_graphs.workspace import Workspace

Update = dict[str, Any]
PER_ARTICLE = 3
"""Most passages of one article: its sentences are what a draft quotes, and they are spread over its sections."""


def build_graph(workspace: Workspace) -> StateGraph[SupportState, RunContext]:
    """Return the graph, uncompiled, over the parts of ``workspace``."""
    from langgraph.graph import END, START, StateGraph

    nodes = Support(workspace)
    graph: StateGraph[SupportState, RunContext] = StateGraph(SupportState, RunContext)
    for name in ("screen", "triage", "gather", "summarize", "draft", "check", "decide", "review"):
        graph.add_node(name, step(name, getattr(nodes, name)))
    graph.add_edge(START, "screen")
    graph.add_conditional_edges("screen", _after_screen, {"go": "triage", "end": END})
    for before, after in (("triage", "gather"), ("gather", "summarize"), ("summarize", "draft")):
        graph.add_edge(before, after)
    graph.add_edge("draft", "check")
    graph.add_edge("check", "decide")
    graph.add_conditional_edges("decide", _after_decide, {"ask": "review", "end": END})
    graph.add_conditional_edges("review", _after_review, {"again": "gather", "end": END})
    return graph


def _after_screen(state: SupportState) -> str:
    return "end" if state.get("decision") is Outcome.nothing else "go"


def _after_decide(state: SupportState) -> str:
    return "ask" if state["decision"] is Outcome.review else "end"


def _after_review(state: SupportState) -> str:
    return "again" if state["review"].verdict is Verdict.retry else "end"


def _kept(node: str, ctx: RunContext, answer: Answer[Any]) -> Update:
    """Return what the state keeps of an answer besides its value."""
    return {
        "reasons": {node: answer.reasons},
        "evidence": {node: answer.evidence},
        "usage": {ctx.path: answer.usage},
    }


class Support:
    """The nodes of the graph, over one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def screen(self, state: SupportState, ctx: RunContext) -> Update:
        """Make the ticket readable and decide whether there is anything to answer."""
        ticket = state["ticket"]
        view = view_ticket(ticket, ctx.vault, sent=await self._sent_replies(ticket, ctx))
        screening = screen(ticket, view)
        update: Update = {
            "view": view,
            "language": detect_language(neutral_text(view)).language,
            "flags": screening.flag_names,
            "reasons": {"screen": screening.reasons},
            "evidence": {"screen": tuple(_flag_evidence(flag) for flag in screening.flags)},
        }
        if screening.decision == "nothing":
            update |= {"decision": Outcome.nothing, "needs_human": False}
        return update

    async def _sent_replies(self, ticket: Ticket, ctx: RunContext) -> list[SentReply]:
        """Return what earlier runs of this ticket sent, so that only what is new is answered."""

        async def perform() -> Json:
            replies = sent_replies(self._workspace.runs, ticket) if self._workspace.runs else []
            return [map_strings(reply.model_dump(mode="json"), ctx.vault.mask) for reply in replies]

        found = await ctx.call(CallKind.retrieval, {"sent_replies_of": ticket.id}, perform)
        assert isinstance(found, list)
        return [SentReply.model_validate(reply) for reply in found]

    async def triage(self, state: SupportState, ctx: RunContext) -> Update:
        """Say what the ticket is about."""
        task = TriageTask(view=state["view"], flags=state["flags"], language=state["language"])
        answer = await self._workspace.triage.run(task, ctx)
        return {"triage": answer.value, **_kept("triage", ctx, answer)}

    async def gather(self, state: SupportState, ctx: RunContext) -> Update:
        """Read records and knowledge that may answer the ticket."""
        today = ctx.now().date()
        scope = Scope(ticket_id=state["ticket"].id, requester=state["ticket"].requester, today=today)
        task = ResolveTask(view=state["view"], scope=scope, triage=state.get("triage"))
        answer = await self._workspace.resolver.run(task, ctx)
        resolution = answer.value or Resolution()
        instruction = state.get("instruction", "")
        queries = [*search_queries(state["view"]), *([instruction] if instruction else [])]
        passages = await self._search(queries, state, today, ctx)
        return {
            "findings": resolution.findings,
            "not_found": resolution.not_found,
            "actions": resolution.actions,
            "passages": passages,
            **_kept("gather", ctx, answer),
        }

    async def _search(
        self, queries: Sequence[str], state: SupportState, today: date, ctx: RunContext
    ) -> tuple[Passage, ...]:
        """Return the best passages over all questions, best first, each once; none in a language we cannot read."""
        if not knows_language(self._workspace.encoder(), state["language"]):
            return ()
        best: dict[str, Passage] = {}
        for query in queries:
            for passage in await self._search_one(query, today, ctx):
                if passage.id not in best or best[passage.id].score < passage.score:
                    best[passage.id] = passage
        return tuple(sorted(best.values(), key=lambda passage: (-passage.score, passage.id)))

    async def _search_one(self, query: str, today: date, ctx: RunContext) -> list[Passage]:
        settings = self._workspace.folder.config.memory
        request: Json = {
            "query": query,
            "on": today.isoformat(),
            "top_k": settings.top_k,
            "per_article": PER_ARTICLE,
            "min_similarity": settings.min_similarity,
            "audience": settings.audience,
            "knowledge": self._workspace.knowledge.fingerprint(),
        }

        async def perform() -> Json:
            found = await asyncio.to_thread(
                self._workspace.knowledge.search,
                query,
                top_k=settings.top_k,
                per_article=PER_ARTICLE,
                min_similarity=settings.min_similarity,
                on=today,
                audience=settings.audience,
                parts=(),  # each query is one question already
            )
            return [passage.model_dump(mode="json") for passage in found]

        found = await ctx.call(CallKind.retrieval, request, perform)
        assert isinstance(found, list)
        return [Passage.model_validate(passage) for passage in found]

    async def summarize(self, state: SupportState, ctx: RunContext) -> Update:
        """Say in a few words who wants what."""
        task = SummaryTask(view=state["view"], language=state["language"])
        answer = await self._workspace.summarizer.run(task, ctx)
        return {"summary": answer.value, **_kept("summarize", ctx, answer)}

    async def draft(self, state: SupportState, ctx: RunContext) -> Update:
        """Write a reply from the passages and records, or none."""
        task = DraftTask(
            view=state["view"],
            passages=state["passages"],
            findings=state["findings"],
            triage=state.get("triage"),
            not_found=state["not_found"],
            language=state["language"],
        )
        answer = await self._workspace.drafter.run(task, ctx)
        return {"draft": answer.value, **_kept("draft", ctx, answer)}

    async def check(self, state: SupportState, ctx: RunContext) -> Update:
        """Check the draft's citations, promises, language and personal data."""
        task = CheckTask(
            draft=state["draft"],
            view=state["view"],
            today=ctx.now().date(),
            passages=state.get("passages", ()),
            findings=state.get("findings", ()),
            language=state["language"],
            brand=self._workspace.folder.config.brand,
        )
        checked = check_draft(task)
        return {"draft": checked.draft, "reasons": {"check": checked.reasons}}

    async def decide(self, state: SupportState, ctx: RunContext) -> Update:
        """Choose between sending and asking a person. The default is to ask."""
        has_reasons = any(state["reasons"].values())
        may_send = not has_reasons and self._may_send(state)
        by_default = () if may_send or has_reasons else (reason("review_by_default"),)
        decision = Outcome.send if may_send else Outcome.review
        return {"decision": decision, "needs_human": not may_send, "reasons": {"decide": by_default}}

    def _may_send(self, state: SupportState) -> bool:
        triage = state.get("triage")
        if state.get("draft") is None or triage is None or not triage.certified:
            return False
        reply = self._workspace.policy.judge(REPLY, Effect.write, {}, {})
        actions = (action.verdict for action in state.get("actions", ()))
        return reply.verdict is ActionVerdict.allowed and all(verdict is ActionVerdict.allowed for verdict in actions)

    async def review(self, state: SupportState, ctx: RunContext) -> Update:
        """Wait for a person's decision, then take it in. Runs again from its start when the decision comes."""
        from langgraph.types import interrupt

        ask_id = f"{ctx.run_id}:{state.get('round', 0)}"
        request = ReviewRequest(
            run_id=ctx.run_id,
            ask_id=ask_id,
            draft=state.get("draft"),
            actions=state.get("actions", ()),
            reasons=tuple(reason for reasons in state["reasons"].values() for reason in reasons),
        )
        given = interrupt(request.model_dump(mode="json"))
        decision = Decision.model_validate(map_strings(given, ctx.vault.mask))
        return {"review": decision, **_after_decision(state, decision)}


def _flag_evidence(flag: Flag) -> Evidence:
    return Evidence(kind="flag", ref=flag.name, text=", ".join(flag.signs), score=flag.confidence)


def _after_decision(state: SupportState, decision: Decision) -> Update:
    if decision.verdict is Verdict.retry:
        return {"round": state.get("round", 0) + 1, "instruction": decision.instruction}
    update: Update = {"needs_human": decision.verdict is Verdict.reject}
    if decision.verdict is Verdict.edit and decision.text is not None:
        before = state.get("draft")
        language = before.language if before else "en"
        update["draft"] = Draft(text=decision.text, language=language)
    return update
