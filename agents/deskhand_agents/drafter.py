"""Replies made of quotes from knowledge and facts from records: the strategy ``quote``. It never says more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from deskhand.answers import Answer, Citation, Draft, Evidence, Finding, Passage, Reason, Triage
from deskhand.config import Brand
from deskhand.context import RunContext
from deskhand.interfaces import Encoder
from deskhand.tickets import Role
from deskhand.view import TicketView
from deskhand_agents import replies
from deskhand_agents.blocks import Block
from deskhand_agents.commitments import bare
from deskhand_agents.conditions import Customer, know_customer
from deskhand_agents.entities import EntityKind
from deskhand_agents.injection import neutral_view
from deskhand_agents.precedents import Precedents
from deskhand_agents.questions import find_questions
from deskhand_agents.quotes import Match, match_questions
from deskhand_agents.reasons import reason
from deskhand_agents.records import means_own, records_to_state
from deskhand_agents.reply_lines import Line, depends_on_country, lines_of
from deskhand_agents.resolver import named_records, topic_of
from deskhand_agents.sentences import count_words
from deskhand_agents.triage import NOT_MAIL, classified_text, knows_language

MAX_QUOTED_WORDS = 190
"""What a reply quotes at most; the first block always fits."""

MAX_BODY_WORDS = 290
"""What records and quotes take together at most, so that the whole is not too long for the checker."""

MAX_PER_QUESTION = 12
MAX_QUESTION_CHARS = 100

N_ASKED_ABOUT = 2
"""How many of a question's best blocks may make us ask for the country."""


@dataclass(frozen=True)
class DraftTask:
    """What a reply is written from. Passages must be fit for the customer's eyes; search with audience "public"."""

    view: TicketView
    passages: tuple[Passage, ...] = ()
    findings: tuple[Finding, ...] = ()
    triage: Triage | None = None
    not_found: tuple[str, ...] = ()
    language: str | None = None

    @property
    def is_mail(self) -> bool:
        """Whether a customer may want an answer: nothing is drafted for advertising and automatic mail.

        The flag is a reason of its own; a person who finds a customer behind it answers by hand.
        """
        return self.triage is None or set(NOT_MAIL).isdisjoint(self.triage.flags)


@dataclass
class _Reply:
    """A reply in the making."""

    paragraphs: list[str] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    quoted: set[tuple[str, str]] = field(default_factory=set)
    reasons: list[Reason] = field(default_factory=list)

    def cite(self, text: str, passage_id: str, quote: str) -> None:
        """Note what a sentence rests on."""
        self.citations.append(Citation(sentence=text, passage_id=passage_id, quote=quote))


class QuoteDraft:
    """Answers each question with what the passages say, word for word, and states what our records say.

    What holds for other customers only (another country, product or time) is left out. Where nothing answers, it says
    so and asks for a person.
    """

    name = "quote"

    def __init__(self, brand: Brand, encoder: Encoder, precedents: Precedents | None = None) -> None:
        """Take what was usual before from ``precedents``; without them no article is more usual than another."""
        self._brand, self._encoder, self._precedents = brand, encoder, precedents or Precedents()

    async def __call__(self, task: DraftTask, ctx: RunContext) -> Answer[Draft]:
        """Return the draft; confidence is the mean similarity of what answers times the share answered."""
        language = task.language or "en"
        if not task.is_mail:
            return Answer(None, 0.0, self.name, needs_human=True)
        if not knows_language(self._encoder, task.language) or language not in replies.LANGUAGES:
            why = reason("unsupported_language", language)
            return Answer(None, 0.0, self.name, needs_human=True, reasons=(why,))
        questions = find_questions(task.view)
        customer = know_customer(task.view, task.findings, task.passages)
        text = classified_text(task.view)
        category = task.triage.category if task.triage else None
        usual = self._precedents.worth(category, (passage.source_id for passage in task.passages))
        matches = await match_questions(questions, text, task.passages, self._encoder, ctx, customer, usual)
        return self._compose(task, matches, customer, language)

    def _compose(self, task: DraftTask, matches: Sequence[Match], customer: Customer, language: str) -> Answer[Draft]:
        reply = _Reply()
        name = neutral_view(task.view).requester_name
        reply.paragraphs += [replies.greet(self._brand, name, language), replies.THANKS]
        _add_records(reply, task)
        answered = [match for match in matches if match.blocks]
        room = min(MAX_QUOTED_WORDS, MAX_BODY_WORDS - sum(count_words(text) for text in reply.paragraphs))
        for block in _chosen(answered, customer, room, _said(task.view)):
            _add_block(reply, block, customer)
        _add_open(reply, matches, [match for match in matches if not match.blocks])
        _add_request(reply, task, answered, customer)
        reply.paragraphs += [part for part in (replies.NEXT_STEP, self._brand.signature or self._brand.name) if part]
        draft = Draft(text="\n\n".join(reply.paragraphs), citations=tuple(reply.citations), language=language)
        codes = {found.code for found in reply.reasons}
        return Answer(
            value=draft,
            confidence=_confidence(matches, answered),
            strategy=self.name,
            evidence=_evidence(answered),
            needs_human=bool(codes & {"no_knowledge", "partly_answered"}),
            reasons=tuple(reply.reasons),
        )


