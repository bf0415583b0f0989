"""Which of the records that were read belong into a reply."""

from __future__ import annotations

import re
from collections.abc import Sequence

from deskhand.answers import Finding
from deskhand.fencing import fold
from deskhand.tickets import Role
from deskhand.view import TicketView
from deskhand_agents.injection import neutral_view
from deskhand_agents.questions import is_question
from deskhand_agents.resolver import named_records
from deskhand_agents.sentences import body_sentences

MAX_STATED = 3

_ASKED = {
    "order_id": re.compile(r"\b(?:order\w*|parcel\w*|package|deliver\w*|ship\w*|track\w*|arriv\w*|courier|carrier)\b"),
    "return_id": re.compile(r"\b(?:refund\w*|return number|rma|sent (?:it|them|everything|the \w+) back|money back)\b"),
    "subscription_id": re.compile(r"\b(?:plan|plans|subscription\w*|box|boxes|membership|renew\w*)\b"),
}
_OWN = re.compile(
    r"\b(?:my|mine|our|ours|(?:the|this|that) (?:order|parcel|package)|where (?:is|are) (?:it|they)"
    r"|when will (?:it|they)|where's"
    r"|(?:i|we)(?:'ve| have)? (?:\w+ )?(?:ordered|bought|placed|paid|received|got|sent|returned))\b"
)
"""How a question is put that is about something which the customer has or waits for (folded)."""


def means_own(view: TicketView) -> bool:
    """Tell whether the ticket is about something of the customer's: it tells of something, or asks about "my order".

    "How much is shipping to Norway?" is about nothing that there is a number for.
    """
    calm = neutral_view(view)
    written = [turn.text for turn in calm.turns if turn.role is Role.customer]
    sentences = [sentence for text in written for sentence in body_sentences(text)]
    return not sentences or not all(map(is_question, sentences)) or bool(_OWN.search(fold(calm.customer_text)))


def records_to_state(view: TicketView, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the records that the ticket names; of those that were only listed, the newest of a kind it speaks of.

    At most three; one that nobody asked about is none of them, nor is any listed one when nothing of theirs is meant.
    """
    named = {value for _, value in named_records(view)}
    text = fold(neutral_view(view).customer_text)
    is_own = means_own(view)
    stated: list[Finding] = []
    for finding in findings:
        is_listed = not named & {finding.subject, str(finding.facts.get("order_id"))}
        is_wanted = is_own and _is_asked(finding, text) and _kind(finding) not in map(_kind, stated)
        if is_listed and not is_wanted:
            continue
        stated.append(finding)
    return tuple(stated[:MAX_STATED])


def _kind(finding: Finding) -> str:
    return next((key for key in ("return_id", "subscription_id", "order_id") if key in finding.facts), "")


def _is_asked(finding: Finding, text: str) -> bool:
    pattern = _ASKED.get(_kind(finding))
    return pattern is not None and pattern.search(text) is not None
