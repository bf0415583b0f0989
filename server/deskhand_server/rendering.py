"""Pages from templates. Everything that is shown is escaped; direction marks and controls are made visible."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from deskhand_server.queue import age
from deskhand_server.sheets import fact

_HERE = Path(__file__).parent
STATIC = _HERE / "static"
_OBEYED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the templates."""
    env = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_plain,
    )
    env.filters |= {"age": age, "fact": fact, "moment": _moment, "percent": _percent}
    return env


def page(template: str, status: int = 200, headers: dict[str, str] | None = None, **values: Any) -> HTMLResponse:
    """Return a page."""
    return HTMLResponse(environment().get_template(template).render(values), status, headers=headers)


@lru_cache(maxsize=1)
def door_style() -> Markup:
    """Return the style of the login page, which stands inside it: its door is all that a stranger gets."""
    return Markup((STATIC / "door.css").read_text(encoding="utf-8"))  # noqa: S704 - a file of ours


@lru_cache(maxsize=1)
def door_csp() -> str:
    """Return the policy of the login page: no script at all, and no style but its own."""
    digest = base64.b64encode(hashlib.sha256(door_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    )


def _plain(value: Any) -> Any:
    """Replace what would turn the direction of a line or has no picture; a name must not look like another one."""
    return _OBEYED.sub("\ufffd", value) if type(value) is str else value


def _moment(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M}"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"
