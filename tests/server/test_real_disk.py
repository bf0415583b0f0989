"""``deskhand serve`` when nothing more can be written: refused and not lost, and it goes on by itself afterwards."""

from __future__ import annotations

import http.cookiejar
import json
import re
import resource
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from real_systems import Service

from deskhand.testing import DEFAULT_CONFIG, build_ticket, build_workspace
from deskhand_helpdesks.signatures import sign_webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CONFIG = 'mode = "shadow"\n' + DEFAULT_CONFIG + '[helpdesks.shop]\nkind = "standard-webhooks"\nsecret_envs = ["SHOP"]\n'
ROOM = 65_536
"""Files may grow to this size while the disk is full: the log's does not reach it, the databases' logs have."""


@dataclass
class Shop:
    """What sends webhooks, and remembers which of them were acknowledged."""

    service: Service
    n_sent: int = 0
    acknowledged: set[str] = field(default_factory=set)
    refused: list[int] = field(default_factory=list)

    def send(self, number: int | None = None) -> tuple[int, str]:
        """Send a new webhook, or one again; return the status and Retry-After."""
        if number is None:
            self.n_sent = number = self.n_sent + 1
        ticket = build_ticket("How long do I have to return a product?", ticket_id=f"T-{number}")
        raw = json.dumps({"type": "ticket.created", "data": {"ticket": ticket.model_dump(mode="json")}}).encode()
        status, headers, _ = ask(f"{self.service.url}/webhooks/shop", raw, self._signed(number, raw))
        if status in (200, 202):
            self.acknowledged.add(ticket.id)
        else:
            self.refused.append(number)
        return status, headers.get("Retry-After", "")

    def _signed(self, number: int, raw: bytes) -> dict[str, str]:
        return sign_webhook(SECRET, f"d-{number}", datetime.now(UTC), raw)


def ask(
    url: str, raw: bytes | None, headers: dict[str, str], opener: urllib.request.OpenerDirector | None = None
) -> tuple[int, dict[str, str], str]:
    """Return the status, headers and text of an answer."""
    request = urllib.request.Request(url, data=raw, headers=headers)
    try:
        with (opener.open if opener else urllib.request.urlopen)(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, {name.title(): value for name, value in exc.headers.items()}, exc.read().decode()


class Reviewer:
    """A browser that is logged in."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        form = {"csrf": self.csrf("/login"), "name": "Maria", "password": service.PASSWORD, "next": "/"}
        assert self.ask("/login", form)[0] == 200

    def ask(self, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        raw = urllib.parse.urlencode(form).encode() if form else None
        status, _, text = ask(self.service.url + path, raw, {"Accept": "text/html"}, self._opener)
        return status, text

    def csrf(self, path: str) -> str:
        found = re.search(r'name="csrf" value="([^"]*)"', self.ask(path)[1])
        assert found is not None
        return found[1]


@pytest.fixture
def shop(serve_workspace: Callable[..., Service], tmp_path: Path) -> Iterator[Shop]:
    """A service that has three drafts waiting."""
    service = serve_workspace(build_workspace(tmp_path / "workspace", config=CONFIG), SHOP=SECRET)
    service.start()
    shop = Shop(service)
    assert [shop.send()[0] for _ in range(3)] == [202, 202, 202]
    service.wait_for_drafts(3, 120)
    yield shop


def fill(service: Service) -> None:
    """Let no file of the service grow: the kernel refuses the write, as it does on a full disk."""
    assert service.process is not None
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (ROOM, resource.RLIM_INFINITY))


def free(service: Service) -> None:
    assert service.process is not None
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, unlimited)


def send_until_refused(shop: Shop) -> str:
    """Send until the first 503, and return its Retry-After; a log of the database that began anew has some room."""
    for _ in range(100):
        status, retry_after = shop.send()
        if status == 503:
            return retry_after
        assert status == 202
    raise AssertionError("the disk is not full")


def test_full_disk_refuses_with_503_and_what_was_acknowledged_is_answered(shop: Shop) -> None:
    service = shop.service
    reviewer, drafts = Reviewer(service), service.waiting()
    page = f"/runs/{drafts[0]['run_id']}"
    form = {"csrf": reviewer.csrf(page), "ask_id": drafts[0]["ask_id"], "verdict": "edit", "text": "My own words."}
    fill(service)
    assert int(send_until_refused(shop)) > 0
    assert service.approve(drafts[1]) == 503
    status, shown = reviewer.ask(f"{page}/decide", form)
    assert status == 503 and "My own words." in shown and "disk is full" in shown, "what was typed is not lost"
    assert service.ask("GET", "/healthz")[0] == 200 and reviewer.ask("/")[0] == 200
    assert {draft["run_id"] for draft in drafts} == {run["run_id"] for run in service.waiting()}, "nothing is decided"
    (line,) = [line for line in service.log.splitlines() if "webhook refused" in line]
    assert "not_stored" in line and "the disk is full or fails" in line
    free(service)
    assert [shop.send(number)[0] for number in shop.refused[:]] == [202]
    assert service.approve(drafts[1]) == 200
    assert reviewer.ask(f"{page}/decide", form)[0] == 200
    assert shop.send()[0] == 202
    service.wait_idle(120)
    runs = {run["ticket_id"]: run["status"] for run in service.runs()}
    assert runs.keys() == shop.acknowledged and len(runs) == shop.n_sent
    assert [runs[draft["ticket_id"]] for draft in drafts] == ["done", "done", "parked"]
    assert service.stop() == 0


def test_full_disk_is_not_ready(shop: Shop) -> None:
    fill(shop.service)
    send_until_refused(shop)
    assert shop.service.ask("GET", "/readyz")[0] == 503
    free(shop.service)
    assert shop.send()[0] == 202
    assert shop.service.ask("GET", "/readyz")[0] == 200
    assert "Traceback" not in shop.service.log, "the database's engine tells of each failure in one line"
