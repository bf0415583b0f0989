"""Targets of the workspace: its triage, its retrieval, and its graphs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from deskhand.actions import Decision, Verdict
from deskhand.answers import Triage
from deskhand.config import WorkspaceFolder
from deskhand.context import RunContext
from deskhand.errors import ConfigError
from deskhand.jsonio import content_hash, validate
from deskhand.records import RunResult
from deskhand.tickets import Message, Requester, Role, Ticket
from deskhand_evals.scorers import Case, Output, Unscored
from deskhand_evals.suite import Part
from deskhand_evals.targets import Call, Target

if TYPE_CHECKING:
    from deskhand_graphs import Workspace

_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
"""The time of a message made from a case that is only a text."""

_OPTIONS = {"triage": set(), "retrieval": {"top_k", "min_similarity", "on"}}


def build_workspace_target(workspace: Workspace, part: Part) -> Target:
    """Return a target of the workspace. Raises ConfigError for a wrong option or graph."""
    unknown = set(part.options) - _OPTIONS.get(part.target, set())
    if unknown:
        raise ConfigError(f"part {part.name}: options.{min(unknown)}: target {part.target!r} has no such option")
    version = workspace_version(workspace, part)
    if part.target == "triage":
        return Target(triage_target(workspace), version)
    if part.target == "retrieval":
        return Target(_retrieval(workspace, part), version)
    name = part.target.partition(":")[2] or "support"
    workspace.graph(name)  # an unknown one is refused now, not in every case
    return Target(_graph(workspace, name, approve=part.target == "approved"), version)


def workspace_version(workspace: Workspace, part: Part) -> str:
    """Return the hash of what answers depend on: knowledge, labelled tickets, configuration, prompts, policy."""
    return content_hash([part.options, workspace.knowledge.fingerprint(), _files(workspace.folder)])


def _files(folder: WorkspaceFolder) -> dict[str, str]:
    root = folder.root
    paths = [root / name for name in ("deskhand.toml", "taxonomy.toml", "policy.toml")]
    paths += [folder.labelled, *sorted((root / "prompts").glob("*.md"))]
    return {str(path.relative_to(root)): content_hash(path.read_bytes().hex()) for path in paths if path.is_file()}


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


def triage_target(workspace: Workspace) -> Call:
    """Return the nodes `screen` and `triage` of the graph `support`, without the rest."""
    from deskhand_graphs.support import Support

    nodes = Support(workspace)

    async def call(case: Case, repeat: int) -> Output:
        ctx = RunContext(f"eval-{case.id}-{repeat}")
        state: Any = {"ticket": ticket_of(case)}
        state |= await nodes.screen(state, ctx.at("screen#0"))
        state |= await nodes.triage(state, ctx.at("triage#0"))
        triage: Triage | None = state["triage"]
        usage = next(iter(state["usage"].values()))
        return Output(triage.model_dump(mode="json") if triage else None, cost_usd=usage.cost_usd)

    return call


def _retrieval(workspace: Workspace, part: Part) -> Call:
    """Return the search of the agents: the ids of articles, best first."""
    settings = workspace.folder.config.memory
    options: Mapping[str, Any] = part.options
    on = date.fromisoformat(str(options["on"])) if "on" in options else datetime.now(UTC).date()

    async def call(case: Case, repeat: int) -> Output:
        found = workspace.knowledge.search(
            str(case.row.get("text", "")),
            top_k=int(options.get("top_k", 10)),
            min_similarity=float(options.get("min_similarity", -1.0)),
            on=on,
            audience=settings.audience,
        )
        return Output(list(dict.fromkeys(passage.source_id for passage in found)))

    return call


def _graph(workspace: Workspace, name: str, *, approve: bool) -> Call:
    """Return a graph on a ticket, up to where a person would be asked, or with that person's approval."""
    from deskhand_graphs import Drive, begin, memory_saver

    async def call(case: Case, repeat: int) -> Output:
        ticket = ticket_of(case)
        ctx = RunContext(f"eval-{case.id}-{repeat}")
        begin(ctx, name, ticket)
        drive = Drive(workspace, memory_saver(), name)
        end = await drive(ctx, ticket, None)
        if approve and end.review is not None:
            yes = Decision(ask_id=end.review.ask_id, verdict=Verdict.approve, by="eval", at=_MOMENT)
            end = await drive(ctx, ticket, yes)
        return Output(_plain(end.result), cost_usd=end.result.usage.cost_usd)

    return call


def _plain(result: RunResult) -> Any:
    """Return a result without what differs between equal runs: wall times."""
    value = result.model_dump(mode="json", exclude={"trace", "evidence"})
    value["usage"].pop("latency_ms")
    return value
