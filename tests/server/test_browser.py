"""The review page in a real browser: whole decisions by mouse and by keyboard, and scripts that never run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from parked_runs import actions, park, park_everywhere
from playwright.sync_api import expect
from reviewer import Reviewer

from deskhand.answers import Reason
from deskhand.records import RunStatus

XSS = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1><svg onload=window.hacked=1>"
LINK = "javascript:window.hacked=1"
SitDown = Callable[..., Reviewer]


@pytest.fixture
def clean(live: Any) -> Any:
    """The live server with nothing in its queue."""
    live.engine.store.close_parked("file", "T-1", "cleared", live.engine.clock.now())
    for record in live.engine.store.list(status=RunStatus.parked):
        live.engine.store.close_parked("file", record.ticket.id, "cleared", live.engine.clock.now())
    live.serving.app.state.desk.queue.forget()
    return live


def test_whole_decisions_by_mouse(sit_down: SitDown, clean: Any) -> None:
    store = clean.engine.store
    runs = [park(store, f"M-{n}", actions=actions() if n == 1 else ()) for n in (1, 2, 3, 4)]
    reader = sit_down()
    page = reader.page
    page.get_by_role("link", name="Queue").click()
    page.get_by_role("link", name="Return a lamp").first.click()
    reader.arrive("run-m-1")
    page.locator(".draft mark").first.hover()
    expect(page.locator(".source mark.hot")).to_have_text("within 30 days of delivery")
    page.get_by_label("add_tag").uncheck()
    page.get_by_role("button", name="Approve and send").click()
    reader.arrive("after=run-m-1")
    expect(page.get_by_role("status").first).to_contain_text("M-1: approved by Maria")
    page.locator("summary", has_text="Edit the reply").click()
    page.get_by_label("The reply to send").fill("Dear Ann,\nyes, 30 days.")
    page.get_by_role("button", name="Send this text").click()
    reader.arrive("after=run-m-2")
    page.locator("summary", has_text="Ask for another draft").click()
    page.get_by_label("What should be different?").fill("mention the label")
    page.get_by_role("button", name="Ask again").click()
    reader.arrive("after=run-m-3")
    page.get_by_role("button", name="Reject").click()
    reader.arrive("after=run-m-4")
    approved, edited, _, rejected = (store.load(run_id).decisions[0] for run_id in runs)
    assert approved.action_ids == ("a0",) and approved.by == "Maria"
    assert edited.text == "Dear Ann,\nyes, 30 days." and rejected.verdict.value == "reject"
    assert store.load(runs[2]).decisions[0].instruction == "mention the label"
    assert {receipt.action_id for receipt in reader.stored(runs[1]).receipts} == {"reply"}
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Password")).to_be_visible()


def test_whole_decisions_by_keyboard(sit_down: SitDown, clean: Any) -> None:
    store = clean.engine.store
    runs = [park(store, f"K-{n}") for n in (1, 2, 3, 4)]
    reader = sit_down()
    page = reader.page
    page.goto(clean.url)
    reader.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    reader.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    reader.press("j", "j", "k", "Enter")
    reader.arrive("run-k-1")
    reader.press("j")
    reader.arrive("run-k-2")
    reader.press("k")
    reader.arrive("run-k-1")
    reader.press("a")
    expect(page.get_by_role("button", name="Approve and send")).to_be_focused()
    assert store.load(runs[0]).waits, "one key alone must send nothing"
    reader.press("Enter")
    reader.arrive("after=run-k-1")
    reader.press("e", "Control+a")
    page.keyboard.type("Yes: a, e, r and ? are only letters here.")
    reader.press("Control+Enter")
    reader.arrive("after=run-k-2")
    reader.press("t")
    page.keyboard.type("shorter")
    reader.press("Enter")
    assert store.load(runs[2]).waits, "Enter in the field is a new line"
    reader.press("Control+Enter")
    reader.arrive("after=run-k-3")
    reader.press("r", "Enter")
    reader.arrive("after=run-k-4")
    decisions = [store.load(run_id).decisions[0] for run_id in runs]
    assert [decision.verdict.value for decision in decisions] == ["approve", "edit", "retry", "reject"]
    assert decisions[1].text == "Yes: a, e, r and ? are only letters here." and decisions[2].instruction == "shorter"


def test_tab_and_enter_alone_are_enough(sit_down: SitDown, clean: Any) -> None:
    run_id = park(clean.engine.store, "B-1")
    reader = sit_down()
    page = reader.page
    page.goto(f"{clean.url}/runs/{run_id}")
    for _ in range(60):
        reader.press("Tab")
        if page.evaluate("document.activeElement.value") == "approve":
            break
    reader.press("Enter")
    reader.arrive("after=run-b-1")


def test_single_keys_can_be_switched_off(sit_down: SitDown, clean: Any) -> None:
    run_id = park(clean.engine.store, "O-1")
    reader = sit_down()
    page = reader.page
    page.goto(f"{clean.url}/runs/{run_id}")
    reader.press("?")
    page.get_by_label("Single keys are on").uncheck()
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.reload()
    reader.press("e", "?")
    expect(page.get_by_role("dialog")).to_be_visible()  # so the key before it has been heard, too
    assert not page.get_by_label("The reply to send").is_visible()


def test_decision_works_without_scripts(sit_down: SitDown, clean: Any) -> None:
    run_id = park(clean.engine.store, "N-1")
    reader = sit_down(java_script_enabled=False)
    page = reader.page
    page.goto(f"{clean.url}/runs/{run_id}")
    page.locator("summary", has_text="Edit the reply").click()
    page.get_by_label("The reply to send").fill("Written without a script.")
    page.get_by_role("button", name="Send this text").click()
    reader.arrive("after=run-n-1")
    assert clean.engine.store.load(run_id).decisions[0].text == "Written without a script."


def test_scripts_in_tickets_never_run(sit_down: SitDown, clean: Any) -> None:
    words = f"{XSS} {LINK}"
    passage = f"{words} within 30 days of delivery"
    run_id = park_everywhere(clean.engine.store, "X-1", words, passage_text=passage, email=f"{XSS}@x")
    reader = sit_down()
    page = reader.page
    for path in ("/", f"/runs/{run_id}", "/recent", f"/?q={XSS}", f"/runs/{XSS.replace('/', '')}"):
        page.goto(clean.url + path.replace("#", ""))  # until all of it is there: what fails to load has failed
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


def test_ticket_decided_by_another_is_told_on_the_open_page(sit_down: SitDown, clean: Any) -> None:
    run_id = park(clean.engine.store, "C-1")
    page = sit_down().page
    page.goto(f"{clean.url}/runs/{run_id}")
    other = sit_down()
    other.page.goto(f"{clean.url}/runs/{run_id}")
    other.page.get_by_role("button", name="Reject").click()
    other.arrive("after=run-c-1")
    page.evaluate("look()")
    expect(page.get_by_text("Maria has decided this one: reject.")).to_be_visible()
    page.locator("summary", has_text="Edit the reply").click()
    page.get_by_label("The reply to send").fill("too late")
    page.get_by_role("button", name="Send this text").click()
    expect(page.get_by_text("Maria has already decided reject")).to_be_visible()


def test_pages_name_their_parts_for_screen_readers(sit_down: SitDown, clean: Any) -> None:
    run_id = park(clean.engine.store, "A-1", actions=actions())
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
def test_text_has_enough_contrast(sit_down: SitDown, clean: Any, scheme: str) -> None:
    """WCAG 2.2 asks for 4.5 to 1 for text of ordinary size."""
    run_id = park(clean.engine.store, "W-1", actions=actions(), reasons=(Reason(code="safety"),))
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
