"""Simulated customers: conversations of several turns, played by a script or by a model, and scored on how they end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from pydantic import Field, model_validator

from deskhand.config import Attribute
from deskhand.context import RunContext
from deskhand.errors import ConfigError
from deskhand.jsonio import content_hash, read_text, validate
from deskhand.schema import Json, Model
from deskhand.telemetry import Tracer
from deskhand.tickets import Message, Role, Ticket
from deskhand.vault import PatternVault
from deskhand_evals.datasets import Fact
from deskhand_evals.metrics import states
from deskhand_evals.recordings import CUSTOMER, tool_calls
from deskhand_evals.scorers import Case, Output, Unscored
from deskhand_evals.world import BuildTools, World, settle

if TYPE_CHECKING:
    from deskhand_agents.prompts import Prompt
    from deskhand_graphs import Workspace
    from deskhand_graphs.drive import End

SCRIPT_VERSION = 1
"""Of the rules by which a scripted customer answers; scores of another version are not compared."""

KINDS = ("scripted", "llm")
_BUILT_IN = Path(__file__).with_name("prompts") / "customer.md"
_DEADLINE_S = 60.0
_PAUSE = timedelta(minutes=10)

Line = Annotated[str, Field(min_length=1, max_length=10_000)]


class Known(Model):
    """Something the customer knows, and says when a reply has one of the wordings in ``asked``."""

    fact: Line
    asked: Annotated[tuple[Line, ...], Field(min_length=1)]
    say: Line

    def is_asked(self, reply: str) -> bool:
        """Tell whether a reply asks for it."""
        return states(reply, Fact(fact=self.fact[:200], any=self.asked))


class Play(Model):
    """The ``customer`` of a case: a goal, what they know, and when they are satisfied.

    ``satisfied`` are facts that all must have been told. ``otherwise`` are lines, one a turn, for replies that ask for
    nothing known; a scripted customer gives up after the last of them.
    """

    goal: Line
    facts: tuple[Known, ...] = ()
    satisfied: tuple[Fact, ...] = ()
    otherwise: tuple[Line, ...] = ()


class ConversationOptions(Model):
    """The ``options`` of a part with the target ``conversation``; ``max_turns`` counts replies of the agent.

    ``tools`` names a function that makes tools over the copy of the order database, for actions of your own tools.
    """

    tools: Attribute | None = None
    customer: str = "scripted"
    max_turns: Annotated[int, Field(ge=1, le=20)] = 4

    @model_validator(mode="after")
    def _known(self) -> ConversationOptions:
        if self.customer not in KINDS:
            raise ValueError(f"customer {self.customer!r}: name one of {', '.join(KINDS)}")
        return self


class Move(Model):
    """What a customer does next; an LLM customer answers in this form."""

    say: str = ""
    is_satisfied: bool = False
    gives_up: bool = False


@dataclass
class Talk:
    """A conversation so far."""

    play: Play
    ticket: Ticket
    replies: list[str] = field(default_factory=list)
    revealed: list[str] = field(default_factory=list)
    n_otherwise: int = 0

    def is_told(self) -> bool:
        """Tell whether everything that satisfies the customer was said."""
        said = "\n".join(self.replies)
        return bool(self.play.satisfied) and all(states(said, fact) for fact in self.play.satisfied)

    def add(self, role: Role, text: str) -> None:
        """Append a message to the ticket, ten minutes after the last one."""
        at = self.ticket.messages[-1].at + _PAUSE
        author = self.ticket.requester.name or "customer" if role is Role.customer else "Support"
        number = len(self.ticket.messages) + 1
        message = Message(id=f"{self.ticket.id}-sim{number}", author=author, role=role, text=text, at=at)
        messages = (*self.ticket.messages, message)
        self.ticket = self.ticket.model_copy(update={"messages": messages, "updated_at": at})


class Customer(Protocol):
    """Plays the other side. ``version`` changes with everything that changes how it plays."""

    @property
    def version(self) -> str:
        """Return the version."""
        ...

    async def answer(self, talk: Talk, ctx: RunContext) -> Move:
        """Return the next move after the agent's last reply."""
        ...


class ScriptedCustomer:
    """Says a fact when it is asked for, else the next line of ``otherwise``, else gives up."""

    version = f"scripted-{SCRIPT_VERSION}"

    async def answer(self, talk: Talk, ctx: RunContext) -> Move:
        """Return the next move."""
        if talk.is_told():
            return Move(is_satisfied=True)
        asked = [known for known in talk.play.facts if known.is_asked(talk.replies[-1])]
        new = [known for known in asked if known.fact not in talk.revealed]
        if new:
            talk.revealed += [known.fact for known in new]
            return Move(say="\n".join(known.say for known in new))
        if talk.n_otherwise == len(talk.play.otherwise):
            return Move(gives_up=True)
        talk.n_otherwise += 1
        return Move(say=talk.play.otherwise[talk.n_otherwise - 1])


