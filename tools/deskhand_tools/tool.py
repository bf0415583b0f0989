"""What a tool is, and within whose rights it works."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from deskhand.actions import Action, Effect
from deskhand.errors import ToolFailed, ToolRetry
from deskhand.jsonio import canonical_json
from deskhand.schema import Json
from deskhand.tickets import Requester
from deskhand_tools.provenance import Records

if TYPE_CHECKING:
    from langchain_core.tools import StructuredTool


@dataclass(frozen=True)
class Scope:
    """For whom a tool works: one ticket of one requester. Make one per run, the records are the run's.

    ``action_key`` is empty inside a graph. When an approved action is carried out it is the action's key; a tool
    that pays or writes hands it to the other system, so that a repetition has no second effect.
    """

    ticket_id: str
    requester: Requester
    today: date
    action_key: str = ""
    records: Records = field(default_factory=Records, compare=False, repr=False)


@dataclass(frozen=True)
class Tool:
    """Something an agent may ask for.

    Args:
        name: Lower-case letters, digits, ``_`` and ``-``; at most 64.
        description: For the model: what it does and when to use it.
        effect: ``read`` runs inside a graph; ``write`` and ``money`` only ever become an Action there.
        args: The arguments. Derive it from ``deskhand.schema.Model``, so that unknown arguments are refused.
        run: ``async (args, scope) -> JSON``. Raises ToolRetry when other arguments may help and ToolFailed when
            it did nothing and never will; any other error of a write counts as "nobody knows what happened".
        kind: Who carries an Action out: ``tool`` this function, ``helpdesk`` the helpdesk.
        untrusted: Fields of the result that a customer may have written; they never vouch for an argument.
        is_keyed: Repeating ``run`` with the same ``scope.action_key`` has no second effect. Without it, an
            action that was cut off is not repeated but handed to a person.
    """

    name: str
    description: str
    effect: Effect
    args: type[BaseModel]
    run: Callable[[Any, Scope], Awaitable[Json]]
    kind: Literal["helpdesk", "tool"] = "tool"
    untrusted: tuple[str, ...] = ()
    is_keyed: bool = False

    def parameters(self) -> dict[str, Any]:
        """Return the JSON schema of the arguments, as models ask for it."""
        return self.args.model_json_schema()


def as_langchain(tool: Tool, call: Callable[[dict[str, Json]], Awaitable[Json | Action]]) -> StructuredTool:
    """Return ``tool`` for LangChain; ``call`` is what runs, such as a Toolbox's ``call`` with its other arguments.

    The message for the model is the result as JSON, ``proposed <id> ...``, or ``error: ...``; it is never an
    exception for ToolRetry and ToolFailed. The message's artifact is the Action, or None.
    """
    from langchain_core.tools import StructuredTool

    async def invoke(**args: Json) -> tuple[str, Action | None]:
        try:
            result = await call(args)
        except (ToolRetry, ToolFailed) as exc:
            return f"error: {exc}", None
        if isinstance(result, Action):
            return _told(result), result
        return canonical_json(result), None

    return StructuredTool(
        name=tool.name,
        description=tool.description,
        # the schema as JSON, not as a model: the toolbox validates, and must see the arguments as they came
        args_schema=tool.parameters(),
        coroutine=invoke,
        response_format="content_and_artifact",
    )


def _told(action: Action) -> str:
    reason = f": {action.reason}" if action.reason else ""
    return f"proposed {action.id} ({action.verdict.value}{reason})"
