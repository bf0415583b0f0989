import pytest

from deskhand_models.faults import AttemptFailed, Fault, read_retry_after, read_status, shorten

DATE = "Fri, 20 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("status", "text", "fault", "is_billed"),
    [
        (401, "bad key sk-123", Fault.auth, False),
        (403, "", Fault.auth, False),
        (402, "pay", Fault.auth, False),
        (429, "slow down", Fault.rate_limited, False),
        (429, '{"code": "insufficient_quota"}', Fault.auth, False),
        (404, "no such model", Fault.refused_request, False),
        (408, "", Fault.timeout, True),
        (500, "", Fault.server_error, True),
        (529, "overloaded", Fault.server_error, True),
        (302, "", Fault.refused_request, True),
        (400, "This model's maximum context length is 4096 tokens", Fault.context_too_long, True),
        (413, "context_length_exceeded", Fault.context_too_long, True),
        (400, "the request exceeds the available context size", Fault.context_too_long, True),
        (400, "blocked by content management policy", Fault.content_filter, True),
        (422, "unknown field", Fault.refused_request, True),
    ],
)
def test_status_says_what_to_do(status, text, fault, is_billed):
    failed = read_status(status, text, {})
    assert (failed.fault, failed.is_billed) == (fault, is_billed)
    assert f"HTTP {status}" in str(failed) and "sk-123" not in str(failed)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:07 GMT", "date": DATE}, 7.0),
        ({"retry-after": "Fri, 20 Nov 2026 11:00:00 GMT", "date": DATE}, 0.0),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:07 GMT"}, None),
        ({"retry-after": "soon", "date": DATE}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "date": DATE}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
    ],
)
def test_wait_is_read_in_all_its_forms(headers, wait_s):
    assert read_retry_after(headers) == wait_s


def test_text_is_shown_in_one_short_line():
    assert shorten(" a\n  b ") == "a b" and shorten("x" * 500) == "x" * 157 + "..."
    assert str(AttemptFailed(Fault.empty)) == "empty"
