"""Language detection and its refusal to guess."""

from __future__ import annotations

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
