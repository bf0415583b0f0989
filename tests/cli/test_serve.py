from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deskhand.testing import DEFAULT_CONFIG, build_workspace
from deskhand_helpdesks.signatures import sign_webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SHOP = '\n[helpdesks.shop]\nkind = "standard-webhooks"\nsecret_envs = ["SHOP_SECRET", "SHOP_SECRET_NEXT"]\n'
DESK = """
[helpdesks.desk]
kind = "django-helpdesk"
base_url = "http://127.0.0.1:9"
token_env = "DESK_TOKEN"
secret_envs = ["DESK_SECRET"]
poll_every_s = 3600

[helpdesks.box]
kind = "folder"
"""


class Served:
    """A ``deskhand serve`` in a process of its own."""

    def __init__(self, workspace: Path, **environment: str) -> None:
        command = [sys.executable, "-m", "deskhand_cli.main", "serve", "--port", "0", "--workspace", str(workspace)]
        env = {key: value for key, value in os.environ.items() if not key.startswith("DESKHAND")} | environment
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        self.lines: list[str] = []
        self._is_up = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._is_up.wait(300), "\n".join(self.lines)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip())
            if line.startswith("deskhand serves"):
                self._is_up.set()
        self._is_up.set()

    @property
    def url(self) -> str:
        found = re.search(r"http://127\.0\.0\.1:\d+", "\n".join(self.lines))
        assert found is not None, self.lines
        return found[0]

    def end(self, number: int = signal.SIGTERM) -> int:
        """Stop it and return its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(120)
        self._reader.join(60)
        return code


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    workspace = build_workspace(tmp_path / "workspace", config=DEFAULT_CONFIG + SHOP)
    running: list[Served] = []

    def begin(**environment: str) -> Served:
        running.append(Served(workspace, SHOP_SECRET=SECRET, **environment))
        return running[-1]

    yield begin
    for served in running:
        if served.process.poll() is None:
            served.process.kill()
            served.process.wait()
        for pipe in (served.process.stdout, served.process.stderr):
            assert pipe is not None
            pipe.close()


def _ask(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, body, headers or {}), timeout=60) as answer:
        return answer.status, json.loads(answer.read())


def test_serve_takes_in_stops_on_sigterm_and_goes_on_with_nothing_lost(start: Callable[..., Served]) -> None:
    from datetime import UTC, datetime

    from deskhand.testing import build_ticket

    served = start(DESKHAND_PASSWORD="p", DESKHAND_API_KEY="k")
    assert _ask(f"{served.url}/healthz") == (200, {"status": "ok"})
    for n in range(3):
        ticket = build_ticket("How long do I have to return a product?", ticket_id=f"T-{n}").model_dump(mode="json")
        body = json.dumps({"type": "ticket.created", "data": {"ticket": ticket}}).encode()
        status, _ = _ask(f"{served.url}/webhooks/shop", body, sign_webhook(SECRET, f"d-{n}", datetime.now(UTC), body))
        assert status == 202
    assert served.end() == 0
    assert "stopped; nothing is lost" in served.lines and "warning" not in "\n".join(served.lines)
    again = start(DESKHAND_PASSWORD="p", DESKHAND_API_KEY="k")
    found = [
        _ask(f"{again.url}/api/v1/deliveries/{seq}", headers={"authorization": "Bearer k"})[1]["ticket_id"]
        for seq in (1, 2, 3)
    ]
    assert found == ["T-0", "T-1", "T-2"]
    assert again.end(signal.SIGINT) == 0


def test_serve_without_a_password_warns_and_prints_no_link_into_a_log(start: Callable[..., Served]) -> None:
    served = start()
    served.end()
    text = "\n".join(served.lines)
    assert "warning: no password is set" in text and "no API key is set" in text and "/login/" not in text


def test_serve_says_where_webhooks_go_and_which_variables_are_missing(
    start: Callable[..., Served], tmp_path: Path
) -> None:
    (tmp_path / "workspace" / "deskhand.toml").write_text(DEFAULT_CONFIG + SHOP + DESK)
    served = start(DESK_SECRET="s")
    served.end()
    text = "\n".join(served.lines)
    assert "warning: DESK_TOKEN is not set, which helpdesks.desk needs" in text
    assert "SECRET is not set" not in text and "SHOP_SECRET_NEXT" not in text
    addresses = [line.partition("/webhooks/")[2] for line in served.lines if line.startswith("webhooks of")]
    assert addresses == ["shop", "desk/<the secret>"], "a folder has none"


def test_serve_beside_another_is_refused(start: Callable[..., Served]) -> None:
    first, second = start(), start()
    assert second.process.wait(120) == 1 and "error:" in second.lines[-1]
    first.end()


def test_a_person_at_a_terminal_gets_a_link_that_logs_in_once(tmp_path: Path, monkeypatch, capsys) -> None:
    from deskhand.config import WorkspaceFolder
    from deskhand_cli.commands.serve import _greet

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("DESKHAND_PASSWORD", "p")
    links = SimpleNamespace(issue=lambda name: f"token-of-{name}")
    app = SimpleNamespace(state=SimpleNamespace(desk=SimpleNamespace(access=SimpleNamespace(links=links))))
    folder = WorkspaceFolder(build_workspace(tmp_path / "workspace"))
    monkeypatch.setattr("getpass.getuser", lambda: "kim")
    _greet(folder, SimpleNamespace(url="http://127.0.0.1:8181", app=app))
    text = capsys.readouterr().err
    assert "http://127.0.0.1:8181/login/token-of-kim" in text and "no password" not in text


def test_serve_on_a_wrong_port_is_wrong_use(invoke: Callable[..., Any]) -> None:
    assert invoke("serve", "--port", "99999").exit_code == 2
