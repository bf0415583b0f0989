from __future__ import annotations

import json
from pathlib import Path

import pytest

from deskhand.errors import InputError
from deskhand_evals import RetrievalSample, TriageSample, load_samples

ROW = {"id": "r1", "text": "how long", "relevant": ["returns"]}


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_samples_are_read_in_their_order(tmp_path: Path) -> None:
    rows = (ROW, ROW | {"id": "r2", "kind": "identifier"})
    samples = load_samples(write(tmp_path / "g.jsonl", *rows), RetrievalSample)
    assert [(sample.id, sample.kind) for sample in samples] == [("r1", "plain"), ("r2", "identifier")]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ((), "no samples"),
        ((ROW, ROW), "stands there twice"),
        ((ROW | {"relevant": []},), "relevant"),
        ((ROW | {"tex": "x"},), "tex"),
    ],
)
def test_a_bad_golden_set_names_the_problem(tmp_path: Path, rows: tuple[object, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_samples(write(tmp_path / "g.jsonl", *rows), RetrievalSample)


def test_no_category_is_a_label_of_its_own(tmp_path: Path) -> None:
    row = {"id": "t1", "text": "x", "label": None, "priority": "low", "team": None, "language": "en", "flags": []}
    (sample,) = load_samples(write(tmp_path / "t.jsonl", row), TriageSample)
    assert sample.label is None
