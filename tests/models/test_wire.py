import pytest

from deskhand.interfaces import ChatMessage, ToolCall
from deskhand_models.faults import AttemptFailed, Fault
from deskhand_models.transport import Tokens
from deskhand_models.wire import build_message, parse_body, read_answer, read_tokens


def answer(message=None, *, finish="stop", **changes):
    message = {"role": "assistant", "content": "Hello."} if message is None else message
    return {"choices": [{"message": message, "finish_reason": finish}]} | changes


def with_call(arguments, **call):
    function = {"name": "find", "arguments": arguments}
    return answer({"content": None, "tool_calls": [{"id": "c1", "function": function} | call]}, finish="tool_calls")


def test_messages_have_the_providers_form():
    call = ToolCall("c1", "find", {"b": 1, "a": "ü"})
    assert build_message(ChatMessage("user", "Hi")) == {"role": "user", "content": "Hi"}
    assert build_message(ChatMessage("tool", "ok", tool_call_id="c1"))["tool_call_id"] == "c1"
    built = build_message(ChatMessage("assistant", "", tool_calls=(call,)))
    assert built["content"] is None and built["tool_calls"][0]["function"]["arguments"] == '{"a":"ü","b":1}'


@pytest.mark.parametrize("raw", [b"", b"<html>", b'{"id": "x", "cho', b"[1]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_body_that_is_no_object_is_bad_json(raw):
    with pytest.raises(AttemptFailed) as failed:
        parse_body(raw)
    assert failed.value.fault is Fault.bad_json


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({}, Fault.no_choices),
        ({"choices": []}, Fault.no_choices),
        ({"choices": "x"}, Fault.no_choices),
        ({"choices": [None]}, Fault.no_choices),
        ({"error": {"code": 400, "message": "no"}}, Fault.no_choices),
        ({"choices": [{"message": None}]}, Fault.empty),
        (answer({"content": ""}), Fault.empty),
        (answer({"content": " \n"}), Fault.empty),
        (answer({"content": None}), Fault.empty),
        (answer({"content": "<think>only thoughts</think>"}), Fault.empty),
        (answer({"content": ["part"]}), Fault.empty),
        (answer(finish="length"), Fault.truncated),
        (answer(finish="content_filter"), Fault.content_filter),
        (answer({"content": None, "refusal": "I cannot."}), Fault.content_filter),
        (answer({"tool_calls": "x"}), Fault.bad_json),
        (answer({"tool_calls": ["x"]}), Fault.bad_json),
        (answer({"tool_calls": [{"function": {"arguments": "{}"}}]}), Fault.bad_json),
        (with_call("{bad"), Fault.bad_json),
        (with_call("[1]"), Fault.bad_json),
        (with_call('"text"'), Fault.bad_json),
        (with_call('{"a": NaN}'), Fault.bad_json),
        (with_call(7), Fault.bad_json),
    ],
)
def test_answer_that_cannot_be_used_is_told_apart(body, fault):
    with pytest.raises(AttemptFailed) as failed:
        read_answer(body | {"usage": {"prompt_tokens": 5, "completion_tokens": 2}})
    assert failed.value.fault is fault and failed.value.tokens == Tokens(5, 2)


@pytest.mark.parametrize(
    ("arguments", "args"), [("", {}), (None, {}), ("{}", {}), ({"a": 1}, {"a": 1}), ('{"a": [1]}', {"a": [1]})]
)
def test_arguments_of_a_call_are_an_object(arguments, args):
    (call,) = read_answer(with_call(arguments)).tool_calls
    assert call == ToolCall("c1", "find", args)


def test_call_without_an_id_gets_one_by_its_place():
    assert read_answer(with_call("{}", id=None), "call_4").tool_calls[0].id == "call_4_0"


def test_thoughts_of_a_local_model_are_dropped():
    assert read_answer(answer({"content": "<think>\nhm\n</think>\n\nHello."})).text == "Hello."


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, None),
        ({}, None),
        ({"prompt_tokens": 0, "completion_tokens": 0}, None),
        ({"prompt_tokens": 5}, None),
        ({"prompt_tokens": "5", "completion_tokens": 1}, None),
        ({"prompt_tokens": True, "completion_tokens": 1}, None),
        ({"prompt_tokens": -5, "completion_tokens": 1}, None),
        ({"prompt_tokens": 5, "completion_tokens": 2}, Tokens(5, 2)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 17}, Tokens(5, 12)),
        (
            {"prompt_tokens": 5, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 9}},
            Tokens(5, 11),
        ),
        (
            {"prompt_tokens": 5, "completion_tokens": 12, "completion_tokens_details": {"reasoning_tokens": 9}},
            Tokens(5, 12),
        ),
    ],
)
def test_usage_is_the_larger_count_or_nothing(usage, tokens):
    assert read_tokens(usage) == tokens
