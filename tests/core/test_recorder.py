import json
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskhand import errors
from deskhand.errors import (
    DeskhandError,
    InputError,
    OwnedElsewhere,
    ReplayMiss,
    RunFailed,
    StoreError,
    ToolFailed,
    ToolRetry,
    Unavailable,
)
from deskhand.recorder import CallKind, FileRecorder, NoRecorder, Row, load_recording, replay

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8,
)  # fmt: skip


class PolicyRefusal(ToolFailed):
    """An error of another room, with more attributes than its base."""

    def __init__(self, message, *, tool_name, rule):
        super().__init__(message, tool_name=tool_name)
        self.rule = rule


def returns(value):
    async def perform():
        return value

    return perform


def raises(error):
    async def perform():
        raise error

    return perform


def forbidden():
    raise AssertionError("a replay performs nothing")


@pytest.fixture
def recorder(tmp_path):
    recorder = FileRecorder(tmp_path / "deep" / "run.jsonl")
    yield recorder
    recorder.close()


def replay_of(recorder):
    return replay(load_recording(recorder.path))


@pytest.mark.parametrize("kind", list(CallKind))
async def test_every_kind_replays_to_what_was_recorded(recorder, kind):
    recorded = await recorder.call(kind, "draft#0", {"ask": "é\n"}, returns({"say": [1, None]}))
    now = recorder.call_now(kind, "draft#0", None, lambda: "now")
    again = replay_of(recorder)
    assert await again.call(kind, "draft#0", {"ask": "é\n"}, forbidden) == recorded == {"say": [1, None]}
    assert again.call_now(kind, "draft#0", None, forbidden) == now


@given(request=JSON, response=JSON)
def test_any_json_replays_to_the_same_value(request, response, tmp_path_factory):
    recorder = FileRecorder(tmp_path_factory.mktemp("r") / "run.jsonl")
    live = recorder.call_now(CallKind.tool, "p", request, lambda: response)
    recorder.close()
    assert replay_of(recorder).call_now(CallKind.tool, "p", request, forbidden) == live


def test_recorder_returns_what_a_replay_will_even_for_tuples_and_surrogate_pairs(recorder):
    live = recorder.call_now(CallKind.tool, "", 1, lambda: {"a": (1, 2), "b": "\ud83d\ude00 \udc80"})
    assert live == {"a": [1, 2], "b": "\U0001f600 \udc80"}
    assert replay_of(recorder).call_now(CallKind.tool, "", 1, forbidden) == live


async def test_equal_requests_from_one_place_are_counted_and_places_are_apart(recorder):
    for path, value in (("a", 1), ("a", 2), ("b", 3)):
        await recorder.call(CallKind.model, path, "q", returns(value))
    again = replay_of(recorder)
    assert [await again.call(CallKind.model, path, "q", forbidden) for path in ("b", "a", "a")] == [3, 1, 2]
    with pytest.raises(ReplayMiss, match="call number 3"):
        await again.call(CallKind.model, "a", "q", forbidden)


ERRORS = [
    DeskhandError("a; b"), InputError("x"), Unavailable("down"), ToolRetry("bad", tool_name="refund"),
    ToolFailed("no", tool_name="refund"), RunFailed("stop", run_id="run-1"), OwnedElsewhere("held", owner="42"),
]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("waits", [True, False])
async def test_errors_are_recorded_and_raised_again_with_their_attributes(recorder, error, waits):
    error.add_note("seen in a test")

    def fail():
        raise error

    async def ask(asked, perform_now, perform):
        if waits:
            return await asked.call(CallKind.tool, "p", 1, perform)
        return asked.call_now(CallKind.tool, "p", 1, perform_now)

    with pytest.raises(type(error)) as live:
        await ask(recorder, fail, raises(error))
    assert live.value is error
    with pytest.raises(DeskhandError) as replayed:
        await ask(replay_of(recorder), forbidden, forbidden)
    assert type(replayed.value) is type(error) and str(replayed.value) == str(error)
    attributes = {key: value for key, value in vars(error).items() if key != "__notes__"}
    assert vars(replayed.value) == attributes
    assert replayed.value.exit_code == error.exit_code


