"""What is quoted of a passage for a question."""

import pytest

from deskhand.answers import Passage
from deskhand_agents.blocks import Block
from deskhand_agents.conditions import Customer
from deskhand_agents.questions import Question
from deskhand_agents.quotes import match_questions
from deskhand_agents.reply_lines import lines_of, plain
from deskhand_memory.units import Unit, cut_units

PRICES = """| Where | Days | EUR | GBP |
|---|---|---|---|
| Germany | 2-3 | 4.90 | |
| Other EU countries | 3-6 | 7.90 | |
"""
SWISS = Customer(countries=frozenset({"CH"}), currency="CHF")
GERMAN = Customer(countries=frozenset({"DE"}), currency="EUR")


def passage(text: str, **more) -> Passage:
    fields = {"id": "ship@1#1", "source_id": "ship", "source_version": 1, "title": "Shipping", "score": 0.7}
    return Passage(**(fields | {"found_by": "dense", "text": text} | more))


def block(text: str, scores: list[float]) -> Block:
    return Block(passage(text), tuple(cut_units(text)), tuple(scores), 0.5)


async def quoted(ask: str, encoder, ctx, *passages: Passage, customer: Customer = Customer()) -> list[str]:  # noqa: B008
    (match,) = await match_questions([Question(ask, ask)], ask, passages, encoder, ctx, customer)
    return [line.text for found in match.blocks for line in lines_of(found.choose(), customer)]


async def test_row_of_the_customers_own_country_is_quoted_without_other_currencies(encoder, ctx):
    ask = "What does shipping cost and how many days does it take to Germany?"
    assert await quoted(ask, encoder, ctx, passage(PRICES), customer=GERMAN) == ["Germany: Days: 2-3; EUR 4.90."]


async def test_row_of_the_group_is_quoted_when_the_country_has_none(encoder, ctx):
    ask = "What does shipping cost, how many days to other EU countries like Denmark?"
    danish = Customer(countries=frozenset({"DK"}), currency="EUR")
    assert await quoted(ask, encoder, ctx, passage(PRICES), customer=danish) == [
        "Other EU countries: Days: 3-6; EUR 7.90."
    ]


async def test_nothing_is_quoted_of_what_holds_for_others_only(encoder, ctx):
    ask = "What does shipping cost, how many days to Germany?"
    assert await quoted(ask, encoder, ctx, passage(PRICES), customer=SWISS) == []


async def test_two_rows_at_most(encoder, ctx):
    rows = "| Kind | Shipping cost |\n|---|---|\n" + "\n".join(f"| Parcel {n} | EUR {n} |" for n in range(1, 8))
    assert len(await quoted("What does shipping a parcel cost?", encoder, ctx, passage(rows))) == 2


async def test_vague_question_is_matched_by_the_ticket(encoder, ctx):
    asked = [Question("Is that on me then?", "Is that on me then?"), Question("And why?", "And why?")]
    text = "The parcel is lost, no delivery scan for days. Is that on me then? And why?"
    found = passage("A parcel without a delivery scan for 7 days is lost. We pay for a lost parcel.")
    first, second = await match_questions(asked, text, (found,), encoder, ctx)
    assert (len(first.blocks), second.blocks) == (1, ())


def test_short_paragraph_is_quoted_whole():
    assert len(block("One thing. Two things. Three.", [0.9, 0.1, 0.1]).choose()) == 3


def test_of_a_long_paragraph_the_best_is_quoted_with_what_it_leans_on():
    long = "word " * 30
    text = f"A {long}start. This {long}middle. B {long}end."
    chosen = block(text, [0.1, 0.9, 0.1]).choose()
    assert [unit.text.split()[-1] for unit in chosen] == ["start.", "middle."]


def test_steps_are_quoted_whole_with_their_own_numbers():
    long = "word " * 20
    text = f"Do this:\n\n3. A {long}\n4. B {long}\n5. C {long}"
    units = tuple(unit for unit in cut_units(text) if unit.kind == "item")
    steps = Block(passage(text), units, (0.9, 0.1, 0.1), 0.5)
    assert [line.sign for line in lines_of(steps.choose(), Customer())] == ["", "3. ", "4. ", "5. "]


@pytest.mark.parametrize(
    ("unit", "lines"),
    [
        (Unit("| E21 | Wrong **password** | Check it |", "row", 0), ["E21: Wrong password; Check it."]),
        (Unit("| Shelf | 199 | 175 |", "row", 0), []),
        (Unit("| Shelf | 199 |", "row", 0, "| Garden | EUR |"), ["Shelf: EUR 199."]),
        (Unit("| Shelf | free |", "row", 0, "| Garden | UK |"), []),
        (Unit("| Shelf | big |", "row", 0, "| Garden | |"), ["Shelf: big."]),
    ],
)
def test_row_is_said_as_a_sentence_and_quoted_as_it_stands(unit: Unit, lines: list[str]):
    found = lines_of([unit], GERMAN)
    assert [line.text for line in found] == lines
    assert all(line.quote == unit.text for line in found)


def test_marks_and_list_signs_do_not_stand_in_a_reply():
    assert plain("- **Wait** for `it`") == "Wait for it"


FEES = """| Reason | EU | UK |
|---|---|---|
| Changed my mind | EUR 6.90 | GBP 5.90 |
"""


async def test_row_with_a_fee_for_each_region_is_not_quoted_while_the_country_is_unknown(encoder, ctx):
    ask = "I changed my mind, what is the fee for a return?"
    fees = passage(FEES, title="Fee for a return")
    assert await quoted(ask, encoder, ctx, fees) == []
    assert await quoted(ask, encoder, ctx, fees, customer=GERMAN) == ["Changed my mind: EU: EUR 6.90."]


async def test_second_half_of_an_answer_is_quoted_though_it_shares_no_word_with_the_question(encoder, ctx):
    text = "A parcel without a delivery scan for 7 days is lost.\n\nYou choose between money and a new one."
    ask = "Is my parcel lost?"
    assert len(await quoted(ask, encoder, ctx, passage(text))) == 2


async def test_ticket_about_a_record_needs_less_evidence(encoder, ctx):
    found = passage("We refund an order within 5 days.", score=0.5)
    ask = "When do I get the refund of my order?"
    assert await quoted(ask, encoder, ctx, found) == []
    assert await quoted(ask, encoder, ctx, found, customer=Customer(names_record=True)) == [found.text]


async def test_usual_article_comes_first(encoder, ctx):
    rare = passage("We refund an order within 5 days of a return.", id="a@1#1", source_id="a")
    usual = passage("We refund an order within 9 days of a return.", id="b@1#1", source_id="b")
    ask = "Within how many days of a return do you refund my order?"
    question = [Question(ask, ask)]
    for precedents, first in (({"a": -3.0, "b": -0.1}, "b"), ({"a": -0.1, "b": -3.0}, "a")):
        (match,) = await match_questions(question, ask, (rare, usual), encoder, ctx, Customer(), precedents)
        assert match.blocks[0].passage.source_id == first
