import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deskhand.answers import Answer, Reason, Triage, Usage

USAGES = st.builds(Usage, prompt_tokens=st.integers(0, 10**9), completion_tokens=st.integers(0, 10**9),
                   n_calls=st.integers(0, 99), cost_usd=st.integers(0, 99), latency_ms=st.integers(0, 99))  # fmt: skip


@given(USAGES, USAGES, USAGES)
def test_usage_adds_field_by_field_and_nothing_changes_nothing(one, two, three):
    assert one + Usage() == one
    assert (one + two) + three == one + (two + three)
    summed = one + two
    assert all(getattr(summed, name) == getattr(one, name) + getattr(two, name) for name in Usage.model_fields)


def test_marked_answer_keeps_everything_and_adds_reasons():
    answer = Answer("x", 0.5, "quote", reasons=(Reason(code="one"),))
    marked = answer.marked(Reason(code="two", detail="d"))
    assert (marked.value, marked.confidence, marked.strategy, marked.needs_human) == ("x", 0.5, "quote", True)
    assert [reason.code for reason in marked.reasons] == ["one", "two"]
    assert not answer.needs_human and len(answer.reasons) == 1


@pytest.mark.parametrize("confidence", [-0.01, 1.01, float("nan"), "high"])
def test_confidence_outside_0_to_1_is_refused(confidence):
    with pytest.raises(ValidationError):
        Triage(category="a", confidence=confidence)
