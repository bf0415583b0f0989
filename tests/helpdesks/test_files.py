import io
import json
import os
import threading

import pytest

from deskhand.testing import build_ticket
from deskhand.tickets import MAX_MESSAGE_CHARS
from deskhand_helpdesks import files, load_tickets


def as_json(ticket_id="T-1", **changes):
    return build_ticket(ticket_id=ticket_id).model_dump(mode="json") | changes


def write(path, value):
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def only_error(source, **options):
    (entry,) = load_tickets(source, **options)
    assert entry.ticket is None
    text = str(entry.error)
    assert "\n" not in text
    assert ";" in text, "the next step is missing"
    return text


def ids(source, **options):
    return [entry.ticket.id if entry.ticket else f"error at {entry.where}" for entry in load_tickets(source, **options)]


def test_file_of_one_ticket_is_loaded_whole(tmp_path):
    ticket = build_ticket("Where is it? 🛒", tags=("a",), fields={"x": [1, None]})
    path = write(tmp_path / "t.json", ticket.model_dump_json())
    assert [(entry.where, entry.ticket) for entry in load_tickets(path)] == [(str(path), ticket)]


def test_array_goes_on_after_a_bad_element(tmp_path):
    path = write(tmp_path / "t.json", [as_json("A"), {"id": "B"}, 7, as_json("C")])
    assert ids(path) == ["A", f"error at {path}[1]", f"error at {path}[2]", "C"]


def test_json_lines_go_on_after_a_bad_line(tmp_path):
    lines = [json.dumps(as_json("A")), "", "{broken", json.dumps(as_json("C"))]
    path = write(tmp_path / "t.jsonl", "\n".join(lines))
    assert ids(path) == ["A", f"error at {path}:3", "C"]


def test_folder_is_read_by_name_and_goes_on_after_a_bad_file(tmp_path):
    write(tmp_path / "b.json", as_json("B"))
    write(tmp_path / "a.json", "{")
    write(tmp_path / "c.json", as_json("C"))
    write(tmp_path / ".d.json", as_json("D"))
    write(tmp_path / "notes.txt", "not a ticket")
    (tmp_path / "e.json").mkdir()
    assert ids(tmp_path) == [f"error at {tmp_path / 'a.json'}", "B", "C", f"error at {tmp_path / 'e.json'}"]


def test_repeated_id_is_an_error_that_names_the_first(tmp_path):
    path = write(tmp_path / "t.json", [as_json("A"), as_json("A", subject="newer"), as_json("B")])
    entries = list(load_tickets(path))
    assert [entry.ticket and entry.ticket.id for entry in entries] == ["A", None, "B"]
    assert f"'A' was already read from {path}[0]" in str(entries[1].error)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps(as_json("A"), indent=2), ["A"]),
        (json.dumps([as_json("A"), as_json("B")]), ["A", "B"]),
        ("\n".join(json.dumps(as_json(name)) for name in "AB"), ["A", "B"]),
        ("nonsense\n" + json.dumps(as_json("B")), ["error at standard input:1", "B"]),
        (json.dumps(as_json("A"), indent=2)[:-1], ["error at standard input"]),
        ("{\n{broken", ["error at standard input"]),
    ],
)
def test_standard_input_may_be_json_or_json_lines(text, expected):
    assert ids("-", stdin=io.BytesIO(text.encode())) == expected


def test_standard_input_of_the_process_is_the_default(monkeypatch):
    class Process:
        buffer = io.BytesIO(json.dumps(as_json("A")).encode())

    monkeypatch.setattr("sys.stdin", Process)
    assert ids("-") == ["A"]


def test_pipe_is_read_though_it_has_no_size(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_text(json.dumps(as_json("A"))))
    writer.start()
    assert ids(path) == ["A"]
    writer.join()


def test_message_that_is_too_long_is_named_with_the_limit(tmp_path):
    message = as_json()["messages"][0] | {"id": "mail-7", "text": "x" * 5_000_000}
    text = only_error(write(tmp_path / "t.json", as_json(messages=[message])))
    assert "message 'mail-7' has 5,000,000 characters, the limit is 200,000" in text
    assert len(text) < 500


def test_message_at_the_limit_is_taken(tmp_path):
    message = as_json()["messages"][0] | {"text": "x" * MAX_MESSAGE_CHARS}
    assert ids(write(tmp_path / "t.json", as_json(messages=[message]))) == ["T-1"]


def test_file_that_is_too_large_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "t.json"
    with path.open("wb") as file:
        file.truncate(files.MAX_FILE_BYTES + 1)  # a hole: it holds nothing, and would take long to read
    assert "larger than 50 MB" in only_error(path)


def test_stream_without_an_end_is_refused():
    class Endless:
        def read(self, n):
            return b" " * n

    assert "larger than 50 MB" in only_error("-", stdin=Endless())


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\x89PNG\r\n\x00\x00", "binary"),
        (b"\xff\xfe{\x00}\x00", "binary"),
        (b"\xff\xfa\xf9", "not UTF-8"),
        (b"[]", "empty array"),
        (b'"hello"', "this is a string"),
        (b"null", "this is null"),
        (b"7", "this is a single value"),
        (b"[[]]", "this is an array"),
        (b"{}", "id: field required"),
        (b'{"id": 1', "line 1"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 900 + b"1" + b"}" * 900, "recursion limit"),
        (json.dumps(as_json(messages="x")).encode(), "messages"),
        (json.dumps(as_json(messages=["x"])).encode(), "messages.0"),
        (json.dumps(as_json(id=7)).encode(), "id"),
        (json.dumps(as_json(created_at="2026-11-20T12:00:00")).encode(), "created_at"),
        (json.dumps(as_json(subjct="x")).encode(), "subjct"),
        (json.dumps(as_json(subject="\ud800")).encode(), "t.json"),
        (json.dumps(as_json(fields={"x": 1})).replace('"x": 1', '"x": NaN').encode(), "NaN"),
        (json.dumps(as_json(id="a\nb")).encode(), "id"),
    ],
)
def test_bad_content_gives_one_clear_line(tmp_path, content, shown):
    path = tmp_path / "t.json"
    path.write_bytes(content)
    text = only_error(path)
    assert str(path) in text
    assert shown in text


@pytest.mark.parametrize("name", ["none.json", "none", "a\0b", "x" * 300, "t.json/more"])
def test_path_that_is_no_file_gives_one_clear_line(tmp_path, name):
    write(tmp_path / "t.json", as_json())
    only_error(f"{tmp_path}/{name}")


def test_empty_folder_gives_one_clear_line(tmp_path):
    assert "no ticket in it" in only_error(tmp_path)


def test_folder_that_cannot_be_listed_gives_one_clear_line(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    assert "Permission denied" in only_error(tmp_path)


def test_byte_order_mark_and_windows_newlines_are_fine(tmp_path):
    path = tmp_path / "t.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(as_json(), indent=1).replace("\n", "\r\n").encode())
    assert ids(path) == ["T-1"]
