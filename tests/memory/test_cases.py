"""Solved tickets that point to the articles that answered them."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from deskhand.config import WorkspaceFolder
from deskhand.errors import InputError
from deskhand.testing import article
from deskhand_memory import Knowledge
from deskhand_memory.cases import MAX_CASES, MAX_PER_CATEGORY, Case, KnownCase, build_cases, load_cases, load_labelled

ON = date(2026, 11, 20)


def row(text: str, *articles: str, subject: str = "", category: object = None) -> dict[str, object]:
    messages = [{"role": "customer", "text": text}, {"role": "customer", "text": "later"}]
    ticket = {"subject": subject, "messages": messages, "fields": {"category": category}}
    return {"ticket": ticket, "reply": "r", "articles": list(articles), "outcome": "solved"}


def write(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(value) for value in rows), encoding="utf-8")
    return path


def test_case_is_what_the_customer_wrote_first_without_personal_data(tmp_path: Path) -> None:
    path = write(tmp_path / "solved.jsonl", row("Mail ann@example.com", "a", "b", subject="Help"))
    assert load_cases(path) == [Case("Help\nMail [EMAIL_1]", ("a", "b"))]


def test_case_without_articles_or_text_is_left_out(tmp_path: Path) -> None:
    silent = {"ticket": {"messages": [{"role": "agent", "text": "Hi"}], "fields": None}, "articles": ["a"]}
    assert load_cases(write(tmp_path / "solved.jsonl", row("Where?"), silent)) == []


def test_missing_file_has_no_cases(tmp_path: Path) -> None:
    assert load_cases(tmp_path / "solved.jsonl") == []


def test_only_the_last_cases_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_CASES > 1
    monkeypatch.setattr("deskhand_memory.cases.MAX_CASES", 1)
    path = write(tmp_path / "solved.jsonl", row("one", "a"), row("two", "b"))
    assert [case.articles for case in load_cases(path)] == [("b",)]


@pytest.mark.parametrize("wrong", [[], {"ticket": {}}, {"ticket": {"messages": []}, "articles": [1]}])
def test_wrong_row_is_refused_with_its_place(tmp_path: Path, wrong: object) -> None:
    with pytest.raises(InputError, match=r"solved\.jsonl.*1.*no solved ticket"):
        load_cases(write(tmp_path / "solved.jsonl", wrong))


def test_nearest_case_counts_for_each_of_its_articles() -> None:
    near, far, against = (np.array(v, np.float32) for v in ([1, 0], [0.6, 0.8], [-1, 0]))
    cases = build_cases([KnownCase(("a", "b"), near), KnownCase(("a", "c"), far), KnownCase(("d",), against)])
    assert cases.similarities(near) == {"a": 1.0, "b": 1.0, "c": 0.6}


@pytest.mark.parametrize("rows", [[], [KnownCase((), np.array([1, 0], np.float32), "noise")]])
def test_no_solved_tickets_say_nothing(rows: list[KnownCase]) -> None:
    cases = build_cases(rows)
    assert cases.similarities(np.array([1, 0], np.float32)) == {}
    assert cases.likelihoods(np.array([1, 0], np.float32)) == {}


def test_category_of_a_case_is_the_one_of_its_fields(tmp_path: Path) -> None:
    path = write(tmp_path / "solved.jsonl", row("one", "a", category="noise"), row("two", "b", category=7))
    assert [case.category for case in load_cases(path)] == ["noise", ""]


def test_labelled_tickets_that_can_vote_are_kept_without_personal_data(tmp_path: Path) -> None:
    path = write(
        tmp_path / "labelled.jsonl",
        {"text": "Mail ann@example.com", "label": "noise", "language": "en"},
        {"text": "It hums", "label": "noise"},
        {"text": "Das Gerät brummt", "label": "noise", "language": "de"},
        {"text": "Poem, please", "label": None},
        {"text": " ", "label": "noise"},
        {"label": "noise"},
        ["no row"],
    )
    assert load_labelled(path, {"en"}) == [Case("Mail [EMAIL_1]", (), "noise"), Case("It hums", (), "noise")]


def test_last_labelled_tickets_of_each_category_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_PER_CATEGORY > 1
    monkeypatch.setattr("deskhand_memory.cases.MAX_PER_CATEGORY", 1)
    labelled = [{"text": f"{label} {n}", "label": label} for n in range(2) for label in ("noise", "light")]
    path = write(tmp_path / "labelled.jsonl", *labelled)
    assert [case.text for case in load_labelled(path, {"en"})] == ["noise 1", "light 1"]


def test_missing_file_has_no_labelled_tickets(tmp_path: Path) -> None:
    assert load_labelled(tmp_path / "labelled.jsonl", {"en"}) == []


def test_nearest_labelled_tickets_say_how_likely_articles_answer() -> None:
    east, north = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    solved = [KnownCase(("a", "b"), east, "noise"), KnownCase(("a",), east, "noise"), KnownCase(("c",), east, "light")]
    cases = build_cases([*solved, KnownCase((), north, "noise"), KnownCase((), east, "light")])
    assert cases.likelihoods(north) == pytest.approx({"a": 2 / 3, "b": 1 / 3, "c": 0.0}, abs=1e-6)
    assert cases.likelihoods(east) == pytest.approx({"a": 0.0, "b": 0.0, "c": 1 / 2}, abs=1e-6)


def test_labelled_tickets_alike_share_the_vote() -> None:
    east = np.array([1, 0], np.float32)
    voters = [KnownCase((), east, label) for label in ("noise", "light", "light", "unsolved")]
    cases = build_cases([KnownCase(("a",), east, "noise"), KnownCase(("c",), east, "light"), *voters])
    assert cases.likelihoods(east) == {"a": 0.125, "c": 0.25}


def test_solved_tickets_without_category_are_no_share_of_one() -> None:
    east = np.array([1, 0], np.float32)
    cases = build_cases([KnownCase(("a",), east), KnownCase((), east, "noise")])
    assert cases.likelihoods(east) == {}
    assert cases.similarities(east) == {"a": 1.0}


@pytest.fixture
def folder(tmp_path: Path) -> WorkspaceFolder:
    (tmp_path / "knowledge").mkdir()
    (tmp_path / "deskhand.toml").write_text('schema = 1\n[brand]\nname = "B"\n', encoding="utf-8")
    for name, text in (("alpha", "The pump hums at night."), ("beta", "The pump hums by day.")):
        (tmp_path / "knowledge" / f"{name}.md").write_text(article(name, text, title="Pump"), encoding="utf-8")
    return WorkspaceFolder(tmp_path)


def first(knowledge: Knowledge) -> tuple[str, float]:
    found = knowledge.search("My machine makes a noise", min_similarity=-1.0, on=ON)
    return found[0].source_id, sum(passage.score for passage in found)


def test_article_that_answered_such_a_ticket_comes_first_with_the_same_score(folder: WorkspaceFolder) -> None:
    with Knowledge.open(folder, index="exact") as knowledge:
        knowledge.ingest()
        before, scores = first(knowledge)
        other = {"alpha": "beta", "beta": "alpha"}[before]
        old = knowledge.fingerprint()
        write(folder.root / "tickets" / "solved.jsonl", row("My machine makes a noise", other))
        assert knowledge.is_stale()
        knowledge.ingest()
        assert not knowledge.is_stale()
        assert first(knowledge) == (other, pytest.approx(scores))
        assert knowledge.fingerprint() != old


def test_cases_go_when_their_file_goes(folder: WorkspaceFolder) -> None:
    path = write(folder.root / "tickets" / "solved.jsonl", row("My machine makes a noise", "beta"))
    with Knowledge.open(folder, index="exact") as knowledge:
        knowledge.ingest()
        with_cases = knowledge.fingerprint()
        path.unlink()
        assert knowledge.is_stale()
        knowledge.ingest()
        assert not knowledge.is_stale()
        assert knowledge.fingerprint() != with_cases


def test_ingest_of_single_files_leaves_the_cases(folder: WorkspaceFolder) -> None:
    write(folder.root / "tickets" / "solved.jsonl", row("My machine makes a noise", "beta"))
    with Knowledge.open(folder, index="exact") as knowledge:
        knowledge.ingest()
        before = knowledge.fingerprint()
        knowledge.ingest([folder.knowledge / "alpha.md"])
        assert knowledge.fingerprint() == before


def test_article_that_answers_the_category_comes_first_with_the_same_score(folder: WorkspaceFolder) -> None:
    with Knowledge.open(folder, index="exact") as knowledge:
        knowledge.ingest()
        before, scores = first(knowledge)
        other = {"alpha": "beta", "beta": "alpha"}[before]
        # Both articles answered the same words, so only the category can decide.
        solved = [row("Bonjour tristesse", name, category=name) for name in ("alpha", "beta")]
        write(folder.root / "tickets" / "solved.jsonl", *solved)
        write(folder.root / "tickets" / "labelled.jsonl", {"text": "My machine makes noises", "label": other})
        assert knowledge.is_stale()
        knowledge.ingest()
        assert not knowledge.is_stale()
        assert first(knowledge) == (other, pytest.approx(scores))


def test_labelled_tickets_alone_are_not_read(folder: WorkspaceFolder) -> None:
    write(folder.root / "tickets" / "labelled.jsonl", {"text": "My machine makes noises", "label": "noise"})
    with Knowledge.open(folder, index="exact") as knowledge:
        knowledge.ingest()
        before = knowledge.fingerprint()
        (folder.root / "tickets" / "labelled.jsonl").unlink()
        assert not knowledge.is_stale()
        knowledge.ingest()
        assert knowledge.fingerprint() == before
