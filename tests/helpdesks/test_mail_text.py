import time

import pytest

from deskhand_helpdesks.mail_text import html_to_text, own_words


@pytest.mark.parametrize(
    "quotation",
    [
        "On Fri, 20 Nov 2026 at 12:00, Desk <support@desk.test> wrote:\n> Hello",
        "On Fri, 20 Nov 2026 at 12:00, Desk Support\n<support@desk.test> wrote:\n> Hello",
        "Am 20.11.2026 um 12:00 schrieb Desk Support:\n> Hallo",
        "Le ven. 20 nov. 2026 à 12:00, Desk a écrit :\n> Bonjour",
        "El vie, 20 nov 2026 a las 12:00, Desk escribió:\n> Hola",
        "Op vr 20 nov. 2026 om 12:00 schreef Desk:\n> Hallo",
        "-----Original Message-----\nFrom: Desk\nHello",
        "-----Ursprüngliche Nachricht-----\nVon: Desk\nHallo",
        "From: Desk <support@desk.test>\nSent: Friday\nTo: Eve\nSubject: Order\n\nHello",
        "________________________________\nFrom: Desk\nHello",
        "> Hello\n> there",
        "-- \nEve Adams\nDirector",
        "Sent from my iPhone",
        "Gesendet mit der Mail App",
        "",
    ],
)
def test_what_the_sender_did_not_write_now_is_left_out(quotation):
    assert own_words(f"Thank you!\r\n\r\nBye\n\n{quotation}") == "Thank you!\n\nBye"


def test_an_answer_below_the_quotation_is_kept():
    assert own_words("On Friday, Desk wrote:\n> Which order?\n\n1042") == "1042"


def test_answers_between_quoted_lines_are_kept():
    assert own_words("> Which order?\n1042\n> And when?\nYesterday") == "1042\nYesterday"


@pytest.mark.parametrize("text", ["> only a quotation", "-- \nEve", "Sent from my iPhone", ""])
def test_nothing_is_left_out_when_nothing_would_be_left(text):
    assert own_words(text) == text


@pytest.mark.parametrize(
    "text", ["On Friday I wrote to you: nothing came.", "From: Berlin\nTo be sent to Paris", "a -- b\n---\nc"]
)
def test_sentences_that_look_a_little_like_a_quotation_are_kept(text):
    assert own_words(text) == text


def test_html_becomes_text_with_its_lines():
    html = (
        "<html><head><style>p{color:red}</style><title>T</title></head><body><p>Dear&nbsp;all,</p>"
        "<p>order <b>1042</b>\nis late&#33;<br>Bye</p><script>alert(1)</script>"
        '<div class="gmail_quote"><div>old</div> words</div><p>Eve</p></body></html>'
    )
    assert html_to_text(html) == "Dear all,\n\norder 1042 is late!\nBye\n\nEve"


def test_a_quotation_that_is_all_there_is_stays():
    assert html_to_text('<div class="gmail_quote">forwarded</div>') == "forwarded"


@pytest.mark.parametrize("html", ["<" * 20_000, "<div>" * 20_000 + "x", "<!--" * 5_000, "&#99999999999;", "<script>x"])
def test_odd_html_is_read_in_no_time(html):
    started = time.thread_time()
    html_to_text(html)
    assert time.thread_time() - started < 20  # of this thread alone, and far above what it takes


@pytest.mark.parametrize(
    "line", ["on " * 60_000, "On " + "a" * 180_000, "From: " * 30_000, "-" * 180_000, "\n" * 180_000]
)
def test_long_lines_are_read_in_no_time(line):
    started = time.thread_time()
    own_words(f"x\n{line}\n{line}")
    assert time.thread_time() - started < 20  # of this thread alone, and far above what it takes
