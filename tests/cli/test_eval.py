from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from deskhand_cli.app import app
from deskhand_cli.commands import eval as eval_command

if not any(group.name == "eval" for group in app.registered_groups):
    eval_command.register(app)

SUITE = """
schema = 1
name = "bench"
[[part]]
name = "p"
dataset = "cases.jsonl"
target = "eval_target:answer"
[[part.scorer]]
kind = "exact"
name = "right"
gate = { max_drop = 0.1 }
"""


@pytest.fixture
def suite(workspace: Path) -> Path:
    """A suite of 100 cases in the test kit's workspace; ``wrong.txt`` holds how many are answered wrongly."""
    folder = workspace / "evals"
    folder.mkdir()
    rows = ({"id": f"c{n}", "text": str(n), "expected": str(n)} for n in range(100))
    (folder / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "suite.toml").write_text(SUITE)
    (workspace / "wrong.txt").write_text("0")
    (workspace / "eval_target.py").write_text(
        "from pathlib import Path\n"
        "def answer(row):\n"
        "    n = int(Path(row.get('folder', WHERE), 'wrong.txt').read_text())\n"
        "    return 'no' if int(row['text']) < n else row['text']\n"
        f"WHERE = {str(workspace)!r}\n"
    )
    return workspace


@pytest.fixture(autouse=True)
def _forget_target():
    import sys

    before = list(sys.path)
    yield
    sys.path[:] = before
    sys.modules.pop("eval_target", None)


def test_a_suite_passes_fails_and_is_compared(invoke, suite: Path, tmp_path: Path) -> None:
    first = invoke("eval", "run", "--workspace", suite, "--json")
    assert first.exit_code == 3, first.output
    assert "no baseline" in json.loads(first.stdout)["verdict"]["checks"][0]["reason"]
    saved = invoke("eval", "run", "--workspace", suite, "--save-baseline")
    assert (saved.exit_code, "PASS: 100 rows, 0 failed" in saved.stdout) == (0, True), saved.output
    (suite / "wrong.txt").write_text("20")
    files = [tmp_path / name for name in ("r.xml", "r.md", "r.html")]
    options = ("--junit", files[0], "--markdown", files[1], "--html", files[2], "--github")
    failed = invoke("eval", "run", "--workspace", suite, *options)
    assert failed.exit_code == 1
    assert "::error" in failed.stderr
    assert all(path.stat().st_size > 500 for path in files)
    again = invoke("eval", "gate", "latest", "--workspace", suite, "--json")
    assert (again.exit_code, json.loads(again.stdout)["outcome"]) == (1, "FAIL")
    ids = [
        json.loads(line)["id"] for line in invoke("eval", "list", "--workspace", suite, "--json").stdout.splitlines()
    ]
    assert len(ids) == 3
    compared = invoke("eval", "compare", ids[1], ids[0], "--workspace", suite, "--json")
    assert json.loads(compared.stdout)[0]["after"] == 0.8
    assert "-0.200" in invoke("eval", "compare", ids[1], ids[0], "--workspace", suite).stdout
    assert ids[0] in invoke("eval", "list", "--workspace", suite).stdout
    named = invoke("eval", "gate", ids[1], "--baseline", ids[1], "--workspace", suite)
    assert named.exit_code == 0


def test_a_run_is_recorded_and_replayed(invoke, suite: Path) -> None:
    assert invoke("eval", "run", "--workspace", suite, "--replay").exit_code == 1  # nothing was recorded
    live = invoke("eval", "run", "--workspace", suite, "--live", "--json")
    assert "recorded 100 cases of p" in live.stderr
    assert (suite / "evals" / "recordings" / "bench" / "p.jsonl").is_file()
    (suite / "wrong.txt").unlink()
    again = invoke("eval", "run", "--workspace", suite, "--json", "--part", "p")
    assert json.loads(again.stdout)["parts"]["p"]["n_failed"] == 0
    both = invoke("eval", "run", "--workspace", suite, "--live", "--replay")
    assert (both.exit_code, "contradict each other" in both.stderr) == (2, True)
    assert "no part 'q'" in invoke("eval", "run", "--workspace", suite, "--part", "q").stderr


