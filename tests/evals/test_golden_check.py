from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deskhand.config import WorkspaceFolder
from deskhand.errors import InputError
from deskhand.testing import build_ticket
from deskhand_evals.golden_check import Problem, check_golden
from deskhand_memory import load_encoder

REST = {"priority": "normal", "team": None, "language": "en", "flags": []}
LATE = "my parcel is three days late and the page says nothing, where is it"


def write(workspace: Path, name: str, *rows: dict[str, Any]) -> None:
    path = workspace / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def triage(name: str, text: str, label: str | None = "delivery", **rest: Any) -> dict[str, Any]:
    return {"id": name, "text": text, "label": label} | REST | rest


def found(workspace: Path, **options: Any) -> list[tuple[str, str, str, bool]]:
    problems: tuple[Problem, ...] = check_golden(WorkspaceFolder(workspace), **options).problems
    return [(p.kind, p.case, p.other, p.is_error) for p in problems]


def test_the_example_has_no_errors(example: Path) -> None:
    report = check_golden(WorkspaceFolder(example))
    assert report.problems == ()
    assert {size.name: size.n for size in report.sets} == {
        "triage": 192, "retrieval": 118, "drafts": 71, "summaries": 33
    }  # fmt: skip
    assert report.compared_with == {"examples": 931, "articles": 58}


def test_near_duplicates_within_a_set_are_errors_and_across_sets_notes(workspace: Path) -> None:
    write(workspace, "golden/triage.jsonl", triage("a", LATE), triage("b", f"{LATE}?!"))
    write(workspace, "golden/retrieval.jsonl", {"id": "r", "text": LATE.upper(), "relevant": ["delivery"]})
    assert found(workspace) == [
        ("duplicate", "triage:a", "triage:b", True),
        ("shared", "triage:a", "retrieval:r", False),
        ("shared", "triage:b", "retrieval:r", False),
    ]


def test_what_agents_have_seen_is_a_leak(workspace: Path) -> None:
    copied = f"Hello there, this is a long story before the point. {LATE}. And more of the story behind it, for ever."
    ticket = json.loads(build_ticket("it was never delivered to my door").model_dump_json())
    write(workspace, "tickets/labelled.jsonl", {"text": LATE, "label": "delivery"})
    write(workspace, "tickets/solved.jsonl", {"ticket": ticket, "reply": "x"}, {"ticket": None})
    write(workspace, "golden/triage.jsonl", triage("near", f"{LATE}, Ann"), triage("new", "what is a lamp"))
    write(workspace, "golden/drafts.jsonl", {"id": "d", "ticket": ticket, "must": [], "articles": []})
    leaks = [("leak", "triage:near", "labelled:1", True), ("leak", "drafts:d", "solved:1", True)]
    assert found(workspace) == [*leaks, leaks[1]]
    write(workspace, "tickets/labelled.jsonl", {"text": copied, "label": "delivery"})
    assert ("leak", "triage:near", "labelled:1", True) in found(workspace)


def test_a_question_out_of_an_article_is_a_leak(workspace: Path) -> None:
    write(workspace, "golden/triage.jsonl", triage("a", "a parcel without news for 10 days counts as lost"))
    assert found(workspace) == [("leak", "triage:a", "article:delivery", True)]


def test_unknown_names_and_contradictions_are_errors(workspace: Path) -> None:
    ticket = json.loads(build_ticket("anything").model_dump_json())
    fact = {"fact": "the window", "any": ["30 days"]}
    write(workspace, "golden/triage.jsonl", triage("a", "one thing", label="spam"), triage("b", "another", label=None))
    write(workspace, "golden/retrieval.jsonl", {"id": "r", "text": "and a third", "relevant": ["gone"]})
    write(
        workspace, "golden/drafts.jsonl",
        {"id": "d", "ticket": ticket, "must": [fact], "must_not": [fact], "articles": ["returns", "lost"]},
    )  # fmt: skip
    assert found(workspace) == [
        ("unknown", "triage:a", "spam", True),
        ("unknown", "retrieval:r", "gone", True),
        ("unknown", "drafts:d", "lost", True),
        ("contradiction", "drafts:d", "the window", True),
    ]


def test_the_same_meaning_is_a_note(workspace: Path) -> None:
    write(workspace, "tickets/labelled.jsonl", {"text": "how do I return this and get a refund", "label": "returns"})
    same = "how can I return this to get a refund?"
    write(workspace, "golden/triage.jsonl", triage("a", same), triage("b", "lamp is broken"))
    assert found(workspace, encoder=load_encoder(), least=0.95) == [("alike", "triage:a", "labelled:1", False)]


def test_without_golden_sets_there_is_nothing_to_check(workspace: Path) -> None:
    with pytest.raises(InputError, match="no golden set"):
        check_golden(WorkspaceFolder(workspace))
