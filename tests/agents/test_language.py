"""Language detection and its refusal to guess."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deskhand_agents import detect_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Where is my order?", "en"),
        ("Wo ist mein Paket? Ich warte seit zwei Wochen.", "de"),
        ("Où est ma commande, s'il vous plaît ?", "fr"),
        ("¿Dónde está mi pedido? Llevo dos semanas esperando.", "es"),
        ("mijn pakket is niet aangekomen", "nl"),
        ("注文が届きません", "ja"),
        ("WHERE IS MY ORDER? I AM STILL WAITING", "en"),
    ],
)
def test_plain_sentence_is_recognised(text, language):
    found = detect_language(text)
    assert found.language == language
    assert 0.0 < found.confidence <= 1.0


@pytest.mark.parametrize(
    "text", ["", "hi", "Hallo", "HF-204817", "refund pls", "asdf qwer zxcv", "[EMAIL_1] 12345", "👍"]
)
def test_short_or_meaningless_text_is_undetermined(text):
    assert detect_language(text).language is None


def test_quoted_mail_ids_and_urls_do_not_decide():
    text = (
        "Ich habe immer noch keine Antwort bekommen. HF-204817 https://example.com/where-is-my-order\n"
        "> Thank you for your message, we will look into it and come back to you\n"
        "> as soon as we can, please be patient with us in the meantime\n"
    )
    assert detect_language(text).language == "de"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("power consumption nook per year in kwh", "en"),
        ("Do you do wholesale?", "en"),
        ("The display shows E07.", "en"),
        ("Ist das noch im Karton?", "de"),
        ("geen licht en de pomp bromt", "nl"),
    ],
)
def test_small_words_settle_a_short_text(text, language):
    assert detect_language(text).language == language


def test_at_most_one_in_a_hundred_tickets_of_four_words_is_misread():
    path = Path(__file__).parents[2] / "examples" / "hollowfern" / "tickets" / "labelled.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if len(row["text"].split()) >= 4]
    wrong = [row["text"] for row in rows if detect_language(row["text"]).language != row["language"]]
    assert len(wrong) <= 0.01 * len(rows), wrong
