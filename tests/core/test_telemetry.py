import pytest

from deskhand.telemetry import STRATEGY, Tracer


def test_spans_come_in_the_order_in_which_they_end_and_only_once():
    tracer = Tracer()
    with tracer.span("outer") as outer:
        outer[STRATEGY] = "quote"
        with tracer.span("inner"):
            pass
    spans = tracer.drain()
    assert [(span.name, span.attributes) for span in spans] == [("inner", {}), ("outer", {STRATEGY: "quote"})]
    assert 0 <= spans[0].ms <= spans[1].ms
    assert tracer.drain() == ()


def test_span_of_a_block_that_fails_is_kept():
    tracer = Tracer()
    with pytest.raises(KeyError), tracer.span("step"):
        raise KeyError
    assert [span.name for span in tracer.drain()] == ["step"]
