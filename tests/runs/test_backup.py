import gzip
import hashlib
import io
import json
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import threading
from contextlib import closing
from datetime import timedelta
from functools import partial

import pytest

from deskhand.actions import Decision, ReviewRequest
from deskhand.answers import Draft
from deskhand.config import WorkspaceFolder
from deskhand.errors import InputError, OwnedElsewhere, StoreError
from deskhand.records import RunResult
from deskhand.testing import NOON, SequentialIds, build_ticket, build_workspace
from deskhand_memory import Knowledge
from deskhand_runs import GuardTables, RunStore, back_up, default_path, delete_old, put_back
from deskhand_runs.backup import is_member_name
from deskhand_runs.ownership import own
from deskhand_runs.pauses import pauses

ids = SequentialIds()


@pytest.fixture
def folder(workspace):
    """A workspace with three runs, knowledge, a recording and an experiment."""
    made = WorkspaceFolder(workspace)
    with RunStore.open(made) as store:
        for number in range(3):
            claim(store, f"question {number}")
    with Knowledge.open(made) as knowledge:
        knowledge.ingest()
    for name in ("recordings/run-1.jsonl", "experiments/e1/report.json", "recordings/.run-2.tmp"):
        path = made.state / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}\n")
    return made


@pytest.fixture
def other(tmp_path):
    """An empty workspace to restore into."""
    return WorkspaceFolder(build_workspace(tmp_path / "other"))


def claim(store, text, **changes):
    return store.claim(build_ticket(text, **changes), "support", new_id=partial(ids.new, "run"), now=NOON).record


def tickets(folder):
    with RunStore.open(folder) as store:
        return sorted(run.ticket.messages[0].text for run in store.list())


def rewrite(source, target, change):
    """Copy an archive, its members changed by ``change(list of (TarInfo, bytes))``."""
    with tarfile.open(source) as tar:
        members = [(entry, tar.extractfile(entry).read()) for entry in tar]
    with tarfile.open(target, "w:gz") as tar:
        for entry, content in change(members):
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return target


def with_manifest(members, change):
    manifest = json.loads(members[0][1])
    change(manifest)
    return [(members[0][0], json.dumps(manifest).encode()), *members[1:]]


def member(name, content=b"x"):
    return {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "schema_version": None}


def test_round_trip_brings_everything_back(folder, other, tmp_path):
    target = tmp_path / "b" / "monday.tar.gz"
    target.parent.mkdir()
    steps = []
    manifest = back_up(folder, target, NOON, progress=lambda done, total: steps.append((done, total)))
    assert [m.name for m in manifest.members] == [
        "runs.db", "knowledge.db", "recordings/run-1.jsonl", "experiments/e1/report.json",
    ]  # fmt: skip
    assert steps == sorted(steps) and steps[-1][0] == steps[-1][1] > 0
    assert target.stat().st_mode & 0o777 == 0o600
    assert list(target.parent.iterdir()) == [target], "no scratch is left"
    restored = put_back(other, target, NOON)
    assert (restored.at, restored.moved_to, restored.is_paused) == (NOON, None, False)
    assert tickets(other) == ["question 0", "question 1", "question 2"]
    assert (other.state / "recordings" / "run-1.jsonl").read_text() == "content of recordings/run-1.jsonl\n"
    assert not (other.state / "recordings" / ".run-2.tmp").exists()
    with Knowledge.open(other) as knowledge:
        assert knowledge.n_articles == 2
        assert "within 30 days" in knowledge.passages("returns")[0].text
    assert other.state.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in other.root.iterdir() if path.name.startswith(".")] == [".deskhand"]


