"""A scorer of the user's that hangs, crashes or prints harms nothing but its own case."""

from __future__ import annotations

import io
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from deskhand_evals import Unscored
from deskhand_evals.scorer_process import MAX_HANGS, ScorerProcess
from deskhand_evals.scorer_worker import serve

CODE = """
    import os, re, sys, time
    from decimal import Decimal
    from pathlib import Path

    def _sleep(): time.sleep(10_000)
    def _loop():
        while True:
            try:
                while True: pass
            except Exception: pass
    def _match(): re.match(r"(a+)+$", "a" * 60 + "b")
    def _crash(): os.abort()
    def _leave(): os._exit(7)
    def _raise(): raise KeyError("boom")
    def _exit(): sys.exit(4)
    def _number(): return {"": Decimal("0.5"), "more": True}
    async def _awaited(): return 0.25
    def _none(): return object()
    def _much(): return "x" * 2_000_000

    def score(case, output):
        print("a line that is no answer", flush=True)
        with Path(__file__).with_name("pids").open("a") as file:
            file.write(f"{os.getpid()}\\n")
        return globals()["_" + output]() if output else 1.0
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hanging.py").write_text(textwrap.dedent(CODE))
    return tmp_path


def alive(folder: Path) -> list[str]:
    """The processes of scorers that got as far as to be called and are still there."""
    file = folder / "pids"
    pids = set(file.read_text().split()) if file.exists() else set()
    return [pid for pid in pids if Path("/proc", pid).exists()]


@pytest.mark.parametrize("how", ["sleep", "loop", "match"])
async def test_call_that_hangs_ends_and_the_next_one_is_answered(folder: Path, how: str) -> None:
    process = ScorerProcess("hanging:score", folder, 1.0)
    with pytest.raises(Unscored, match="said nothing within 1 s; correct it, or raise its timeout_s"):
        await process.ask({"id": "c"}, how)
    process._timeout_s = 60.0
    assert await process.ask({"id": "c"}, "") == 1.0
    await process.close()
    assert alive(folder) == []


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("crash", r"ended its process \(exit code -6\)"),
        ("leave", r"ended its process \(exit code 7\)"),
        ("raise", r"KeyError: 'boom' \(hanging.py:\d+\)"),
        ("exit", "SystemExit: 4"),
        ("much", "said more than 1048576 bytes"),
    ],
)
async def test_call_that_fails_says_why_and_the_next_one_is_answered(folder: Path, how: str, said: str) -> None:
    process = ScorerProcess("hanging:score", folder, 60.0)
    with pytest.raises(Unscored, match=said):
        await process.ask({}, how)
    assert await process.ask({}, "number") == {"": 0.5, "more": True}
    await process.close()


def test_hanging_scorer_fails_its_cases_is_given_up_and_leaves_the_other_scores(bench: Any) -> None:
    bench.code(CODE, "hanging_here")
    bench.code("def same(row): return row['text']\n", "same_here")
    bench.cases(*({"id": f"c{n}", "text": "sleep"} for n in range(MAX_HANGS + 1)))
    own = '[[part.scorer]]\nkind = "python"\nname = "own"\nfunction = "hanging_here:score"\ntimeout_s = 0.5\n'
    length = '[[part.scorer]]\nkind = "text"\nname = "other"\nexpected = "text"\n'
    bench.suite(f'target = "same_here:same"\n{own}gate = {{ bar = 0.1 }}\n{length}')
    report = bench.run()
    why = sorted(row.unscored["own"] for row in report.rows)
    assert [text.split(";")[0] for text in why] == [
        f"the scorer hung {MAX_HANGS} times and is not asked any more",
        *["the scorer said nothing within 0.5 s"] * MAX_HANGS,
    ]
    assert all("other" in row.scores for row in report.rows)
    assert alive(bench.root) == []


def test_worker_answers_a_line_for_a_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    first = json.dumps(["hanging:score", str(folder), sys.path])
    answers = io.StringIO()
    serve(
        [first, *(json.dumps([{}, how]) for how in ("", "number", "none", "raise", "exit", "awaited"))], answers.write
    )
    said = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert said[:2] == [{"said": 1.0}, {"said": {"": 0.5, "more": True}}]
    assert said[2]["said"].startswith("<object object")
    assert [sorted(answer) for answer in said[3:]] == [["error"], ["error"], ["said"]]
    assert said[5] == {"said": 0.25}
    sys.modules.pop("hanging")
