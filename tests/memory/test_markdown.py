from deskhand_memory.markdown import first_heading, heading_of, split_sections

TEXT = """Intro.

## Steps

Follow these steps:

1. Unplug it
   and wait.
2. Plug it in.

## Table
| Code | Meaning |
|---|---|
| E21 | Wi-Fi |
| E40 | Pump |

```
# no heading
```
"""


def atoms(text: str) -> list[list[str]]:
    return [[text[atom.start : atom.end] for atom in section.atoms] for section in split_sections(text)]


def test_sections_have_their_headings() -> None:
    assert [section.heading for section in split_sections(TEXT)] == ["", "Steps", "Table"]


def test_what_leads_into_an_item_stays_with_it() -> None:
    assert atoms(TEXT)[1] == [
        "## Steps\n\nFollow these steps:\n\n1. Unplug it\n   and wait.",
        "2. Plug it in.",
    ]


def test_table_header_stays_with_the_first_row() -> None:
    rows = atoms(TEXT)[2]
    assert rows[0] == "## Table\n| Code | Meaning |\n|---|---|\n| E21 | Wi-Fi |"
    assert rows[1] == "| E40 | Pump |"


def test_heading_in_code_is_code() -> None:
    assert atoms(TEXT)[2][2:] == ["```", "# no heading", "```"]


def test_wrapped_lines_are_one_paragraph() -> None:
    assert atoms("One\ntwo.\n\nThree.") == [["One\ntwo.", "Three."]]


def test_heading_with_nothing_under_it_joins_the_next() -> None:
    assert atoms("# A\n## B\nText.") == [["# A\n## B\nText."]]
    assert atoms("Text.\n# End") == [["Text."], ["# End"]]


def test_text_that_ends_with_a_colon_before_a_heading_stands_alone() -> None:
    assert atoms("See:\n# A\nText.") == [["See:"], ["# A\nText."]]


def test_empty_text_has_no_sections() -> None:
    assert split_sections("\n \n") == []


def test_first_heading_skips_empty_ones() -> None:
    assert first_heading("#\n## Second ##\n") == "Second"
    assert first_heading("#hashtag\n") is None
    assert heading_of("####### seven") is None
