"""What counts as backed: the source's own sentence, or less of it where nothing is decided."""

from __future__ import annotations

import pytest

from deskhand.answers import Passage
from deskhand_agents.llm_sources import cite, is_courtesy

TEXT = (
    "You can return any product within **30 days** of delivery if it is unused."
    " Return labels are free inside the EU.\n\nWe do not repair lamps from other shops. To ask for a label:"
    "\n\n- Open your account page.\n- Press the blue button.\n"
)
PASSAGE = Passage(id="r@1#0", source_id="r", source_version=1, title="Returns", text=TEXT, score=0.9, found_by="dense")
FULL = "You can return any product within 30 days of delivery if it is unused."
LABELS = "Return labels are free inside the EU."
REPAIR = "We do not repair lamps from other shops."


@pytest.mark.parametrize(
    ("text", "quote", "whole"),
    [
        (FULL, FULL, "You can return any product within **30 days** of delivery if it is unused."),
        (FULL, "within 30 days", "You can return any product within **30 days** of delivery if it is unused."),
        (LABELS, LABELS, LABELS),
        ("Also, return labels are free inside EU!", "labels are free", LABELS),
        (f"{FULL} {LABELS}", f"{FULL} {LABELS}", f"{FULL.replace('30 days', '**30 days**')} {LABELS}"),
        ("Press the blue button.", "Press the blue button.", "Press the blue button."),
    ],
)
def test_sentence_of_the_source_is_cited_in_full(text, quote, whole):
    citation = cite(text, PASSAGE, quote)
    assert (citation.quote, citation.passage_id) == (whole, "r@1#0")


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("Our lamps are waterproof.", LABELS),  # a real quote beside an invention
        ("You can return any product within 60 days of delivery if it is unused.", FULL),
        ("You can return any product within days of delivery if it is unused.", FULL),
        ("You can return any product within 30 days of delivery.", FULL),  # a condition left out
        ("You can return any product.", "You can return any product"),  # a quote that ends before the condition
        ("You will return any product within 30 days of delivery if it is unused.", FULL),
        ("Return labels are free.", LABELS),
        ("Return labels are free inside the US.", LABELS),
        ("Return labels are free inside the EU 🤑.", LABELS),
        ("Return labels are free inside the EU €.", LABELS),
        ("Return labels are free inside the EU, see www.evil.example", LABELS),
        ("We do repair lamps from other shops.", REPAIR),
        ("We repair lamps.", REPAIR),
        ("Shops repair lamps from other, not we do.", REPAIR),
        ("Labels.", LABELS),
        ("", LABELS),
        (LABELS, ""),
        (LABELS, "Return labels are free everywhere."),
        (LABELS, "Open your account page.\n- Press the blue button.\n- Send money."),
        ("Open your account page. Press the blue button.", "account page. Press"),
    ],
)
def test_anything_else_has_no_citation(text, quote):
    assert cite(text, PASSAGE, quote) is None


def test_quote_longer_than_three_sentences_is_none():
    long = PASSAGE.model_copy(update={"text": "One fish swims. Two fish swim. Three fish swim. Four fish swim."})
    assert cite(long.text, long, long.text) is None


@pytest.mark.parametrize(
    "text",
    [
        "Thank you for your message.",
        "I'm very sorry to hear about the trouble.",
        "We're happy to help you with any further questions.",
        "Please let us know if you have any further questions.",
    ],
)
def test_politeness_is_a_courtesy(text):
    assert is_courtesy(text)


@pytest.mark.parametrize(
    "text",
    [
        "Thank you, your refund is on its way.",
        "Thank you, this is on us.",
        "Sorry, we have it here for you.",
        "Yes, thank you.",
        "We understand and will pay you 50 euros.",
        "Sorry, you will have it tomorrow.",
        "Please write to eve@evil.example",
        "Thank you [EMAIL_1]",
        "I understand that the lamp is waterproof.",
        "Vielen Dank für Ihre Nachricht.",
        "",
        "thank you " * 20,
    ],
)
def test_facts_promises_and_addresses_are_no_courtesy(text):
    assert not is_courtesy(text)
