"""Replies by a model: the strategy ``llm``. What no passage and no record backs does not get into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache, partial
from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from deskhand.answers import Answer, Citation, Draft, Evidence, Finding, Passage, Reason
from deskhand.config import Brand
from deskhand.context import RunContext
from deskhand.interfaces import ChatModel
from deskhand.jsonio import canonical_json
from deskhand.schema import Model
from deskhand_agents import replies
from deskhand_agents.checker import CheckTask, check_draft
from deskhand_agents.drafter import MAX_QUESTION_CHARS, DraftTask
from deskhand_agents.injection import neutral_view
from deskhand_agents.links import find_links
from deskhand_agents.llm_output import DEADLINE_S, Output, ask, prompt_evidence, thread_text
from deskhand_agents.llm_sources import cite, is_courtesy
from deskhand_agents.prompts import Prompt, fenced
from deskhand_agents.questions import Question, find_questions
from deskhand_agents.reasons import reason
from deskhand_agents.sentences import compact

MAX_ENTRIES = 24
MAX_PASSAGES = 8

ShortText = Annotated[str, Field(max_length=1_200)]


class DraftEntry(Model):
    """One sentence of a reply as the model gives it."""

    kind: Literal["fact", "record", "courtesy"]
    text: ShortText
    source_id: str | None
    quote: ShortText | None
    question: int | None


class DraftOutput(Model):
    """What the model is asked for."""

    sentences: Annotated[tuple[DraftEntry, ...], Field(max_length=MAX_ENTRIES)]
    unanswered: Annotated[tuple[int, ...], Field(max_length=20)]


@dataclass
class _Body:
    """What is left of a model's answer. ``paragraphs`` hold the sentences of one question each."""

    paragraphs: list[list[str]] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    answered: set[int] = field(default_factory=set)
    n_claims: int = 0
    last_question: int | None = None

    def add(self, sentence: str, question: int | None) -> None:
        if not self.paragraphs or question != self.last_question:
            self.paragraphs.append([])
        self.paragraphs[-1].append(sentence)
        self.last_question = question


class LlmDraft:
    """Lets a model choose and order what passages and records say, and frames it with our own words.

    Every sentence needs a passage and a quote that says the same; the others are left out. Records are stated by us.
    """

    name = "llm"

    def __init__(self, model: ChatModel, prompt: Prompt, brand: Brand, *, deadline_s: float = DEADLINE_S) -> None:
        self._model, self._prompt, self._brand, self._deadline_s = model, prompt, brand, deadline_s
        self.prompt_evidence = prompt_evidence(prompt)

    async def __call__(self, task: DraftTask, ctx: RunContext) -> Answer[Draft]:
        """Return the draft; confidence is the share of questions answered times the share of sentences backed.

        Without passages and records no model is asked, nor for what is no mail of a customer. An answer of which
        nothing is backed has no value; one that says that it cannot answer is a holding reply of confidence 0.
        """
        language = task.language or "en"
        if not task.is_mail:
            return Answer(None, 0.0, self.name, needs_human=True)
        if language not in replies.LANGUAGES:
            why = reason("unsupported_language", language)
            return Answer(None, 0.0, self.name, needs_human=True, reasons=(why,))
        passages = {f"P{n}": passage for n, passage in enumerate(task.passages[:MAX_PASSAGES], start=1)}
        stated = (finding for finding in task.findings if replies.state_record(finding))
        records = {f"R{n}": finding for n, finding in enumerate(stated, start=1)}
        if not passages and not records:
            return Answer(None, 0.0, self.name, reasons=(reason("no_knowledge"),))
        questions = find_questions(task.view)
        schema = _build_schema((*passages, *records))
        variables = self._variables(task, questions, passages, records, ctx)
        output = await ask(self._model, self._prompt, variables, schema, deadline_s=self._deadline_s, ctx=ctx)
        body = _validate(output.value, passages, records, task, ctx)
        return self._answer(task, questions, body, output, language)

    def _variables(
        self,
        task: DraftTask,
        questions: Sequence[Question],
        passages: Mapping[str, Passage],
        records: Mapping[str, Finding],
        ctx: RunContext,
    ) -> dict[str, Any]:
        numbered = "\n".join(f"{number}. {question.text}" for number, question in enumerate(questions, start=1))
        listed = [f"{source}: {f.tool} {f.subject}\n{canonical_json(f.facts)}" for source, f in records.items()]
        texts = [f"{source}: {passage.title}\n{passage.text}" for source, passage in passages.items()]
        return {
            "brand": self._brand.name,
            "language": task.language or "en",
            "ticket": fenced(thread_text(task.view), "ticket", ctx),
            "questions": fenced(numbered or "none", "questions", ctx),
            "records": fenced("\n\n".join(listed) or "none", "records", ctx),
            "passages": fenced("\n\n".join(texts) or "none", "passages", ctx),
        }

    def _answer(
        self, task: DraftTask, questions: Sequence[Question], body: _Body, output: Output[DraftOutput], language: str
    ) -> Answer[Draft]:
        n_backed = len(body.citations)
        if body.n_claims and not n_backed:
            why = (reason("rejected_answer", f"{self.name}: none of {body.n_claims} sentences is backed"),)
            return Answer(None, 0.0, self.name, usage=output.usage, evidence=output.evidence, reasons=why)
        open_questions = [q for number, q in enumerate(questions, start=1) if number not in body.answered]
        reasons = _reasons(body, n_open=len(open_questions), not_found=task.not_found)
        draft = Draft(
            text="\n\n".join(self._paragraphs(task, body, open_questions, language)),
            citations=tuple(body.citations),
            language=language,
        )
        share = 1 - len(open_questions) / len(questions) if questions else 1.0
        return Answer(
            value=draft,
            confidence=round(share * n_backed / body.n_claims, 4) if body.n_claims else 0.0,
            strategy=self.name,
            usage=output.usage,
            evidence=(*output.evidence, *_evidence(body)),
            needs_human=bool({found.code for found in reasons} & {"no_knowledge", "partly_answered"}),
            reasons=tuple(reasons),
        )

    def _paragraphs(self, task: DraftTask, body: _Body, open_questions: Sequence[Question], language: str) -> list[str]:
        parts = [replies.greet(self._brand, neutral_view(task.view).requester_name, language), replies.THANKS]
        parts += [" ".join(sentences) for sentences in body.paragraphs]
        if not body.citations:
            parts.append(f"{replies.HOLDING} {replies.HANDED_ON}")
        elif open_questions:
            lines = [_open_question(question.text) for question in open_questions]
            parts.append("\n".join([*dict.fromkeys(lines), replies.HANDED_ON]))
        if task.not_found:
            parts.append(f"{replies.NOT_FOUND.format(ids=', '.join(task.not_found))} {replies.ASK_ID}")
        return [*parts, replies.NEXT_STEP, self._brand.signature or self._brand.name]


