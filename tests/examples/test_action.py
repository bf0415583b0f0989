"""The reusable GitHub Action: its steps, run as GitHub runs them, against a target outside that counts who asks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from deskhand.testing import build_workspace

ROOT = Path(__file__).resolve().parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
SUITE = """
schema = 1
name = "outside"
timeout_s = 60
[[part]]
name = "p"
dataset = "cases.jsonl"
target = "{url}"
[[part.scorer]]
kind = "exact"
name = "right"
gate = {{ bar = {bar} }}
"""


class Target(ThreadingHTTPServer):
    """Answers each case with its text, and counts."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Echo)
        self.n_asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Echo(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Target)
        self.server.n_asked += 1
        row = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps(row["text"]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        return None


@pytest.fixture
def target() -> Iterator[Target]:
    """A service that is measured."""
    with Target() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@dataclass
class Job:
    """What GitHub gives to the steps of an action, and what they leave behind."""

    repository: Path
    scratch: Path
    code: int = 0
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    log: str = ""

    def suite(self, url: str, *, bar: float = 0.5) -> None:
        """Put a workspace with a suite of ten cases, one of them answered wrongly, into the repository."""
        root = self.repository / "support"
        if not root.exists():
            build_workspace(root)
        folder = root / "evals"
        folder.mkdir(exist_ok=True)
        rows = [{"id": f"c{n}", "text": f"case {n}", "expected": f"case {n}" if n else "else"} for n in range(10)]
        (folder / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "suite.toml").write_text(SUITE.format(url=url, bar=bar))

    def run(self, path: str = "", **given: str) -> Job:
        """Run the action's steps with its inputs, as its runner does: bash, files for outputs and the summary."""
        inputs = {name: one["default"] for name, one in ACTION["inputs"].items()} | {"workspace": "support"} | given
        temp, files = self.scratch / "temp", {}
        temp.mkdir(exist_ok=True)
        for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV"):
            files[name] = self.scratch / name
            files[name].write_text("")
        outside = {name: value for name, value in os.environ.items() if not name.startswith("DESKHAND_")}
        runner = {
            "GITHUB_ACTIONS": "true", "GITHUB_ACTION_PATH": str(ROOT), "GITHUB_WORKSPACE": str(self.repository),
            "RUNNER_TEMP": str(temp), "PATH": f"{path or Path(sys.executable).parent}:{os.environ['PATH']}",
        }  # fmt: skip
        self.log, steps = "", {}
        for step in ACTION["runs"]["steps"]:
            if not _holds(step.get("if", ""), inputs):
                continue
            assert step["shell"] == "bash"
            own = {name: _filled(value, {"inputs": inputs}) for name, value in step.get("env", {}).items()}
            script = self.scratch / "step.sh"
            script.write_text(step["run"])
            assert "${{" not in step["run"], "an input in a script is run as code; pass it by the environment"
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)], cwd=self.repository,
                env={**outside, **runner, **{name: str(file) for name, file in files.items()}, **own},
                capture_output=True, text=True,
            )  # fmt: skip
            self.code, self.log = done.returncode, self.log + done.stdout + done.stderr
            steps[step.get("id", "")] = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().split())
            if self.code:
                break
        self.summary = files["GITHUB_STEP_SUMMARY"].read_text()
        self.outputs = {name: _filled(one["value"], {"steps": steps}) for name, one in ACTION["outputs"].items()}
        return self


def _holds(condition: str, inputs: Mapping[str, str]) -> bool:
    """Evaluate the one form of condition that the action has."""
    if not condition:
        return True
    found = re.fullmatch(r"inputs\.(\w+) == '(\w*)'", condition)
    assert found, f"GitHub may understand {condition!r}, this test does not"
    return inputs[found[1]] == found[2]


