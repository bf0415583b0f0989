"""What backs a figure: the same figure with the same unit, in a quote that says so."""

from __future__ import annotations

from datetime import date

import pytest

from deskhand.answers import Citation, Commitment, CommitmentStatus, Passage
from deskhand_agents.commitments import find_commitments


def found(sentence: str, quote: str) -> list[Commitment]:
    passage = Passage(
        id="p", source_id="s", source_version="1", title="t", text=f"{quote} More.", score=1, found_by="vector"
    )
    citation = Citation(sentence=sentence, passage_id="p", quote=quote)
    return find_commitments(sentence, citation, passages={"p": passage}, findings=[], today=date(2026, 11, 20))


@pytest.mark.parametrize(
    ("sentence", "quote"),
    [
        ("We refund EUR 30.", "You can return within 30 days."),
        ("You get 50 % off.", "The parcel weighs 50 kg."),
        ("We deduct 20%.", "It costs EUR 20."),
        ("The price is USD 20.", "It costs EUR 20."),
        ("You may return it within 30 weeks.", "You can return it within 30 days."),
        ("The warranty is 2 years.", "We look at it within 2 days."),
        ("It takes 5 days.", "It takes 5 working days."),
        ("You have until 3 March 2026.", "There were 3 rules in March 2026."),
        ("We refund within 14 days.", "We do not refund within 14 days."),
        ("It has a ten-year guarantee.", "It has a 2-year guarantee."),
        ("We send it by tomorrow.", "We send it in the end."),
    ],
)
def test_same_number_of_something_else_backs_nothing(sentence: str, quote: str) -> None:
    assert CommitmentStatus.unbacked in {commitment.status for commitment in found(sentence, quote)}


@pytest.mark.parametrize(
    ("sentence", "quote"),
    [
        ("The fee is 4.90 EUR.", "The fee is EUR 4.90 for returns."),
        ("It costs EUR 5.00.", "It costs EUR 5."),
        ("You have 14 days.", "You have fourteen days."),
        ("Delivery takes 3 to 5 working days.", "Parcels arrive within 3-5 working days."),
        ("A 2-year warranty.", "The warranty lasts 2 years."),
        ("We deduct 20 percent.", "We deduct up to 20% of the price."),
        ("It ends on 20 November.", "The offer ends on 20 November 2026."),
        ("It arrives within 5 days.", "It arrives within 5 days. We do not deliver on Sundays."),
    ],
)
def test_same_figure_backs_it_however_it_is_written(sentence: str, quote: str) -> None:
    assert {commitment.status for commitment in found(sentence, quote)} == {CommitmentStatus.backed}


def test_figure_of_a_table_row_has_its_unit_in_the_header() -> None:
    commitments = found("Returns cost EUR 4.90.", "| Returns (EUR) | 4.90 |")
    assert {commitment.status for commitment in commitments} == {CommitmentStatus.backed}
