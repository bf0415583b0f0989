import os
import signal
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, model_validator

from deskhand.errors import InputError, StoreError
from deskhand.jsonio import (
    canonical_json,
    content_hash,
    parse_json,
    parse_lines,
    read_lines,
    read_text,
    validate,
    write_atomic,
)
from deskhand.testing import build_ticket
from deskhand.tickets import Requester

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


class Pair(BaseModel):
    low: int
    high: int

    @model_validator(mode="after")
    def _ordered(self):
        if self.low > self.high:
            raise ValueError("low is above high; swap them")
        return self


@given(JSON)
def test_canonical_json_parses_back_and_hashes_alike(value):
    text = canonical_json(value)
    assert parse_json(text, "x") == value
    assert content_hash(parse_json(text, "x")) == content_hash(value)
    assert "\n" not in text


def test_equal_objects_have_equal_text_and_hash_whatever_their_order():
    assert canonical_json({"b": 1, "a": "é"}) == '{"a":"é","b":1}'
    assert content_hash({"b": 1, "a": 2}) == content_hash({"a": 2, "b": 1}) != content_hash({"a": 2, "b": 2})
    assert len(content_hash("\ud800")) == 64


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1, column 1"),
        ('{"a": 1,\n "b": }', "line 2, column 7"),
        ('{"a": NaN}', "NaN is not a number"),
        ("[-Infinity]", "-Infinity is not a number"),
        ("[1e999]", "1e999 is not a number"),
        ("[" * 100_000, "nested too deeply"),
        ("1" * 5_000, "limit"),
        ("\x00", "column 1"),
        ('"a\x00b"', "control character"),
        ("\ufeff{}", "BOM"),
    ],
)
def test_bad_json_is_refused_with_its_place(text, said):
    with pytest.raises(InputError, match=r"^tickets/a\.json: ") as caught:
        parse_json(text, "tickets/a.json")
    assert said.lower() in str(caught.value).lower()
    assert "; f" in str(caught.value)


def test_bad_line_is_named_by_its_number_and_blank_lines_are_skipped(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"a": 1}\n\n  \n{"a": 2}\n{"a": \n')
    lines = read_lines(file)
    assert [next(lines), next(lines)] == [(f"{file}:1", {"a": 1}), (f"{file}:4", {"a": 2})]
    with pytest.raises(InputError, match=rf"^{file}:5: not valid JSON \(line 1, column 7"):
        next(lines)


def test_unicode_line_separator_does_not_split_a_line():
    assert [line.value for line in parse_lines('"a\u2028b\u0085c"\n1', "x")] == ["a\u2028b\u0085c", 1]


def test_byte_order_mark_and_carriage_returns_are_read_as_plain_text(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    assert read_text(file) == "a\nb\nc\n"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "no such file; check the path"),
        (lambda path: path.mkdir(), "is a folder; name a file in it"),
        (lambda path: path.write_bytes(b"ab\xff"), "not UTF-8 text (byte 2); save it as UTF-8"),
        (lambda path: path.symlink_to(path), "cannot be read (Too many levels of symbolic links)"),
    ],
)
def test_unreadable_file_is_named_with_the_next_step(tmp_path, make, said):
    path = tmp_path / "a.json"
    make(path)
    with pytest.raises(InputError) as caught:
        read_text(path)
    assert str(caught.value).startswith(f"{path}: {said}")


@pytest.mark.parametrize("name", ["a\x00b", "a\ud800"])
def test_impossible_file_name_is_an_input_error(tmp_path, name):
    with pytest.raises(InputError, match=r"not a file name .*check the path"):
        read_text(tmp_path / name)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({}, "id: field required"),
        ({"id": "a", "nme": 1}, "nme: extra inputs are not permitted, got 1"),
        ({"id": "", "name": 3}, "(and 1 more)"),
        ({"id": "a\x00"}, "id: string should match"),
        ({"id": "\ud800"}, "unicode"),
        ({"id": "a", "name": float("nan")}, "not a JSON value"),
        ({"id": {1}}, "not a JSON value"),
        ({"id": "a", "name": "n" * 3000}, "name: string should have at most 2000 characters"),
        ({"id": ["x" * 100]}, "..."),
        ([], "value: "),
    ],
)
def test_value_of_the_wrong_form_is_refused_with_its_field(value, said):
    with pytest.raises(InputError, match=r"^a\.jsonl:3: ") as caught:
        validate(Requester, value, "a.jsonl:3")
    assert said in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "value",
    [
        {"id": "a", "api_key": "hush-1"},
        {"id": "a", "tokens": {"password": "hush-1"}},
        {"id": "a", "name": ["https://user:hush-1@host/v1"]},
        {"id": "a", "name": ["https://host/v1?key=hush-1"]},
    ],
)
def test_value_that_may_be_a_secret_is_not_shown(value):
    with pytest.raises(InputError, match=r"^x: \w+: ") as caught:
        validate(Requester, value, "x")
    assert "hush" not in str(caught.value)


def test_rule_of_a_whole_model_speaks_in_its_own_words():
    with pytest.raises(InputError) as caught:
        validate(Pair, {"low": 2, "high": 1}, "x")
    assert str(caught.value) == "x: low is above high; swap them"


def test_deep_value_is_an_input_error():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InputError, match="nested too deeply"):
        validate(Requester, {"id": deep}, "x")


def test_ticket_survives_its_own_json():
    ticket = build_ticket("Grüße \u2028 <b>", fields={"a": [1, None]})
    assert validate(type(ticket), parse_json(ticket.model_dump_json(), "x"), "x") == ticket


def test_written_file_replaces_the_old_one_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "a.json"
    write_atomic(path, "old")
    write_atomic(path, "é\r\n")
    assert path.read_bytes() == "é\r\n".encode()
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"]


def test_text_that_cannot_be_encoded_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    write_atomic(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomic(path, "\ud800")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"] and path.read_text() == "old"


@pytest.mark.parametrize("name", ["file/a.json", "folder"])
def test_place_that_cannot_be_written_is_a_store_error_without_leftovers(tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "in").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"cannot be written .*check the folder"):
        write_atomic(tmp_path / name, "x")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


WRITER = """
import sys
from pathlib import Path
from deskhand.jsonio import write_atomic
while True:
    for letter in "ab":
        write_atomic(Path(sys.argv[1]), letter * 3_000_000)
        print(letter, flush=True)
"""


def test_reader_sees_only_whole_files_and_so_does_a_kill(tmp_path):
    path = tmp_path / "a.txt"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
        writer.stdout.readline()
        threading.Thread(target=writer.stdout.read, daemon=True).start()
        seen, n_reads = set(), 0
        while n_reads < 200 or (len(seen) < 2 and n_reads < 20_000):
            text = path.read_text()
            seen.add((len(text), *set(text)))
            n_reads += 1
        os.kill(writer.pid, signal.SIGKILL)
    assert seen == {(3_000_000, "a"), (3_000_000, "b")}
    assert path.read_text() in ("a" * 3_000_000, "b" * 3_000_000)


DYING = """
import os, signal, sys
from pathlib import Path
from deskhand.jsonio import write_atomic
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
write_atomic(Path(sys.argv[1]), "new")
"""


def test_kill_before_the_new_text_is_on_disk_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    write_atomic(path, "old")
    done = subprocess.run([sys.executable, "-c", DYING, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