def test_outputs_are_scored_again_with_the_scorers_as_they_are_now(invoke, suite: Path) -> None:
    (suite / "wrong.txt").write_text("40")
    invoke("eval", "run", "--workspace", suite)
    (suite / "wrong.txt").unlink()
    file = suite / "evals" / "suite.toml"
    file.write_text(file.read_text().replace('kind = "exact"', 'kind = "regex"\npattern = "no"'))
    found = invoke("eval", "rescore", "latest", "--workspace", suite, "--json")
    assert json.loads(found.stdout)["parts"]["p"]["measures"]["right"]["value"] == 0.4


def test_annotations_are_printed_within_a_github_workflow(invoke, suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "::" not in invoke("eval", "run", "--workspace", suite).stderr
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    told = invoke("eval", "run", "--workspace", suite).stderr
    assert "::warning file=evals/suite.toml,title=bench%3A p right::there is no baseline" in told
    assert "::notice title=Evals bench::INCONCLUSIVE: 100 rows, 0 failed" in told


def test_settings_are_swept_and_the_best_run_is_named(invoke, suite: Path, tmp_path: Path) -> None:
    target = suite / "eval_target.py"
    target.write_text("def answer(row, wrong=0):\n    return 'no' if int(row['text']) < wrong else row['text']\n")
    files = [tmp_path / "s.html", tmp_path / "s.svg"]
    options = ("--set", "part.p.options.wrong=0,30", "--html", files[0], "--svg", files[1])
    swept = invoke("eval", "sweep", "--workspace", suite, *options)
    assert swept.exit_code == 0, swept.output
    assert "wrong=30" in swept.stdout
    assert all(path.stat().st_size > 500 for path in files)
    as_json = invoke("eval", "sweep", "--workspace", suite, "--set", "part.p.options.wrong=0,30", "--json")
    assert [arm["value"] for arm in json.loads(as_json.stdout)["arms"]] == [1.0, 0.7]
    best = invoke("eval", "best", "right", "--workspace", suite, "--json", "--top", "4")
    assert [row["value"] for row in json.loads(best.stdout)] == [1.0, 1.0, 0.7, 0.7]
    assert "as good" in invoke("eval", "best", "--workspace", suite).stdout
    assert "nothing to try" in invoke("eval", "sweep", "--workspace", suite).stderr


def test_aa_tests_the_gate_of_a_suite(invoke, suite: Path) -> None:
    found = invoke("eval", "aa", "--workspace", suite, "--simulations", "100", "--noise", "0.02", "--json")
    (rule,) = json.loads(found.stdout)["rules"]
    assert rule["same"]["failed"] < 0.06
    assert rule["needed_repeats"] >= 1
    shown = invoke("eval", "aa", "--workspace", suite, "--simulations", "100")
    assert "assumed" in shown.output


def test_show_prints_the_figures_of_a_run(invoke, suite: Path, tmp_path: Path) -> None:
    assert "no experiments" in invoke("eval", "list", "--workspace", suite).stderr
    invoke("eval", "run", "--workspace", suite, "--repeats", "2", "--concurrency", "2")
    shown = invoke("eval", "show", "--workspace", suite, "--html", tmp_path / "r.html")
    assert "p right" in shown.stdout
    assert (tmp_path / "r.html").exists()
    assert json.loads(invoke("eval", "show", "--workspace", suite, "--json").stdout)["parts"]["p"]["pass_hat_k"] == 1.0
    assert invoke("eval", "show", "exp-none", "--workspace", suite).exit_code == 2


def test_a_run_with_failed_rows_is_not_kept_as_the_baseline(invoke, suite: Path) -> None:
    (suite / "wrong.txt").unlink()
    refused = invoke("eval", "run", "--workspace", suite, "--save-baseline")
    assert (refused.exit_code, "100 rows failed" in refused.stderr) == (2, True)
    assert not (suite / "evals" / "baselines").exists()


def test_code_that_ends_the_program_does_not_end_it_with_its_own_exit_code(invoke, suite: Path) -> None:
    (suite / "exits.py").write_text("raise SystemExit(0)\n")
    (suite / "evals" / "suite.toml").write_text(SUITE.replace("eval_target:answer", "exits:answer"))
    refused = invoke("eval", "run", "--workspace", suite)
    assert (refused.exit_code, "ended the program" in refused.stderr) == (2, True)


def test_the_latest_run_as_the_baseline_is_the_one_before(invoke, suite: Path) -> None:
    def run() -> dict:
        return json.loads(invoke("eval", "run", "--baseline", "latest", "--workspace", suite, "--json").stdout)

    assert invoke("eval", "run", "--baseline", "latest", "--workspace", suite).exit_code == 2
    first = json.loads(invoke("eval", "run", "--workspace", suite, "--json").stdout)
    again = run()
    assert again["verdict"]["baseline_id"] == first["id"] != again["id"]


def test_a_run_of_some_parts_is_ranked_and_scored_again_but_no_baseline(invoke, suite: Path) -> None:
    path = suite / "evals" / "suite.toml"
    part = SUITE[SUITE.index("[[part]]") :]
    path.write_text(SUITE + part.replace('name = "p"', 'name = "q"', 1).replace('name = "echo"', 'name = "q"', 1))
    invoke("eval", "run", "--workspace", suite)
    names = [name for name in json.loads(invoke("eval", "show", "--workspace", suite, "--json").stdout)["parts"]]
    assert invoke("eval", "run", "--part", "q", "--workspace", suite).exit_code in (0, 3)
    assert invoke("eval", "best", "--part", names[0], "--workspace", suite).exit_code == 0
    again = json.loads(invoke("eval", "rescore", "--workspace", suite, "--json").stdout)
    assert (list(again["parts"]), again["parts"]["q"]["n_failed"]) == (["q"], 0)
    refused = invoke("eval", "run", "--part", "q", "--save-baseline", "--workspace", suite)
    assert (refused.exit_code, "leave --part out" in refused.stderr) == (2, True)


def test_a_suite_without_a_drop_rule_has_nothing_to_test(invoke, suite: Path) -> None:
    (suite / "evals" / "suite.toml").write_text(SUITE.replace("max_drop = 0.1", "bar = 0.1"))
    refused = invoke("eval", "aa", "--workspace", suite)
    assert (refused.exit_code, "no rule looks for a drop" in refused.stderr) == (2, True)


def test_why_rows_failed_is_said_once_a_reason(invoke, suite: Path) -> None:
    (suite / "wrong.txt").unlink()
    told = invoke("eval", "run", "--workspace", suite).stderr
    (line,) = (line for line in told.splitlines() if line.startswith("failed:"))
    assert line.startswith("failed: p c0 (and 99 more): FileNotFoundError")
    (suite / "eval_target.py").write_text("def answer(row):\n    raise ValueError(row['id'])\n")
    import sys

    sys.modules.pop("eval_target")
    told = invoke("eval", "run", "--workspace", suite).stderr
    assert told.count("failed: p c") == 5
    assert "95 more reasons; 'deskhand eval gate exp-" in told


def test_annotations_name_the_suite_as_its_repository_does(invoke, suite: Path) -> None:
    (suite.parent / ".git").mkdir()
    told = invoke("eval", "run", "--workspace", suite, "--github").stderr
    assert f"::warning file={suite.name}/evals/suite.toml," in told


def test_without_experiments_or_a_suite_the_next_step_is_said(invoke, suite: Path) -> None:
    told = invoke("eval", "show", "--workspace", suite)
    assert (told.exit_code, "run one with 'deskhand eval run'" in told.stderr) == (2, True)
    told = invoke("eval", "run", "evals/none.toml", "--workspace", suite)
    assert (told.exit_code, "look at evals/suite.toml in the folder that 'deskhand demo' makes" in told.stderr) == (
        2,
        True,
    )
    (suite / "old.json").write_text('{"schema": 9}')
    told = invoke("eval", "run", "--baseline", suite / "old.json", "--workspace", suite)
    assert (told.exit_code, "a new baseline is --save-baseline" in told.stderr) == (2, True)


@pytest.mark.parametrize("name", ["run", "rescore", "gate", "aa", "list", "show", "compare", "best", "sweep"])
def test_help_has_an_example(name: str) -> None:
    alone = typer.Typer()
    eval_command.register(alone)
    alone.command("other")(lambda: None)
    assert f"Example: deskhand eval {name}" in CliRunner().invoke(alone, ["eval", name, "--help"]).stdout.replace(
        "\n", " "
    )
