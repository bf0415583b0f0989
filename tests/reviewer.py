"""A person at a browser who decides what waits. Nothing here depends on how fast a page comes."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect
from real_systems import wait_for

from deskhand.records import RunRecord, RunStatus

PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)


class Reviewer:
    """Somebody who has logged in and sees the queue; ``trouble`` is what the pages complained about."""

    def __init__(self, context: Any, live: Any, password: str) -> None:
        self.page, self.live = context.new_page(), live
        self.page.set_default_timeout(PATIENCE_MS)
        self.trouble: list[str] = []
        self.page.on("dialog", lambda dialog: (self.trouble.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("pageerror", lambda error: self.trouble.append(f"error {error}"))
        self.page.on("console", self._hear)
        self.page.goto(live.url)
        self.page.get_by_label("Your name").fill("Maria")
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()
        expect(self.page.get_by_role("button", name="Log out")).to_be_visible()  # both pages have a heading
        self.page.wait_for_load_state()  # the keys and the layout, too

    def _hear(self, message: Any) -> None:
        # answers such as 401 and 409 are part of the play
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.trouble.append(f"console {message.text}")

    def arrive(self, pattern: str) -> None:
        """Wait until a page whose address has ``pattern`` in it is there with its scripts."""
        self.page.wait_for_url(re.compile(pattern))

    def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def stored(self, run_id: str) -> RunRecord:
        """Return the run when its decision has been carried out."""
        store = self.live.engine.store
        wait_for(lambda: store.load(run_id).decisions and store.load(run_id).status is RunStatus.done, run_id)
        return store.load(run_id)
