"""Looking up records with a model that calls tools: the strategy ``llm`` of the resolver, on LangChain's agent.

The model's words are thrown away. What counts is what the tools returned, and which changes it asked them to propose.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from deskhand.actions import Action
from deskhand.answers import Answer, Evidence, Finding, Reason, Usage
from deskhand.context import RunContext
from deskhand.errors import ToolFailed, ToolRetry
from deskhand.fencing import fold
from deskhand.interfaces import ChatModel, ToolCall
from deskhand.jsonio import canonical_json
from deskhand.schema import Json
from deskhand_agents.llm_output import prompt_evidence, thread_text
from deskhand_agents.prompts import Prompt, fenced
from deskhand_agents.reasons import reason
from deskhand_agents.record_texts import neutral_error, neutral_result
from deskhand_agents.resolver import MAX_LISTED, MAX_LOOKUPS, Resolution, ResolveTask, named_records, topic_of
from deskhand_tools import Scope, Toolbox

if TYPE_CHECKING:
    from langchain.agents.middleware import AgentMiddleware
    from langchain_core.messages import AIMessage, BaseMessage
    from langgraph.graph.state import CompiledStateGraph

MAX_FINDINGS = 20
MAX_RESULT_CHARS = 8_000
"""Longest result of a tool that the model sees, in characters of JSON; findings keep all of it."""


@dataclass(frozen=True)
class ResolveLimits:
    """How far a model may go: its calls, tool calls in all and of one kind with equal arguments, and seconds."""

    model_calls: int = 6
    tool_calls: int = 12
    identical_calls: int = 1
    run_s: float = 45.0


class LlmResolver:
    """Lets a model call the tools of a toolbox, within limits, and reports what they returned.

    Every call goes through the toolbox, so that scope, policy, masking and recording hold whatever the model wants:
    records of other customers are not found, and what changes something becomes an Action for a person.
    """

    name = "llm"

    def __init__(
        self, model: ChatModel, tools: Toolbox, prompt: Prompt, *, limits: ResolveLimits = ResolveLimits()
    ) -> None:
        self._model, self._tools, self._prompt, self._limits = model, tools, prompt, limits
        self.prompt_evidence = prompt_evidence(prompt)
        self._agent: CompiledStateGraph[Any, _Run, Any, Any] | None = None

    async def __call__(self, task: ResolveTask[Scope], ctx: RunContext) -> Answer[Resolution]:
        """Return findings, records not found and proposed Actions.

        Confidence is the share of named records that were looked up, 1 when none was named.

        Raises:
            Unavailable: No model answered, or a limit of cost was reached.
        """
        if not self._tools.names or not task.view.customer_text.strip():
            return Answer(Resolution(), 0.0, self.name)
        run = _Run(self._model, self._prompt.tier, self._tools, task, ctx, self._limits, started=ctx.now())
        messages = self._prompt.render(ticket=fenced(thread_text(task.view), "ticket", ctx))
        asked = [{"role": message.role, "content": message.content} for message in messages]
        config: Any = {"recursion_limit": 4 * (self._limits.model_calls + 2)}
        await self._build(run).ainvoke({"messages": asked}, config, context=run)
        return run.answer(self.name, self.prompt_evidence)

    def _build(self, first: _Run) -> CompiledStateGraph[Any, _Run, Any, Any]:
        """Return the agent, built once: what belongs to a run comes in with its context."""
        if self._agent is None:
            from langchain.agents import create_agent

            from deskhand_models.chat import TierChat

            _keep_langsmith_here()
            chat = TierChat(models=self._model, tier=self._prompt.tier, ctx=first.ctx)
            specs = [_spec(tool.name, tool.description, tool.parameters()) for tool in self._tools.tools]
            self._agent = create_agent(chat, specs, middleware=[_middleware()], context_schema=_Run)
        return self._agent


def _keep_langsmith_here() -> None:
    """Let LangSmith, which LangChain calls around every step, do its little work in place while nothing is traced.

    Otherwise it does it in a thread, six times a run, which costs more than the work.
    """
    import langsmith
    from langsmith.utils import tracing_is_enabled

    async def here(default: Any, ctx: Context, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if tracing_is_enabled():
            return await default(ctx, func, *args, **kwargs)
        return ctx.run(func, *args, **kwargs)

    langsmith.set_runtime_overrides(aio_to_thread=here)


def _spec(name: str, description: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": name, "description": description, "parameters": dict(parameters)}
    return {"type": "function", "function": function}


def _middleware() -> AgentMiddleware[Any, _Run]:
    """Return what stands between LangChain's agent and the world: it keeps the limits and carries every tool call."""
    from langchain.agents.middleware import AgentMiddleware
    from langchain_core.messages import AIMessage, ToolMessage

    class Limits(AgentMiddleware[Any, _Run]):
        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            run: _Run = request.runtime.context
            if not run.may_ask():
                return AIMessage("stopped")
            # Not handler(request): LangChain's own layer around a model costs 0.5 ms of CPU a call, for callbacks
            # that nobody listens to here.
            return await run.ask([request.system_message, *request.messages], request.tools)

        async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
            run: _Run = request.runtime.context
            call = request.tool_call
            told = await run.call(ToolCall(str(call["id"]), str(call["name"]), call["args"]))
            return ToolMessage(told, tool_call_id=call["id"], name=call["name"])

    return Limits()


