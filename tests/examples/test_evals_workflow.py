"""The evals of the example: the script of its CI workflow as written, and its suite live, recorded and replayed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deskhand.config import WorkspaceFolder
from deskhand.provider import FakeProvider
from deskhand.testing import copy_workspace
from deskhand_evals import Mode, Outcome, RunOptions, load_suite, run_suite, verdict

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "hollowfern"
PARTS = {"triage", "retrieval", "drafts", "summaries", "actions", "conversations"}
MODELS = """
[models.tiers]
small = ["fake"]
strong = ["fake"]
[models.budget]
day_usd = 100
[models.defs.fake]
model = "openai/fake"
api_base = "{url}"
price = {{ input_per_million_usd = 1.0, output_per_million_usd = 2.0 }}
"""


def _limited(root: Path, n_cases: int) -> Path:
    """Let every part of the suite take its first cases only."""
    path = root / "evals" / "suite.toml"
    path.write_text(re.sub(r"\[\[part\]\]\n", f"[[part]]\nlimit = {n_cases}\n", path.read_text()))
    return path


@pytest.fixture(scope="module")
def read_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example workspace; its articles are read once for all tests here."""
    return copy_workspace(EXAMPLE, tmp_path_factory.mktemp("evals") / "hollowfern")


@pytest.fixture
def copied(read_once: Path) -> Path:
    """The copy as it is in the repository, but for what deskhand itself has written."""
    for name in ("deskhand.toml", "evals/suite.toml"):
        shutil.copyfile(EXAMPLE / name, read_once / name)
    return read_once


def test_the_workflow_of_the_example_runs_as_written(copied: Path, tmp_path: Path) -> None:
    _limited(copied, 5)
    baseline = json.loads((copied / "evals" / "baselines" / "hollowfern.json").read_text())
    assert {part["name"] for part in baseline["parts"]} == PARTS
    workflow = yaml.safe_load((copied / ".github" / "workflows" / "evals.yml").read_text())
    steps = [step["run"] for step in workflow["jobs"]["evals"]["steps"] if "run" in step]
    assert len(steps) == 4
    assert steps.pop(0) == "python -m pip install --quiet deskhand"  # what is tested is installed already
    summary = tmp_path / "summary.md"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    told = []
    for script in steps:
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script], cwd=copied, env=environment, capture_output=True, text=True
        )
        told.append(done.stdout + done.stderr)
        assert done.returncode == 0, told[-1]
    assert "::notice title=Evals hollowfern::" in told[1]
    assert summary.read_text().startswith("## ")
    for name in ("report.html", "report.md", "junit.xml"):
        assert (copied / "eval-report" / name).stat().st_size > 1000
    assert 'src="http' not in (copied / "eval-report" / "report.html").read_text()


def test_the_baseline_of_the_example_is_of_its_suite(example: Path) -> None:
    from deskhand_evals import load_report
    from deskhand_evals.suite import load_cases

    suite = load_suite(example / "evals" / "suite.toml")
    baseline = load_report(suite.baseline_path)
    assert baseline.n_failed == 0
    for part in suite.file.part:
        old = baseline.part(part.name)
        assert old is not None
        assert old.dataset_version == load_cases(suite, part).version, f"{part.name}: save a new baseline"


async def test_the_suite_of_the_example_replays_what_models_said(copied: Path, monkeypatch: Any) -> None:
    suite = load_suite(_limited(copied, 2))
    config = copied / "deskhand.toml"
    plain = config.read_text()
    local = await run_suite(suite, WorkspaceFolder(copied), RunOptions())
    assert {part.mode for part in local.parts} == {"local"}
    assert local.n_failed == 0
    async with FakeProvider() as provider:
        config.write_text(plain + MODELS.format(url=provider.base_url))
        live = await run_suite(suite, WorkspaceFolder(copied), RunOptions(mode=Mode.live))
    assert (live.n_failed, live.cost_usd > 0) == (0, True)

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a replay opened a socket")

    monkeypatch.setattr("socket.socket.connect", refuse)
    again = await run_suite(suite, WorkspaceFolder(copied), RunOptions(mode=Mode.replay))
    assert {part.name: part.mode for part in again.parts}["drafts"] == "replay"
    assert {part.name for part in again.parts} == PARTS

    def rows_of(report: Any) -> list[dict[str, Any]]:
        return [row.model_dump(exclude={"latency_ms"}) for row in report.rows]

    assert rows_of(again) == rows_of(live)
    assert [check.outcome for check in verdict(again, live).checks if check.rule.startswith("drop")]
    assert verdict(again, live).outcome is not Outcome.passed or again.n_failed == 0
