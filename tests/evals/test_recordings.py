from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from deskhand.errors import ConfigError
from deskhand.provider import FakeProvider
from deskhand_evals import Mode, Outcome, load_suite, run_suite, verdict
from deskhand_evals.recordings import place_of

EXACT = '[[part.scorer]]\nkind = "exact"\nname = "right"\ngate = { bar = 0.5 }\n'
CASES = tuple({"id": f"c/{n}#", "text": f"mail ann{n}@example.org", "expected": "yes"} for n in range(4))
CODE = """
calls = []
async def answer(row):
    calls.append(row)
    return "yes"
"""


@pytest.fixture
def recorded(bench, monkeypatch: pytest.MonkeyPatch):
    """A bench whose one part was run live; the code of its target counts its calls."""
    import sys

    sys.modules.pop("outside", None)
    bench.cases(*CASES)
    bench.code(CODE, "outside")
    bench.suite(f'target = "outside:answer"\n{EXACT}')
    bench.live = bench.run(mode=Mode.live)
    bench.file = bench.root / "recordings" / "bench" / "p.jsonl"
    import outside  # type: ignore[import-not-found]

    bench.calls = outside.calls
    bench.calls.clear()
    yield bench
    sys.modules.pop("outside", None)


def _rows(report) -> list[dict[str, Any]]:
    return [row.model_dump() for row in report.rows]


def test_a_part_with_a_recording_is_replayed_without_a_call_and_gives_the_same(recorded) -> None:
    report = recorded.run()
    assert recorded.calls == []
    assert (report.parts[0].mode, recorded.live.parts[0].mode) == ("replay", "live")
    assert _rows(report) == _rows(recorded.live)
    assert verdict(report).outcome is verdict(recorded.live).outcome is Outcome.inconclusive  # four cases are few


def test_a_recording_is_masked_and_in_the_order_of_the_cases(recorded) -> None:
    text = recorded.file.read_text()
    assert "example.org" not in text
    assert "[EMAIL_1]" in text
    places = list(dict.fromkeys(json.loads(line)["path"].partition("/")[0] for line in text.splitlines()))
    assert places == [place_of(case["id"], 0) for case in CASES]


def test_a_case_that_was_not_recorded_fails_with_the_nearest_row_and_keeps_the_gate_from_passing(recorded) -> None:
    changed = dict(CASES[0], text="something else")
    recorded.cases(changed, *CASES[1:], {"id": "new", "text": "x", "expected": "yes"})
    report = recorded.run()
    assert recorded.calls == []
    assert [str(row.status) for row in report.rows] == ["error", "ok", "ok", "ok", "error"]
    assert '+  "text": "something else"' in report.rows[0].error
    assert "record the run again with --record" in report.rows[4].error
    assert verdict(report).outcome is not Outcome.passed


def test_only_what_is_missing_is_asked_and_recorded(recorded) -> None:
    new = {"id": "new", "text": "x", "expected": "yes"}
    recorded.cases(*CASES[1:], new)
    report = recorded.run(mode=Mode.record)
    assert [row["id"] for row in recorded.calls] == ["new"]
    assert report.n_failed == 0
    assert recorded.run(mode=Mode.replay).n_failed == 0
    assert len(recorded.calls) == 1
    assert place_of(CASES[0]["id"], 0) not in recorded.file.read_text()  # its case is gone


def test_without_a_recording_a_replay_fails_every_case_that_asks(recorded) -> None:
    recorded.file.unlink()
    report = recorded.run(mode=Mode.replay)
    assert (recorded.calls, report.n_failed) == ([], 4)
    assert recorded.run().n_failed == 0
    assert len(recorded.calls) == 4


def test_a_changed_target_is_not_answered_from_its_old_recording(recorded) -> None:
    import sys

    sys.modules.pop("outside")
    recorded.code(CODE.replace("yes", "no"), "outside")
    from deskhand_evals.python_scorer import source_of

    source_of.cache_clear()
    assert recorded.run().n_failed == 4


@pytest.mark.parametrize("text", ["not json\n", '{"kind": "tool"}\n', "\n", "\ud800"])
def test_a_broken_recording_marks_its_part(recorded, text: str) -> None:
    recorded.file.write_bytes(text.encode("utf-8", "surrogatepass"))
    report = recorded.run()
    assert recorded.calls == []
    assert str(recorded.file) in report.parts[0].problem
    assert verdict(report).outcome is not Outcome.passed


def test_a_torn_last_line_fails_only_its_case(recorded) -> None:
    raw = recorded.file.read_bytes()
    recorded.file.write_bytes(raw[:-40])
    assert [row.has_failed for row in recorded.run().rows] == [False] * 4  # only when it ran and how long is lost
    recorded.file.write_bytes(raw[: raw.rfind(b"\n", 0, raw.rfind(b"\n")) - 40])
    assert [row.has_failed for row in recorded.run().rows] == [False] * 3 + [True]


def test_an_error_of_the_target_is_replayed(bench) -> None:
    bench.cases(CASES[0])
    bench.code(
        "from deskhand.errors import Unavailable\nasync def away(row):\n    raise Unavailable('away; later')\n",
        "awaying",
    )
    bench.suite(f'target = "awaying:away"\n{EXACT}')
    assert bench.run(mode=Mode.live).rows[0].error == bench.run().rows[0].error == "away; later"