class LlmCustomer:
    """A model that plays the goal and the facts by the prompt ``customer``, the workspace's own or the built-in one."""

    def __init__(self, workspace: Workspace) -> None:
        self._models = workspace.models
        self._prompt = _load_prompt(workspace.folder.root)
        if not self._models.models_of(self._prompt.tier):
            raise ConfigError(
                f"options.customer: 'llm' needs models; add some to models.tiers.{self._prompt.tier}, or use 'scripted'"
            )

    @property
    def version(self) -> str:
        """The hash of the prompt and the names of the models."""
        models = [named.settings.model for named in self._models.models_of(self._prompt.tier)]
        return f"llm-{content_hash([self._prompt.hash, models])[:16]}"

    async def answer(self, talk: Talk, ctx: RunContext) -> Move:
        """Ask the model for the next move. Raises Unavailable, BudgetExceeded."""
        facts = [known.fact for known in talk.play.facts]
        lines = [f"{'You' if m.role is Role.customer else 'Support'}: {m.text}" for m in talk.ticket.messages]
        messages = self._prompt.render(goal=talk.play.goal, facts=facts, transcript=lines)
        completion = await self._models.complete(
            self._prompt.tier, messages, output_schema=Move, deadline_s=_DEADLINE_S, ctx=ctx
        )
        move = Move.model_validate(completion.parsed)
        said = ctx.vault.unmask(move.say)
        return move.model_copy(update={"say": said, "is_satisfied": move.is_satisfied or talk.is_told()})


def _load_prompt(root: Path) -> Prompt:
    from deskhand_agents.prompts import parse_prompt

    own = root / "prompts" / "customer.md"
    path = own if own.is_file() else _BUILT_IN
    return parse_prompt(read_text(path), str(path), "workspace" if path is own else "built-in")


def build_customer(workspace: Workspace, options: ConversationOptions) -> Customer:
    """Return who plays the customer. Raises ConfigError when there is no model for it."""
    return LlmCustomer(workspace) if options.customer == "llm" else ScriptedCustomer()


@dataclass(frozen=True)
class Conversations:
    """The target ``conversation``: a customer and a graph talk until one of them has had enough."""

    workspace: Workspace
    graph: str
    customer: Customer
    max_turns: int
    ticket_of: Callable[[Case], Ticket]
    build_tools: BuildTools | None = None

    async def __call__(self, case: Case, repeat: int, ctx: RunContext) -> Output:
        """Return how a conversation went: its end, its text, and what became of the ticket and the orders."""
        if "customer" not in case.row:
            raise Unscored("the case has no 'customer' with a goal; add one")
        play = validate(Play, case.row["customer"], f"case {case.id}: customer")
        talk = Talk(play, self.ticket_of(case))
        ends: list[End] = []
        with World.copy(self.workspace, self.build_tools) as world:
            how = await self._talk(world, talk, ends, ctx)
            state = {"ticket": world.ticket(talk.ticket), "database": world.database()}
        cost = sum(end.result.usage.cost_usd for end in ends)
        return Output(_told(how, talk, ends, ctx) | state, cost_usd=cost)

    async def _talk(self, world: World, talk: Talk, ends: list[End], ctx: RunContext) -> str:
        """Take turns and return how it ended: satisfied, gave_up, handed_over (no reply came) or max_turns."""
        for turn in range(self.max_turns):
            own = replace(ctx, run_id=f"{ctx.run_id}-t{turn}", vault=PatternVault(), tracer=Tracer())
            end = await self._reply(world, talk.ticket, own)
            ends.append(end)
            if end.result.draft is None or not end.result.draft.text.strip():
                return "handed_over"
            talk.replies.append(end.result.draft.text)
            talk.add(Role.agent, end.result.draft.text)
            move = await self.customer.answer(talk, replace(own, path=f"{CUSTOMER}{turn}"))
            if move.is_satisfied or move.gives_up or not move.say.strip():
                return "satisfied" if move.is_satisfied else "gave_up"
            talk.add(Role.customer, move.say)
        return "max_turns"

    async def _reply(self, world: World, ticket: Ticket, ctx: RunContext) -> End:
        from deskhand_graphs import Drive, begin, memory_saver

        begin(ctx, self.graph, ticket)
        end = await Drive(world.workspace, memory_saver(), self.graph)(ctx, ticket, None)
        await settle(world, end, ticket, ctx)
        return end


def _told(how: str, talk: Talk, ends: Sequence[End], ctx: RunContext) -> dict[str, Any]:
    last = ends[-1].result
    actions: list[Json] = [action.model_dump(mode="json") for end in ends for action in end.result.actions]
    return {
        "end": how,
        "n_turns": len(ends),
        "said": "\n\n".join(talk.replies),
        "revealed": list(talk.revealed),
        "transcript": [{"role": str(m.role), "text": m.text} for m in talk.ticket.messages],
        "draft": last.draft.model_dump(mode="json") if last.draft else None,
        "passages": [passage.model_dump(mode="json") for passage in last.passages],
        "actions": actions,
        "calls": tool_calls(ctx),
    }