def test_a_backup_is_whole_while_others_write(folder, other, tmp_path):
    """Each ticket of the writer is a run and a decision in two tables: a torn copy would have one without the other."""
    stop, written = threading.Event(), []

    def write():
        with RunStore.open(folder) as store:
            while not stop.is_set():
                run = claim(store, f"live {len(written)}")
                asked = ReviewRequest(run_id=run.run_id, ask_id=f"ask-{run.run_id}", draft=Draft(text="x" * 2000))
                result = RunResult(
                    run_id=run.run_id, ticket_id="T-1", graph="support", status="parked", needs_human=True
                )
                store.park(run.run_id, result, asked, NOON)
                written.append(run.run_id)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(3):
            back_up(folder, tmp_path / f"{number}.tar.gz", NOON)
    finally:
        stop.set()
        thread.join()
    put_back(other, tmp_path / "2.tar.gz", NOON)
    with RunStore.open(other) as store:
        runs = store.list(limit=10_000)
    assert len(runs) > 3
    assert sum(run.waits for run in runs) <= 1, "of one ticket at most the newest waits"
    assert len(written) >= len(runs) - 3


def test_the_default_place_keeps_the_newest(folder):
    for hour in range(5):
        now = NOON + timedelta(hours=hour)
        back_up(folder, default_path(folder, now), now)
    (folder.state / "backups" / "mine.tar.gz").write_text("kept")
    assert delete_old(folder, 2) == 3
    names = sorted(path.name for path in (folder.state / "backups").iterdir())
    assert names == ["deskhand-20261120-150000.tar.gz", "deskhand-20261120-160000.tar.gz", "mine.tar.gz"]
    assert delete_old(folder, 2) == 0


def test_an_existing_file_and_an_empty_workspace_are_refused(folder, other, tmp_path):
    (tmp_path / "there.tar.gz").write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        back_up(folder, tmp_path / "there.tar.gz", NOON)
    assert (tmp_path / "there.tar.gz").read_text() == "mine"
    with pytest.raises(InputError, match="nothing to back up"):
        back_up(other, tmp_path / "empty.tar.gz", NOON)


@pytest.mark.parametrize("name", ["mistyped", "mistyped/folder", "a file"])
def test_a_folder_that_is_not_there_is_refused_and_not_made(folder, tmp_path, name):
    (tmp_path / "a file").write_text("")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match="no such folder; make it"):
        back_up(folder, tmp_path / name / "monday.tar.gz", NOON)
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_cannot_be_written_is_told(folder):
    (folder.state / "backups").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="cannot be written"):
        back_up(folder, default_path(folder, NOON), NOON)


def test_a_damaged_database_is_not_backed_up(folder, tmp_path):
    path = folder.state / "knowledge.db"
    raw = bytearray(path.read_bytes())
    raw[4096 : 4096 + 3000] = b"\xff" * 3000
    path.write_bytes(raw)
    with pytest.raises(StoreError, match=r"knowledge\.db"):
        back_up(folder, tmp_path / "x.tar.gz", NOON)
    assert not (tmp_path / "x.tar.gz").exists()


def test_a_state_that_is_not_empty_is_replaced_only_by_force_and_kept(folder, tmp_path):
    archive = default_path(folder, NOON)
    back_up(folder, archive, NOON)
    with RunStore.open(folder) as store:
        claim(store, "written since")
    with pytest.raises(StoreError, match="--force"):
        put_back(folder, archive, NOON)
    restored = put_back(folder, archive, NOON, force=True)
    assert tickets(folder) == ["question 0", "question 1", "question 2"]
    assert archive.exists(), "backups stay where they were"
    aside = folder.root / ".deskhand.before-20261120-120000"
    assert restored.moved_to == str(aside)
    with RunStore(aside / "runs.db") as store:
        assert len(store.list()) == 4
    assert put_back(folder, archive, NOON, force=True).moved_to == f"{aside}-1"


def test_a_state_in_use_is_not_replaced_even_by_force(folder, tmp_path):
    archive = tmp_path / "x.tar.gz"
    back_up(folder, archive, NOON)
    with RunStore.open(folder) as store:
        store.count()
        with pytest.raises(OwnedElsewhere, match="another process uses it"):
            put_back(folder, archive, NOON, force=True)
    with own(folder), pytest.raises(OwnedElsewhere, match="executes its runs"):
        put_back(folder, archive, NOON, force=True)
    put_back(folder, archive, NOON, force=True)


