from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from deskhand.config import WorkspaceFolder
from deskhand_evals import evaluate_retrieval, evaluate_triage
from deskhand_graphs import Workspace


def test_triage_and_retrieval_have_figures_at_the_top_and_arms(workspace: Path) -> None:
    triage = workspace / "triage.jsonl"
    rest = {"priority": "normal", "team": None, "flags": []}
    rows = [
        {"id": "t1", "text": "my parcel has not arrived yet", "label": "delivery", "language": "en"},
        {"id": "t2", "text": "I want to return the lamp", "label": "returns", "language": "en"},
        {
            "id": "t3",
            "text": "Wo bleibt mein Paket? Ich warte seit zwei Wochen.",
            "label": "delivery",
            "language": "de",
        },
    ]
    triage.write_text("".join(json.dumps(row | rest) + "\n" for row in rows))
    retrieval = workspace / "retrieval.jsonl"
    retrieval.write_text(json.dumps({"id": "r1", "text": "how long can I return a product", "relevant": ["returns"]}))
    told: list[int] = []
    with Workspace.open(WorkspaceFolder(workspace)) as opened:
        opened.knowledge.ingest()
        opened.learn()
        figures = evaluate_triage(opened, triage, lambda done, total: told.append(done))
        found = evaluate_retrieval(opened, retrieval, on=date(2026, 11, 20))
    assert figures["n"] == 2
    assert figures["accuracy"] == 1.0
    assert set(figures["arms"]) == {"all", "de", "en"}
    assert figures["arms"]["all"]["n"] == 3
    assert told == [1, 2, 3]
    json.dumps(figures)
    assert found["mrr"] == 1.0
    assert found["arms"]["no_threshold"]["recall_at_5"] == 1.0
