import os
import signal
import subprocess
import sys
import threading

import pytest

from deskhand.errors import OwnedElsewhere, StoreError
from deskhand.testing import NOON, build_ticket
from deskhand_runs import RunLock, RunStore

HOLDER = """
import sys
from pathlib import Path
from deskhand_runs.locks import RunLock
with RunLock(Path(sys.argv[1]), int(sys.argv[2]), "run-x"):
    print("held", flush=True)
    sys.stdin.readline()
"""


class Holder:
    def __init__(self, path, seq):
        command = [sys.executable, "-c", HOLDER, str(path), str(seq)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "held\n"

    def end(self, kill=False):
        if kill:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate("\n" if not kill else None)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "runs.lock"


@pytest.mark.parametrize("kill", [False, True])
def test_other_process_is_refused_until_the_holder_ends_or_dies(path, kill):
    holder = Holder(path, 3)
    lock = RunLock(path, 3, "run-x")
    assert lock.is_held()
    with pytest.raises(OwnedElsewhere, match=r"run run-x: another process is at work on it; wait") as caught, lock:
        raise AssertionError("entered")
    assert caught.value.owner == "another process"
    with RunLock(path, 4, "run-y"):
        assert lock.is_held(), "another run's lock says nothing about this one"
    holder.end(kill)
    assert not lock.is_held()
    with lock:
        assert lock.is_held()


def test_same_process_is_refused_and_a_failed_try_does_not_free_the_lock(path):
    with RunLock(path, 1, "run-a"):
        with pytest.raises(OwnedElsewhere, match="this process"), RunLock(path, 1, "run-a"):
            raise AssertionError("entered")
        assert probe(path, 1) == "held", "a second descriptor would have dropped it"


def probe(path, seq):
    code = (
        "import sys; from pathlib import Path; from deskhand_runs.locks import RunLock;"
        "print('held' if RunLock(Path(sys.argv[1]), int(sys.argv[2]), 'r').is_held() else 'free')"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(path), str(seq)], capture_output=True, text=True
    ).stdout.strip()


def test_locks_of_one_file_end_one_by_one(path):
    with RunLock(path, 1, "run-a"):
        with RunLock(path, 2, "run-b"):
            pass
        assert (probe(path, 1), probe(path, 2)) == ("held", "free")
    assert probe(path, 1) == "free"


def test_lock_is_given_back_when_the_block_fails(path):
    with pytest.raises(RuntimeError), RunLock(path, 1, "run-a"):
        raise RuntimeError
    with RunLock(path, 1, "run-a"):
        pass


def test_no_descriptor_is_left_open(path):
    before = len(os.listdir("/proc/self/fd"))
    for seq in range(1, 200):
        with RunLock(path, seq, "run"):
            RunLock(path, seq + 1, "run").is_held()
    assert len(os.listdir("/proc/self/fd")) == before


def test_one_name_of_many_threads_at_once_wins(path):
    entered, refused = [], []
    barrier = threading.Barrier(12)

    def take():
        barrier.wait()
        try:
            with RunLock(path, 1, "run-a"):
                entered.append(1)
                release.wait(60)
        except OwnedElsewhere:
            refused.append(1)
            if len(refused) == 11:
                release.set()

    release = threading.Event()
    threads = [threading.Thread(target=take) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(entered), len(refused)) == (1, 11)


def test_forked_child_does_not_believe_that_it_holds_the_lock(path):
    code = (
        "import os, sys; from pathlib import Path; from deskhand.errors import OwnedElsewhere\n"
        "from deskhand_runs.locks import RunLock\n"
        "with RunLock(Path(sys.argv[1]), 1, 'r'):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        try:\n"
        "            RunLock(Path(sys.argv[1]), 1, 'r').__enter__()\n"
        "        except OwnedElsewhere as exc:\n"
        "            os._exit(7 if exc.owner == 'another process' else 8)\n"
        "        os._exit(9)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "    held = RunLock(Path(sys.argv[1]), 1, 'r').is_held()\n"
        "    print(held)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.stdout.split() == ["7", "True"], done.stderr


def test_file_that_cannot_be_made_is_a_store_error(tmp_path):
    (tmp_path / "state").write_text("a file stands in the way")
    with pytest.raises(StoreError, match="cannot be written"), RunLock(tmp_path / "state" / "runs.lock", 1, "run"):
        pass


def test_asking_about_a_lock_makes_no_file(path):
    assert RunLock(path, 1, "run").is_held() is False
    assert not path.exists()


def test_store_locks_by_run(tmp_path):
    with RunStore(tmp_path / "runs.db") as store:
        ids = iter(["run-aa", "run-bb"])
        for text in ("a", "b"):
            store.claim(build_ticket(text), "support", new_id=lambda: next(ids), now=NOON)
        with store.lock("run-aa"), store.lock("run-b"):
            assert store.lock("run-bb").is_held()
            with pytest.raises(OwnedElsewhere, match="run-aa"), store.lock("run-a"):
                pass