def test_a_target_is_told_only_the_fields_that_it_may_see(bench) -> None:
    bench.cases({"id": "a", "text": "x", "expected": "text"})
    bench.code("def names(row): return ' '.join(row)\n", "naming")
    bench.suite(f'target = "naming:names"\ninputs = ["text"]\n{EXACT}')
    assert bench.run(mode=Mode.live).rows[0].scores == {"right": 1.0}
    bench.cases({"id": "a", "text": "x", "expected": "other"})  # a corrected label needs no new recording
    assert (bench.run().n_failed, bench.run().rows[0].scores) == (0, {"right": 0.0})


def test_what_a_target_hears_from_outside_is_masked_live_as_on_a_replay(bench) -> None:
    bench.cases({"id": "a", "text": "mail ann@example.org", "expected": "ann@example.org and [EMAIL_2]"})
    bench.code("def tell(row): return row['text'][5:] + ' and bob@example.org'\n", "telling")
    bench.suite(f'target = "telling:tell"\n{EXACT}')
    live, again = bench.run(mode=Mode.live), bench.run()
    assert live.rows[0].scores == again.rows[0].scores == {"right": 1.0}


def test_code_of_the_house_runs_on_a_replay_too(bench) -> None:
    bench.cases(CASES[0])
    bench.code(
        """
        from deskhand.recorder import CallKind
        runs, asked = [], []
        async def own(row, ctx):
            runs.append(1)
            async def ask(): asked.append(1); return "yes"
            return await ctx.call(CallKind.tool, {"tool": "remote", "args": {}}, ask)
        """,
        "housing",
    )
    bench.suite(f'target = "housing:own"\n{EXACT}')
    bench.run(mode=Mode.live)
    bench.run()
    import housing  # type: ignore[import-not-found]

    assert (len(housing.runs), len(housing.asked)) == (2, 1)


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
SUITE = """
schema = 1
name = "llm"
now = 2026-11-20T12:00:00Z
[[part]]
name = "support"
dataset = "cases.jsonl"
target = "applied"
[[part.scorer]]
kind = "quotes"
name = "quotes"
[[part.scorer]]
kind = "cost"
name = "cost"
[[part]]
name = "talk"
dataset = "talks.jsonl"
target = "conversation"
options = { customer = "llm", max_turns = 2 }
[[part.scorer]]
kind = "regex"
name = "said"
output = "said"
pattern = "(?s)."
"""


async def test_a_run_with_models_is_replayed_without_a_socket(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ("How long do I have to return a product? I am ann@example.org", "Is the return label free?")
    bench.cases(*({"id": f"c{n}", "text": text} for n, text in enumerate(texts)))
    bench.cases({"id": "t", "text": texts[0], "customer": {"goal": "know the days"}}, name="talks.jsonl")
    path = bench.root / "suite.toml"
    path.write_text(SUITE)
    config = bench.root / "deskhand.toml"
    plain = config.read_text()
    async with FakeProvider() as provider:
        config.write_text(plain + MODELS.format(url=provider.base_url))
        live = await run_suite(load_suite(path), bench.folder, _options(Mode.live))
        n_requests = len(provider.requests)
    assert n_requests > 3
    assert live.cost_usd > 0
    assert {part.mode for part in live.parts} == {"live"}
    assert {"draft", "triage"} <= set(live.parts[0].prompts)
    assert live.parts[1].simulator.startswith("llm-")
    recordings = sorted((bench.root / "recordings" / "llm").glob("*.jsonl"))
    assert [file.stem for file in recordings] == ["support", "talk"]
    assert "ann@example.org" not in "".join(file.read_text() for file in recordings)

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a replay opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    again = await run_suite(load_suite(path), bench.folder, _options(Mode.replay))
    assert [row.error for row in again.rows] == [""] * 3
    assert _rows(again) == _rows(live)
    prompt = bench.root / "prompts" / "draft.md"
    prompt.parent.mkdir()
    prompt.write_text(_built_in("draft").replace("---\n", "---\n", 1) + "\nBe brief.\n")
    changed = await run_suite(load_suite(path), bench.folder, _options(Mode.auto))
    assert all("Be brief." in row.error for row in changed.rows)
    lines = verdict(changed, live).changed
    assert any(line.startswith("support: prompt draft ") for line in lines)
    assert any("customer" in line or "live -> replay" in line for line in lines)


def _built_in(name: str) -> str:
    from deskhand_agents.prompt_files import BUILT_IN

    return (BUILT_IN / f"{name}.md").read_text()


def _options(mode: Mode) -> Any:
    from deskhand.testing import FixedClock
    from deskhand_evals import RunOptions

    return RunOptions(mode=mode, clock=FixedClock())


def test_an_llm_customer_without_a_model_is_refused(bench) -> None:
    bench.cases({"id": "t", "text": "x", "customer": {"goal": "y"}}, name="talks.jsonl")
    bench.cases(*CASES)
    (bench.root / "suite.toml").write_text(SUITE)
    with pytest.raises(ConfigError, match=r"add some to models\.tiers\.small"):
        bench.run()


def test_recordings_stand_beside_the_suite(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(SUITE)
    assert load_suite(tmp_path / "s.toml").recording_path("talk") == tmp_path / "recordings" / "llm" / "talk.jsonl"
