"""``deskhand doctor`` on a workspace with helpdesks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

TABLES = """
[helpdesks.shop]
kind = "standard-webhooks"
secret_envs = ["SHOP_SECRET"]

[helpdesks.desk]
kind = "django-helpdesk"
base_url = "http://127.0.0.1:9/helpdesk"
token_env = "DESK_TOKEN"
secret_envs = ["DESK_SECRET"]

[helpdesks.box]
kind = "folder"
outgoing = "out"
"""


@pytest.fixture
def ask(invoke: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    config = workspace / "deskhand.toml"
    config.write_text(config.read_text() + TABLES)
    monkeypatch.setenv("SHOP_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    monkeypatch.setenv("DESK_TOKEN", "token")
    monkeypatch.setenv("DESK_SECRET", "secret")

    def run() -> tuple[int, dict[str, Any]]:
        done = invoke("doctor", "--json", "--workspace", workspace)
        return done.exit_code, {finding["check"]: finding for finding in json.loads(done.stdout)}

    return run


def test_doctor_asks_every_helpdesk_and_names_the_one_that_does_not_answer(ask: Any) -> None:
    code, found = ask()
    levels = {check: finding["level"] for check, finding in found.items() if check.startswith("helpdesk")}
    assert levels == {"helpdesk box": "ok", "helpdesk desk": "wrong", "helpdesk shop": "ok"}
    assert code == 1 and "not reached" in found["helpdesk desk"]["detail"]


def test_doctor_names_a_secret_that_is_not_set(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_SECRET")
    finding = ask()[1]["helpdesk shop"]
    assert (finding["level"], "SHOP_SECRET" in finding["detail"]) == ("wrong", True)


def test_doctor_survives_a_helpdesk_that_breaks(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(self: object) -> str:
        raise RuntimeError("a bug")

    monkeypatch.setattr("deskhand_helpdesks.FolderHelpdesk.check", breaks)
    finding = ask()[1]["helpdesk box"]
    assert (finding["level"], finding["detail"]) == ("wrong", "RuntimeError: a bug")