async def test_error_of_another_room_comes_back_as_its_nearest_base(recorder):
    with pytest.raises(PolicyRefusal):
        await recorder.call(CallKind.tool, "", 1, raises(PolicyRefusal("no", tool_name="refund", rule="max")))
    with pytest.raises(ToolFailed) as replayed:
        await replay_of(recorder).call(CallKind.tool, "", 1, forbidden)
    assert (replayed.value.tool_name, replayed.value.rule) == ("refund", "max")


async def test_error_that_is_not_ours_is_not_recorded(recorder):
    with pytest.raises(ZeroDivisionError):
        await recorder.call(CallKind.tool, "", 1, raises(ZeroDivisionError()))
    with pytest.raises(InputError, match="is empty; record the run again"):
        load_recording(recorder.path)


def test_run_that_goes_on_appends_and_the_last_row_wins(recorder):
    recorder.call_now(CallKind.time, "a", None, lambda: "before")
    recorder.call_now(CallKind.time, "b", None, lambda: "kept")
    resumed = FileRecorder(recorder.path)
    resumed.call_now(CallKind.time, "a", None, lambda: "after")
    resumed.close()
    rows = load_recording(recorder.path)
    assert [(row.path, row.n, row.response) for row in rows] == [("a", 0, "after"), ("b", 0, "kept")]
    assert len(recorder.path.read_text().splitlines()) == 3


@pytest.mark.parametrize("torn", [b'{"kind":"ti', b'{"a":"\xc3', b"1", b"x"])
def test_torn_last_line_is_left_out_and_cut_off_before_the_run_goes_on(recorder, torn):
    recorder.call_now(CallKind.time, "a", None, lambda: 1)
    with recorder.path.open("ab") as file:
        file.write(torn)
    assert [row.response for row in load_recording(recorder.path)] == [1]
    resumed = FileRecorder(recorder.path)
    resumed.call_now(CallKind.time, "b", None, lambda: 2)
    resumed.close()
    assert [row.response for row in load_recording(recorder.path)] == [1, 2]


GOOD = Row(CallKind.time, "k", "p", 0, None, 1).to_line()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not valid JSON"),
        ("1", "not a row"),
        ("{}", "KeyError"),
        (GOOD.replace("time", "tme"), "tme"),
        (GOOD.replace('"p"', "[]"), "must be text"),
        (GOOD.replace(":0", ":false"), "n a number"),
        (GOOD.replace('"response":1', '"error":{"type":"annotations","message":""}'), "no known type"),
        (GOOD.replace('"response":1', '"error":{"type":"InputError"}'), "message"),
        (GOOD.replace('"response":1', '"error":"InputError"'), "not a row"),
    ],
)
def test_bad_line_that_is_whole_is_refused_with_its_place(tmp_path, line, said):
    file = tmp_path / "r.jsonl"
    file.write_text(f"{GOOD}\n{line}\n")
    with pytest.raises(InputError, match=rf"^{file}:2: .*again") as caught:
        load_recording(file)
    assert said in str(caught.value)


def test_missing_recording_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_recording(tmp_path / "none.jsonl")


def test_replayed_value_may_be_changed_without_changing_the_next_replay(recorder):
    recorder.call_now(CallKind.tool, "", 1, lambda: {"a": []})
    rows = load_recording(recorder.path)
    replay(rows).call_now(CallKind.tool, "", 1, forbidden)["a"].append("changed")
    assert replay(rows).call_now(CallKind.tool, "", 1, forbidden) == {"a": []}


