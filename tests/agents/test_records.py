"""Which records a reply states."""

from deskhand.answers import Finding
from deskhand_agents.records import records_to_state


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
