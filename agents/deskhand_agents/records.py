"""Which of the records that were read belong into a reply."""

from __future__ import annotations

import re
from collections.abc import Sequence

from deskhand.answers import Finding
from deskhand.fencing import fold
from deskhand.view import TicketView
from deskhand_agents.injection import neutral_view
from deskhand_agents.resolver import named_records

MAX_STATED = 3

_ASKED = {
    "order_id": re.compile(r"\b(?:order\w*|parcel\w*|package|deliver\w*|ship\w*|track\w*|arriv\w*|courier|carrier)\b"),
    "return_id": re.compile(r"\b(?:refund\w*|return number|rma|sent (?:it|them|everything|the \w+) back|money back)\b"),
    "subscription_id": re.compile(r"\b(?:plan|plans|subscription\w*|box|boxes|membership|renew\w*)\b"),
}


def records_to_state(view: TicketView, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the records that the ticket names; of those that were only listed, the newest of a kind it speaks of.

    At most three; one that nobody asked about is none of them.
    """
    named = {value for _, value in named_records(view)}
    text = fold(neutral_view(view).customer_text)
    stated: list[Finding] = []
    for finding in findings:
        is_listed = not named & {finding.subject, str(finding.facts.get("order_id"))}
        if is_listed and (_kind(finding) in {_kind(other) for other in stated} or not _is_asked(finding, text)):
            continue
        stated.append(finding)
    return tuple(stated[:MAX_STATED])


def _kind(finding: Finding) -> str:
    return next((key for key in ("return_id", "subscription_id", "order_id") if key in finding.facts), "")


def _is_asked(finding: Finding, text: str) -> bool:
    pattern = _ASKED.get(_kind(finding))
    return pattern is not None and pattern.search(text) is not None
