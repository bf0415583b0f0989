"""Targets of the workspace: its triage, its retrieval, its graphs, and conversations with simulated customers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from deskhand.actions import Decision, Verdict
from deskhand.answers import Triage
from deskhand.attributes import load_attribute
from deskhand.config import WorkspaceFolder
from deskhand.context import RunContext
from deskhand.errors import ConfigError
from deskhand.jsonio import content_hash, first_problem, validate
from deskhand.records import RunResult
from deskhand.tickets import Message, Requester, Role, Ticket
from deskhand_evals.customers import ConversationOptions, Conversations, build_customer
from deskhand_evals.recordings import Answer, tool_calls
from deskhand_evals.scorers import Case, Output, Unscored
from deskhand_evals.suite import Part
from deskhand_evals.world import BuildTools, World, settle

if TYPE_CHECKING:
    from deskhand_evals.targets import Target
    from deskhand_graphs import Workspace

_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
"""The time of a message made from a case that is only a text."""

_OPTIONS = {
    "retrieval": {"top_k", "min_similarity", "on"},
    "applied": {"tools"},
    "conversation": set(ConversationOptions.model_fields),
}


def build_workspace_target(workspace: Workspace, part: Part) -> Target:
    """Return a target of the workspace. Raises ConfigError for a wrong option or graph."""
    from deskhand_evals.targets import Target

    kind, _, rest = part.target.partition(":")
    unknown = set(part.options) - _OPTIONS.get(kind, set())
    if unknown:
        raise ConfigError(f"part {part.name}: options.{min(unknown)}: target {part.target!r} has no such option")
    version, prompts = workspace_version(workspace, part), prompt_versions(workspace.folder)
    if kind == "triage":
        return Target(triage_target(workspace), version, prompts=prompts)
    if kind == "retrieval":
        return Target(_retrieval(workspace, part), version)
    graph = rest or "support"
    workspace.graph(graph)  # an unknown one is refused now, not in every case
    if kind == "conversation":
        return _conversation(workspace, part, graph, version, prompts)
    if kind == "applied":
        return Target(_applied(workspace, graph, _build_tools(workspace, part)), version, prompts=prompts)
    return Target(_graph(workspace, graph, approve=kind == "approved"), version, prompts=prompts)


def _build_tools(workspace: Workspace, part: Part) -> BuildTools | None:
    """Return what makes the tools of ``options.tools`` over a copy of the world. Raises ConfigError."""
    name = part.options.get("tools")
    if name is None:
        return None
    build: BuildTools = load_attribute(str(name), workspace.folder.root, key=f"part {part.name}: options.tools")
    if not callable(build):
        raise ConfigError(f"part {part.name}: options.tools: {name!r} is not a function of the workspace's folder")
    return build


def _conversation(workspace: Workspace, part: Part, graph: str, version: str, prompts: dict[str, str]) -> Target:
    from deskhand_evals.targets import Target

    try:
        options = ConversationOptions.model_validate(dict(part.options))
    except ValidationError as exc:
        raise ConfigError(f"part {part.name}: options: {first_problem(exc)}") from exc
    customer = build_customer(workspace, options)
    simulator = f"{customer.version}, {options.max_turns} turns"
    return Target(
        Conversations(workspace, graph, customer, options.max_turns, ticket_of, _build_tools(workspace, part)),
        version, prompts=prompts, simulator=simulator,
    )  # fmt: skip


def workspace_version(workspace: Workspace, part: Part) -> str:
    """Return the hash of what answers depend on: knowledge, labelled tickets, configuration, prompts, policy."""
    config = workspace.folder.config.model_dump(mode="json", by_alias=True)
    return content_hash([part.options, config, workspace.knowledge.fingerprint(), _files(workspace.folder)])


def _files(folder: WorkspaceFolder) -> dict[str, str]:
    root = folder.root
    paths = [root / name for name in ("taxonomy.toml", "policy.toml")]
    paths += [folder.labelled, *sorted((root / "prompts").glob("*.md"))]
    return {str(path.relative_to(root)): content_hash(path.read_bytes().hex()) for path in paths if path.is_file()}


def prompt_versions(folder: WorkspaceFolder) -> dict[str, str]:
    """Return the version of every prompt in use, by its name; none where no model is configured."""
    if not any(folder.config.models.tiers.model_dump().values()):
        return {}
    from deskhand_agents.prompt_files import list_prompts

    return {entry.prompt.name: entry.prompt.hash for entry in list_prompts(folder)}


def ticket_of(case: Case) -> Ticket:
    """Return the case's ``ticket``, or one with its ``text`` as the only message. Raises Unscored, InputError."""
    row = case.row
    if "ticket" in row:
        return validate(Ticket, row["ticket"], f"case {case.id}: ticket")
    if not isinstance(row.get("text"), str):
        raise Unscored("the case has neither a 'ticket' nor a 'text'")
    message = Message(id="m1", author="customer", role=Role.customer, text=str(row["text"]), at=_MOMENT)
    return Ticket(
        id=f"eval-{case.id}",
        source="file",
        subject="",
        messages=(message,),
        requester=Requester(id="eval"),
        created_at=_MOMENT,
        updated_at=_MOMENT,
    )


