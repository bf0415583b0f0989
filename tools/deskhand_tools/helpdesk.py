"""What an agent may propose to do to its own ticket. Nothing here acts: the helpdesk does, after approval.

No tool takes a ticket id, so an agent can only ever reach the ticket it works on.
"""

from __future__ import annotations

from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, Field

from deskhand.actions import Effect
from deskhand.errors import ToolFailed
from deskhand.schema import Model
from deskhand.tickets import Priority
from deskhand_tools.tool import Scope, Tool

REPLY = "reply"
"""The helpdesk action that sends the answer. It is no tool: a model writes drafts, a person sends them."""


class AddTag(Model):
    """Arguments of ``add_tag``."""

    tag: Annotated[str, Field(pattern=r"^[\w][\w .:/-]{0,63}$", description="letters, digits, space . : / _ -")]


class SetPriority(Model):
    """Arguments of ``set_priority``."""

    priority: Priority


class CloseTicket(Model):
    """Arguments of ``close_ticket``: none, it is always the run's own ticket."""


class RefundOrder(Model):
    """Arguments of ``refund_order``."""

    order_id: Annotated[str, Field(min_length=1, max_length=200)]
    amount_cents: Annotated[int, Field(strict=True, gt=0, le=100_000_000, description="minor units, as in the order")]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217, as in the order")]


def _left_to_helpdesk(name: str, description: str, effect: Effect, args: type[BaseModel]) -> Tool:
    async def run(args: Any, scope: Scope) -> NoReturn:
        raise ToolFailed(f"{name} is carried out by the helpdesk, after approval; propose it instead", tool_name=name)

    return Tool(name, description, effect, args, run, kind="helpdesk")


_TOOLS = (
    _left_to_helpdesk("add_tag", "Propose to add a tag to this ticket.", Effect.write, AddTag),
    _left_to_helpdesk("set_priority", "Propose another priority for this ticket.", Effect.write, SetPriority),
    _left_to_helpdesk(
        "close_ticket", "Propose to close this ticket; nothing is left to do.", Effect.write, CloseTicket
    ),
    _left_to_helpdesk(
        "refund_order",
        "Propose to refund an order of this customer. Look the order up first: id, amount and currency must be"
        " those of its record.",
        Effect.money,
        RefundOrder,
    ),
)


def helpdesk_tools() -> tuple[Tool, ...]:
    """Return the tools that only ever become Actions.

    ``refund_order`` hands the refund to the helpdesk; the README shows a tool that pays by itself.
    """
    return _TOOLS