def test_miss_shows_how_the_nearest_request_of_the_place_differs(recorder):
    prompt = "\n".join(f"line {number}" for number in range(60))
    recorder.call_now(CallKind.model, "draft#0", {"tier": "strong", "prompt": prompt}, lambda: 1)
    recorder.call_now(CallKind.model, "triage#0", {"tier": "small", "prompt": prompt + "!"}, lambda: 1)
    asked = {"tier": "strong", "prompt": prompt.replace("line 30", "line thirty")}
    with pytest.raises(ReplayMiss) as caught:
        replay_of(recorder).call_now(CallKind.model, "draft#0", asked, forbidden)
    message = str(caught.value)
    assert "no model call number 1 with this request was recorded at draft#0" in message
    assert "-line 30\n+line thirty" in message and "recorded at draft#0" in message
    assert "line 10" not in message and "record it again with --record" in message


def test_miss_at_another_place_names_where_the_equal_request_was(recorder):
    recorder.call_now(CallKind.id, "draft#0", "run", lambda: 1)
    with pytest.raises(ReplayMiss, match=r"recorded at the run; .*recorded as call number 1 at draft#0") as caught:
        replay_of(recorder).call_now(CallKind.id, "", "run", forbidden)
    assert len(str(caught.value)) < 400


def test_miss_of_a_kind_that_was_never_recorded_says_so(recorder):
    recorder.call_now(CallKind.id, "", "run", lambda: 1)
    with pytest.raises(ReplayMiss, match=r"no time call number 1 .*; record the run again with --record$"):
        replay_of(recorder).call_now(CallKind.time, "", None, forbidden)


def test_miss_among_many_large_rows_is_explained_quickly():
    rows = [Row(CallKind.model, str(n), "p", 0, {"prompt": f"{n} " + "lorem ipsum " * 2_000}) for n in range(500)]
    started = time.process_time()
    with pytest.raises(ReplayMiss) as caught:
        replay(rows).call_now(CallKind.model, "p", {"prompt": "lorem dolor " * 2_000}, forbidden)
    assert time.process_time() - started < 2.0
    assert len(str(caught.value)) < 8_000


def test_write_that_is_cut_short_is_finished(recorder, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, line: real(descriptor, line[:7]))
    recorder.call_now(CallKind.tool, "", "request", lambda: "a long response")
    monkeypatch.undo()
    assert load_recording(recorder.path)[0].response == "a long response"


def test_full_disk_is_a_store_error(recorder, monkeypatch):
    def full(descriptor, line):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError, match=r"cannot be written .*free some space"):
        recorder.call_now(CallKind.tool, "", 1, lambda: 1)


def test_folder_that_cannot_be_written_is_a_store_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="check the folder"):
        FileRecorder(tmp_path / "file" / "run.jsonl")


WRITER = """
import sys
from pathlib import Path
from deskhand.recorder import CallKind, FileRecorder
recorder = FileRecorder(Path(sys.argv[1]))
for number in range(10**9):
    recorder.call_now(CallKind.tool, "p", number, lambda: "x" * 50_000)
    sys.stdout.write(f"{number}\\n"); sys.stdout.flush()
"""


def test_kill_loses_no_row_whose_response_was_seen(tmp_path):
    file = tmp_path / "r.jsonl"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE) as writer:
        seen = [writer.stdout.readline() for _ in range(50)]
        os.kill(writer.pid, signal.SIGKILL)
        seen += writer.stdout.readlines()
    seen = [line for line in seen if line.endswith(b"\n")]
    assert len(load_recording(file)) >= len(seen) >= 50


async def test_no_recorder_only_performs():
    assert await NoRecorder().call(CallKind.tool, "", None, returns(1)) == 1
    assert NoRecorder().call_now(CallKind.time, "", None, lambda: 2) == 2


def test_every_error_of_the_tree_is_known_by_name():
    def tree(kind):
        return {kind}.union(*(tree(child) for child in kind.__subclasses__() if child.__module__ == errors.__name__))

    assert all(getattr(errors, kind.__name__) is kind for kind in tree(DeskhandError))
    assert {kind.exit_code for kind in tree(InputError)} == {2}
    assert json.loads(GOOD)["kind"] == "time"
