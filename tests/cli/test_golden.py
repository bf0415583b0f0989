from __future__ import annotations

import json
from pathlib import Path

import click
import pytest


@pytest.fixture
def reviewed(invoke, workspace: Path, ticket_file: Path) -> str:
    """A run whose draft a reviewer edited; its id."""
    done = invoke("run", "--ticket", ticket_file, "--json", "--workspace", workspace)
    run_id: str = json.loads(done.stdout.splitlines()[0])["run_id"]
    text = "Hello Ann Lee,\n\nYou have 30 days. Labels cost EUR 5.\n"
    assert invoke("review", "edit", run_id, "--text", text, "--workspace", workspace).exit_code == 0
    return run_id


def triage_row(name: str, text: str) -> str:
    rest = {"priority": "normal", "team": None, "language": "en", "flags": []}
    return json.dumps({"id": name, "text": text, "label": "delivery"} | rest) + "\n"


def test_a_clean_golden_set_passes_and_a_leak_fails(invoke, workspace: Path) -> None:
    golden = workspace / "golden"
    golden.mkdir()
    (golden / "triage.jsonl").write_text(triage_row("t1", "somebody else took my box at the door"))
    done = invoke("golden", "check", "--workspace", workspace)
    assert (done.exit_code, "0 errors" in done.stderr) == (0, True)
    (golden / "triage.jsonl").write_text(triage_row("t1", "When will my order be delivered?"))
    shown = invoke("golden", "check", "--meaning", "--workspace", workspace)
    assert (shown.exit_code, "labelled:3" in shown.stdout) == (1, True)
    done = invoke("golden", "check", "--json", "--workspace", workspace)
    found = json.loads(done.stdout)
    assert (done.exit_code, found["n_errors"], found["problems"][0]["kind"]) == (1, 1, "leak")
    assert found["compared_with"] == {"examples": 6, "articles": 2}


def test_a_reviewed_run_becomes_a_case(invoke, workspace: Path, reviewed: str) -> None:
    added = invoke("golden", "add", reviewed, "--workspace", workspace)
    assert (added.exit_code, "Ann" in added.stdout, "EUR 5" in added.stdout) == (0, False, True)
    listed = json.loads(invoke("golden", "list", "--json", "--workspace", workspace).stdout)
    assert [candidate["id"] for candidate in listed["candidates"]] == [f"{reviewed}-drafts"]
    assert "golden review" in invoke("golden", "list", "--workspace", workspace).stderr
    done = invoke("golden", "review", "--accept", f"{reviewed}-drafts", "--workspace", workspace)
    assert (done.exit_code, "drafts.jsonl" in done.stderr) == (0, True)
    assert "no candidates" in invoke("golden", "list", "--workspace", workspace).stderr
    again = invoke("golden", "add", reviewed, "--workspace", workspace)
    assert (again.exit_code, "is a case already" in again.stderr) == (2, True)


def test_candidates_are_read_in_turn(invoke, workspace: Path, reviewed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("drafts", "triage"):
        invoke("golden", "add", reviewed, "--kind", kind, "--json", "--workspace", workspace)
    monkeypatch.setattr(click, "edit", lambda text, extension: text.replace('"normal"', '"high"'))
    done = invoke("golden", "review", "--workspace", workspace, given="a\nx\ne\na\n")
    assert done.exit_code == 0
    assert '"priority":"high"' in (workspace / "golden" / "triage.jsonl").read_text()
    monkeypatch.setattr(click, "edit", lambda text, extension: "[]")
    invoke("golden", "add", reviewed, "--kind", "retrieval", "--workspace", workspace)
    done = invoke("golden", "review", "--workspace", workspace, given="e\ns\n")
    assert "no object" in done.stderr
    invoke("golden", "review", "--workspace", workspace, given="q\n")
    assert invoke("golden", "review", "--workspace", workspace, given="r\n").exit_code == 0
    assert "no candidates" in invoke("golden", "review", "--workspace", workspace).stderr


def test_a_script_edits_and_rejects(invoke, workspace: Path, reviewed: str, tmp_path: Path) -> None:
    added = invoke("golden", "add", reviewed, "--kind", "triage", "--json", "--workspace", workspace)
    candidate = json.loads(added.stdout)
    file = tmp_path / "case.json"
    file.write_text(json.dumps(candidate["sample"] | {"label": "delivery"}))
    edit = ("golden", "review", "--edit", candidate["id"], "--workspace", workspace)
    assert invoke(*edit, "--file", file).exit_code == 0
    assert "belong together" in invoke(*edit).stderr
    listed = json.loads(invoke("golden", "list", "--json", "--workspace", workspace).stdout)
    assert listed["candidates"][0]["sample"]["label"] == "delivery"
    done = invoke("golden", "review", "--reject", candidate["id"], "--workspace", workspace)
    assert "rejected" in done.stderr


def test_an_unknown_kind_is_refused(invoke, workspace: Path) -> None:
    done = invoke("golden", "add", "run-1", "--kind", "poems", "--workspace", workspace)
    assert (done.exit_code, "drafts" in done.stderr) == (2, True)


def test_triage_is_cross_validated_on_labelled_tickets(invoke, workspace: Path) -> None:
    done = invoke("triage", "evaluate", "--folds", "2", "--json", "--workspace", workspace)
    assert (json.loads(done.stdout)["n"], len(json.loads(done.stdout)["folds"])) == (6, 2)
    assert "held out" in invoke("triage", "evaluate", "--folds", "2", "--workspace", workspace).stdout
    refused = invoke("triage", "evaluate", "--folds", "2", "--golden", "x.jsonl", "--workspace", workspace)
    assert (refused.exit_code, "give one of them" in refused.stderr) == (2, True)


def test_an_experiment_is_exported(invoke, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deskhand_evals import mlflow_export

    (workspace / "golden").mkdir()
    (workspace / "golden" / "triage.jsonl").write_text(triage_row("t1", "my parcel is late"))
    part = '[[part]]\nname = "p"\ndataset = "golden/triage.jsonl"\ntarget = "triage"\n'
    scorer = '[[part.scorer]]\nkind = "exact"\nname = "right"\noutput = "category"\nexpected = "label"\n'
    (workspace / "suite.toml").write_text(f'schema = 1\nname = "s"\n{part}{scorer}')
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert invoke("eval", "run", workspace / "suite.toml", "--workspace", workspace).exit_code == 3
    assert "name" not in invoke("eval", "export", "--workspace", workspace).stdout
    seen: list[object] = []
    monkeypatch.setattr(
        mlflow_export, "export_mlflow", lambda report, uri, baseline: seen.append((report.suite, uri)) or "r1"
    )
    done = invoke("eval", "export", "--mlflow", "file:///x", "--json", "--workspace", workspace)
    assert (json.loads(done.stdout)["run_id"], seen) == ("r1", [("s", "file:///x")])
    assert "MLflow run r1" in invoke("eval", "export", "--mlflow", "file:///x", "--workspace", workspace).stderr
