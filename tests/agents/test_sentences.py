"""Cutting mail into what its writer says."""

from __future__ import annotations

from deskhand_agents.sentences import body_sentences, nameless, split_sentences, strip_quoted

MAIL = """Hi Tom,

the pump hums (E07), e.g. at night. It cost 29.90 EUR. Is that normal?

Thanks a lot
Ann
PS: the order is HF-204817.

On Mon, 16 Nov 2026 at 10:00, Support <s@shop.example> wrote:
> We got your mail.
"""


def test_mail_is_reduced_to_its_own_sentences():
    assert body_sentences(MAIL) == [
        "the pump hums (E07), e.g. at night.",
        "It cost 29.90 EUR.",
        "Is that normal?",
        "PS: the order is HF-204817.",
    ]


def test_greeting_before_the_text_on_one_line_is_dropped():
    assert body_sentences("Hello there, my lamp is broken.") == ["my lamp is broken."]


def test_mail_of_quotes_only_keeps_them():
    assert strip_quoted("> all quoted") == "> all quoted"


def test_bullets_and_blank_lines_end_sentences_and_wrapped_lines_join():
    text = "This is a longer line that was wrapped by the\nmail program. Next.\n- one item\n- two\n\nEnd without stop"
    assert split_sentences(text) == [
        "This is a longer line that was wrapped by the mail program.",
        "Next.",
        "one item",
        "two",
        "End without stop",
    ]


def test_sign_off_in_the_first_line_is_kept():
    assert body_sentences("Thanks for the quick help") == ["Thanks for the quick help"]


def test_placeholders_lose_their_numbers():
    assert nameless("write to [EMAIL_2]") == "write to [EMAIL]"
