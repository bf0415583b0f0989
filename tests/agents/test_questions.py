"""Cutting a ticket into its questions."""

from __future__ import annotations

from deskhand.vault import PatternVault
from deskhand.view import view_ticket
from deskhand_agents import find_questions, search_queries


def texts(view) -> list[str]:
    return [question.text for question in find_questions(view)]


def test_each_question_is_found_and_statements_are_not(view_of):
    view = view_of("Hi,\nmy lamp is broken. Can I return it? I bought it in May. Who pays for the label?\nThanks\nAnn")
    assert texts(view) == ["Can I return it?", "Who pays for the label?"]


def test_request_without_question_mark_counts(view_of):
    assert texts(view_of("I moved house. Please change the address of my order.")) == [
        "Please change the address of my order."
    ]


def test_statement_alone_is_the_problem(view_of):
    found = find_questions(view_of("My lamp is dark.", subject="Lamp"))
    assert [(q.text, q.query) for q in found] == [("My lamp is dark.", "Lamp My lamp is dark.")]


def test_subject_alone_is_the_problem(view_of):
    assert texts(view_of("", subject="Lamp broken")) == ["Lamp broken"]


def test_nothing_written_asks_nothing(view_of):
    assert find_questions(view_of("")) == ()
    assert search_queries(view_of("")) == ()


def test_short_question_carries_its_context(view_of):
    query = find_questions(view_of("The pump hums. Is that normal?", subject="Pump"))[0].query
    assert query == "Pump The pump hums. Is that normal?"


def test_only_what_is_open_since_our_answer_counts(thread):
    ticket = thread(
        ("customer", "Where is it?"), ("agent", "In Bonn."), ("customer", "And when will it come?"), ("bot", "Noted.")
    )
    assert texts(view_ticket(ticket, PatternVault())) == ["And when will it come?"]


def test_at_most_four_and_no_chatter(view_of):
    view = view_of("How are you? " + " ".join(f"Where is part number {n} of it?" for n in range(6)))
    assert len(texts(view)) == 4
    assert "How are you?" not in texts(view)


def test_queries_name_the_topic_too_and_no_person(view_of):
    view = view_of(
        "My pump hums, write to ann@example.com. It is new. Who pays for the label of a return?", subject="Pump"
    )
    queries = search_queries(view)
    assert queries[-1].startswith("Pump My pump hums, write to [EMAIL].")
    assert len(queries) == 2
