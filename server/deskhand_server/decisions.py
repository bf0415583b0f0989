"""What a person may say to a run, from a form or as JSON: the same Decision as on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

from pydantic import Field, model_validator

from deskhand.actions import ActionVerdict, Decision, Verdict
from deskhand.errors import InputError
from deskhand.records import RunRecord
from deskhand.schema import Model
from deskhand.tickets import MAX_MESSAGE_CHARS, ShortText


class Wish(Model):
    """A decision as it is handed in. ``by`` is who decides; ``ask_id`` the question that was shown."""

    ask_id: ShortText
    verdict: Verdict
    text: Annotated[str | None, Field(max_length=MAX_MESSAGE_CHARS)] = None
    action_ids: tuple[ShortText, ...] | None = None
    instruction: ShortText = ""
    by: Annotated[str, Field(min_length=1, max_length=200)] = "api"

    @model_validator(mode="after")
    def _edit_has_text(self) -> Wish:
        if self.verdict is Verdict.edit and not (self.text or "").strip():
            raise ValueError("an edit needs the new text in 'text'; or approve the draft as it is")
        return self

    def at(self, moment: datetime) -> Decision:
        """Return the decision, given at ``moment``."""
        return Decision(**self.model_dump(), at=moment)


def read_form(form: Mapping[str, Sequence[str]], record: RunRecord, by: str) -> Wish:
    """Return the decision in a form of the review page. Raises InputError when it is not whole.

    An edit that changes nothing is an approval. Where the run proposes actions, those that are not checked are not
    approved; with none proposed, there is nothing to choose.
    """
    given = _one(form, "verdict")
    if given not in list(Verdict):
        raise InputError("the form names no verdict; use one of the buttons")
    verdict, text = Verdict(given), None
    if verdict is Verdict.edit:
        text = _one(form, "text").replace("\r\n", "\n").strip()
        if not text:
            raise InputError("the reply is empty; write one, or reject the draft to send nothing")
        if text == shown_draft(record):
            verdict, text = Verdict.approve, None
    is_yes = verdict in (Verdict.approve, Verdict.edit)
    instruction = " ".join(_one(form, "instruction").split()) if verdict is Verdict.retry else ""
    return Wish(
        ask_id=_one(form, "ask_id"),
        verdict=verdict,
        text=text,
        action_ids=tuple(form.get("action", ())) if is_yes and can_approve(record) else None,
        instruction=instruction,
        by=by,
    )


def shown_draft(record: RunRecord) -> str:
    """Return the draft that the person was asked about; empty when there is none."""
    return record.review.draft.text.strip() if record.review and record.review.draft else ""


def can_approve(record: RunRecord) -> bool:
    """Tell whether the run proposes an action that a person may approve."""
    actions = record.review.actions if record.review else ()
    return any(action.verdict is not ActionVerdict.refused for action in actions)


def _one(form: Mapping[str, Sequence[str]], name: str) -> str:
    values = form.get(name, ())
    return values[-1] if values else ""
