"""The checker: what it lets through and what it objects to."""

from __future__ import annotations

from datetime import date

import pytest

from deskhand.answers import Citation, Draft, Finding, Passage
from deskhand.config import Brand
from deskhand_agents import CheckTask, DraftTask, QuoteDraft, check_draft

BRAND = Brand(name="Testware", signature="Testware support\nsupport@testware.example")
TODAY = date(2026, 11, 20)
PASSAGE = Passage(
    id="p@1#0",
    source_id="p",
    source_version=1,
    title="Returns",
    text="You can return any\nproduct within **30 days**. A new pump costs EUR 19 until 31 May 2027."
    " We deduct up to 20%.",
    score=0.8,
    found_by="dense",
)
ORDER = Finding(
    tool="get_order",
    subject="HF-1001",
    facts={"order_id": "HF-1001", "placed_at": "2026-11-01T09:00:00Z", "total": {"text": "EUR 12.50"}, "n": 7},
)
THIRTY = Citation(
    sentence="You can return any product within 30 days.", passage_id="p@1#0",
    quote="You can return any product within **30 days**.",
)  # fmt: skip


@pytest.fixture
def check(view_of):
    def run(body: str, *citations: Citation, passage: Passage = PASSAGE, language: str | None = "en", **more):
        text = f"Hello Ann,\n\n{body}\n\nTestware support\nsupport@testware.example"
        draft = Draft(text=text, citations=citations, language=more.pop("draft_language", "en"))
        view = view_of(more.pop("ticket", "Can I return it? My mail is ann@example.org"))
        return check_draft(
            CheckTask(draft, view, TODAY, passages=(passage,), findings=(ORDER,), language=language, brand=BRAND)
        )

    return run


def codes(found) -> list[str]:
    return [item.code for item in found.reasons]


def commitments(found) -> list[tuple[str, str, str]]:
    return [(c.kind.value, c.text, c.status.value) for c in found.draft.commitments]


def test_cited_sentence_passes_and_its_promise_is_backed(check):
    found = check(THIRTY.sentence, THIRTY)
    assert codes(found) == []
    assert commitments(found) == [("deadline", "within 30 days", "backed")]
    assert found.draft.commitments[0].passage_id == "p@1#0"


def test_courtesies_and_questions_need_no_citation(check):
    found = check(
        "Thank you for your message. I am sorry to hear that. Could you send us your order number?\n\n"
        "If anything is unclear, just reply to this message."
    )
    assert codes(found) == []


def test_list_of_quotes_passes(check):
    assert codes(check(f"- {THIRTY.sentence}", THIRTY)) == []


@pytest.mark.parametrize(
    "change",
    [
        {"passage_id": "q@1#0"},
        {"quote": "You can return any product within 60 days."},
        {"quote": " "},
        {"sentence": "This is not in the draft at all."},
        {"sentence": " "},
        {"passage_id": "record:get_order:HF-2"},
    ],
)
def test_citation_that_does_not_hold_is_broken(check, change):
    found = check(THIRTY.sentence, THIRTY.model_copy(update=change))
    assert "broken_citation" in codes(found)
    assert "uncited_fact" in codes(found)


def test_fact_without_citation_is_named(check):
    found = check("The lamp is made of oak.")
    assert codes(found) == ["uncited_fact"]
    assert found.reasons[0].detail == "The lamp is made of oak."


def test_courtesy_with_a_figure_is_a_fact(check):
    assert "uncited_fact" in codes(check("Thank you, we refund 20 of them."))


@pytest.mark.parametrize(
    ("sentence", "kind", "text"),
    [
        ("A new pump costs EUR 25.", "price", "EUR 25"),
        ("You get EUR 25 from us.", "amount", "EUR 25"),
        ("It arrives on 24 December 2026.", "date", "24 December 2026"),
        ("You have it within 3 working days.", "deadline", "within 3 working days"),
        ("You have it by Friday.", "deadline", "by friday"),
        ("There is 15% off.", "percentage", "15%"),
        ("The repair is free of charge.", "policy", "The repair is free of charge."),
        ("We will send a new one.", "promise", "We will send a new one."),
        ("Your refund has been approved.", "promise", "Your refund has been approved."),
    ],
)
def test_promise_without_source_is_unbacked(check, sentence, kind, text):
    found = check(sentence)
    assert (kind, text, "unbacked") in commitments(found)
    assert "unbacked_commitment" in codes(found)
    assert found.draft.commitments[0].passage_id is None


def test_figure_that_is_not_in_the_quote_is_unbacked(check):
    wrong = THIRTY.model_copy(update={"sentence": "You can return any product within 60 days."})
    found = check(wrong.sentence, wrong)
    assert commitments(found) == [("deadline", "within 60 days", "unbacked")]


def test_amount_date_and_share_are_backed_by_their_quote(check):
    price = Citation(
        sentence="A new pump costs EUR 19 until 31 May 2027.", passage_id="p@1#0",
        quote="A new pump costs EUR 19 until 31 May 2027.",
    )  # fmt: skip
    share = Citation(sentence="We deduct up to 20%.", passage_id="p@1#0", quote="We deduct up to 20%.")
    found = check(f"{price.sentence} {share.sentence}", price, share)
    assert {status for _, _, status in commitments(found)} == {"backed"}
    assert len(commitments(found)) == 3


