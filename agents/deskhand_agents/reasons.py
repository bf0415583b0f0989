"""Every code that says why a person must look at a ticket, or why a step was passed over."""

from __future__ import annotations

from deskhand.answers import Reason

REASONS: dict[str, str] = {
    # screen
    "empty": "The ticket holds no text and no attachment.",
    "attachment_only": "There is an attachment but no text; agents do not read attachments by themselves.",
    "auto_reply": "An automatic reply, such as an out-of-office notice.",
    "bounce": "A delivery failure from a mail server.",
    "spam": "Advertising or bulk mail.",
    "closed": "The ticket is closed and nothing new was asked.",
    "already_answered": "The newest public message is ours.",
    "loop": "The same message arrives again and again in answer to ours.",
    "injection": "Part of the text or of a record gives orders to the agent; that part was left out of all work.",
    "safety": "A danger to people: smoke, fire, a shock, an injury, or water near electricity.",
    "threat": "Lawyers, the press or violence is mentioned.",
    "fraud_sign": "Signs of fraud or of an account in other hands.",
    "personal_data": "The ticket holds card or bank numbers; they are masked.",
    # language and triage
    "unsupported_language": "No encoder or model here knows the ticket's language.",
    "uncertified_triage": "There are too few labelled tickets to guarantee the category; it is a suggestion.",
    "low_confidence": "The answer is less sure than its threshold asks.",
    "novel_ticket": "No labelled ticket is like this one, so the category may be new.",
    "no_category": "Nothing says what the ticket is about.",
    # cascade
    "strategy_unavailable": "A model or service did not answer; the next strategy was tried.",
    "over_budget": "A token, cost or time limit would be passed; the next strategy was tried.",
    "strategy_failed": "A strategy failed unexpectedly; the log has the details and the next one was tried.",
    "rejected_answer": "What a model answered did not hold and was thrown away; the next strategy was tried.",
    "no_answer": "No strategy gave an answer.",
    "uncertified": "The only answer comes from a strategy that is never accepted without a person.",
    # resolve
    "record_not_found": "The ticket names a record that its requester does not have.",
    "lookup_failed": "A system of record could not be read.",
    # draft
    "no_knowledge": "No article answers the ticket; the draft states no facts of its own.",
    "partly_answered": "At least one question has no answer in the knowledge.",
    "missing_fact": "The draft asks the customer for something that is needed first.",
    # check
    "no_draft": "There is no draft to check.",
    "broken_citation": "A citation names an unknown passage, or its quote is not there.",
    "uncited_fact": "A factual sentence has no citation.",
    "wrong_language": "The draft is not in the customer's language.",
    "foreign_personal_data": "The draft holds personal data that did not come from this ticket.",
    "foreign_link": "The draft, or a record, holds a link that is in no article and not in our signature.",
    "unbacked_commitment": "The draft promises something that no passage or record backs.",
    "expired_commitment": "The draft promises something whose source is no longer valid.",
    "tone": "A word or sign in the draft is on the list of what replies avoid.",
    "too_long": "The draft is longer than replies should be.",
    # decide
    "review_by_default": "Nothing is wrong; nothing is sent without a person unless policy.toml allows it.",
}
"""Code -> what it means, in one line. docs/reasons.md is made from it."""


def reason(code: str, detail: str = "") -> Reason:
    """Return a Reason with a known code. ``detail`` is for people and must be masked."""
    assert code in REASONS, f"unknown reason {code!r}; add it to the table"
    return Reason(code=code, detail=detail)