def _filled(text: str, contexts: Mapping[str, Any]) -> str:
    """Put the values of expressions into a text; an output that no step has set is empty, as on GitHub."""

    def value(found: re.Match[str]) -> str:
        first, name, *rest = found[1].split(".")
        if first == "inputs":
            return str(contexts[first][name])
        assert (first, rest[0]) == ("steps", "outputs")
        return str(contexts[first].get(name, {}).get(rest[1], ""))

    return re.sub(r"\$\{\{ ([\w.]+) \}\}", value, text)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job of a repository, in which no workspace stands yet."""
    repository = tmp_path / "repository"
    (repository / ".git").mkdir(parents=True)
    return Job(repository, tmp_path)


def test_a_replay_asks_nothing_that_live_has_recorded(job: Job, target: Target) -> None:
    job.suite(target.url)
    live = job.run(install="false", mode="live")
    assert (live.code, live.outputs["outcome"], target.n_asked) == (0, "PASS", 10), live.log
    again = job.run(install="false")
    assert (again.code, again.outputs["outcome"], target.n_asked) == (0, "PASS", 10), again.log
    assert "::notice title=Evals outside::PASS: 10 rows, 0 failed" in again.log
    assert "::error" not in again.log
    assert again.summary.startswith("## ")
    assert "PASS" in again.summary
    reports = Path(again.outputs["reports"])
    assert sorted(file.name for file in reports.iterdir()) == ["junit.xml", "report.html", "report.md"]
    assert reports.parent == job.scratch / "temp"
    assert (reports / "report.md").read_text() == again.summary


def test_a_replay_without_recordings_never_passes_and_asks_nothing(job: Job, target: Target) -> None:
    job.suite(target.url, bar=0.9)
    done = job.run(install="false")
    assert (done.code, done.outputs["outcome"], target.n_asked) == (1, "FAIL", 0), done.log
    assert "failed: p c0" in done.log


def test_record_and_auto_ask_what_is_missing(job: Job, target: Target) -> None:
    job.suite(target.url)
    assert job.run(install="false", mode="record").code == 0
    assert target.n_asked == 10
    recording = next((job.repository / "support" / "evals" / "recordings").rglob("p.jsonl"))
    assert job.run(install="false", mode="auto").code == 0
    assert target.n_asked == 10
    recording.unlink()
    assert job.run(install="false", mode="auto").code == 0
    assert target.n_asked == 20


def test_a_failed_gate_fails_the_job_beside_its_suite_file(job: Job, target: Target) -> None:
    job.suite(target.url, bar=0.999)
    (job.repository / "support" / "evals" / "cases.jsonl").write_text(
        "".join(json.dumps({"id": f"c{n}", "text": "a", "expected": "b"}) + "\n" for n in range(20))
    )
    done = job.run(install="false", mode="live")
    assert (done.code, done.outputs["outcome"]) == (1, "FAIL"), done.log
    assert "::error file=support/evals/suite.toml,title=outside%3A p right::" in done.log
    assert "FAIL" in done.summary
    assert Path(done.outputs["reports"], "junit.xml").is_file()


def test_what_is_open_fails_the_job_only_where_that_is_asked_for(job: Job, target: Target) -> None:
    job.suite(target.url, bar=0.9)
    done = job.run(install="false", mode="live")
    assert (done.code, done.outputs["outcome"]) == (0, "INCONCLUSIVE"), done.log
    assert "::warning file=support/evals/suite.toml," in done.log
    strict = job.run(install="false", strict="true")
    assert (strict.code, strict.outputs["outcome"]) == (3, "INCONCLUSIVE"), strict.log


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"mode": "fast"}, "mode: 'fast' is none of replay, record, live and auto"),
        ({"suite": "evals/none.toml"}, "no such suite"),
        ({"workspace": "nowhere"}, "nowhere"),
        ({"baseline": "none.json"}, "none.json"),
        ({"suite": "$(touch injected)"}, "no such suite"),
    ],
)
def test_a_wrong_input_is_an_error_and_no_verdict(job: Job, given: dict[str, str], told: str) -> None:
    job.suite("http://127.0.0.1:9/")
    done = job.run(install="false", **given)
    assert done.code == 2, done.log
    assert told in done.log
    assert done.outputs == {"outcome": "", "reports": ""}
    assert "Traceback" not in done.log
    assert not (job.repository / "injected").exists()


def test_a_baseline_of_the_repository_is_compared_with(job: Job, target: Target) -> None:
    job.suite(target.url)
    suite = job.repository / "support" / "evals" / "suite.toml"
    suite.write_text(suite.read_text().replace("bar = 0.5", "max_drop = 0.9"))
    assert job.run(install="false", mode="live").outputs["outcome"] == "INCONCLUSIVE"  # there is no baseline yet
    (stored,) = (job.repository / "support" / ".deskhand" / "experiments").glob("*/report.json")
    shutil.copyfile(stored, job.repository / "old.json")
    done = job.run(install="false", baseline="old.json")
    assert (done.code, done.outputs["outcome"]) == (0, "PASS"), done.log


def test_the_action_installs_the_locked_versions_by_their_hashes(job: Job, target: Target, tmp_path: Path) -> None:
    """Pip itself is not run: what it is told is, with a Python in its place."""
    job.suite(target.url)
    folder = tmp_path / "bin"
    folder.mkdir()
    told = tmp_path / "told"
    (folder / "python").write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    (folder / "deskhand").symlink_to(Path(sys.executable).parent / "deskhand")
    (folder / "python").chmod(0o755)
    assert job.run(path=str(folder), mode="live").code == 0
    first, second = (line.split() for line in told.read_text().splitlines())
    assert first[:3] == second[:3] == ["-m", "pip", "install"]
    assert {"--require-hashes", "--no-deps", "-r", f"{ROOT}/requirements.lock"} <= {*first}
    assert {"--no-build-isolation", "--no-deps", str(ROOT)} <= {*second}
    locked = (ROOT / "requirements.lock").read_text()
    assert re.search(r"^hatchling==", locked, re.M), "what builds deskhand is not locked"
    assert len(re.findall(r"^[\w.-]+==", locked, re.M)) == len(re.findall(r"^[\w.-]+==.*\\\n    --hash=", locked, re.M))
