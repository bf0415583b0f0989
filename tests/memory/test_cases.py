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
from deskhand_memory.cases import MAX_CASES, Case, build_cases, load_cases

ON = date(2026, 11, 20)


def row(text: str, *articles: str, subject: str = "", role: str = "customer") -> dict[str, object]:
    ticket = {"subject": subject, "messages": [{"role": role, "text": text}, {"role": "customer", "text": "later"}]}
    return {"ticket": ticket, "reply": "r", "articles": list(articles), "outcome": "solved"}


def write(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(value) for value in rows), encoding="utf-8")
    return path


def test_case_is_what_the_customer_wrote_first_without_personal_data(tmp_path: Path) -> None:
    path = write(tmp_path / "solved.jsonl", row("Mail ann@example.com", "a", "b", subject="Help"))
    assert load_cases(path) == [Case("Help\nMail [EMAIL_1]", ("a", "b"))]


def test_case_without_articles_or_text_is_left_out(tmp_path: Path) -> None:
    silent = {"ticket": {"messages": [{"role": "agent", "text": "Hi"}]}, "articles": ["a"]}
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
    cases = build_cases([(("a", "b"), near), (("a", "c"), far), (("d",), against)])
    assert cases.similarities(near) == {"a": 1.0, "b": 1.0, "c": 0.6}


def test_no_cases_say_nothing() -> None:
    assert build_cases([]).similarities(np.array([1, 0], np.float32)) == {}


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
