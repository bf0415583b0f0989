import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest
from aiohttp import web

from deskhand.errors import ConfigError, InputError, Unavailable
from deskhand.testing import NOON
from deskhand_helpdesks.calls import Calls, NoAnswer, retry_after_s


@asynccontextmanager
async def opened(timeout_s):
    made = Calls(timeout_s)
    yield made
    await made.close()


@pytest.fixture
async def calls():
    async with opened(60) as made:
        yield made


async def test_an_answer_that_is_too_large_is_cut_off(calls, listen, monkeypatch):
    monkeypatch.setattr("deskhand_helpdesks.calls.MAX_ANSWER_BYTES", 1_000_000)
    async with listen() as server:
        server.answers = [web.Response(body=b"x" * 1_100_000)]
        with pytest.raises(InputError, match="larger than 1 MB"):
            await calls.send("GET", server.url, headers={})


async def test_a_body_that_drips_is_given_up(listen):
    async def drip(request, body):
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):  # it is given up
            while True:
                await response.write(b"x")
                await asyncio.sleep(0.1)
        return response

    async with listen() as server, opened(0.5) as calls:
        server.answers = [drip]
        with pytest.raises(NoAnswer, match="no answer"):
            await calls.send("POST", server.url, headers={}, body=b"{}")


async def test_an_address_that_is_none_is_a_config_error(calls):
    with pytest.raises(ConfigError, match="not an address"):
        await calls.send("GET", "http://[1", headers={})


async def test_nobody_there_is_unavailable_and_certainly_not_done(calls):
    with pytest.raises(Unavailable, match="not reached") as caught:
        await calls.send("POST", "http://127.0.0.1:1/", headers={}, body=b"{}")
    assert not isinstance(caught.value, NoAnswer)


async def test_a_redirect_is_not_followed_with_the_key(calls, listen):
    async with listen() as server:
        server.answers = [web.Response(status=302, headers={"Location": "http://127.0.0.1:1/elsewhere"})]
        answer = await calls.send("GET", server.url, headers={"Authorization": "Token x"})
        with pytest.raises(ConfigError, match="sends elsewhere"):
            answer.check()
        assert len(server.requests) == 1


async def test_an_answer_that_is_not_json_is_an_input_error(calls, listen):
    async with listen() as server:
        server.answers = [web.Response(body=b"<html>"), web.Response(status=400, body=b"\xffno\nway" * 100)]
        with pytest.raises(InputError, match="not valid JSON"):
            (await calls.send("GET", server.url, headers={})).json()
        with pytest.raises(InputError, match="not taken"):
            (await calls.send("GET", server.url, headers={})).check()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("17", 17),
        (" 0 ", 0),
        ("999999999999", 3600),
        ("Fri, 20 Nov 2026 12:00:30 GMT", 30),
        ("Fri, 20 Nov 2026 11:00:00 -0000", 0),
        ("", None),
        ("soon", None),
        ("-5", None),
    ],
)
def test_retry_after_is_read_in_both_forms(value, seconds):
    assert retry_after_s(value, NOON) == seconds


def test_retry_after_is_at_most_an_hour():
    late = (NOON + timedelta(days=3)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert retry_after_s(late, NOON) == 3600
