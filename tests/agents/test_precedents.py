"""Which articles are usual for a category."""

import json
from pathlib import Path

import pytest

from deskhand.errors import InputError
from deskhand_agents import Precedents, load_precedents
from deskhand_agents.precedents import count_precedents

CASES = [("returns", ["window", "label"]), ("returns", ["window"]), ("login", ["code"])]


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_usual_article_is_worth_more_than_a_rare_one_and_that_more_than_a_new_one() -> None:
    worth = count_precedents(CASES).worth("returns", ["new", "label", "window"])
    assert worth["window"] > worth["label"] > worth["new"]


@pytest.mark.parametrize("category", [None, "unknown"])
def test_category_without_solved_tickets_prefers_nothing(category: str | None) -> None:
    assert count_precedents(CASES).worth(category, ["window"]) == {}
    assert Precedents().worth(category, ["window"]) == {}


def test_more_tickets_make_an_article_surer() -> None:
    few, many = count_precedents(CASES[2:]), count_precedents(CASES[2:] * 9)
    assert many.worth("login", ["code"])["code"] > few.worth("login", ["code"])["code"]


def test_tickets_without_category_or_articles_say_nothing(tmp_path: Path) -> None:
    known = {"ticket": {"fields": {"category": "login"}}, "articles": ["code"]}
    rows = [known, {"ticket": {"fields": {}}, "articles": ["x"]}, {"ticket": {}, "articles": ["x"]}]
    rows.append({"ticket": {"fields": {"category": "login"}}, "articles": []})
    found = load_precedents(write(tmp_path / "solved.jsonl", *rows))
    assert (found.n_tickets, found.n_answered) == ({"login": 1}, {("login", "code"): 1})


def test_missing_file_has_no_precedents(tmp_path: Path) -> None:
    assert load_precedents(tmp_path / "solved.jsonl") == Precedents()


def test_wrong_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ticket"):
        load_precedents(write(tmp_path / "solved.jsonl", {"articles": ["x"]}))
