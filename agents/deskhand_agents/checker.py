"""The last look at a draft before a person sees it: sources, promises, language, privacy, tone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from deskhand.answers import Citation, Commitment, CommitmentStatus, Draft, Finding, Passage, Reason
from deskhand.config import Brand
from deskhand.fencing import fold
from deskhand.jsonio import canonical_json
from deskhand.vault import PLACEHOLDER, find_personal_data
from deskhand.view import TicketView
from deskhand_agents.commitments import bare, find_commitments
from deskhand_agents.language import detect_language
from deskhand_agents.links import find_links
from deskhand_agents.reasons import reason
from deskhand_agents.replies import OWN
from deskhand_agents.sentences import count_words, split_sentences

MAX_WORDS = 350

TONE = re.compile(
    r"(?:\b(?:as an ai|as a language model|as i (?:already )?said|calm down|your fault|obviously"
    r"|you should have (?:read|known)|stupid|ridiculous|you failed to"
    r"|like i said|not my problem|whatever|you people|to be honest|asap|dear (?:valued )?customer"
    r"|per my last)\b|!{2,}|\?{2,})"
)
"""What replies avoid, over folded text."""

_COURTESY = re.compile(
    r"^(?:thank(?:s| you)\b|(?:i am|i'm|we are|we're) (?:very |so |really )?sorry\b|sorry\b|(?:my"
    r"|our) apologies|apologies|i apologi[sz]e|we apologi[sz]e|please (?:let us|let me|reply|send"
    r"|tell|write|share)"
    r"|let (?:us|me) know|(?:i|we) (?:hope|understand|see that|know|appreciate)|kind regards"
    r"|best regards|best wishes|hello\b|hi\b|dear\b|good (?:morning|afternoon|day)"
    r"|if (?:you have (?:any )?(?:more |other |further )?questions|anything (?:else )?is unclear"
    r"|there is anything)|just reply|all the best|guten tag|bonjour|hola)"
)
_LIST_SIGN = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+")
_RECORD = "record:"


@dataclass(frozen=True)
class CheckTask:
    """A draft and all that it may rest on. ``language`` is the customer's; ``today`` decides what has expired."""

    draft: Draft | None
    view: TicketView
    today: date
    passages: tuple[Passage, ...] = ()
    findings: tuple[Finding, ...] = ()
    language: str | None = None
    brand: Brand | None = None


@dataclass(frozen=True)
class Check:
    """The draft with its commitments, and what is wrong with it. No reasons: nothing was found."""

    draft: Draft | None
    reasons: tuple[Reason, ...] = ()


def check_draft(task: CheckTask) -> Check:
    """Return the draft with its commitments bound to their sources, and every objection to it."""
    draft = task.draft
    if draft is None:
        return Check(None, (reason("no_draft"),))
    sentences = draft_sentences(draft, task.brand)
    cited, broken = _check_citations(draft, task)
    commitments = _commitments(sentences, cited, task)
    reasons = [
        *broken,
        *_uncited(sentences, cited),
        *_promises(commitments),
        *_language(draft, task),
        *_privacy(draft, task),
        *_links(draft, task),
        *_manner(draft),
    ]
    return Check(draft.model_copy(update={"commitments": tuple(commitments)}), tuple(reasons))


def draft_sentences(draft: Draft, brand: Brand | None = None) -> list[str]:
    """Return the sentences of a draft without greeting and signature."""
    text = draft.text
    signature = brand.signature or brand.name if brand else ""
    if signature and text.rstrip().endswith(signature):
        text = text.rstrip()[: -len(signature)]
    lines = text.strip().split("\n")
    if lines and lines[0].rstrip().endswith((",", ":")) and len(lines[0]) <= 80:
        lines = lines[1:]
    body = "\n\n".join(_LIST_SIGN.sub("", line) for line in lines)
    return split_sentences(body)


def _check_citations(draft: Draft, task: CheckTask) -> tuple[list[Citation], list[Reason]]:
    """Return the citations that hold, and a reason for each that does not."""
    passages = {passage.id: bare(passage.text) for passage in task.passages}
    records = {f"{_RECORD}{finding.tool}:{finding.subject}" for finding in task.findings}
    text = bare(draft.text)
    good: list[Citation] = []
    reasons: list[Reason] = []
    for citation in draft.citations:
        problem = _problem(citation, passages, records, text)
        if problem:
            reasons.append(reason("broken_citation", f"{citation.passage_id}: {problem}"))
        else:
            good.append(citation)
    return good, reasons


