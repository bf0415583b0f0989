"""Take the pictures of `docs/pictures/` anew: the review pages of the example company, in a real browser.

Run `python docs/pictures.py` from the repository after the pages have changed; it needs Debian's chromium. The example
is copied, its tickets are run, and `deskhand serve` shows them on a free port of this machine.
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from deskhand.testing import copy_workspace

PICTURES = Path(__file__).with_name("pictures")
EXAMPLE = Path(__file__).parents[1] / "examples" / "hollowfern"
DESKHAND = Path(sys.executable).with_name("deskhand")
CHROMIUM = "/usr/bin/chromium"
TICKET = "HFT-3142"


@contextmanager
def service(folder: Path, password: str) -> Iterator[str]:
    """Run the tickets of the workspace, serve it, and yield the URL."""
    environment = {**os.environ, "DESKHAND_PASSWORD": password}
    subprocess.run([DESKHAND, "run", "--ticket", folder / "tickets" / "incoming", "--workspace", folder, "--json"],
                   check=True, stdout=subprocess.DEVNULL, env=environment)  # fmt: skip
    command = [DESKHAND, "serve", "--port", "0", "--workspace", folder]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if found := re.search(r"serves .* on (http://\S+)", line):
                    yield found[1]
                    return
            raise SystemExit("deskhand serve ended before it was ready; run it by hand to see why")
        finally:
            process.terminate()


def log_in(browser: Any, url: str, password: str, **options: Any) -> Any:
    """Return a page of a person who is logged in."""
    page = browser.new_context(**options).new_page()
    page.goto(url)
    page.get_by_label("Your name").fill("Maria")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_selector("h1")
    return page


def take(browser: Any, url: str, password: str) -> None:
    """Take the queue, and one review at a desk and on a phone."""
    desk = {"viewport": {"width": 1280, "height": 860}}
    phone = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "color_scheme": "dark"}
    for name, options in (("desk", desk), ("phone", phone)):
        page = log_in(browser, url, password, **options)
        if name == "desk":
            page.screenshot(path=PICTURES / "queue.png")
        page.goto(f"{url}/?q={TICKET}")
        page.locator("a.open").first.click()
        page.wait_for_url(re.compile("run-"))
        page.wait_for_load_state()
        page.screenshot(path=PICTURES / f"review-{name}.png")


def main() -> None:
    """Take all pictures."""
    PICTURES.mkdir(exist_ok=True)
    password = secrets.token_urlsafe()
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        folder = copy_workspace(EXAMPLE, Path(scratch) / "hollowfern")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        with service(folder, password) as url:
            take(browser, url, password)
        browser.close()


if __name__ == "__main__":
    main()
