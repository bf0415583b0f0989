"""Long words, long addresses and wide tables on every page, in a real browser as wide as a phone and as a desk's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from parked_runs import park_everywhere
from reviewer import Reviewer

WORD = "Donaudampfschifffahrtsgesellschaft" * 8
EMAIL = f"{'a.very.long.name.' * 8}of-somebody@{'sub.' * 20}example.com"
LINK = f"https://shop.example/orders?token={'4f' * 120}"
TABLE = "\n".join("| " + " | ".join(f"column-{column}-row-{row}" for column in range(14)) + " |" for row in range(3))

WIDER = """() => [...document.querySelectorAll("body *")]
  .filter((node) => node.getClientRects().length && !node.closest(".sr, .skip, dialog"))
  .filter((node) => node.getBoundingClientRect().right > window.innerWidth + 1)
  .map((node) => node.outerHTML.slice(0, 120))"""


LONG = f"{WORD}\n{LINK} {EMAIL}\n{TABLE}"


@pytest.mark.parametrize("width", [390, 1440])
def test_what_does_not_fit_into_a_line_does_not_widen_a_page(
    sit_down: Callable[..., Reviewer], live: Any, width: int
) -> None:
    passage = f"{TABLE}\nwithin 30 days of delivery\n{WORD}"
    run_id = park_everywhere(live.engine.store, f"L-{width}", LONG, passage_text=passage, email=EMAIL)
    live.serving.app.state.desk.queue.forget()
    reader = sit_down(viewport={"width": width, "height": 844})
    page = reader.page
    for path in ("/", f"/runs/{run_id}", f"/?q={WORD}"):
        page.goto(live.url + path)
        page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
        assert page.evaluate(WIDER) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    page.goto(f"{live.url}/runs/{run_id}")
    page.get_by_role("button", name="Reject").click()
    reader.arrive("after=")
    for path in (page.url, f"{live.url}/recent", f"{live.url}/runs/{run_id}"):
        page.goto(path)
        assert page.evaluate(WIDER) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
