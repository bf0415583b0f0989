"""Reading labelled tickets."""

from __future__ import annotations

import json

import pytest

from deskhand.errors import InputError
from deskhand.tickets import Priority
from deskhand_agents import LabelledTicket, load_labelled
from deskhand_agents.labelled import usual_priorities


def test_labelled_file_is_masked_deduplicated_and_checked(tmp_path, taxonomy):
    file = tmp_path / "labelled.jsonl"
    lines = [{"text": "write to ann@example.com", "label": "login"}] * 2 + [{"text": "x", "label": None}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [(row.text, row.label) for row in load_labelled(file, taxonomy)] == [
        ("write to [EMAIL]", "login"),
        ("x", None),
    ]
    file.write_text('{"text": "x", "label": "gone"}\n')
    with pytest.raises(InputError, match=r":1: label 'gone' is not a category"):
        load_labelled(file, taxonomy)
    assert load_labelled(tmp_path / "none.jsonl", taxonomy) == ()


def test_forgotten_label_is_not_taken_for_no_category(tmp_path, taxonomy):
    file = tmp_path / "labelled.jsonl"
    file.write_text('{"text": "x"}\n')
    with pytest.raises(InputError, match="label"):
        load_labelled(file, taxonomy)


def test_usual_priority_is_the_commonest_and_the_lower_on_a_tie():
    found = usual_priorities(
        [LabelledTicket(text="a", label="x", priority=p) for p in ("high", "low")]
        + [LabelledTicket(text="a", label="y", priority=p) for p in ("high", "high", "low")]
        + [LabelledTicket(text="a", label=None, priority="low"), LabelledTicket(text="a", label="z")]
    )
    assert found == {"x": Priority.low, "y": Priority.high, None: Priority.low}
