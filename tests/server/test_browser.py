"""The review page in a real browser: whole decisions by mouse and by keyboard, and scripts that never run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from real_systems import wait_for

from deskhand.answers import Reason
from deskhand.records import RunStatus

XSS = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1><svg onload=window.hacked=1>"
LINK = "javascript:window.hacked=1"


class Reviewer:
    """A person at a browser, logged in."""

    def __init__(self, context: Any, live: Any, kit: Any) -> None:
        self.page, self.live = context.new_page(), live
        self.page.set_default_timeout(60_000)
        self.trouble: list[str] = []
        self.page.on("dialog", lambda dialog: (self.trouble.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("pageerror", lambda error: self.trouble.append(f"error {error}"))
        self.page.on("console", self._hear)
        self.page.goto(live.url)
        self.page.get_by_label("Your name").fill("Maria")
        self.page.get_by_label("Password").fill(kit.password)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_selector("h1")
        self.page.wait_for_load_state()

    def _hear(self, message: Any) -> None:
        # answers such as 401 and 409 are part of the play
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.trouble.append(f"console {message.text}")

    def stored(self, run_id: str) -> Any:
        """Return the run when its decision has been carried out."""
        store = self.live.engine.store
        wait_for(lambda: store.load(run_id).decisions and store.load(run_id).status is RunStatus.done, run_id)
        return store.load(run_id)


@pytest.fixture
def sit_down(browser: Any, live: Any, kit: Any) -> Iterator[Callable[..., Reviewer]]:
    """Return a function that logs a person in; whatever a page complained about fails the test."""
    people: list[Reviewer] = []

    def log_in(**options: Any) -> Reviewer:
        people.append(Reviewer(browser.new_context(**options), live, kit))
        return people[-1]

    yield log_in
    for person in people:
        person.page.context.close()
        assert person.trouble == []


@pytest.fixture
def clean(live: Any) -> Any:
    """The live server with nothing in its queue."""
    live.engine.store.close_parked("file", "T-1", "cleared", live.engine.clock.now())
    for record in live.engine.store.list(status=RunStatus.parked):
        live.engine.store.close_parked("file", record.ticket.id, "cleared", live.engine.clock.now())
    live.serving.app.state.desk.queue.forget()
    return live


def test_whole_decisions_by_mouse(sit_down: Any, clean: Any, kit: Any) -> None:
    store = clean.engine.store
    runs = [kit.park(store, f"M-{n}", actions=kit.actions() if n == 1 else ()) for n in (1, 2, 3, 4)]
    reader = sit_down()
    page = reader.page
    page.get_by_role("link", name="Queue").click()
    page.get_by_role("link", name="Return a lamp").first.click()
    page.locator(".draft mark").first.hover()
    assert page.locator(".source mark.hot").inner_text() == "within 30 days of delivery"
    page.get_by_label("add_tag").uncheck()
    page.get_by_role("button", name="Approve and send").click()
    page.wait_for_url(re.compile("after=run-m-1"))
    assert "M-1: approved by Maria" in page.get_by_role("status").first.inner_text()
    page.locator("summary", has_text="Edit the reply").click()
    page.get_by_label("The reply to send").fill("Dear Ann,\nyes, 30 days.")
    page.get_by_role("button", name="Send this text").click()
    page.wait_for_url(re.compile("after=run-m-2"))
    page.locator("summary", has_text="Ask for another draft").click()
    page.get_by_label("What should be different?").fill("mention the label")
    page.get_by_role("button", name="Ask again").click()
    page.wait_for_url(re.compile("after=run-m-3"))
    page.get_by_role("button", name="Reject").click()
    page.wait_for_url(re.compile("after=run-m-4"))
    approved, edited, _, rejected = (store.load(run_id).decisions[0] for run_id in runs)
    assert approved.action_ids == ("a0",) and approved.by == "Maria"
    assert edited.text == "Dear Ann,\nyes, 30 days." and rejected.verdict.value == "reject"
    assert store.load(runs[2]).decisions[0].instruction == "mention the label"
    assert {receipt.action_id for receipt in reader.stored(runs[1]).receipts} == {"reply"}
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Password").wait_for()


def test_whole_decisions_by_keyboard(sit_down: Any, clean: Any, kit: Any) -> None:
    store = clean.engine.store
    runs = [kit.park(store, f"K-{n}") for n in (1, 2, 3, 4)]
    reader = sit_down()
    page, keys = reader.page, reader.page.keyboard
    page.goto(clean.url)
    keys.press("?")
    assert page.get_by_role("dialog").is_visible()
    keys.press("Escape")
    keys.press("j")
    keys.press("j")
    keys.press("k")
    keys.press("Enter")
    page.wait_for_url(re.compile("run-k-1"))
    keys.press("j")
    page.wait_for_url(re.compile("run-k-2"))
    keys.press("k")
    page.wait_for_url(re.compile("run-k-1"))
    keys.press("a")
    assert store.load(runs[0]).waits, "one key alone must send nothing"
    keys.press("Enter")
    page.wait_for_url(re.compile("after=run-k-1"))
    keys.press("e")
    keys.press("Control+a")
    keys.type("Yes: a, e, r and ? are only letters here.")
    keys.press("Control+Enter")
    page.wait_for_url(re.compile("after=run-k-2"))
    keys.press("t")
    keys.type("shorter")
    keys.press("Enter")
    assert store.load(runs[2]).waits, "Enter in the field is a new line"
    keys.press("Control+Enter")
    page.wait_for_url(re.compile("after=run-k-3"))
    keys.press("r")
    keys.press("Enter")
    page.wait_for_url(re.compile("after=run-k-4"))
    decisions = [store.load(run_id).decisions[0] for run_id in runs]
    assert [decision.verdict.value for decision in decisions] == ["approve", "edit", "retry", "reject"]
    assert decisions[1].text == "Yes: a, e, r and ? are only letters here." and decisions[2].instruction == "shorter"


def test_tab_and_enter_alone_are_enough(sit_down: Any, clean: Any, kit: Any) -> None:
    run_id = kit.park(clean.engine.store, "B-1")
    page = sit_down().page
    page.goto(f"{clean.url}/runs/{run_id}")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.value") == "approve":
            break
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("after=run-b-1"))


def test_single_keys_can_be_switched_off(sit_down: Any, clean: Any, kit: Any) -> None:
    run_id = kit.park(clean.engine.store, "O-1")
    page = sit_down().page
    page.goto(f"{clean.url}/runs/{run_id}")
    page.keyboard.press("?")
    page.get_by_label("Single keys are on").uncheck()
    page.get_by_role("button", name="Close").click()
    page.reload()
    page.keyboard.press("e")
    assert not page.get_by_label("The reply to send").is_visible()


def test_decision_works_without_scripts(sit_down: Any, clean: Any, kit: Any) -> None:
    run_id = kit.park(clean.engine.store, "N-1")
    page = sit_down(java_script_enabled=False).page
    page.goto(f"{clean.url}/runs/{run_id}")
    page.locator("summary", has_text="Edit the reply").click()
    page.get_by_label("The reply to send").fill("Written without a script.")
    page.get_by_role("button", name="Send this text").click()
    page.wait_for_url(re.compile("after=run-n-1"))
    assert clean.engine.store.load(run_id).decisions[0].text == "Written without a script."


def test_scripts_in_tickets_never_run(sit_down: Any, clean: Any, kit: Any) -> None:
    passage = kit.passage.model_copy(update={"title": XSS, "text": f"{XSS} within 30 days of delivery {LINK}"})
    run_id = kit.park(
        clean.engine.store,
        "X-1",
        subject=XSS,
        text=f"{XSS} {LINK}",
        author=XSS,
        draft=f"{XSS}\nYou can return any product within 30 days of delivery.",
        passage=passage,
        reasons=(Reason(code="injection", detail=XSS),),
        category=XSS,
        actions=tuple(
            one.model_copy(update={"args": {XSS: XSS}, "provenance": {XSS: XSS}, "reason": XSS, "name": XSS})
            for one in kit.actions()
        ),
    )
    reader = sit_down()
    page = reader.page
    for path in ("/", f"/runs/{run_id}", "/recent", f"/?q={XSS}", f"/runs/{XSS.replace('/', '')}"):
        page.goto(clean.url + path.replace("#", ""))
        page.wait_for_timeout(150)
        assert page.evaluate("window.hacked") is None, path
        assert page.locator("img").count() == 0 and page.locator("a[href^=javascript]").count() == 0
    page.goto(f"{clean.url}/runs/{run_id}")
    page.locator("summary", has_text="Edit the reply").click()
    assert page.get_by_label("The reply to send").input_value().startswith("<script>")
    assert reader.trouble == []
    with page.expect_console_message():
        page.evaluate(
            "() => { const made = document.createElement('p'); made.setAttribute('onclick', 'window.hacked=1');"
            " document.body.append(made); made.click(); }"
        )
    assert page.evaluate("window.hacked") is None, "the policy stops even markup that got in"
    assert "Content Security Policy" in reader.trouble.pop()


def test_ticket_decided_by_another_is_told_on_the_open_page(sit_down: Any, clean: Any, kit: Any) -> None:
    run_id = kit.park(clean.engine.store, "C-1")
    page = sit_down().page
    page.goto(f"{clean.url}/runs/{run_id}")
    other = sit_down().page
    other.goto(f"{clean.url}/runs/{run_id}")
    other.get_by_role("button", name="Reject").click()
    other.wait_for_url(re.compile("after=run-c-1"))
    page.evaluate("look()")
    page.get_by_text("Maria has decided this one: reject.").wait_for()
    page.locator("summary", has_text="Edit the reply").click()
    page.get_by_label("The reply to send").fill("too late")
    page.get_by_role("button", name="Send this text").click()
    page.get_by_text("Maria has already decided reject").wait_for()


def test_pages_name_their_parts_for_screen_readers(sit_down: Any, clean: Any, kit: Any) -> None:
    run_id = kit.park(clean.engine.store, "A-1", actions=kit.actions())
    page = sit_down().page
    for path in ("/", f"/runs/{run_id}", "/recent"):
        page.goto(clean.url + path)
        unnamed = page.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden]), select, textarea, button:not([hidden])')]"
            ".filter(e => !(e.labels?.length || e.textContent.trim() || e.ariaLabel)).map(e => e.outerHTML)"
        )
        assert unnamed == []
        assert page.locator("main").count() == 1 and page.locator("h1").count() == 1
        assert page.locator("header nav").count() == 1
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(sit_down: Any, clean: Any, kit: Any, scheme: str) -> None:
    """WCAG 2.2 asks for 4.5 to 1 for text of ordinary size."""
    run_id = kit.park(clean.engine.store, "W-1", actions=kit.actions(), reasons=(Reason(code="safety"),))
    page = sit_down(color_scheme=scheme).page
    for path in ("/", f"/runs/{run_id}"):
        page.goto(clean.url + path)
        assert page.evaluate(_CONTRAST) == [], path


_CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const linear = (v) => v / 255 <= .04045 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const ratio = (node) => {
    const ours = light(parse(getComputedStyle(node).color).slice(0, 3));
    const [a, b] = [ours, light(behind(node))].sort((x, y) => y - x);
    return (a + .05) / (b + .05);
  };
  const isText = (node) => [...node.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  const isSeen = (node) => node.getClientRects().length && !node.closest("[hidden], dialog, kbd, :disabled");
  return [...document.querySelectorAll("body *")].filter((node) => isText(node) && isSeen(node))
    .filter((node) => ratio(node) < 4.5).map((node) => `${node.outerHTML.slice(0, 80)} ${ratio(node).toFixed(2)}`);
}"""