@dataclass
class _Run:
    """One run of the resolver: its limits, and what its tools returned."""

    model: ChatModel
    tier: str
    tools: Toolbox
    task: ResolveTask[Scope]
    ctx: RunContext
    limits: ResolveLimits
    started: datetime
    remaining_s: float = 0.0
    n_model_calls: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    not_found: list[str] = field(default_factory=list)
    actions: dict[str, Action] = field(default_factory=dict)
    reasons: list[Reason] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: deque[ToolCall] = field(default_factory=deque)
    told: defaultdict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))

    async def ask(self, messages: Sequence[BaseMessage | None], tools: Sequence[Any]) -> AIMessage:
        """Return the model's next message, within what is left of the time. Raises Unavailable."""
        from deskhand_models.chat import build_message, read_message

        prompt = [read_message(message) for message in messages if message is not None]
        completion = await self.model.complete(
            self.tier, prompt, tools=tools, deadline_s=self.remaining_s, ctx=self.ctx
        )
        self.usage += completion.usage
        self.waiting = deque(completion.tool_calls)
        self.told.clear()
        return build_message(completion)

    def may_ask(self) -> bool:
        """Count a call of the model; False when its calls or its time are used up."""
        # The run's clock, which is recorded, and no timer: a replay must stop where the run stopped.
        self.remaining_s = self.limits.run_s - (self.ctx.now() - self.started).total_seconds()
        self.n_model_calls += 1
        if self.n_model_calls > self.limits.model_calls:
            self._stop(f"{self.limits.model_calls} calls of the model")
        elif self.remaining_s <= 0:
            self._stop(f"{self.limits.run_s:g} s")
        else:
            return True
        return False

    def _stop(self, what: str) -> None:
        self.reasons.append(reason("over_budget", f"looking up records was stopped after {what}"))

    async def call(self, call: ToolCall) -> str:
        """Return what the model is told about a call. Nothing is called beyond the limits.

        LangGraph starts the calls of one message all at once, in no fixed order. They are carried out one after
        another in the order of the message: where an argument comes from depends on what was read before, and a replay
        must come to the same. Whoever has the turn also carries out what stands before its own call, so that no call
        waits for one that never starts.
        """
        async with self.turn:
            while not self.told[call.id] and self.waiting:
                first = self.waiting.popleft()
                self.told[first.id].append(await self._call(first.name, first.args))
            return self.told[call.id].popleft() if self.told[call.id] else await self._call(call.name, call.args)

    async def _call(self, name: str, args: Mapping[str, Json]) -> str:
        key = canonical_json([name, args])
        self.seen[key] += 1
        if self.seen[key] > self.limits.identical_calls:
            return "error: this call was made before; use its answer"
        if self.seen.total() > self.limits.tool_calls:
            return "error: there are no calls left; answer now"
        try:
            result = await self.tools.call(name, args, self.ctx, self.task.scope)
        except ToolRetry as exc:
            self._note_missing(name, args)
            return f"error: {self._heard(exc)}"
        except ToolFailed as exc:
            said = self._heard(exc)
            self.reasons.append(reason("lookup_failed", said))
            return f"error: {said}"
        if isinstance(result, Action):
            self.actions.setdefault(result.key, result)
            return f"proposed {result.id} ({result.verdict.value}{f': {result.reason}' if result.reason else ''})"
        neutral = neutral_result(name, result)
        self.reasons += neutral.reasons
        self.evidence += neutral.evidence
        self.findings += build_findings(name, args, neutral.value)
        return fenced(canonical_json(neutral.value)[:MAX_RESULT_CHARS], "record", self.ctx)

    def _heard(self, exc: ToolRetry | ToolFailed) -> str:
        """Return what a tool said of its failure, as the model and the reviewer may read it."""
        neutral = neutral_error(exc)
        self.reasons += neutral.reasons
        self.evidence += neutral.evidence
        return neutral.text

    def _note_missing(self, tool: str, args: Mapping[str, Json]) -> None:
        """Keep what the customer named and its own getter did not find; a wrong call says nothing about a record."""
        for kind, value in named_records(self.task.view):
            is_getter = tool == f"get_{kind.value}" and list(args) == [f"{kind.value}_id"]
            if is_getter and fold(str(args[f"{kind.value}_id"])) == fold(value) and value not in self.not_found:
                self.not_found.append(value)
                self.reasons.append(reason("record_not_found", value))

    def answer(self, strategy: str, prompt: Evidence) -> Answer[Resolution]:
        """Return what was found."""
        found = tuple({(f.tool, f.subject): f for f in self.findings}.values())[:MAX_FINDINGS]
        return Answer(
            value=Resolution(found, tuple(self.not_found), tuple(self.actions.values())),
            confidence=self._confidence(found),
            strategy=strategy,
            usage=self.usage,
            evidence=(prompt, *(Evidence(kind="record", ref=f"{f.tool}:{f.subject}") for f in found), *self.evidence),
            reasons=tuple(dict.fromkeys(self.reasons)),
        )

    def _confidence(self, found: Sequence[Finding]) -> float:
        named = {fold(value) for _, value in named_records(self.task.view)[:MAX_LOOKUPS]}
        if not named:
            needs_record = topic_of(self.task.triage.category if self.task.triage else None) is not None
            return 0.0 if needs_record and not found else 1.0
        looked_up = {fold(finding.subject) for finding in found}
        return round(len(named & looked_up) / len(named), 3)


def build_findings(tool: str, args: Mapping[str, Json], result: Json) -> list[Finding]:
    """Return what a read tool's result says: one finding, or one for each of the first records of a list."""
    if not isinstance(result, dict):
        return []
    asked = next((str(result[name]) for name in args if name.endswith("_id") and result.get(name)), "")
    if asked:
        return [Finding(tool=tool, subject=asked, facts=result)]
    key = next((key for key, value in result.items() if isinstance(value, list)), None)
    if key is None:
        return [Finding(tool=tool, subject=_subject(result) or tool, facts=result)]
    listed: Any = result[key]
    records = [record for record in listed[:MAX_LISTED] if isinstance(record, dict)]
    own_id = f"{key.removesuffix('s')}_id"  # the id of a return, not of the order that it belongs to
    return [
        Finding(tool=tool, subject=str(record.get(own_id) or _subject(record) or tool), facts=record)
        for record in records
    ]


def _subject(record: Mapping[str, Json]) -> str:
    return next((str(value) for name, value in record.items() if name.endswith("_id") and value), "")
