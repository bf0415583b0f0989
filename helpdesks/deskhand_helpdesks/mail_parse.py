"""One mail as it lies in a mailbox, read so that nothing in it can break us."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.errors import HeaderParseError, MessageError
from email.header import decode_header
from email.message import Message
from email.utils import parseaddr

from deskhand.errors import InputError
from deskhand.tickets import Attachment
from deskhand_helpdesks.mail_text import html_to_text, own_words
from deskhand_helpdesks.texts import fit, fit_line

AUTO_HEADERS = (
    "auto-submitted",
    "precedence",
    "x-auto-response-suppress",
    "x-autoreply",
    "x-autorespond",
    "x-loop",
    "x-rt-loop-prevention",
    "list-id",
    "list-unsubscribe",
    "return-path",
    "content-type",
)
"""The headers by which mail that no person wrote is known; tickets carry them in ``fields["headers"]``."""

TICKET_HEADER = "X-Deskhand-Ticket"
"""Stands in our own mails and names their ticket."""

_MESSAGE_ID = re.compile(r"<([!#-;=?-\[\]-~]{1,400})>")  # printable, without blanks, quotes, backslash and <>
_MAX_PARTS = 200
_MAX_REFERENCES = 50


@dataclass(frozen=True)
class Mail:
    """What a mail says. Ids are without their angle brackets; an address is in lower case."""

    message_id: str
    references: tuple[str, ...]
    subject: str
    from_name: str
    from_address: str
    headers: dict[str, str]
    ticket_id: str = ""
    is_verified: bool = False
    text: str = ""
    attachments: tuple[Attachment, ...] = ()

    @property
    def is_automatic(self) -> bool:
        """Tell whether no person wrote it (RFC 3834, lists, bounces, other ticket systems)."""
        headers = self.headers
        return (
            headers.get("auto-submitted", "no").partition(";")[0].strip().lower() not in ("no", "")
            or headers.get("precedence", "").strip().lower() in ("bulk", "list", "junk", "auto_reply")
            or headers.get("return-path", "").strip() == "<>"
            or headers.get("content-type", "").lower().startswith("multipart/report")
            or any(headers.get(name) for name in ("x-rt-loop-prevention", "x-autoreply", "x-autorespond", "list-id"))
        )


def parse_mail(raw: bytes, *, size: int | None = None, trusted_authserv: str | None = None) -> Mail:
    """Return a mail, or its beginning, as our own type; with only the headers, its text is empty.

    Args:
        raw: The bytes, or the first of them.
        size: The size of the whole mail, when ``raw`` is only its beginning.
        trusted_authserv: Whose Authentication-Results count; only the topmost of them is looked at.

    Raises:
        InputError: It cannot be read as a mail at all.
    """
    try:
        message = message_from_bytes(raw)
        rest = max(0, (size or 0) - len(raw))
        from_name, from_address = parseaddr(_header(message, "From"))
        address = fit_line(from_address, 254).lower()
        text, attachments = _content(message, rest)
        return Mail(
            message_id=next(iter(find_ids(_header(message, "Message-ID"))), ""),
            references=_references(message),
            subject=fit_line(_header(message, "Subject")),
            from_name=fit_line(from_name, 200),
            from_address=address,
            headers={name: fit_line(_header(message, name), 300) for name in AUTO_HEADERS if name in message},
            ticket_id=fit_line(_header(message, TICKET_HEADER), 200),
            is_verified=_is_authentic(message, address, trusted_authserv),
            text=text,
            attachments=attachments,
        )
    except (RecursionError, MessageError, ValueError, LookupError, TypeError, AttributeError, AssertionError) as exc:
        # the standard library's parser promises not to raise, and does on some malformed mails
        raise InputError(f"a mail cannot be read ({type(exc).__name__}); look at it in a mail program") from exc


def find_ids(text: str) -> list[str]:
    """Return the message ids in a header, in their order, without angle brackets."""
    return _MESSAGE_ID.findall(text)


def _references(message: Message) -> tuple[str, ...]:
    ids = [*find_ids(_header(message, "References")), *find_ids(_header(message, "In-Reply-To"))]
    unique = list(dict.fromkeys(ids))
    return tuple([*unique[:1], *unique[1:][-(_MAX_REFERENCES - 1) :]])


def _header(message: Message, name: str) -> str:
    value = message.get(name)
    return "" if value is None else _decoded(str(value))


def _decoded(value: str) -> str:
    unfolded = re.sub(r"[\r\n]+", "", value)
    if "=?" not in unfolded:
        return unfolded
    try:
        chunks = decode_header(unfolded)
    except HeaderParseError:  # badly encoded, such as a file's name: no reason to lose the mail
        return unfolded
    return "".join(chunk if isinstance(chunk, str) else decode_bytes(chunk, charset) for chunk, charset in chunks)


def decode_bytes(raw: bytes, charset: str | None) -> str:
    """Return text in the charset that is claimed, else in UTF-8, else in Latin-1, which reads anything."""
    for name in (charset, "utf-8"):
        try:
            return raw.decode(name or "utf-8")
        except (LookupError, ValueError):
            continue
    return raw.decode("latin-1")


def _content(message: Message, rest: int) -> tuple[str, tuple[Attachment, ...]]:
    plain: list[str] = []
    html: list[str] = []
    attachments: list[Attachment] = []
    for part in _leaves(message):
        kind = part.get_content_type()
        is_text = kind in ("text/plain", "text/html") and part.get_content_disposition() != "attachment"
        raw = part.get_payload(decode=True)
        body = raw if isinstance(raw, bytes) else b""
        if is_text and not part.get_filename():
            (plain if kind == "text/plain" else html).append(decode_bytes(body, part.get_content_charset()))
        else:
            attachments.append(_attachment(part, kind, len(body)))
    if rest:
        attachments.append(Attachment(name="(the rest of a long mail, not read)", size_bytes=rest))
    words = own_words("\n".join(plain)) if any(text.strip() for text in plain) else own_words(_from_html(html))
    return fit(words), tuple(attachments)


def _from_html(texts: list[str]) -> str:
    return "\n".join(html_to_text(text) for text in texts)


def _leaves(message: Message) -> Iterator[Message]:
    for number, part in enumerate(message.walk()):
        if number >= _MAX_PARTS:
            return
        if not part.is_multipart():
            yield part


def _attachment(part: Message, kind: str, size: int) -> Attachment:
    name = fit_line(_decoded(part.get_filename() or "") or "unnamed", 300)
    return Attachment(name=name, media_type=fit_line(kind, 200), size_bytes=size)


def _is_authentic(message: Message, address: str, authserv: str | None) -> bool:
    """Tell whether our own mail server says that the sender's domain sent this mail."""
    if not authserv or "@" not in address:
        return False
    for value in message.get_all("Authentication-Results", []):
        results = re.sub(r"\([^()]*\)", " ", _decoded(str(value)))  # comments prove nothing
        server, _, methods = results.partition(";")
        if server.split()[:1] == [authserv]:
            # only the topmost: one below was there before our server, and anybody can write it
            return any(_passes(method, address.rpartition("@")[2]) for method in methods.split(";"))
    return False


def _passes(method: str, domain: str) -> bool:
    words = method.lower().split()
    claims = dict(word.split("=", 1) for word in words if "=" in word)
    proven = {
        "dkim": claims.get("header.d") or claims.get("header.i", ""),
        "spf": claims.get("smtp.mailfrom", ""),
        "dmarc": claims.get("header.from", ""),
    }
    return any(
        claims.get(name) == "pass" and _is_of(value.rpartition("@")[2].strip("\"'"), domain)
        for name, value in proven.items()
    )


def _is_of(proven: str, domain: str) -> bool:
    """Tell whether a proof for one domain covers another: itself, or its organisation's subdomains."""
    return proven == domain or ("." in proven and domain.endswith(f".{proven}"))
