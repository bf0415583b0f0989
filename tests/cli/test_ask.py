from __future__ import annotations

import json
from pathlib import Path

import pytest


def test_a_question_is_answered_with_its_sources(invoke, workspace: Path) -> None:
    done = invoke("ask", "How long do I have to return a product?", "--workspace", workspace)
    assert done.exit_code == 0, done.output
    assert "You can return any product within 30 days of delivery.  [returns@1#1]" in done.stdout


def test_json_holds_the_citations(invoke, workspace: Path) -> None:
    done = invoke("ask", "How long do I have to return a product?", "--json", "--workspace", workspace)
    value = json.loads(done.stdout)
    assert list(value) == ["question", "found", "citations"]
    sentence = "You can return any product within 30 days of delivery."
    assert value["found"] is True
    assert value["citations"][0] == {"sentence": sentence, "passage_id": "returns@1#1", "quote": sentence}


@pytest.mark.parametrize("question", ["Who won the chess championship of 1972?", "Wie spät ist es in Tokio gerade?"])
def test_what_no_article_says_is_not_found(invoke, workspace: Path, question: str) -> None:
    done = invoke("ask", question, "--json", "--workspace", workspace)
    assert (done.exit_code, json.loads(done.stdout)["citations"], "not found" in done.stderr) == (1, [], True)


def test_an_empty_question_is_wrong_use(invoke, workspace: Path) -> None:
    done = invoke("ask", "  ", "--workspace", workspace)
    assert (done.exit_code, "empty" in done.stderr) == (2, True)


def test_the_graph_runs_on_a_ticket_too(invoke, workspace: Path, ticket_file: Path) -> None:
    done = invoke("run", "answer", "--ticket", ticket_file, "--json", "--workspace", workspace)
    value = json.loads(done.stdout)
    assert (value["status"], value["decision"]) == ("done", None)
    assert value["draft"]["citations"]