def _confidence(matches: Sequence[Match], answered: Sequence[Match]) -> float:
    if not answered:
        return 0.0
    mean = sum(match.similarity for match in answered) / len(answered)
    return round(min(1.0, max(0.0, mean)) * len(answered) / len(matches), 4)


def _evidence(answered: Sequence[Match]) -> tuple[Evidence, ...]:
    found: dict[str, Evidence] = {}
    for match in answered:
        for block in match.blocks[:MAX_PER_QUESTION]:
            text = block.units[0].text[:200]
            found.setdefault(
                block.passage.id,
                Evidence(kind="passage", ref=block.passage.id, text=text, score=round(block.score, 4)),
            )
    return tuple(found.values())


def _add_records(reply: _Reply, task: DraftTask) -> None:
    sentences = []
    for finding in records_to_state(task.view, task.findings):
        sentence = replies.state_record(finding)
        if sentence:
            sentences.append(sentence)
            reply.cite(sentence, f"record:{finding.tool}:{finding.subject}", finding.subject)
    if sentences:
        reply.paragraphs.append("\n".join(sentences))


def _said(view: TicketView) -> str:
    """Return what we wrote in this thread before, for comparing: it need not be said again."""
    return bare(" ".join(turn.text for turn in view.turns if turn.role is Role.agent))


def _chosen(answered: Sequence[Match], customer: Customer, room: int, said: str) -> list[Block]:
    """Return the blocks to quote: every question's best before any second one, up to ``room`` words.

    One that was ``said`` in this thread is not said again.

    They come in the order of the questions, and those of one article as they stand there.
    """
    taken: dict[tuple[str, int], Block] = {}
    n_words = 0
    ranked = [match.blocks[rank] for rank in range(MAX_PER_QUESTION) for match in answered if rank < len(match.blocks)]
    for block in ranked:
        lines = lines_of(block.choose(), customer)
        own = 0 if all(bare(line.text) in said for line in lines) else sum(count_words(line.text) for line in lines)
        if own and block.place not in taken and (not taken or n_words + own <= room):
            taken[block.place] = block
            n_words += own
    order = list(dict.fromkeys(block.passage.source_id for block in taken.values()))
    return sorted(taken.values(), key=lambda block: (order.index(block.passage.source_id), *_place(block)))


def _place(block: Block) -> tuple[int, int]:
    n = block.passage.id.rpartition("#")[2]
    return (int(n) if n.isdecimal() else 0, block.place[1])


def _add_block(reply: _Reply, block: Block, customer: Customer) -> None:
    """Quote what was not quoted yet: sentences as one paragraph, items and rows each on a line."""
    new: list[Line] = []
    for line in lines_of(block.choose(), customer):
        if (block.passage.id, line.quote) not in reply.quoted:
            reply.quoted.add((block.passage.id, line.quote))
            reply.cite(line.text, block.passage.id, line.quote)
            new.append(line)
    if new:
        glue = " " if block.units[0].kind == "sentence" else "\n"
        reply.paragraphs.append(glue.join(f"{line.sign}{line.text}" for line in new))


def _add_open(reply: _Reply, matches: Sequence[Match], unanswered: Sequence[Match]) -> None:
    """Say plainly, and once, that something is not answered."""
    if len(unanswered) == len(matches):
        reply.paragraphs.append(f"{replies.HOLDING} {replies.HANDED_ON}")
        best = max((match.similarity for match in unanswered), default=0.0)
        reply.reasons.append(reason("no_knowledge", f"nearest: {best:.2f}"))
    elif unanswered:
        reply.paragraphs.append(f"{replies.PARTLY} {replies.HANDED_ON}")
        shown = " | ".join(_shown(match.question.text) for match in unanswered)
        reply.reasons.append(reason("partly_answered", f"{len(unanswered)} of {len(matches)} open: {shown}"))


def _shown(question: str) -> str:
    text = " ".join(question.split())
    return text if len(text) <= MAX_QUESTION_CHARS else f"{text[: MAX_QUESTION_CHARS - 1].rstrip()}…"


def _add_request(reply: _Reply, task: DraftTask, answered: Sequence[Match], customer: Customer) -> None:
    """Ask for the one thing that is missing, if any."""
    if task.not_found:
        ids = ", ".join(task.not_found)
        reply.paragraphs.append(f"{replies.NOT_FOUND.format(ids=ids)} {replies.ASK_ID}")
        reply.reasons.append(reason("missing_fact", ids))
        return
    topic = topic_of(task.triage.category if task.triage else None)
    if topic is EntityKind.order and not task.findings and not named_records(task.view) and means_own(task.view):
        reply.paragraphs.append(replies.ASK_ORDER)
        reply.reasons.append(reason("missing_fact", "order number"))
        return
    best = (block for match in answered for block in match.blocks[:N_ASKED_ABOUT])
    if any(depends_on_country(block.choose(), customer) for block in best):
        reply.paragraphs.append(replies.ASK_COUNTRY)
        reply.reasons.append(reason("missing_fact", "country"))
