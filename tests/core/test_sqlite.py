import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from deskhand.errors import StoreError
from deskhand.sqlite import Schema, _use_wal, open_database, store_error, transaction

FIRST = "CREATE TABLE a (x INTEGER PRIMARY KEY, y TEXT);\nCREATE INDEX a_y ON a (y)"
TRIGGER = """
CREATE TABLE log (line TEXT);
-- a comment; with a semicolon
CREATE TRIGGER a_added AFTER INSERT ON a BEGIN
    INSERT INTO log VALUES ('added; ' || new.y);
    UPDATE a SET y = y || ';' WHERE x = new.x;
END;
INSERT INTO a VALUES (1, 'one;
two'); INSERT INTO a VALUES (2, 'three');
"""
SCHEMA = Schema("things", (FIRST, TRIGGER))


def test_new_database_has_every_step_and_the_durable_settings(tmp_path):
    connection = open_database(tmp_path / "new" / "a.db", SCHEMA)
    assert connection.execute("SELECT line FROM log").fetchall() == [("added; one;\ntwo",), ("added; three",)]
    pragmas = ("user_version", "journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]
    assert found == [2, "wal", 2, 1, 30_000]
    connection.close()


def test_older_database_is_brought_up_to_date_and_keeps_its_rows(tmp_path):
    old = open_database(tmp_path / "a.db", Schema("things", (FIRST,)))
    old.execute("INSERT INTO a VALUES (7, 'kept')")
    old.close()
    connection = open_database(tmp_path / "a.db", SCHEMA)
    assert connection.execute("SELECT y FROM a WHERE x = 7").fetchone() == ("kept",)
    connection.close()


def test_newer_database_is_refused_and_left_alone(tmp_path):
    open_database(tmp_path / "a.db", SCHEMA).close()
    before = (tmp_path / "a.db").read_bytes()
    with pytest.raises(StoreError, match="has things schema 2, this deskhand knows up to 1; upgrade deskhand"):
        open_database(tmp_path / "a.db", Schema("things", (FIRST,)))
    assert (tmp_path / "a.db").read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"this is no database at all, but long enough" * 9, b"SQLite format 3\x00" + b"\xff" * 4096]
)
def test_file_that_is_no_database_is_refused_with_the_next_step(tmp_path, content):
    path = tmp_path / "a.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"is damaged or not a database .*restore it from a backup or move it away"):
        open_database(path, SCHEMA)
    assert path.read_bytes() == content


def test_database_cut_short_is_refused(tmp_path):
    path = tmp_path / "a.db"
    connection = open_database(path, Schema("things", (FIRST,)))
    connection.executemany("INSERT INTO a (y) VALUES (?)", [("y" * 500,)] * 200)
    connection.close()
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(StoreError, match="is damaged"):
        open_database(path, SCHEMA)


@pytest.mark.parametrize("name", ["file/a.db", "folder"])
def test_impossible_place_is_a_store_error(tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match=r"cannot be opened .*check the folder"):
        open_database(tmp_path / name, SCHEMA)


@pytest.mark.parametrize("broken", ["CREATE TABLE b (x);\nCREATE TABLE b (x);", "CREATE TABLE b (x); SELECT 'open"])
def test_step_that_fails_leaves_nothing_of_itself(tmp_path, broken):
    with pytest.raises(StoreError):
        open_database(tmp_path / "a.db", Schema("things", (FIRST, broken)))
    connection = open_database(tmp_path / "a.db", Schema("things", ()))
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    connection.close()


MIGRATION = """
import os, signal, sqlite3, sys
from pathlib import Path
from deskhand import sqlite
real = sqlite._statements
def dying(step):
    for number, statement in enumerate(real(step)):
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        yield statement
sqlite._statements = dying
step = "CREATE TABLE a (x); INSERT INTO a VALUES (1); SELECT 1;"
sqlite.open_database(Path(sys.argv[1]), sqlite.Schema("things", (step,)))
"""


