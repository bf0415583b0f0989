"""What an agent wants done to the world, what a person says to it, and what came of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime

from deskhand.answers import Draft, Reason
from deskhand.schema import Json, Model


class Effect(StrEnum):
    """What a tool does to the world; only ``read`` ever runs inside a graph."""

    read = "read"
    write = "write"
    money = "money"


class ActionVerdict(StrEnum):
    """What the policy says to a proposed action."""

    allowed = "allowed"
    needs_approval = "needs_approval"
    refused = "refused"


class Action(Model):
    """A proposed change. ``key`` makes it happen at most once; ``provenance`` names each argument's source."""

    id: str
    kind: Literal["helpdesk", "tool"]
    name: str
    args: dict[str, Json]
    provenance: dict[str, str] = {}
    key: str
    verdict: ActionVerdict
    reason: str = ""


class ReceiptStatus(StrEnum):
    """What came of an action. ``uncertain`` goes to a person and is never blindly repeated; ``skipped`` was
    certainly not done, the receipt's detail says why.
    """

    done = "done"
    already = "already"
    uncertain = "uncertain"
    skipped = "skipped"


class Receipt(Model):
    """Proof of an action: ``ref`` is the id that the other system gave it."""

    action_id: str
    status: ReceiptStatus
    ref: str = ""
    detail: str = ""


class ReviewRequest(Model):
    """What a parked run asks a person. ``ask_id`` names this question; an answer to another is refused."""

    run_id: str
    ask_id: str
    draft: Draft | None
    actions: tuple[Action, ...] = ()
    reasons: tuple[Reason, ...] = ()


class Verdict(StrEnum):
    """What a person may say to a review request."""

    approve = "approve"
    edit = "edit"
    reject = "reject"
    retry = "retry"


class Decision(Model):
    """A person's answer. ``text`` replaces the draft (edit); ``action_ids`` are those approved, None for all
    that the policy lets a person approve; ``instruction`` is what to do differently (retry).
    """

    ask_id: str
    verdict: Verdict
    text: str | None = None
    action_ids: tuple[str, ...] | None = None
    instruction: str = ""
    by: str
    at: AwareDatetime
