import pytest

from deskhand.testing import NOON
from deskhand_runs import GuardTables, RunStore
from deskhand_runs.own_writes import knows, own_writes_of, remember


@pytest.fixture
def tables(tmp_path):
    with RunStore(tmp_path / "runs.db") as store:
        yield GuardTables(store)


def test_a_write_is_known_before_and_after_it_has_a_ref(tables):
    remember(tables, "mail", "T-1", "key-1", "", NOON)
    assert knows(tables, "mail", "T-1", "key-1")
    assert not knows(tables, "mail", "T-1", "")
    remember(tables, "mail", "T-1", "key-1", "<1@example.com>", NOON)
    remember(tables, "mail", "T-1", "key-1", "", NOON)
    assert knows(tables, "mail", "T-1", "<1@example.com>"), "a repeated intent does not forget the ref"


@pytest.mark.parametrize(("source", "ticket_id"), [("file", "T-1"), ("mail", "T-2")])
def test_another_ticket_or_helpdesk_knows_nothing_of_it(tables, source, ticket_id):
    remember(tables, "mail", "T-1", "key-1", "17", NOON)
    assert not knows(tables, source, ticket_id, "17")
    own = own_writes_of(tables, source, ticket_id, actor_ids=("bot",), texts=("Dear Ann",))
    assert (own.keys, own.refs, own.actor_ids, own.texts) == (frozenset(), frozenset(), {"bot"}, ("Dear Ann",))