def test_kill_in_a_migration_leaves_the_old_version_and_the_next_open_finishes(tmp_path):
    path = tmp_path / "a.db"
    done = subprocess.run([sys.executable, "-c", MIGRATION, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    connection = open_database(path, SCHEMA)
    assert connection.execute("SELECT count(*) FROM a").fetchone() == (2,)
    connection.close()


OPENER = """
import sys, time
from pathlib import Path
from deskhand.sqlite import Schema, _use_wal, open_database
sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.readline()
for folder in sorted(Path(sys.argv[1]).iterdir()):
    open_database(folder / "a.db", Schema("things", ("CREATE TABLE a (x);\\nCREATE TABLE b (x);",))).close()
"""


def test_processes_that_open_a_new_database_at_once_all_succeed(tmp_path):
    for number in range(30):
        (tmp_path / f"{number:02d}").mkdir()
    command = [sys.executable, "-c", OPENER, str(tmp_path)]
    openers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(4)]
    for opener in openers:
        opener.stdout.readline()
    for opener in openers:
        opener.stdin.write(b"\n")
        opener.stdin.flush()
    for opener in openers:
        opener.communicate()
    assert [opener.returncode for opener in openers] == [0, 0, 0, 0]


def test_journal_mode_that_stays_locked_is_reported(tmp_path, monkeypatch):
    path = tmp_path / "a.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr("deskhand.sqlite._BUSY_TIMEOUT_MS", 60)
    with pytest.raises(StoreError, match="is locked by another process; wait"):
        open_database(path, SCHEMA)
    holder.close()


def test_journal_mode_is_set_again_after_another_process_had_the_lock():
    answers = [sqlite3.OperationalError("database is locked"), None]

    class Contended:
        def execute(self, statement):
            answer = answers.pop(0)
            if answer:
                raise answer

    _use_wal(Contended())
    assert answers == []


def test_connection_works_from_another_thread(tmp_path):
    connection = open_database(tmp_path / "a.db", SCHEMA, synchronous="NORMAL")
    found = []
    thread = threading.Thread(target=lambda: found.append(connection.execute("SELECT 1").fetchone()))
    thread.start()
    thread.join()
    assert found == [(1,)]
    connection.close()


def test_transaction_stores_all_or_nothing(tmp_path):
    connection = open_database(tmp_path / "a.db", SCHEMA)
    with transaction(connection) as inside:
        inside.execute("INSERT INTO a VALUES (10, 'x')")
    with pytest.raises(KeyError), transaction(connection):
        connection.execute("INSERT INTO a VALUES (11, 'x')")
        raise KeyError
    assert connection.execute("SELECT x FROM a WHERE x >= 10").fetchall() == [(10,)]
    connection.close()


def test_commit_that_fails_rolls_back_and_the_connection_goes_on(tmp_path):
    deferred = "CREATE TABLE p (x PRIMARY KEY); CREATE TABLE c (p REFERENCES p (x) DEFERRABLE INITIALLY DEFERRED);"
    connection = open_database(tmp_path / "a.db", Schema("things", (deferred,)))
    with pytest.raises(sqlite3.IntegrityError), transaction(connection):
        connection.execute("INSERT INTO c VALUES (1)")
    with transaction(connection):
        connection.execute("INSERT INTO p VALUES (1)")
    assert connection.execute("SELECT (SELECT count(*) FROM c), (SELECT count(*) FROM p)").fetchone() == (0, 1)
    connection.close()


def test_error_after_which_sqlite_rolled_back_itself_is_the_one_that_is_raised(tmp_path):
    connection = open_database(tmp_path / "a.db", SCHEMA)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"), transaction(connection):
        connection.execute("INSERT OR ROLLBACK INTO a VALUES (1, 'x')")
    connection.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("attempt to write a readonly database", "check the permissions"),
        ("unable to open database file", "check the permissions"),
        ("database is locked", "wait for it to end"),
        ("database or disk is full", "free some space"),
        ("database disk image is malformed", "restore it from a backup"),
    ],
)
def test_sqlite_error_is_told_with_its_next_step(tmp_path, text, said):
    assert said in str(store_error(tmp_path, sqlite3.OperationalError(text)))


@pytest.fixture
def two_connections(tmp_path):
    with (
        closing(open_database(tmp_path / "t.db", SCHEMA)) as one,
        closing(open_database(tmp_path / "t.db", SCHEMA)) as two,
    ):
        yield one, two


def test_a_long_wait_for_the_lock_is_told_and_then_goes_on(two_connections, monkeypatch, caplog):
    monkeypatch.setattr("deskhand.sqlite._PATIENCE_MS", 20)
    holder, waiting = two_connections
    holder.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.2, holder.execute, ("ROLLBACK",))
    release.start()
    with transaction(waiting):
        pass
    release.join()
    assert "t.db: another process is writing; waiting up to 30 s" in caplog.text
    assert waiting.execute("PRAGMA busy_timeout").fetchone() == (30_000,)
    with transaction(waiting):
        pass
    assert caplog.text.count("another process") == 1, "nothing is told when nobody waits"


def test_a_connection_that_does_not_wait_is_left_so(two_connections, caplog):
    holder, hasty = two_connections
    hasty.execute("PRAGMA busy_timeout=0")
    with transaction(holder), pytest.raises(sqlite3.OperationalError, match="locked"), transaction(hasty):
        pass
    assert hasty.execute("PRAGMA busy_timeout").fetchone() == (0,)
    assert caplog.text == ""
