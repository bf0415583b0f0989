"""``deskhand serve`` and a real django-helpdesk: nothing is lost and nothing is done twice, whatever is down."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from real_systems import PATH_SECRET, Desk, Service, wait_for

from deskhand.config import find_workspace
from deskhand.testing import DEFAULT_CONFIG, build_workspace
from deskhand_runs.inbox import InboxEntry, open_inbox

ASKING_GRAPH = Path(__file__).parents[1] / "asking_graph.py"
QUESTION = "How long do I have to return a product?"
OWN_GRAPH = '\n[graphs]\ndefault = "asking"\n[graphs.own]\nasking = "asking_graph:build"\n'


def config(desk: Desk, more: str, poll_every_s: int) -> str:
    return f"""{DEFAULT_CONFIG}{more}
[helpdesks.desk]
kind = "django-helpdesk"
base_url = "{desk.base_url}"
token_env = "DESK_TOKEN"
secret_envs = ["DESK_SECRET"]
actor_ids = ["{desk.users["bot"]["id"]}"]
poll_every_s = {poll_every_s}
max_writes_per_minute = 10000
timeout_s = 60
"""


@pytest.fixture
def serve_desk(own_desk: Desk, serve_workspace: Callable[..., Service], tmp_path: Path) -> Callable[..., Service]:
    """Return a function that makes the service which the desk's webhooks go to."""

    def make(more: str = "", poll_every_s: int = 3) -> Service:
        folder = build_workspace(tmp_path / "workspace", config=config(own_desk, more, poll_every_s))
        shutil.copy(ASKING_GRAPH, folder)
        secrets = {"DESK_TOKEN": own_desk.users["bot"]["token"], "DESK_SECRET": PATH_SECRET}
        return serve_workspace(folder, own_desk.hook_port, **secrets)

    return make


def entries(service: Service) -> list[InboxEntry]:
    with open_inbox(find_workspace(service.folder)) as inbox:
        return inbox.entries(limit=10_000)


def replies(desk: Desk) -> Counter[str]:
    """Return how many follow-ups of the bot each ticket has, as the real system counts them."""
    bot = desk.users["bot"]["id"]
    return Counter(str(row["ticket"]) for row in desk.rows("followups") if row["user"] == bot)


def wait_until_all_is_known(service: Service, desk: Desk) -> None:
    """Wait until webhooks and polls have brought every follow-up, and all of them are at their end."""

    tickets = desk.rows("tickets")
    openings = {min(row["id"] for row in ticket["followup_set"]) for ticket in tickets}  # the copy of its description
    wanted = {f"ticket-{row['id']}" for row in tickets}
    wanted |= {f"followup-{row['id']}" for row in desk.rows("followups") if row["id"] not in openings}

    def is_known() -> bool:
        return wanted <= {entry.delivery_id for entry in entries(service)}

    wait_for(is_known, "the poll")
    service.wait_idle()


def test_what_happened_while_the_listener_was_killed_arrives_once(
    serve_desk: Callable[..., Service], own_desk: Desk
) -> None:
    service = serve_desk()
    service.start()
    for n in range(4):
        own_desk.open(f"Before {n}", QUESTION)
    first = service.wait_for_drafts(4)
    with ThreadPoolExecutor(2) as pool:
        pool.submit(lambda: [own_desk.open(f"Meanwhile {n}", QUESTION) for n in range(4)])
        assert [service.approve(run) for run in first[:2]] == [200, 200]
        time.sleep(0.2)
        service.kill()  # in the middle of runs and of writing back
    for n in range(4):
        own_desk.open(f"Down {n}", QUESTION)
    own_desk.write_mail("And who pays for the way back?", ticket_id=int(first[2]["ticket_id"]))
    service.start()
    for run in service.wait_for_drafts(10):
        statuses = [service.approve(run), service.approve(run)]
        assert statuses == [200, 200], "the same decision twice is one"
    service.wait_idle()
    wait_until_all_is_known(service, own_desk)
    tickets = {str(row["id"]) for row in own_desk.rows("tickets")}
    assert replies(own_desk) == dict.fromkeys(tickets, 1) and len(tickets) == 12
    n_runs = Counter(run["ticket_id"] for run in service.runs())
    assert n_runs == {ticket: 1 + (ticket == first[2]["ticket_id"]) for ticket in tickets}
    assert {run["status"] for run in service.runs()} == {"done"}
    assert service.stop() == 0


def test_each_run_of_100_tickets_was_started_by_a_customer(serve_desk: Callable[..., Service], own_desk: Desk) -> None:
    service = serve_desk(OWN_GRAPH, poll_every_s=20)  # each poll reads all of them: the webhooks bring them
    service.start()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda n: own_desk.open(f"Ticket {n}", f"Question {n}"), range(100)))
        assert set(pool.map(service.approve, service.wait_for_drafts(100))) == {200}
        service.wait_idle()
        again = [row["id"] for row in own_desk.rows("tickets")[:15]]
        list(pool.map(lambda ticket_id: own_desk.write_mail("Thank you. And one more?", ticket_id=ticket_id), again))
        assert set(pool.map(service.approve, service.wait_for_drafts(15))) == {200}
        service.wait_idle()
        for ticket_id in again[:3]:
            own_desk.answer(ticket_id, "Ann here, I take this.")
    wait_until_all_is_known(service, own_desk)
    runs = service.runs()
    assert len(runs) == 115, "one for each message of a customer"
    assert {run["status"] for run in runs} == {"done"}
    assert max(replies(own_desk).values()) == 2 and sum(replies(own_desk).values()) == 115
    echoes = [entry for entry in entries(service) if entry.event.actor == str(own_desk.users["bot"]["id"])]
    assert len(echoes) == 115 and {entry.state.value for entry in echoes} == {"skipped"}
    assert service.stop() == 0
