"""Forms: reading them, and knowing that they are ours."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from deskhand_server.bodies import Refused, read_body
from deskhand_server.desk import desk_of
from deskhand_server.shell import VISITOR

if TYPE_CHECKING:
    from fastapi import Request

    from deskhand_server.access import Visitor

_MAX_BYTES = 2_000_000
_MAX_FIELDS = 500

Form = dict[str, list[str]]


async def read_fields(request: Request) -> Form:
    """Return a form's fields. Raises Refused when it is too long or not a form."""
    body = await read_body(request, _MAX_BYTES)
    try:
        return parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError:
        raise Refused(400, "bad_form", "the form cannot be read; go back and send it again") from None


async def read_own_form(request: Request) -> Form:
    """Return the fields of a form that we gave to this very session. Raises Refused for any other."""
    fields = await read_fields(request)
    session = visitor_of(request).session
    anchor = session.id if session else ""
    if not desk_of(request).access.sessions.is_form_token(anchor, field(fields, "csrf")):
        raise Refused(403, "foreign_form", "this form is not from this login; load the page again and repeat it")
    return fields


def form_token(request: Request) -> str:
    """Return what a form of this session must carry; empty for an API key, which sends no forms."""
    session = visitor_of(request).session
    return desk_of(request).access.sessions.form_token(session.id) if session else ""


def visitor_of(request: Request) -> Visitor:
    """Return who sent a request that came through the door."""
    visitor: Visitor = request.scope[VISITOR]
    return visitor


def field(fields: Form, name: str) -> str:
    """Return the last value of a field; empty when it is not there."""
    return fields.get(name, [""])[-1]
