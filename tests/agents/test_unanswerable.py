"""Questions about the example company that none of its articles answers."""

import shutil
from datetime import date
from pathlib import Path

import pytest

from deskhand.config import Brand, WorkspaceFolder
from deskhand_agents import DraftTask, QuoteDraft, search_queries
from deskhand_memory import Knowledge

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "hollowfern"
QUESTIONS = (Path(__file__).parent / "data" / "unanswerable.txt").read_text(encoding="utf-8").splitlines()
ON = date(2026, 11, 20)
ANSWERED = [
    "Within how many days of delivery can I return a garden that I do not like?",
    "My Shelf shows E21, what does it mean?",
    "For how long can I pause my plan, is six months possible?",
    "Do you ship to Australia or New Zealand?",
    "How much does a new pump for the Terrace cost in the UK?",
]


@pytest.fixture(scope="module")
def knowledge(tmp_path_factory):
    root = tmp_path_factory.mktemp("example")
    shutil.copytree(EXAMPLE / "knowledge", root / "knowledge")
    shutil.copy(EXAMPLE / "deskhand.toml", root)
    with Knowledge.open(WorkspaceFolder(root), index="exact") as opened:
        opened.ingest()
        yield opened


async def cited(knowledge, view, ctx) -> list[str]:
    """Return the articles that the draft for a ticket cites."""
    best = {}
    for query in search_queries(view):
        for passage in knowledge.search(query, top_k=8, on=ON):
            best[passage.id] = max(passage, best.get(passage.id, passage), key=lambda found: found.score)
    passages = tuple(sorted(best.values(), key=lambda passage: (-passage.score, passage.id)))
    answer = await QuoteDraft(Brand(name="B"), knowledge.encoder)(DraftTask(view, passages, language="en"), ctx)
    return [citation.passage_id for citation in answer.value.citations]


async def test_at_most_two_of_twenty_five_unanswerable_questions_get_an_answer(knowledge, view_of, ctx):
    assert len(QUESTIONS) == 25
    answered = [q for q in QUESTIONS if await cited(knowledge, view_of(q, subject=""), ctx)]
    assert len(answered) <= 2, answered


@pytest.mark.parametrize("question", ANSWERED)
async def test_answerable_question_is_answered(knowledge, view_of, ctx, question):
    assert await cited(knowledge, view_of(question, subject=""), ctx)