def test_an_idle_connection_of_another_process_counts_as_use(folder, tmp_path):
    archive = tmp_path / "x.tar.gz"
    back_up(folder, archive, NOON)
    code = (
        "import sys; from pathlib import Path; from deskhand_runs import RunStore\n"
        "store = RunStore(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(folder.state / "runs.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "open\n"
        with pytest.raises(OwnedElsewhere):
            put_back(folder, archive, NOON, force=True)
        child.stdin.close()
    put_back(folder, archive, NOON, force=True)


def test_open_write_backs_are_paused_after_a_restore(folder, other, tmp_path):
    with RunStore.open(folder) as store:
        run = claim(store, "approved")
        asked = ReviewRequest(run_id=run.run_id, ask_id="ask-1", draft=Draft(text="Dear Ann"))
        result = RunResult(run_id=run.run_id, ticket_id="T-1", graph="support", status="parked", needs_human=True)
        store.park(run.run_id, result, asked, NOON)
        store.decide(run.run_id, Decision(ask_id="ask-1", verdict="approve", by="kim", at=NOON), NOON)
    back_up(folder, tmp_path / "x.tar.gz", NOON)
    assert put_back(other, tmp_path / "x.tar.gz", NOON).is_paused
    with RunStore.open(other) as store:
        assert [stop.by for stop in pauses(GuardTables(store))] == ["restore"]


@pytest.mark.parametrize(
    "name",
    ["../evil", "/etc/passwd", "runs.db/../../x", "recordings/../../x", "recordings/.hidden", "runs.db-wal", "",
     "recordings", "recordings//x", "recordings/a/", "engine.lock", "chroma/x", "C:\\x", "recordings/x\n", "RUNS.DB"],
)  # fmt: skip
def test_only_names_of_a_state_may_stand_in_a_backup(folder, other, tmp_path, name):
    assert not is_member_name(name)
    back_up(folder, tmp_path / "good.tar.gz", NOON)

    def smuggle(members):
        entry = tarfile.TarInfo(name or "x")
        changed = with_manifest(members, lambda manifest: manifest["members"].append(member(name)))
        return [*changed, (entry, b"x")]

    bad = rewrite(tmp_path / "good.tar.gz", tmp_path / "bad.tar.gz", smuggle)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(InputError, match="no place in a state"):
        put_back(other, bad, NOON)
    assert not other.state.exists()
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def link(members):
    entry = tarfile.TarInfo("recordings/run-1.jsonl")
    entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return [(entry, b"") if one[0].name == entry.name else one for one in members]


def other_format(members):
    return with_manifest(members, lambda manifest: manifest.update(format=2))


def newer_schema(members):
    return with_manifest(members, lambda manifest: manifest["members"][0].update(schema_version=999))


def twice(members):
    return [*with_manifest(members, lambda manifest: manifest["members"].append(manifest["members"][-1])), members[-1]]


def swapped_database(members):
    content = b"SQLite format 3\0" + b"\0" * 5000
    changed = with_manifest(members, lambda manifest: manifest["members"].__setitem__(0, member("runs.db", content)))
    return [changed[0], (changed[1][0], content), *changed[2:]]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda m: [*m, (tarfile.TarInfo("../evil"), b"x")], "more than its manifest says"),
        (lambda m: m[:-1], "nothing is where"),
        (lambda m: [m[0], *reversed(m[1:])], "should be"),
        (lambda m: m[1:], "does not begin with"),
        (lambda m: [(m[0][0], b"{"), *m[1:]], "not valid JSON"),
        (lambda m: [(m[0][0], b"[]"), *m[1:]], "manifest.json"),
        (lambda m: [*m[:-1], (m[-1][0], m[-1][1][:-1] + b"?")], "not what was backed up"),
        (link, "should be"),
        (other_format, "upgrade deskhand"),
        (newer_schema, "upgrade deskhand"),
        (twice, "twice"),
        (swapped_database, "runs.db is damaged"),
    ],
)
def test_a_changed_archive_is_refused_and_nothing_changes(folder, other, tmp_path, change, told):
    back_up(folder, tmp_path / "good.tar.gz", NOON)
    bad = rewrite(tmp_path / "good.tar.gz", tmp_path / "bad.tar.gz", change)
    with pytest.raises(InputError, match=told):
        put_back(other, bad, NOON)
    assert not other.state.exists()
    assert not list(other.root.glob(".deskhand*"))


