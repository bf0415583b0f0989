import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from deskhand.actions import Action
from deskhand.errors import InputError, StoreError
from deskhand.interfaces import Request
from deskhand.testing import NOON, build_ticket
from deskhand_helpdesks import FolderHelpdesk
from deskhand_helpdesks import folder as folder_module

ACTION = Action(id="act-1", kind="helpdesk", name="add_tag", args={"tag": "late"}, key="k" * 64, verdict="allowed")


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "in").mkdir()
    return FolderHelpdesk(tmp_path / "in", tmp_path / "out")


def put(desk, name, ticket_id="T-1", **changes):
    path = desk.incoming / name
    path.write_text(build_ticket(ticket_id=ticket_id, **changes).model_dump_json())
    return path


def test_requests_are_refused_with_the_next_step(desk):
    request = Request("POST", "/", {}, b"")
    for call in (lambda: desk.verify(request, NOON), lambda: desk.parse(request)):
        with pytest.raises(InputError, match=r"no webhook; put tickets into"):
            call()


@pytest.mark.parametrize("name", ["T-1.json", "other.json"])
async def test_ticket_is_found_by_its_file_name_or_its_id(desk, name):
    put(desk, "a.json", "T-0")
    put(desk, name, subject="here")
    assert (await desk.fetch("T-1")).subject == "here"


async def test_file_named_after_another_ticket_does_not_mislead(desk):
    put(desk, "T-1.json", "T-2")
    put(desk, "x.json", subject="right")
    assert (await desk.fetch("T-1")).subject == "right"


@pytest.mark.parametrize("ticket_id", ["T-9", "../secret", "/etc/passwd", "a/b", "..", ""])
async def test_unknown_id_is_an_input_error_and_reads_nothing_outside(desk, ticket_id):
    (desk.incoming.parent / "secret.json").write_text(build_ticket(ticket_id="../secret").model_dump_json())
    put(desk, "a.json", "T-0")
    with pytest.raises(InputError, match="no ticket"):
        await desk.fetch(ticket_id)


async def test_broken_file_of_the_ticket_says_what_is_wrong_with_it(desk):
    (desk.incoming / "T-1.json").write_text("{")
    with pytest.raises(InputError, match=r"T-1\.json.*not valid JSON"):
        await desk.fetch("T-1")


async def test_action_is_written_once_and_then_answers_already(desk):
    first = await desk.apply(ACTION, "T-1")
    second = await desk.apply(ACTION.model_copy(update={"id": "act-2"}), "T-1")
    assert (first.status, second.status, second.action_id) == ("done", "already", "act-2")
    assert first.ref == second.ref == f"{'k' * 64}.json"
    written = json.loads((desk.outgoing / first.ref).read_text())
    assert written == {"ticket_id": "T-1", "action": ACTION.model_dump(mode="json")}
    assert [path.name for path in desk.outgoing.iterdir()] == [first.ref]


async def test_of_many_writers_at_once_one_wins(desk):
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: asyncio.run(desk.apply(ACTION, "T-1")).status.value, range(48)))
    assert sorted(found) == ["already"] * 47 + ["done"]
    assert len(list(desk.outgoing.iterdir())) == 1


async def test_writer_that_comes_second_between_look_and_link_answers_already(desk, monkeypatch):
    await desk.apply(ACTION, "T-1")
    monkeypatch.setattr("pathlib.Path.exists", lambda path: False)
    assert (await desk.apply(ACTION, "T-1")).status == "already"
    assert len(list(desk.outgoing.iterdir())) == 1


@pytest.mark.parametrize("key", ["../k", "a/b", "", ".hidden", "k" * 129, "k\0"])
async def test_key_that_is_no_file_name_is_refused(desk, key):
    with pytest.raises(InputError, match="cannot be a file name"):
        await desk.apply(ACTION.model_copy(update={"key": key}), "T-1")
    assert not desk.outgoing.exists()