def _problem(citation: Citation, passages: dict[str, str], records: set[str], text: str) -> str:
    if not citation.sentence.strip() or bare(citation.sentence) not in text:
        return "its sentence is not in the draft"
    if citation.passage_id.startswith(_RECORD):
        return "" if citation.passage_id in records else "no such record was read"
    if citation.passage_id not in passages:
        return "no such passage was found"
    if not citation.quote.strip() or bare(citation.quote) not in passages[citation.passage_id]:
        return "the quote is not in the passage"
    return ""


def _citation_of(sentence: str, cited: Sequence[Citation]) -> Citation | None:
    own = bare(sentence)
    return next((c for c in cited if own in bare(c.sentence) or bare(c.sentence) in own), None)


def _is_courtesy(sentence: str) -> bool:
    is_own = any(pattern.fullmatch(sentence.strip()) for pattern in OWN)
    return is_own or sentence.rstrip().endswith("?") or bool(_COURTESY.match(fold(sentence)))


def _uncited(sentences: Sequence[str], cited: Sequence[Citation]) -> list[Reason]:
    found = []
    for sentence in sentences:
        is_factual = count_words(sentence) >= 3 and not (_is_courtesy(sentence) and not _has_figures(sentence))
        if is_factual and not _is_own(sentence) and _citation_of(sentence, cited) is None:
            found.append(reason("uncited_fact", sentence[:120]))
    return found


def _is_own(sentence: str) -> bool:
    return any(pattern.fullmatch(sentence.strip()) for pattern in OWN)


def _has_figures(sentence: str) -> bool:
    return any(char.isdigit() for char in PLACEHOLDER.sub("", sentence))


def _commitments(sentences: Sequence[str], cited: Sequence[Citation], task: CheckTask) -> list[Commitment]:
    passages = {passage.id: passage for passage in task.passages}
    found: list[Commitment] = []
    for sentence in sentences:
        if _is_own(sentence) or sentence.rstrip().endswith("?"):
            continue
        citation = _citation_of(sentence, cited)
        found += find_commitments(sentence, citation, passages=passages, findings=task.findings, today=task.today)
    return list(dict.fromkeys(found))


def _promises(commitments: Sequence[Commitment]) -> list[Reason]:
    codes = {CommitmentStatus.unbacked: "unbacked_commitment", CommitmentStatus.expired: "expired_commitment"}
    return [reason(codes[c.status], c.text[:120]) for c in commitments if c.status in codes]


def _language(draft: Draft, task: CheckTask) -> list[Reason]:
    if task.language is None:
        return []
    body = " ".join(draft_sentences(draft, task.brand))
    found = detect_language(body).language
    if draft.language == task.language and found in (None, task.language):
        return []
    return [reason("wrong_language", f"draft {found or draft.language}, customer {task.language}")]


def _privacy(draft: Draft, task: CheckTask) -> list[Reason]:
    """Personal data must come from this ticket's thread, masked; the brand's own addresses and articles' are public."""
    known = {match[0] for turn in task.view.turns for match in PLACEHOLDER.finditer(turn.text)}
    known |= {match[0] for match in PLACEHOLDER.finditer(f"{task.view.subject} {task.view.requester_name}")}
    for finding in task.findings:
        known |= {match[0] for match in PLACEHOLDER.finditer(canonical_json(finding.facts))}
    foreign = [match[0] for match in PLACEHOLDER.finditer(draft.text) if match[0] not in known]
    public = "\n".join([task.brand.signature if task.brand else "", *(passage.text for passage in task.passages)])
    unmasked = [value for value in find_personal_data(draft.text) if value not in public]
    details = [*dict.fromkeys(foreign), *(["data that is not masked"] if unmasked else [])]
    return [reason("foreign_personal_data", detail) for detail in details]


def _links(draft: Draft, task: CheckTask) -> list[Reason]:
    """A link must stand so in an article or in our signature: no one else may choose where customers are sent."""
    public = "\n".join([task.brand.signature if task.brand else "", *(passage.text for passage in task.passages)])
    foreign = [link for link in find_links(draft.text) if link.rstrip(".,;:!?)\"'\u201d") not in public]
    return [reason("foreign_link", ", ".join(dict.fromkeys(foreign))[:120])] if foreign else []


def _manner(draft: Draft) -> list[Reason]:
    found = []
    match = TONE.search(fold(draft.text))
    if match:
        found.append(reason("tone", match[0]))
    n_words = count_words(draft.text)
    if n_words > MAX_WORDS:
        found.append(reason("too_long", f"{n_words} words, the limit is {MAX_WORDS}"))
    return found
