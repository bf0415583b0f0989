from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from deskhand.config import WorkspaceFolder
from deskhand.errors import InputError
from deskhand_agents import LabelledTicket
from deskhand_evals.cross_validation import cross_validate_triage, labelled_folds
from deskhand_graphs import Workspace

DELIVERY = [
    "where is my parcel, it should be here", "tracking has not moved since monday", "the courier never rang my bell",
    "delivery is three days late now", "has my order been shipped yet", "my parcel was left with a neighbour",
    "your driver lost the package", "when will the shipment arrive in Spain", "DHL says delivered but nothing came",
    "order still not delivered after two weeks", "can the postman come in the evening", "parcel stuck at the depot",
]  # fmt: skip
RETURNS = [
    "I want to send the lamp back", "please give me my money back", "how do I get a return label",
    "it does not fit, can I exchange it", "refund for a product I returned", "is returning free of charge",
    "which address do returns go to", "I changed my mind and would like a refund", "the return period, how long is it",
    "sent it back last week, no refund so far", "can I bring it back to a shop", "return without the original box",
]  # fmt: skip


def label(workspace: Path) -> None:
    rows = [
        {"text": text, "label": name, "language": "en"}
        for name, texts in (("delivery", DELIVERY), ("returns", RETURNS))
        for text in texts
    ]
    rows.append({"text": "wo ist mein Paket", "label": "delivery", "language": "de"})
    (workspace / "tickets" / "labelled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_triage_is_scored_on_tickets_it_was_not_fitted_on(workspace: Path) -> None:
    label(workspace)
    steps: list[tuple[int, int]] = []
    with Workspace.open(WorkspaceFolder(workspace)) as opened:
        figures = cross_validate_triage(opened, 3, progress=lambda done, total: steps.append((done, total)))
        again = cross_validate_triage(opened, 3)
        with pytest.raises(InputError, match="label more tickets"):
            cross_validate_triage(opened, 50)
    assert (figures["n"], len(figures["folds"]), steps) == (24, 3, [(1, 3), (2, 3), (3, 3)])
    assert 0.7 <= figures["accuracy"] <= 1
    assert sum(fold["n"] for fold in figures["folds"]) == 24
    assert again == figures
    assert not (workspace / ".deskhand" / "artifacts").exists()


def test_near_duplicates_are_held_out_together_in_any_order() -> None:
    rows = [
        LabelledTicket(text=f"{text}{mark}", label="ab"[number % 2])
        for number, text in enumerate(
            ["alpha beta gamma", "one two three", "red green blue", "cat dog bird", "x y z w"]
        )
        for mark in ("", "!", " eh")
    ]
    cut = labelled_folds(rows, 3)
    held = [{rows[place].text[:5] for place in fold.held_out} for fold in cut]
    assert sum(map(len, held)) == len(set().union(*held)) == 5
    shuffled = rows.copy()
    random.Random(3).shuffle(shuffled)
    again = labelled_folds(shuffled, 3)
    assert [{shuffled[p].text for p in fold.held_out} for fold in again] == [
        {rows[p].text for p in fold.held_out} for fold in cut
    ]
