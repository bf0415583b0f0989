"""Each of several questions in one query gets its place."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from deskhand.config import WorkspaceFolder
from deskhand_memory import Knowledge
from deskhand_memory.coverage import MAX_PARTS, cut_parts, pick
from deskhand_memory.units import cut_sentences

NO_NEEDS = np.zeros((4, 0))


@pytest.mark.parametrize(
    ("query", "parts"),
    [
        ("How do I return it?", []),
        ("Hello,\nhow do I return it?", []),
        ("How do I return it? And when is the desk open?", ["How do I return it?", "And when is the desk open?"]),
        ("It leaks badly\nand it hums", ["It leaks badly", "and it hums"]),
        ("", []),
    ],
)
def test_query_of_several_sentences_is_cut(query: str, parts: list[str]) -> None:
    assert cut_parts(query) == parts


def test_long_query_has_no_more_parts_than_the_encoder_may_run() -> None:
    assert len(cut_parts("It is broken. " * 30)) == MAX_PARTS
    assert len(cut_sentences("It is broken. " * 30)) == 30


def choose(worths: list[float], needs: np.ndarray, groups: str = "abcd", **changes: int) -> list[int]:
    return pick(worths, needs, groups, **({"n_first": 1, "top_k": 4, "per_group": 1} | changes))


def test_without_parts_the_order_is_that_of_the_worths() -> None:
    assert choose([0.9, 0.7, 0.7, 0.1], NO_NEEDS) == [0, 1, 2, 3]
    assert choose([0.9, 0.7, 0.7, 0.1], NO_NEEDS, top_k=2) == [0, 1]


def test_what_answers_an_open_part_comes_before_what_is_nearer_to_the_whole() -> None:
    needs = np.array([[0.8, 0.1], [0.8, 0.1], [0.7, 0.2], [0.1, 0.6]])
    assert choose([0.9, 0.7, 0.6, 0.5], needs) == [0, 3, 1, 2]


def test_the_first_stay_first_whatever_the_parts_ask() -> None:
    needs = np.array([[0.1], [0.1], [0.9], [0.9]])
    assert choose([0.5, 0.4, 0.6, 0.6], needs, n_first=2) == [0, 1, 2, 3]


def test_no_article_gives_more_than_its_share() -> None:
    assert choose([0.9, 0.8, 0.7, 0.1], NO_NEEDS, "aaab") == [0, 3]
    assert choose([0.9, 0.8, 0.7, 0.1], NO_NEEDS, "aaab", per_group=2, top_k=3) == [0, 1, 3]
    assert choose([0.9, 0.8, 0.7, 0.1], NO_NEEDS, "aaab", n_first=3, per_group=2) == [0, 1, 3]


def test_nothing_to_pick_from_gives_nothing() -> None:
    assert pick([], np.zeros((0, 2)), [], n_first=1, top_k=4, per_group=1) == []


TWO_QUESTIONS = (
    "Within how many days can I send the lamp back to you? My parcel came and the pump inside hums all night."
)


@pytest.fixture
def crowded(folder: WorkspaceFolder, write_article):
    """Knowledge in which one of two topics fills many articles."""
    for number in range(6):
        write_article(
            f"return-{number}",
            f"You can send a lamp back to us within {number + 20} days. Lamps sent back late cost a fee.",
        )
    write_article("pump-noise", "A pump that hums all night touches the wall of its tank. Turn the pump.")
    with Knowledge.open(folder, index="exact") as opened:
        opened.ingest()
        yield opened


def found(knowledge: Knowledge, today: date, **more: object) -> list[str]:
    passages = knowledge.search(TWO_QUESTIONS, on=today, top_k=2, **more)  # type: ignore[arg-type]
    return [passage.source_id for passage in passages]


def test_second_question_gets_its_place_among_articles_about_the_first(crowded: Knowledge, today: date) -> None:
    first, second = found(crowded, today)
    assert {first.partition("-")[0], second.partition("-")[0]} == {"return", "pump"}


def test_parts_may_be_named_and_change_no_score(crowded: Knowledge, today: date) -> None:
    whole = {p.id: p.score for p in crowded.search(TWO_QUESTIONS, on=today, top_k=8, parts=())}
    parted = {p.id: p.score for p in crowded.search(TWO_QUESTIONS, on=today, top_k=8)}
    assert whole == parted
    assert found(crowded, today, parts=("the pump hums",)) == found(crowded, today, parts=("the pump hums",) * 2)


def test_chroma_and_exact_agree_on_several_questions(folder: WorkspaceFolder, crowded: Knowledge, today: date) -> None:
    exact = crowded.search(TWO_QUESTIONS, on=today)
    with Knowledge.open(folder) as other:
        assert other.search(TWO_QUESTIONS, on=today) == exact
