from __future__ import annotations

import json
from pathlib import Path

import pytest

from deskhand.errors import InputError
from deskhand.testing import build_ticket
from deskhand_evals import DraftSample, RetrievalSample, TriageSample, load_dataset, load_samples
from deskhand_evals.datasets import field_of

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
        (({"id": "a"},), r"text: field required \(and 1 more\); correct it, a case here needs id, text, relevant$"),
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


def test_a_dataset_is_versioned_split_and_sliced(tmp_path: Path) -> None:
    rows = [ROW | {"id": f"r{n}", "kind": "ab"[n % 2], "customer": f"c{n // 4}"} for n in range(80)]
    dataset = load_dataset(write(tmp_path / "g.jsonl", *rows), RetrievalSample)
    (tmp_path / "g.json").write_text(json.dumps(rows))
    assert load_dataset(tmp_path / "g.json", RetrievalSample) == dataset
    assert load_dataset(write(tmp_path / "g.jsonl", *rows[1:]), RetrievalSample).version != dataset.version
    parts = dataset.split({"dev": 0.5, "test": 0.5})
    owners = [{sample.customer for sample in part.samples} for part in parts.values()]
    assert (sum(len(part.samples) for part in parts.values()), owners[0] & owners[1]) == (80, set())
    folds = dataset.folds(4, stratify="kind")
    assert [len(fold.held_out) for fold in folds] == [20] * 4
    assert [len(fold.held_out) for fold in dataset.folds(4)] == [20] * 4
    assert {name: len(part.samples) for name, part in dataset.slices("kind").items()} == {"a": 40, "b": 40}
    assert dataset.slices("relevant").keys() == {"returns"}
    with pytest.raises(InputError, match="has no field 'colour'"):
        dataset.slices("colour")


def test_a_customer_is_the_requester_of_the_ticket() -> None:
    ticket = build_ticket("Hello", subject="Lamp")
    sample = DraftSample(id="d", ticket=ticket, must=())
    assert (sample.group, sample.customer_text) == ("C-1", "Lamp\n\nHello")
    assert DraftSample(id="d", ticket=ticket, must=(), customer="x").group == "x"
    assert field_of(sample, "ticket.requester.is_verified") is True
    assert field_of(sample, "ticket.requester") == str(ticket.requester.model_dump(mode="json"))
    assert RetrievalSample(id="r", text="t", relevant=("a",)).group is None
