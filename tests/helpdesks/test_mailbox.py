"""IMAP servers that behave oddly, played by a script."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from deskhand.errors import InputError, Unavailable
from deskhand_helpdesks.mailbox import _read_fetched, quoted

HELLO = b"* OK ready\r\n"
COMMANDS = {
    "CAPABILITY": [b"* CAPABILITY IMAP4rev1\r\n", b"OK done"],
    "LOGIN": [b"OK done"],
    "SELECT": [b"* 1 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 2] x\r\n", b"OK done"],
    "CREATE": [b"NO exists"],
    "SEARCH": [b"* SEARCH 1\r\n", b"OK done"],
    "LOGOUT": [b"* BYE\r\n", b"OK done"],
}
HEADER = b"From: eve@c.test\r\nMessage-ID: <a@c.test>\r\n\r\n"
FETCHED = (
    b'* 1 FETCH (UID 1 FLAGS (\\Seen) RFC822.SIZE %d INTERNALDATE "20-Nov-2026 12:00:00 +0100"'
    b" BODY[HEADER]<0> {%d}\r\n%s)\r\n"
)


@asynccontextmanager
async def scripted(hello=HELLO, **changes):
    """Start a server; a command that is not in its script is not answered, one that is None cuts the line."""
    script = {**COMMANDS, "FETCH": [FETCHED % (len(HEADER), len(HEADER), HEADER), b"OK done"], **changes}

    at_work = []

    async def serve(reader, writer):
        at_work.append((asyncio.current_task(), writer))
        writer.write(hello)
        with suppress(OSError):
            while line := await reader.readline():
                tag, *words = line.decode().split()
                name = next((word.upper() for word in words if word.upper() in script), "")
                if name and script[name] is None:
                    break
                answer = script.get(name, [])
                for part in answer(line) if callable(answer) else answer:
                    writer.write(part if part.startswith(b"*") else tag.encode() + b" " + part + b"\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for _, writer in at_work:
            writer.transport.abort()
        await asyncio.gather(*(task for task, _ in at_work))


async def test_the_script_plays_a_mailbox(mail_desk):
    async with scripted() as port:
        page = await mail_desk(imap_port=port, timeout_s=60).poll("")
    assert page.cursor == "7:1"
    assert [(event.ticket_id, event.at.isoformat()) for event in page.events] == [
        ("a@c.test", "2026-11-20T11:00:00+00:00")
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"hello": b"* BYE full\r\n"},
        {"hello": b"garbage\r\n"},
        {"LOGIN": []},
        {"LOGIN": None},
        {"SELECT": []},
        {"SEARCH": [b"NO busy"]},
        {"SEARCH": None},
        {"FETCH": [b"NO busy"]},
        {"FETCH": [b"* 1 FETCH (UID 1 BODY[HEADER]<0> {9000}\r\nFrom: e"]},
        {"FETCH": None},
    ],
)
async def test_a_server_that_breaks_off_is_unavailable(mail_desk, changes):
    async with scripted(**changes) as port:
        with pytest.raises(Unavailable):
            await mail_desk(imap_port=port, timeout_s=0.3).poll("")


async def test_a_search_without_a_hit_gives_nothing(mail_desk):
    async with scripted(SEARCH=[b"* SEARCH\r\n", b"OK done 5"]) as port:
        assert (await mail_desk(imap_port=port, timeout_s=60).poll("7:3")).cursor == "7:3"


async def test_without_idle_a_watch_ends_and_polls_must_do(mail_desk):
    async with scripted() as port:
        assert [told async for told in mail_desk(imap_port=port, timeout_s=60).watch()] == [None]


@pytest.mark.parametrize("append", [[b"NO quota"], [b"OK done"], None])
async def test_without_a_copy_in_the_sent_folder_nothing_is_sent(mail_pair, mail_desk, action, append):
    def search(line):
        is_thread = b" OR " in line and b"UNDRAFT" not in line
        return [b"* SEARCH 1\r\n" if is_thread else b"* SEARCH\r\n", b"OK done"]

    async with scripted(SEARCH=search, APPEND=append) as port:
        with pytest.raises(Unavailable):
            await mail_desk(imap_port=port, timeout_s=3).apply(action(text="x"), "a@c.test")
    assert mail_pair.sink == []


def test_what_is_no_mail_in_an_answer_is_passed_over():
    lines = [
        b'1 FETCH (UID 3 RFC822.SIZE 5 INTERNALDATE "never" BODY[] "")',
        b"2 FETCH (FLAGS (\\Seen))",
        b"3 FETCH (UID 4 RFC822.SIZE 2 BODY[] {2}",
        bytearray(b"hi"),
        b")",
        bytearray(b"stray"),
        b"FETCH completed",
    ]
    assert [(one.uid, one.raw, one.at.year) for one in _read_fetched(lines)] == [(3, b"", 1970), (4, b"hi", 1970)]


@pytest.mark.parametrize("text", ["", "a\r\nb", "ü", "x" * 401])
def test_what_imap_cannot_be_asked_is_an_input_error(text):
    with pytest.raises(InputError, match="plain letters"):
        quoted(text)


def test_quotes_are_escaped():
    assert quoted('a"b\\c') == '"a\\"b\\\\c"'
