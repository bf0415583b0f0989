from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deskhand.errors import ConfigError, InputError
from deskhand_evals import Experiments, Outcome, load_suite, run_suite, verdict
from deskhand_evals.experiments import report_text
from deskhand_evals.suite import load_cases

EXACT = '[[part.scorer]]\nkind = "exact"\nname = "right"\n'
GATED = EXACT + "gate = { bar = 0.5 }\n"
OWN = '[[part.scorer]]\nkind = "python"\nname = "own"\nfunction = "none_here:score"\n'
CASES = tuple({"id": f"c{n}", "text": str(n), "expected": str(n), "tier": "ab"[n % 2]} for n in range(6))


def test_every_case_is_run_as_often_as_asked_and_its_slices_are_kept(bench) -> None:
    bench.cases(*CASES)
    bench.code("async def echo(row, suffix=''):\n    return row['text'] + suffix\n", "echoing")
    bench.suite(f'target = "echoing:echo"\nslices = ["tier"]\ncluster = "tier"\nrepeats = 2\n{GATED}')
    report = bench.run()
    assert [(row.case, row.repeat) for row in report.rows[:4]] == [("c0", 0), ("c0", 1), ("c1", 0), ("c1", 1)]
    assert {row.slices["tier"] for row in report.rows} == {"a", "b"}
    assert {row.cluster for row in report.rows} == {"a", "b"}
    assert all(row.scores == {"right": 1.0} for row in report.rows)


def test_cases_that_raise_or_hang_are_marked_and_the_rest_goes_on(bench) -> None:
    bench.cases(*CASES)
    bench.code(
        """
        import asyncio, time
        def blocking(row):
            if row["id"] == "c0": raise KeyError("no such thing")
            if row["id"] == "c1": time.sleep(60)
            if row["id"] == "c2": raise SystemExit
            if row["id"] == "c3": return object()
            if row["id"] == "c4": raise TimeoutError("its own")
            return row["text"]
        """,
        "failing",
    )
    bench.suite(f'target = "failing:blocking"\n{GATED}', "timeout_s = 2\nconcurrency = 2")
    report = bench.run()
    assert [str(row.status) for row in report.rows] == ["error", "timeout", "error", "error", "error", "ok"]
    assert "KeyError: 'no such thing' (failing.py:" in report.rows[0].error
    assert "its own" in report.rows[4].error
    assert verdict(report).outcome is not Outcome.passed


def test_a_shell_command_is_a_target_and_one_that_hangs_is_ended(bench) -> None:
    bench.cases(*CASES[:3])
    script = "import json,sys,time; r=json.load(sys.stdin); n=r['text']; n=='1' and time.sleep(60); n=='2' and sys.exit(4); print(json.dumps(n))"  # noqa: E501
    (bench.root / "target.py").write_text(script)
    bench.suite(f'target = "command:{sys.executable} target.py"\n{EXACT}', "timeout_s = 10")
    report = bench.run()
    assert [str(row.status) for row in report.rows] == ["ok", "timeout", "error"]
    assert "ended with 4" in report.rows[2].error


def test_scorers_that_raise_or_give_no_number_mark_the_row(bench) -> None:
    bench.cases(*CASES[:3])
    bench.code(
        """
        def same(row): return row["text"]
        def odd(row, output): return {"0": float("nan"), "1": 1 / 1, "2": True}[output]
        def broken(row, output): raise RuntimeError("oh")
        def many(row, output): return {"": 1, "length": 0.5}
        """,
        "scoring",
    )
    python = '[[part.scorer]]\nkind = "python"\n'
    bench.suite(
        'target = "scoring:same"\n'
        f'{python}name = "odd"\nfunction = "scoring:odd"\ngate = {{ bar = 0.1 }}\n'
        f'{python}name = "many"\nfunction = "scoring:many"\nextra = ["length"]\n'
        f'{python}name = "broken"\nfunction = "scoring:broken"\n'
    )
    report = bench.run()
    first = report.rows[0]
    assert "finite" in first.unscored["odd"]
    assert "RuntimeError: oh" in first.unscored["broken"]
    assert first.scores == {"many": 1.0, "many.length": 0.5}
    assert verdict(report).outcome is not Outcome.passed


def test_a_missing_expected_value_marks_its_case(bench) -> None:
    bench.cases({"id": "c0", "text": "x", "label": "x"}, {"id": "c1", "text": "x"})
    bench.code("def same(row): return row['text']\n", "sames")
    scorer = '[[part.scorer]]\nkind = "classification"\nname = "label"\nexpected = "label"\ngate = { bar = 0.1 }\n'
    bench.suite(f'target = "sames:same"\n{scorer}')
    report = bench.run()
    assert report.n_failed == 1
    assert "no 'label' in the case" in report.rows[1].unscored["label"]
    assert verdict(report).outcome is not Outcome.passed


