import time

from deskhand_models.tokens import count_prompt, count_tokens


def test_count_is_that_of_the_encoding():
    assert [count_tokens(text) for text in ("", "hello world", "Straße", "<|endoftext|>")] == [0, 2, 2, 7]


def test_slices_count_a_little_more_and_never_less():
    text = "Where is my parcel? " * 2000
    assert 10_000 <= count_tokens(text) <= 10_100


def test_long_text_without_spaces_is_counted_fast():
    count_tokens("warm")
    started = time.thread_time()
    assert count_tokens("a" * 1_000_000) > 100_000
    assert time.thread_time() - started < 20  # of this thread alone, and a hundred times what it takes


def test_prompt_counts_messages_calls_tools_and_schema():
    plain = {"messages": [{"role": "user", "content": "hello world"}, {"role": "assistant", "content": None}]}
    called = {"messages": [*plain["messages"], {"content": None, "tool_calls": [{"id": "c"}]}]}
    assert count_prompt(plain) == 8 + 6 + 2 + 6
    assert count_prompt(called) > count_prompt(plain) + 6
    assert (
        count_prompt(plain | {"tools": [{"name": "find"}], "response_format": {"type": "x"}}) > count_prompt(plain) + 6
    )
