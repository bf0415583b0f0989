from datetime import timedelta

import pytest

from deskhand.testing import NOON
from deskhand_runs import GuardTables, RunStore
from deskhand_runs.pauses import EVERYWHERE, Pause, pause, pause_of, pauses, resume


@pytest.fixture
def tables(tmp_path):
    with RunStore(tmp_path / "runs.db") as store:
        yield GuardTables(store)


def test_one_helpdesk_is_paused_and_goes_on(tables):
    assert pause_of(tables, "mail") is None
    assert pause(tables, "mail", "kim", NOON)
    assert not pause(tables, "mail", "lee", NOON + timedelta(hours=1)), "the first one stays"
    assert pauses(tables) == (Pause("mail", "kim", NOON),)
    assert pause_of(tables, "mail") == Pause("mail", "kim", NOON)
    assert pause_of(tables, "file") is None
    assert resume(tables, "mail")
    assert not resume(tables, "mail")
    assert pause_of(tables, "mail") is None


def test_everything_is_paused_and_one_name_does_not_end_it(tables):
    pause(tables, EVERYWHERE, "kim", NOON)
    pause(tables, "mail", "lee", NOON)
    assert [stop.source for stop in pauses(tables)] == [EVERYWHERE, "mail"]
    assert resume(tables, "mail")
    assert pause_of(tables, "mail") == Pause(EVERYWHERE, "kim", NOON)
    pause(tables, "mail", "lee", NOON)
    assert resume(tables, EVERYWHERE)
    assert pauses(tables) == ()


def test_another_process_sees_the_pause_at_once(tables):
    with RunStore(tables.path) as other:
        pause(GuardTables(other), EVERYWHERE, "kim", NOON)
        assert pause_of(tables, "file") is not None