def test_quote_of_an_expired_passage_is_expired(check):
    old = PASSAGE.model_copy(update={"valid_to": date(2026, 11, 19)})
    found = check(THIRTY.sentence, THIRTY, passage=old)
    assert (codes(found), found.draft.commitments[0].valid_to) == (["expired_commitment"], date(2026, 11, 19))
    still = PASSAGE.model_copy(update={"valid_to": TODAY})
    assert codes(check(THIRTY.sentence, THIRTY, passage=still)) == []


@pytest.mark.parametrize(
    ("sentence", "status"),
    [
        ("Order HF-1001 of 1 November 2026 cost EUR 12.50.", "backed"),
        ("Order HF-1001 of 2 November 2026 is on its way.", "unbacked"),
        ("Order HF-1001 cost EUR 99.00.", "unbacked"),
        ("Order HF-1001 arrives within 7 days.", "backed"),
        ("We will refund order HF-1001.", "unbacked"),
    ],
)
def test_record_backs_only_what_it_holds(check, sentence, status):
    citation = Citation(sentence=sentence, passage_id="record:get_order:HF-1001", quote="HF-1001")
    assert {found for _, _, found in commitments(check(sentence, citation))} == {status}


@pytest.mark.parametrize(
    ("sentence", "quote", "status"),
    [
        ("We deduct EUR 5 for the label.", "We deduct EUR 5, GBP 4 or USD 6 for the label.", "backed"),
        ("We replace the pump.", "We replace the pump and the bar.", "backed"),
        ("We will refund you.", "We will not refund you.", "unbacked"),
        ("We will refund you.", "We will refund you only if it is broken.", "unbacked"),
        ("You refund we will.", "We will refund you.", "unbacked"),
        ("Grove: Box every 8 weeks: 24 pods; we replace them.", "| Grove | 24 pods; we replace them |", "backed"),
        ("Grove: Box every 9 weeks: 24 pods.", "| Grove | 24 pods; we replace them |", "unbacked"),
        ("Grove: we refund pods.", "| Grove | 24 pods; we replace them |", "unbacked"),
    ],
)
def test_shortened_quote_backs_a_promise_unless_its_sense_was_turned(check, sentence, quote, status):
    table = f"| Plan | Box every 8 weeks |\n|---|---|\n{quote}" if quote.startswith("|") else quote
    passage = PASSAGE.model_copy(update={"text": table})
    found = check(sentence, Citation(sentence=sentence, passage_id="p@1#0", quote=quote), passage=passage)
    assert {state for _, _, state in commitments(found)} == {status}


def test_wrong_language_is_named(check):
    body = "Sie können jedes Produkt zurückgeben, wenn Sie das möchten?"
    assert "wrong_language" in codes(check(body))
    assert "wrong_language" in codes(check("Thank you very much for your message.", language="de"))
    assert codes(check("Thank you very much for your message.", language=None)) == []


def test_foreign_and_unmasked_personal_data_is_named(check):
    assert codes(check("Please write to [EMAIL_1]?")) == []
    assert codes(check("Please write to [EMAIL_7]?")) == ["foreign_personal_data"]
    assert codes(check("Please write to bob@example.net?")) == ["foreign_personal_data"]


@pytest.mark.parametrize("body", ["Thank you!!!", "Sorry, this is obviously not so?", "Really??"])
def test_tone_is_named(check, body):
    assert "tone" in codes(check(body))


def test_endless_draft_is_named(check):
    assert "too_long" in codes(check("Could it be " + "so " * 400 + "late?"))


def test_no_draft_is_said(view_of):
    assert codes(check_draft(CheckTask(None, view_of("x"), TODAY))) == ["no_draft"]


async def test_own_draft_passes_its_own_check(encoder, view_of, ctx):
    view = view_of("Can I return a product HF-1001? And who is the king of France?")
    task = DraftTask(view, (PASSAGE,), (ORDER,), language="en")
    answer = await QuoteDraft(BRAND, encoder)(task, ctx)
    found = check_draft(
        CheckTask(answer.value, view, TODAY, passages=(PASSAGE,), findings=(ORDER,), language="en", brand=BRAND)
    )
    assert codes(found) == []
    assert {status for _, _, status in commitments(found)} == {"backed"}


@pytest.mark.parametrize(
    "link",
    ["https://evil.example/pay", "//evil.example/x", "www.evil.example", "![r](x.png)", "[form](/x)", "<img src=x>"],
)
def test_link_that_is_in_no_article_is_named(check, link):
    assert "foreign_link" in codes(check(f"{THIRTY.sentence}\n\nSee {link} now?", THIRTY))


def test_links_of_articles_and_of_the_signature_are_ours(check):
    passage = PASSAGE.model_copy(update={"text": f"{PASSAGE.text} See https://help.testware.example/returns."})
    found = check(f"{THIRTY.sentence}\n\nSee https://help.testware.example/returns?", THIRTY, passage=passage)
    assert "foreign_link" not in codes(found)
