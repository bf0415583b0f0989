"""Units: what of a passage can be quoted alone."""

import pytest

from deskhand_memory.units import Unit, cells_of, cut_sentences, cut_units, headers_in, last_header

TEXT = """# Returns

You can return it, e.g. by post. **Keep the box.** It is needed!

Do this:

1. Pack it.
   Tape it well.
2. Send it.

- One thing
- Another

| Plan | EUR |
|---|---|
| Small | 9 |
| Large | 19 |

![picture](a.png)
"""


def test_text_is_cut_into_sentences_items_and_rows() -> None:
    found = [(unit.kind, unit.text, unit.number, unit.lead) for unit in cut_units(TEXT)]
    assert found == [
        ("sentence", "You can return it, e.g. by post.", "", ""),
        ("sentence", "**Keep the box.**", "", ""),
        ("sentence", "It is needed!", "", ""),
        ("sentence", "Do this:", "", ""),
        ("item", "Pack it. Tape it well.", "1.", "Do this:"),
        ("item", "Send it.", "2.", "Do this:"),
        ("item", "One thing", "", ""),
        ("item", "Another", "", ""),
        ("row", "| Small | 9 |", "", "| Plan | EUR |"),
        ("row", "| Large | 19 |", "", "| Plan | EUR |"),
    ]


def test_units_of_one_paragraph_list_or_table_share_their_block() -> None:
    blocks = [unit.block for unit in cut_units(TEXT)]
    assert blocks == [0, 0, 0, 1, 2, 2, 3, 3, 4, 4]


def test_text_that_begins_in_a_table_takes_its_header_from_before() -> None:
    (row,) = cut_units("| Huge | 29 |", "| Plan | EUR |")
    assert row.lead == "| Plan | EUR |"
    _, other = cut_units("One.\n\n| Huge | 29 |", "| Plan | EUR |")
    assert other.lead == ""


def test_header_goes_on_while_the_table_does() -> None:
    assert last_header("Text.\n\n| a | b |\n|---|---|\n| 1 | 2 |") == "| a | b |"
    assert last_header("| 3 | 4 |", "| a | b |") == "| a | b |"
    assert last_header("Text.\n\n| 3 | 4 |", "| a | b |") == ""
    assert last_header("Text.", "| a | b |") == ""
    assert last_header("") == ""


def test_headers_are_found() -> None:
    assert headers_in(TEXT) == "| Plan | EUR |"
    assert headers_in("| 3 | 4 |") == ""


@pytest.mark.parametrize(
    ("row", "cells"),
    [("| a | | b |", ["a", "b"]), ("no row", ["no row"])],
)
def test_cells_of_a_row(row: str, cells: list[str]) -> None:
    assert cells_of(row) == cells


def test_encoder_reads_title_lead_and_cells() -> None:
    assert Unit("| E21 | Password |", "row", 0, "| Code | Meaning |").embed_text("Errors") == "Errors: E21, Password"
    assert Unit("Pack it.", "item", 0, "Do this:").embed_text("Returns") == "Returns: Do this: Pack it."


def test_closing_quote_and_mark_stay_with_their_sentence() -> None:
    assert cut_sentences('He said "go." She left. **Yes.** 9 a.m. is fine') == [
        'He said "go."',
        "She left.",
        "**Yes.**",
        "9 a.m. is fine",
    ]
