"""Summaries by a model: the strategy ``llm``. No number stands in one that is not in the thread."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from deskhand.answers import Answer, Summary
from deskhand.context import RunContext
from deskhand.fencing import fold, normalise
from deskhand.interfaces import ChatModel
from deskhand.schema import Model
from deskhand.vault import PLACEHOLDER, find_personal_data
from deskhand_agents.language import detect_language
from deskhand_agents.llm_output import DEADLINE_S, ask, prompt_evidence, thread_text
from deskhand_agents.prompts import Prompt, fenced
from deskhand_agents.reasons import reason
from deskhand_agents.resolver import named_records
from deskhand_agents.sentences import content_words, count_words
from deskhand_agents.summarizer import MAX_WORDS, SummaryTask

MIN_SHARED = 0.4
"""Least share of a summary's words that the thread must hold; prose about something else has less."""

MAX_KEPT_RECORDS = 3
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_UNITS = """two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million"""
_VALUES = (*range(2, 21), *range(30, 100, 10), 100, 1_000, 1_000_000)
_NUMBER_WORDS = dict(zip(_UNITS.split(), _VALUES, strict=True))
_WORD = re.compile(r"[^\W\d_]+")
_LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)


class SummaryOutput(Model):
    """What the model is asked for."""

    text: Annotated[str, Field(min_length=1, max_length=2_000)]


class LlmSummary:
    """Lets a model say in at most 120 words who wants what, and throws its words away when they do not hold."""

    name = "llm"

    def __init__(self, model: ChatModel, prompt: Prompt, *, deadline_s: float = DEADLINE_S) -> None:
        self._model, self._prompt, self._deadline_s = model, prompt, deadline_s
        self.prompt_evidence = prompt_evidence(prompt)

    async def __call__(self, task: SummaryTask, ctx: RunContext) -> Answer[Summary]:
        """Return the summary; no value, and the reason, when it says what the thread does not."""
        thread = thread_text(task.view)
        if not task.view.customer_text.strip():
            return Answer(value=None, confidence=0.0, strategy=self.name)
        variables = {
            "thread": fenced(thread, "thread", ctx),
            "max_words": MAX_WORDS,
            "language": task.language,
        }
        output = await ask(self._model, self._prompt, variables, SummaryOutput, deadline_s=self._deadline_s, ctx=ctx)
        text = normalise(output.value.text)
        problem = find_problem(text, thread, task)
        if problem:
            why = (reason("rejected_answer", f"{self.name}: {problem}"),)
            return Answer(None, 0.0, self.name, usage=output.usage, evidence=output.evidence, reasons=why)
        summary = Summary(text=text, method=self.name, language=task.language)
        return Answer(summary, 1.0, self.name, usage=output.usage, evidence=output.evidence)


def find_problem(text: str, thread: str, task: SummaryTask) -> str:
    """Return why ``text`` is no summary of ``thread``, "" when nothing speaks against it."""
    n_words = count_words(text)
    if n_words > MAX_WORDS or n_words < 1:
        return f"{n_words} words, asked for 1 to {MAX_WORDS}"
    if "<<" in text or ">>" in text:
        return "it repeats the prompt"
    if added := _added(text, thread):
        return f"{added[0]!r} is not in the thread"
    if lost := _lost(text, task):
        return f"{lost[0]} is missing"
    language = detect_language(text).language
    if task.language and language not in (None, task.language):
        return f"it is in {language!r}, the thread in {task.language!r}"
    own = content_words(text)
    if len(own & content_words(thread)) < MIN_SHARED * len(own):
        return "it is about something else"
    return ""


def _added(text: str, thread: str) -> list[str]:
    """Return numbers, links and personal data of the summary that the thread does not hold."""
    known = set(_NUMBER.findall(thread))
    added = [number for number in _NUMBER.findall(PLACEHOLDER.sub(" ", text)) if number not in known]
    words = set(_WORD.findall(fold(thread)))
    for word in _WORD.findall(fold(text)):
        if word in _NUMBER_WORDS and word not in words and str(_NUMBER_WORDS[word]) not in known:
            added.append(word)
    marks = [match[0] for pattern in (PLACEHOLDER, _LINK) for match in pattern.finditer(text)]
    return added + [mark for mark in [*marks, *find_personal_data(text)] if mark not in thread]


def _lost(text: str, task: SummaryTask) -> list[str]:
    """Return the records named by the customer that the summary does not name."""
    folded = fold(text)
    return [value for _, value in named_records(task.view)[:MAX_KEPT_RECORDS] if fold(value) not in folded]
