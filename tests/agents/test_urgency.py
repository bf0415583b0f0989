"""Priority and sentiment by rule."""

from __future__ import annotations

import pytest

from deskhand.answers import Sentiment
from deskhand.tickets import Priority
from deskhand_agents.urgency import judge_priority, judge_sentiment


@pytest.mark.parametrize(
    ("text", "default", "priority"),
    [
        ("The adapter is smoking!", "low", "urgent"),
        ("I need this urgently", "normal", "high"),
        ("I need this urgently, it is fraud, someone stole it, stolen", "normal", "urgent"),
        ("I must have it by Friday", "low", "high"),
        ("I was charged twice", "normal", "high"),
        ("WHERE IS MY ORDER PLEASE ANSWER", "normal", "high"),
        ("still waiting, no reply", "normal", "high"),
        ("still waiting, no reply", "urgent", "urgent"),
        ("No rush, just wondering about colours", "normal", "low"),
        ("What colours are there?", "normal", "normal"),
    ],
)
def test_words_move_the_default(text, default, priority):
    assert judge_priority(text, default=Priority(default)) == priority


def test_threat_flag_raises():
    assert judge_priority("hello", flags=("threat",)) == Priority.high


@pytest.mark.parametrize(
    ("text", "sentiment"),
    [
        ("This is ridiculous and unacceptable", "negative"),
        ("I love it, great service", "positive"),
        ("Great lamp, but I am disappointed", "neutral"),
        ("Where is my parcel", "neutral"),
        ("WHAT KIND SHOP DOES THIS", "negative"),
    ],
)
def test_words_decide_the_sentiment(text, sentiment):
    assert judge_sentiment(text) == Sentiment(sentiment)


def test_codes_in_capitals_are_no_shouting():
    assert judge_sentiment("RMA-30441 SUB-50123 shows E07 and HTTP LED") == Sentiment.neutral