async def test_folder_that_cannot_be_written_is_a_store_error(desk):
    desk.outgoing.write_text("a file stands in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        await desk.apply(ACTION, "T-1")


async def test_disk_that_fills_up_leaves_nothing_behind(desk, monkeypatch):
    def full(path, raw):
        path.write_bytes(raw[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "_write_synced", full)
        with pytest.raises(StoreError, match="No space left"):
            await desk.apply(ACTION, "T-1")
    assert list(desk.outgoing.iterdir()) == []
    assert (await desk.apply(ACTION, "T-1")).status == "done"


WRITER = """
import asyncio, itertools, sys
from pathlib import Path
from deskhand.actions import Action
from deskhand_helpdesks import FolderHelpdesk
desk = FolderHelpdesk(Path(sys.argv[1]), Path(sys.argv[1]) / "out")
for number in itertools.count(int(sys.argv[2])):
    args = {"text": "x" * 200_000}
    action = Action(id="a", kind="helpdesk", name="reply", args=args, key=f"k{number}", verdict="allowed")
    if asyncio.run(desk.apply(action, "T-1")).status == "done":
        print(number, flush=True)
"""


def test_killed_writer_leaves_whole_files_and_loses_none_it_spoke_of(tmp_path):
    acknowledged = []
    for start in (0, 5, 1000):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(start)], stdout=subprocess.PIPE, text=True
        )
        lines = [process.stdout.readline() for _ in range(12)]
        time.sleep(0.003)
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
        process.stdout.close()
        process.wait()
        acknowledged += [int(line) for line in lines if line.endswith("\n")]
    written = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "out").glob("*.json")}
    assert {f"k{number}" for number in acknowledged} <= written.keys()
    assert len(acknowledged) == len(set(acknowledged)) >= 36
    assert all(len(value["action"]["args"]["text"]) == 200_000 for value in written.values())


async def test_poll_finds_new_and_changed_tickets_and_only_the_overlap_again(desk, monkeypatch):
    monkeypatch.setattr(folder_module, "_OVERLAP_NS", 0)
    put(desk, "a.json", "A")
    first = await desk.poll("")
    assert [(event.ticket_id, event.kind, event.source) for event in first.events] == [("A", "created", "file")]
    assert (await desk.poll(first.cursor)).events == ()
    await asyncio.sleep(0.02)
    put(desk, "b.json", "B")
    put(desk, "a.json", "A", subject="changed")
    second = await desk.poll(first.cursor)
    assert {event.ticket_id for event in second.events} == {"A", "B"}
    assert first.events[0].delivery_id not in {event.delivery_id for event in second.events}


async def test_ticket_of_the_last_seconds_comes_again_with_the_same_delivery_id(desk):
    put(desk, "a.json", "A")
    first = await desk.poll("")
    assert (await desk.poll(first.cursor)).events == first.events


async def test_old_file_that_is_moved_in_is_found(desk, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_module, "_OVERLAP_NS", 0)
    old = tmp_path / "old.json"
    old.write_text(build_ticket(ticket_id="OLD").model_dump_json())
    os.utime(old, (1, 1))
    put(desk, "a.json", "A")
    cursor = (await desk.poll("")).cursor
    await asyncio.sleep(0.02)
    old.rename(desk.incoming / "old.json")
    assert [event.ticket_id for event in (await desk.poll(cursor)).events] == ["OLD"]


async def test_poll_leaves_out_what_is_no_ticket_and_logs_where_it_is(desk, caplog):
    (desk.incoming / "bad.json").write_text('{"secret": "ann@example.com"}')
    put(desk, "good.json", "G")
    assert [event.ticket_id for event in (await desk.poll("")).events] == ["G"]
    assert "bad.json is not a ticket" in caplog.text
    assert "ann@" not in caplog.text


async def test_file_that_goes_away_while_polling_is_left_out(desk, monkeypatch):
    put(desk, "a.json", "A")
    monkeypatch.setattr("pathlib.Path.iterdir", lambda path: [path / "a.json", path / "gone.json"])
    assert [event.ticket_id for event in (await desk.poll("")).events] == ["A"]


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "9" * 21])
async def test_cursor_of_something_else_is_refused(desk, cursor):
    with pytest.raises(InputError, match="cursor"):
        await desk.poll(cursor)


async def test_poll_of_a_missing_folder_says_so(tmp_path):
    with pytest.raises(InputError, match="make the folder"):
        await FolderHelpdesk(tmp_path / "none", tmp_path / "out").poll("")
