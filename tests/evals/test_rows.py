from __future__ import annotations

import os
import sys
from datetime import date
from pathlib import Path

import pytest

from deskhand.errors import InputError
from deskhand_evals.rows import read_rows, rows_version

ROWS = [
    {"id": "1", "text": 'a, "b"\nc', "relevant": ["x", "y"], "n": 2, "none": None},
    {"id": "2", "text": "ä", "relevant": ["z"], "n": 1.5, "none": None},
]


def rows_of(path: Path) -> list[object]:
    return [value for _, value in read_rows(path)]


def test_a_dataset_has_one_version_in_every_form(tmp_path: Path) -> None:
    import json

    import yaml

    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "a.json").write_text(json.dumps(ROWS))
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(ROWS, allow_unicode=True))
    head, second = 'id,text,relevant,n,none\n1,"a, ""b""\nc","[""x"", ""y""]",2,\n', '2,ä,"[""z""]",1.5,\n'
    (tmp_path / "a.csv").write_text(head + second, encoding="utf-8")
    found = [rows_of(tmp_path / f"a.{form}") for form in ("jsonl", "json", "yaml", "csv")]
    assert found == [ROWS] * 4
    assert rows_version(ROWS) != rows_version(ROWS[::-1])


def test_yaml_dates_stay_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("- {id: x, at: 2026-11-20}\n")
    assert rows_of(tmp_path / "a.yml") == [{"id": "x", "at": "2026-11-20"}]


def test_an_empty_dataset_has_no_rows(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.yaml", "a.csv"):
        (tmp_path / name).write_text("")
        assert rows_of(tmp_path / name) == []


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "", "not a dataset by its name"),
        ("a.json", '{"id": 1}', "no list of rows"),
        ("a.yaml", "a: [", "not valid YAML"),
        ("a.yaml", "a: 1", "no list of rows"),
        ("a.yaml", "- &a [lol]\n- [*a, *a]\n", "line 2: an alias is not read"),
        ("a.yaml", "- &a {id: x, self: *a}\n", "an alias is not read"),
        ("a.yaml", "[" * 5_000, "nested too deeply"),
        ("a.csv", "id,id\n1,2\n", "stands there twice"),
        ("a.csv", "id,text\n1,2,3\n", "as many cells"),
        ("a.csv", "id,text\n1\n", "as many cells"),
        ("a.csv", 'id,text\n1,"2\n', "not valid CSV"),
        ("a.jsonl", "{", "a.jsonl:1"),
    ],
)
def test_a_bad_dataset_names_its_place(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        rows_of(tmp_path / name)


def test_what_is_neither_file_nor_folder_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        rows_of(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "b.jsonl")
    with pytest.raises(InputError, match=r"b\.jsonl"):
        rows_of(tmp_path / "b.jsonl")


def test_a_hugging_face_dataset_on_disk_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    table = {"id": ["1", "2"], "text": ["a", "b"], "at": [date(2026, 11, 20), None]}
    whole = datasets.Dataset.from_dict(table)
    whole.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": whole, "test": whole.select([1])}).save_to_disk(str(tmp_path / "two"))
    wanted = [{"id": "1", "text": "a", "at": "2026-11-20"}, {"id": "2", "text": "b", "at": None}]
    assert rows_of(tmp_path / "one") == wanted
    assert rows_of(tmp_path / "two" / "test") == wanted[1:]
    with pytest.raises(InputError, match="name one, such as"):
        rows_of(tmp_path / "two")
    with pytest.raises(InputError, match="no split 'dev'"):
        rows_of(tmp_path / "two" / "dev")
    (tmp_path / "three").mkdir()
    with pytest.raises(InputError, match="save_to_disk"):
        rows_of(tmp_path / "three")


def test_columns_that_json_does_not_know_are_named(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"id": ["1"], "raw": [b"\x00"]}).save_to_disk(str(tmp_path / "one"))
    with pytest.raises(InputError, match="remove that column"):
        rows_of(tmp_path / "one")


def test_without_the_extra_the_next_step_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"deskhand\[hf\]"):
        rows_of(tmp_path)
