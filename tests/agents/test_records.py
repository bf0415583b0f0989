"""Which records a reply states."""

import pytest

from deskhand.answers import Finding
from deskhand_agents.records import means_own, records_to_state


def order(number: str, tool: str = "list_orders") -> Finding:
    return Finding(tool=tool, subject=number, facts={"order_id": number, "status": "delivered"})


RETURN = Finding(tool="list_returns", subject="RMA-1", facts={"return_id": "RMA-1", "order_id": "HF-1001"})


def subjects(view, *findings: Finding) -> list[str]:
    return [finding.subject for finding in records_to_state(view, findings)]


def test_named_records_are_stated_and_a_return_of_a_named_order(view_of):
    view = view_of("HF-1001 and HF-1002, please check")
    assert subjects(view, order("HF-1001"), order("HF-1002"), RETURN, order("HF-9")) == ["HF-1001", "HF-1002", "RMA-1"]


def test_of_listed_records_the_newest_of_a_kind_that_is_asked_about(view_of):
    view = view_of("Where is my parcel?")
    assert subjects(view, order("HF-2"), order("HF-1"), RETURN) == ["HF-2"]


def test_unknown_kind_of_record_is_not_stated(view_of):
    assert subjects(view_of("Where is my parcel?"), Finding(tool="t", subject="C-1", facts={})) == []


def test_three_records_at_most(view_of):
    view = view_of("HF-1001 HF-1002 HF-1003 HF-1004")
    assert len(subjects(view, *(order(f"HF-100{n}") for n in range(1, 5)))) == 3


@pytest.mark.parametrize(
    "text",
    [
        "Where is my parcel?",
        "Where is it? Will it still come?",
        "Can I add a pump to the order I placed this morning?",
        "The tracking does not move. When do you call a parcel lost?",
        "Nothing arrived.",
    ],
)
def test_what_a_customer_has_or_waits_for_is_meant(view_of, text):
    assert means_own(view_of(text))
    assert subjects(view_of(f"{text} Please look at the parcel."), order("HF-2")) == ["HF-2"]


@pytest.mark.parametrize(
    "text",
    [
        "Do you ship to Norway?",
        "Hello,\n\nhow much does shipping cost? When is it free?\n\nKind regards\nAnn",
        "How long does a delivery to Ireland take?",
    ],
)
def test_question_of_somebody_who_may_have_no_order_means_none(view_of, text):
    view = view_of(text, subject="Shipping")
    assert not means_own(view)
    assert subjects(view, order("HF-2")) == []