def test_damaged_files_are_refused_at_every_place(folder, other, tmp_path):
    back_up(folder, tmp_path / "good.tar.gz", NOON)
    raw = (tmp_path / "good.tar.gz").read_bytes()
    bad = tmp_path / "bad.tar.gz"
    cuts = [raw[:n] for n in range(0, len(raw), len(raw) // 12)][:12]
    flips = [raw[:n] + bytes([raw[n] ^ 0x40]) + raw[n + 1 :] for n in range(12, len(raw), len(raw) // 12)]
    for content in (*cuts, *flips, b"not a tar", gzip.compress(b"not a tar")):
        bad.write_bytes(content)
        try:
            put_back(other, bad, NOON)
        except InputError:
            assert not other.state.exists()
        else:  # the flipped bit may lie in gzip's own head or in padding
            assert tickets(other) == ["question 0", "question 1", "question 2"]
            put_back(other, tmp_path / "good.tar.gz", NOON, force=True)
            for path in other.root.glob(".deskhand*"):
                shutil.rmtree(path)
    with pytest.raises(InputError, match="no such file"):
        put_back(other, tmp_path / "none.tar.gz", NOON)


def test_too_little_space_is_said_before_anything_is_written(folder, other, tmp_path, monkeypatch):
    back_up(folder, tmp_path / "x.tar.gz", NOON)
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("deskhand_runs.restore.shutil.disk_usage", lambda path: usage)
    with pytest.raises(StoreError, match="free some space"):
        put_back(other, tmp_path / "x.tar.gz", NOON)
    assert not other.state.exists()


def test_a_damaged_state_can_be_replaced(folder, tmp_path):
    back_up(folder, tmp_path / "x.tar.gz", NOON)
    (folder.state / "runs.db").write_bytes(b"ruined" * 1000)
    put_back(folder, tmp_path / "x.tar.gz", NOON, force=True)
    assert len(tickets(folder)) == 3


def test_a_recording_that_is_forgotten_meanwhile_is_left_out(folder, tmp_path, monkeypatch):
    copy = shutil.copyfile

    def vanishing(source, target):
        if source.name == "run-1.jsonl":
            source.unlink()
        return copy(source, target)

    monkeypatch.setattr("deskhand_runs.backup.shutil.copyfile", vanishing)
    manifest = back_up(folder, tmp_path / "x.tar.gz", NOON)
    assert [m.name for m in manifest.members] == ["runs.db", "knowledge.db", "experiments/e1/report.json"]


def test_links_are_not_followed(folder, tmp_path):
    (tmp_path / "secret").write_text("not of the workspace")
    (folder.state / "recordings" / "run-9.jsonl").symlink_to(tmp_path / "secret")
    names = [m.name for m in back_up(folder, tmp_path / "x.tar.gz", NOON).members]
    assert "recordings/run-9.jsonl" not in names


def test_the_copy_of_a_database_is_one_file(folder, tmp_path):
    back_up(folder, tmp_path / "x.tar.gz", NOON)
    with tarfile.open(tmp_path / "x.tar.gz") as tar:
        raw = tar.extractfile("runs.db").read()
    (tmp_path / "copy.db").write_bytes(raw)
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert connection.execute("SELECT COUNT(*) FROM runs").fetchone() == (3,)