def triage_target(workspace: Workspace) -> Answer:
    """Return the nodes `screen` and `triage` of the graph `support`, without the rest."""
    from deskhand_graphs.support import Support

    nodes = Support(workspace)

    async def call(case: Case, repeat: int, ctx: RunContext) -> Output:
        state: Any = {"ticket": ticket_of(case)}
        state |= await nodes.screen(state, ctx.at("screen#0"))
        state |= await nodes.triage(state, ctx.at("triage#0"))
        triage: Triage | None = state["triage"]
        usage = next(iter(state["usage"].values()))
        return Output(triage.model_dump(mode="json") if triage else None, cost_usd=usage.cost_usd)

    return call


def _retrieval(workspace: Workspace, part: Part) -> Answer:
    """Return the search of the agents: the ids of articles, best first."""
    settings = workspace.folder.config.memory
    options: Mapping[str, Any] = part.options
    on = date.fromisoformat(str(options["on"])) if "on" in options else None

    async def call(case: Case, repeat: int, ctx: RunContext) -> Output:
        found = workspace.knowledge.search(
            str(case.row.get("text", "")),
            top_k=int(options.get("top_k", settings.top_k)),
            min_similarity=float(options.get("min_similarity", settings.min_similarity)),
            on=on or ctx.now().date(),
            audience=settings.audience,
        )
        return Output(list(dict.fromkeys(passage.source_id for passage in found)))

    return call


def _graph(workspace: Workspace, name: str, *, approve: bool) -> Answer:
    """Return a graph on a ticket, up to where a person would be asked, or with that person's approval."""
    from deskhand_graphs import Drive, begin, memory_saver

    async def call(case: Case, repeat: int, ctx: RunContext) -> Output:
        ticket = ticket_of(case)
        begin(ctx, name, ticket)
        drive = Drive(workspace, memory_saver(), name)
        end = await drive(ctx, ticket, None)
        if approve and end.review is not None:
            yes = Decision(ask_id=end.review.ask_id, verdict=Verdict.approve, by="eval", at=ctx.now())
            end = await drive(ctx, ticket, yes)
        return Output(_plain(end.result, ctx), cost_usd=end.result.usage.cost_usd)

    return call


def _applied(workspace: Workspace, name: str, build_tools: BuildTools | None) -> Answer:
    """Return a graph on a ticket, approved and carried out in a copy of the world; with the state that is left."""
    from deskhand_graphs import Drive, begin, memory_saver

    async def call(case: Case, repeat: int, ctx: RunContext) -> Output:
        ticket = ticket_of(case)
        begin(ctx, name, ticket)
        with World.copy(workspace, build_tools) as world:
            end = await Drive(world.workspace, memory_saver(), name)(ctx, ticket, None)
            receipts = await settle(world, end, ticket, ctx)
            state = {"ticket": world.ticket(ticket), "database": world.database()}
        done = [receipt.model_dump(mode="json") for receipt in receipts]
        value = _plain(end.result, ctx) | state | {"receipts": done}
        return Output(value, cost_usd=end.result.usage.cost_usd)

    return call


def _plain(result: RunResult, ctx: RunContext) -> dict[str, Any]:
    """Return a result with its tool calls, without what differs between equal runs: wall times."""
    value = result.model_dump(mode="json", exclude={"trace", "evidence"})
    value["usage"].pop("latency_ms")
    return value | {"calls": tool_calls(ctx)}
