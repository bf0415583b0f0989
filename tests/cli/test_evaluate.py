from __future__ import annotations

import json
from pathlib import Path


def test_triage_is_scored_on_a_golden_set(invoke, workspace: Path, tmp_path: Path) -> None:
    rest = {"priority": "normal", "team": None, "language": "en", "flags": []}
    rows = [
        {"id": "t1", "text": "my parcel is late, where is it", "label": "delivery"} | rest,
        {"id": "t2", "text": "I want to send this back for a refund", "label": "returns"} | rest,
    ]
    golden = tmp_path / "triage.jsonl"
    golden.write_text("\n".join(json.dumps(row) for row in rows))
    done = invoke("triage", "evaluate", "--golden", golden, "--json", "--workspace", workspace)
    figures = json.loads(done.stdout)
    assert (figures["n"], figures["accuracy"]) == (2, 1.0)
    assert "100.0%" in invoke("triage", "evaluate", "--golden", golden, "--workspace", workspace).stdout


def test_search_is_scored_on_a_golden_set(invoke, workspace: Path, tmp_path: Path) -> None:
    golden = tmp_path / "retrieval.jsonl"
    golden.write_text(json.dumps({"id": "r1", "text": "return a product", "relevant": ["returns"]}))
    figures = json.loads(invoke("memory", "evaluate", "--golden", golden, "--json", "--workspace", workspace).stdout)
    assert (figures["recall_at_5"], figures["mrr"]) == (1.0, 1.0)
    assert "plain 100%" in invoke("memory", "evaluate", "--golden", golden, "--workspace", workspace).stdout


def test_a_missing_golden_set_is_named(invoke, workspace: Path) -> None:
    done = invoke("triage", "evaluate", "--workspace", workspace)
    assert (done.exit_code, "triage.jsonl" in done.stderr) == (2, True)
