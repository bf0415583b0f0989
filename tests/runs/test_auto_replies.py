import json

import pytest

from deskhand.testing import NOON, build_ticket
from deskhand.tickets import Event
from deskhand_runs.auto_replies import automatic_reason


def event(raw=""):
    return Event(source="mail", delivery_id="d", ticket_id="T-1", kind="message", at=NOON, raw=raw)


def reason(headers):
    return automatic_reason(event(), build_ticket(fields={"headers": headers}))


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto-Submitted": "auto-replied"},
        {"auto-submitted": 'auto-generated; owner-email="x@example.com"'},
        {"AUTO-SUBMITTED": "(a comment no one reads) auto-notified"},
        {"Precedence": "bulk"},
        {"Precedence": "List"},
        {"Precedence": "junk"},
        {"X-Auto-Response-Suppress": "DR, OOF, AutoReply"},
        {"X-Auto-Response-Suppress": "All"},
        {"List-Id": "News <news.example.com>"},
        {"X-Loop": "support@example.com"},
        {"X-RT-Loop-Prevention": "example"},
        {"Return-Path": "<>"},
        {"Return-Path": ["<>"]},
        {"Content-Type": "multipart/report; report-type=delivery-status"},
        [["Subject", "x"], ["Precedence", "bulk"]],
        [{"name": "Precedence", "value": "bulk"}],
    ],
)
def test_automatic_mail_is_known_by_its_headers(headers):
    assert "automatic mail" in reason(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        None,
        "Precedence: bulk",
        7,
        {"Auto-Submitted": "no"},
        {"Auto-Submitted": "No (really)"},
        {"Precedence": "first-class"},
        {"X-Auto-Response-Suppress": "None"},
        {"Return-Path": "<ann@example.com>"},
        {"Subject": "Auto-Submitted: auto-replied", "From": "bulk@example.com"},
        [["Precedence"], "Precedence: bulk", [7, "bulk"], {"name": None, "value": "bulk"}],
        {"Precedence": {"value": "bulk"}},
    ],
)
def test_other_mail_and_odd_fields_are_not(headers):
    assert reason(headers) is None


def test_the_head_of_a_raw_mail_is_read_and_its_body_is_not():
    head = "From: ann@example.com\r\nAuto-Submitted:\r\n auto-replied\r\n\r\nPrecedence: bulk\r\n"
    assert automatic_reason(event(head), None) == "automatic mail (Auto-Submitted: auto-replied)"
    assert automatic_reason(event("From: ann@example.com\r\n\r\nPrecedence: bulk\r\n"), None) is None


def test_json_with_headers_is_read_and_other_payloads_have_none():
    assert automatic_reason(event(json.dumps({"headers": {"List-Id": "<x>"}})), None) == "automatic mail (list-id)"
    for raw in ('{"id": 7}', '{"headers": ', "{" * 50_000, "Precedence bulk", "", "[1]"):
        assert automatic_reason(event(raw), None) is None


def test_the_events_own_headers_go_before_the_tickets():
    raw = json.dumps({"headers": {"Subject": "a real question"}})
    assert automatic_reason(event(raw), build_ticket(fields={"headers": {"Precedence": "bulk"}})) is None
