from datetime import UTC, timedelta

from deskhand.clock import SystemClock
from deskhand.context import RunContext
from deskhand.recorder import CallKind, FileRecorder, load_recording, replay
from deskhand.testing import NOON, FixedClock, SequentialIds


async def answer():
    return {"say": 1}


async def use(ctx):
    inner = ctx.at("draft#0")
    return [ctx.now(), inner.now(), inner.now(), inner.new_id("ask"), await inner.call(CallKind.tool, "q", answer)]


async def test_run_and_its_replay_see_the_same_times_ids_and_answers(tmp_path):
    recorder = FileRecorder(tmp_path / "r.jsonl")
    live = RunContext("run-1", clock=FixedClock(step=timedelta(minutes=1)), ids=SequentialIds(), recorder=recorder)
    seen = await use(live)
    recorder.close()
    again = RunContext("run-1", recorder=replay(load_recording(tmp_path / "r.jsonl")))
    assert await use(again) == seen
    assert seen == [NOON, NOON + timedelta(minutes=1), NOON + timedelta(minutes=2), "ask-0001", {"say": 1}]


async def test_context_without_a_recorder_asks_the_world():
    seen = await use(RunContext("run-1"))
    assert seen[0].utcoffset() == timedelta(0) and seen[3].startswith("ask-") and seen[4] == {"say": 1}


def test_another_place_shares_everything_else():
    ctx = RunContext("run-1")
    inner = ctx.at("draft#0")
    assert (inner.path, ctx.path) == ("draft#0", "")
    assert all(getattr(inner, name) is getattr(ctx, name) for name in ("clock", "ids", "recorder", "vault", "tracer"))


def test_contexts_do_not_share_a_vault_or_spans():
    one, two = RunContext("1"), RunContext("2")
    assert one.vault is not two.vault and one.tracer is not two.tracer


def test_system_clock_is_in_utc():
    assert SystemClock().now().tzinfo is UTC