@pytest.mark.parametrize("rows", [(), ({"text": "no id"},), ({"id": "a"}, {"id": "a"}), None])
def test_a_dataset_that_cannot_be_read_marks_its_part(bench, rows) -> None:
    if rows is not None:
        bench.cases(*rows)
    bench.code("def same(row): return 1\n", "one")
    bench.suite(f'target = "one:same"\n{GATED}')
    report = bench.run()
    assert report.parts[0].problem
    assert verdict(report).outcome is Outcome.inconclusive


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (f'target = "nothing"\n{EXACT}', "name one of triage"),
        (f'target = "json:loadz"\n{EXACT}', "loadz"),
        (f'target = "math:pi"\n{EXACT}', "not a function"),
        (f'target = "graph:none"\n{EXACT}', "no graph 'none'"),
        (f'target = "triage"\noptions = {{ k = 1 }}\n{EXACT}', "no such option"),
        ('target = "triage"\n[[part.scorer]]\nkind = "magic"\nname = "x"\n', "no scorer"),
        ('target = "triage"\n[[part.scorer]]\nkind = "exact"\nname = "x"\nk = 2\n', "k: extra"),
        (f'target = "triage"\n{EXACT}{EXACT}', "stands there twice"),
        (f'target = "triage"\n{EXACT}gate = {{ bar = 1, measure = "mrr" }}\n', "no measure 'mrr'"),
        (f'target = "triage"\n{EXACT}gate = {{ bar = 80 }}\n', "bar 80: 'right' is a share, from 0 to 1"),
        (f'target = "triage"\n{EXACT}gate = {{ max_drop = 5 }}\n', "drop < 5: 'right' is a share"),
        (f'target = "triage"\n{OWN}gate = {{ bar = -0.1 }}\n', "bar -0.1: 'own' is a share"),
        (f'target = "triage"\n{OWN}gate = {{ bar = 1, measure = "more" }}\n', "no measure 'more'"),
        (f'target = "triage"\n{OWN}is_share = false\ngate = {{ bar = 80 }}\n', "cannot import 'none_here'"),
        ('target = "triage"\n[[part.scorer]]\nkind = "exact"\n', "correct it and run the suite again"),
    ],
)
def test_a_wrong_suite_names_the_key(bench, part: str, said: str) -> None:
    bench.cases(*CASES)
    bench.suite(part)
    with pytest.raises(ConfigError, match=said):
        bench.run()


def test_one_part_and_one_scorer_may_be_written_as_plain_tables(bench) -> None:
    path = bench.suite(f'target = "triage"\n{GATED}')
    listed = load_suite(path).version
    path.write_text(path.read_text().replace("[[", "[").replace("]]", "]"))
    assert load_suite(path).version == listed


def test_a_suite_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such suite"):
        load_suite(tmp_path / "none.toml")


SLOW = """
import asyncio, pathlib
async def slow(row):
    with open(pathlib.Path(__file__).with_name("calls.txt"), "a") as file:
        file.write(row["id"] + "\\n")
    await asyncio.sleep(0.05)
    return row["text"]
"""
RUNNER = """
import asyncio, pathlib, sys
from deskhand.config import WorkspaceFolder
from deskhand_evals import RunOptions, load_suite, run_suite
root = pathlib.Path(sys.argv[1])
asyncio.run(run_suite(load_suite(root / "suite.toml"), WorkspaceFolder(root), RunOptions()))
"""


def test_a_run_that_was_killed_goes_on_and_ends_with_the_same_results(bench) -> None:
    cases = tuple({"id": f"c{n}", "text": str(n), "expected": str(n % 7)} for n in range(60))
    bench.cases(*cases)
    bench.code(SLOW, "slowly")
    bench.suite(f'target = "slowly:slow"\n{EXACT}', "concurrency = 4")
    process = subprocess.Popen([sys.executable, "-c", RUNNER, str(bench.root)])
    results = bench.root / ".deskhand" / "experiments"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = list(results.glob("*/results.jsonl"))
        if found and found[0].read_bytes().count(b"\n") >= 8:
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with found[0].open("ab") as file:
        file.write(b'{"row": {"part": "p", "ca')  # a line in which it died
    finished = {json.loads(line)["row"]["case"] for line in found[0].read_bytes().splitlines()[:-1]}
    assert 8 <= len(finished) < 60
    (bench.root / "calls.txt").unlink()
    told: list[str] = []
    resumed = bench.run(say=told.append)
    again = (bench.root / "calls.txt").read_text().split()
    assert not finished & set(again)
    assert any("going on with" in line for line in told)
    whole = bench.run(fresh=True)

    def results_of(report):
        return [row.model_dump(exclude={"latency_ms"}) for row in report.rows]

    assert results_of(resumed) == results_of(whole)


def test_stored_outputs_are_scored_again_without_calling_the_target(bench) -> None:
    bench.cases(*CASES)
    bench.code("calls = []\ndef same(row):\n    calls.append(1)\n    return row['text']\n", "counted")
    bench.suite(f'target = "counted:same"\n{EXACT}')
    first = bench.run()
    bench.suite('target = "counted:same"\n[[part.scorer]]\nkind = "regex"\nname = "digit"\npattern = "[0-2]"\n')
    second = bench.run(rescore=first.id)
    assert [row.scores["digit"] for row in second.rows] == [1, 1, 1, 0, 0, 0]
    import counted  # type: ignore[import-not-found]

    assert len(counted.calls) == 6