@lru_cache(maxsize=256)
def _build_schema(sources: tuple[str, ...]) -> type[DraftOutput]:
    """Return a schema in which only what was shown can be cited.

    Sources are named by their place, ``P1`` or ``R2``, and not by their ids: so there are few schemas, each is built
    once, and a model copies less and cannot garble it.
    """
    source_id: Any = Literal[sources] | None
    entry_fields: dict[str, Any] = {"source_id": (source_id, ...)}
    entry = create_model("DraftEntry", __base__=DraftEntry, **entry_fields)
    fields: dict[str, Any] = {"sentences": (Annotated[tuple[entry, ...], Field(max_length=MAX_ENTRIES)], ...)}
    return create_model("DraftOutput", __base__=DraftOutput, **fields)


def _record_id(finding: Finding) -> str:
    return f"record:{finding.tool}:{finding.subject}"


def _validate(
    output: DraftOutput,
    passages: Mapping[str, Passage],
    records: Mapping[str, Finding],
    task: DraftTask,
    ctx: RunContext,
) -> _Body:
    """Return the sentences that are backed; every other one is dropped."""
    body = _Body()
    passes = partial(_passes, task=task, today=ctx.now().date())
    for entry in output.sentences:
        if entry.kind == "courtesy":
            sentence = compact(entry.text)
            if entry.source_id is None and is_courtesy(sentence) and passes(sentence, ()):
                body.add(sentence, entry.question)
            continue
        body.n_claims += 1
        citation = _record(entry, records) if entry.kind == "record" else _fact(entry, passages)
        if citation is None or citation.sentence in {kept.sentence for kept in body.citations}:
            body.n_claims -= citation is not None  # said twice, which is no claim of its own
            continue
        if passes(citation.sentence, (citation,)):
            body.citations.append(citation)
            body.add(citation.sentence, entry.question)
            body.answered |= {entry.question} if entry.question else set()
    body.answered -= set(output.unanswered)
    return body


def _passes(sentence: str, citations: tuple[Citation, ...], *, task: DraftTask, today: date) -> bool:
    """Tell whether the checker, which sees the draft later, has nothing against one sentence of it."""
    draft = Draft(text=sentence, citations=citations)
    check = CheckTask(draft, task.view, today, passages=task.passages, findings=task.findings)
    return not check_draft(check).reasons


def _fact(entry: DraftEntry, passages: Mapping[str, Passage]) -> Citation | None:
    passage = passages.get(entry.source_id or "")
    return cite(entry.text, passage, entry.quote or "") if passage else None


def _record(entry: DraftEntry, records: Mapping[str, Finding]) -> Citation | None:
    finding = records.get(entry.source_id or "")
    if finding is None:
        return None
    sentence = replies.state_record(finding)
    return Citation(sentence=sentence, passage_id=_record_id(finding), quote=finding.subject)


def _reasons(body: _Body, *, n_open: int, not_found: Sequence[str]) -> list[Reason]:
    found = []
    if not body.citations:
        found.append(reason("no_knowledge", "the model says that it cannot answer"))
    elif n_open:
        found.append(reason("partly_answered", f"{n_open} open"))
    if n_dropped := body.n_claims - len(body.citations):
        found.append(reason("uncited_fact", f"{n_dropped} sentences without a source were left out"))
    if not_found:
        found.append(reason("missing_fact", ", ".join(not_found)))
    return found


def _evidence(body: _Body) -> list[Evidence]:
    cited = {citation.passage_id: citation for citation in body.citations if citation.passage_id[:7] != "record:"}
    return [Evidence(kind="passage", ref=where, text=citation.quote[:200]) for where, citation in cited.items()]


def _open_question(text: str) -> str:
    """Return what is said of a question that stays open; it is repeated only where it brings no link into our mail."""
    return replies.PARTLY if find_links(text) else replies.OPEN_QUESTION.format(question=_shown(text))


def _shown(question: str) -> str:
    text = compact(question)
    return text if len(text) <= MAX_QUESTION_CHARS else f"{text[: MAX_QUESTION_CHARS - 1].rstrip()}…"