def test_a_judge_is_compared_with_people(bench) -> None:
    bench.cases(*CASES)
    bench.code("def same(row): return row['text']\ndef judge(row, output): return output == 'good'\n", "judging")
    labels = [{"output": "good", "human": True}, {"output": "bad", "human": False}] * 20
    scorer = '[[part.scorer]]\nkind = "python"\nname = "j"\nfunction = "judging:judge"\njudge = true\n'
    bench.cases(*labels, name="human.jsonl")
    bench.suite(f'target = "judging:same"\n{scorer}human = "human.jsonl"\ngate = {{ bar = 0.9 }}\n')
    report = bench.run()
    assert report.parts[0].scorers[0].pairs[:2] == (("1", "1"), ("0", "0"))
    assert verdict(report).outcome is Outcome.failed  # it may gate, and nothing is good
    bench.cases({"output": "x"}, name="human.jsonl")
    assert "human" in bench.run().parts[0].scorers[0].problem


def test_experiments_are_listed_and_found_by_their_beginning(bench) -> None:
    bench.cases(*CASES)
    bench.code("def same(row): return row['text']\n", "again")
    bench.suite(f'target = "again:same"\n{EXACT}')
    first, second = bench.run(), bench.run()
    experiments = Experiments.of(bench.folder)
    assert [report.id for report in experiments.list()] == sorted([first.id, second.id], reverse=True)
    assert experiments.load("latest").id == max(first.id, second.id)
    assert experiments.load(first.id) == first
    path = bench.root / "r.json"
    path.write_text(report_text(first))
    assert experiments.load(str(path)) == first
    for wrong in ("exp-", "nothing"):
        with pytest.raises(InputError, match="eval list"):
            experiments.load(wrong)


def test_targets_of_the_workspace_answer(bench) -> None:
    question = "How long do I have to return a product?"
    bench.cases({"id": "q", "text": question, "label": "returns", "relevant": ["returns"], "end": {"status": "done"}})
    parts = {
        "triage": 'kind = "classification"\nname = "s"\noutput = "category"\nexpected = "label"\n',
        "retrieval": 'kind = "retrieval"\nname = "s"\nexpected = "relevant"\n',
        "support": 'kind = "quotes"\nname = "s"\n',
        "approved": 'kind = "state"\nname = "s"\nexpected = "end"\n',
    }
    text = 'schema = 1\nname = "all"\n'
    for target, scorer in parts.items():
        text += f'[[part]]\nname = "{target}"\ndataset = "cases.jsonl"\ntarget = "{target}"\n[[part.scorer]]\n{scorer}'
    (bench.root / "suite.toml").write_text(text)
    report = bench.run()
    assert [(row.error, row.unscored) for row in report.rows] == [("", {})] * 4
    assert {row.part: row.scores["s"] for row in report.rows} == dict.fromkeys(parts, 1.0)


async def test_an_http_endpoint_is_a_target(bench) -> None:
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        row = await request.json()
        return web.Response(status=500, text="oh") if row["id"] == "c1" else web.json_response(row["text"])

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    bench.cases(*CASES[:3])
    path = bench.suite(f'target = "http://127.0.0.1:{port}/"\n{EXACT}')
    report = await run_suite(load_suite(path), bench.folder)
    await runner.cleanup()
    assert [str(row.status) for row in report.rows] == ["ok", "error", "ok"]
    assert "answered 500: oh" in report.rows[1].error


def test_numbers_and_texts_that_no_file_can_hold_mark_the_case_or_are_escaped(bench) -> None:
    bench.cases(*({"id": f"c{n}", "text": "\ud800", "tier": "\ud800", "expected": 1} for n in range(4)))
    bench.code(
        """
        from deskhand_evals import Output
        def odd(row):
            if row["id"] == "c0": return Output(float("inf"))
            if row["id"] == "c1": return Output(1, cost_usd=float("nan"))
            if row["id"] == "c2": raise ValueError(row["text"])
            return row["text"]
        """,
        "odd_values",
    )
    bench.suite(f'target = "odd_values:odd"\nslices = ["tier"]\ncluster = "tier"\n{EXACT}')
    report = bench.run()
    assert [str(row.status) for row in report.rows] == ["error", "error", "error", "ok"]
    assert report.rows[3].output == "\\ud800"
    assert Experiments.of(bench.folder).load("latest") == report
    assert len(Experiments.of(bench.folder).outputs(report.id)) == 4


def test_the_suite_of_the_example_reads_its_golden_sets(example: Path) -> None:
    suite = load_suite(example / "evals" / "suite.toml")
    n_cases = {part.name: len(load_cases(suite, part).cases) for part in suite.file.part}
    assert set(n_cases) == {"triage", "retrieval", "drafts", "summaries", "actions", "conversations"}
    assert min(n for name, n in n_cases.items() if name not in ("actions", "conversations")) > 30
