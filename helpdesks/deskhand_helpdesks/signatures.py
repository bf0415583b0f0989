"""One verifier for every webhook, over a table of recipes.

Nothing in here parses a body: a signature is checked over the bytes as they came.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from deskhand.errors import ConfigError, InputError
from deskhand.interfaces import Request

TOLERANCE = timedelta(seconds=300)
"""How old, or how far ahead, a signed time may be."""

_TOKEN = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,512}")  # printable, without spaces and commas: a joined header has one
_log = logging.getLogger(__name__)


class Fault(StrEnum):
    """Why a request was refused; the log's word for it."""

    missing = "missing"
    duplicate = "duplicate"
    malformed = "malformed"
    mismatch = "mismatch"
    too_old = "too_old"
    ahead = "ahead"


class NotGenuine(InputError):
    """A request that is not what it claims to be. ``fault`` says why, for logs; the sender learns no more."""

    def __init__(self, provider: str, fault: Fault, detail: str) -> None:
        super().__init__(f"{provider}: {detail} ({fault}); check the secret on both sides and both clocks")
        self.fault = fault


class Genuine(NamedTuple):
    """What was proven. ``secret_index`` is the place of the secret that matched, 0 for the first."""

    secret_index: int


@dataclass(frozen=True)
class Recipe:
    """How one provider proves that a request is its own.

    Attributes:
        header: Where the signature or the shared secret stands; empty when it is in the path.
        parts: What is joined and signed: ``{id}``, ``{ts}``, ``{body}``, ``{method}``, ``{uri}``, ``{secret}``.
        hash: The hash, of the HMAC or, for ``plain``, by itself; empty for a shared secret.
        encoding: How the digest is written.
        prefix: What stands before the digest.
        timestamp: The header with the signed time.
        unit: Its unit.
        id: The header with the delivery's id.
        alias: What may stand for ``webhook-`` in the names of headers.
        is_list: Several signatures may stand in the header, separated by spaces.
        is_plain: A plain hash over the secret too, not an HMAC.
        is_base64_key: The secret is base64 behind ``whsec_``.
        carrier: For a shared secret: the last part of the path, a header, or the password of basic auth.
    """

    header: str = ""
    parts: str = "{body}"
    hash: Literal["", "sha1", "sha256"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    timestamp: str = ""
    unit: Literal["s", "ms", "iso"] = "s"
    id: str = ""
    alias: str = ""
    is_list: bool = False
    is_plain: bool = False
    is_base64_key: bool = False
    carrier: Literal["signature", "path", "header", "basic"] = "signature"


RECIPES: dict[str, Recipe] = {
    "standard-webhooks": Recipe(
        "webhook-signature",
        "{id}.{ts}.{body}",
        encoding="base64",
        prefix="v1,",
        timestamp="webhook-timestamp",
        id="webhook-id",
        alias="svix-",
        is_list=True,
        is_base64_key=True,
    ),
    "github": Recipe("X-Hub-Signature-256", prefix="sha256="),
    "jira": Recipe("X-Hub-Signature", prefix="sha256="),
    "slack": Recipe("X-Slack-Signature", "v0:{ts}:{body}", prefix="v0=", timestamp="X-Slack-Request-Timestamp"),
    "hubspot": Recipe(
        "X-HubSpot-Signature-v3",
        "{method}{uri}{body}{ts}",
        encoding="base64",
        timestamp="X-HubSpot-Request-Timestamp",
        unit="ms",
    ),
    "hubspot-v2": Recipe("X-HubSpot-Signature", "{secret}{method}{uri}{body}", is_plain=True),
    "hubspot-v1": Recipe("X-HubSpot-Signature", "{secret}{body}", is_plain=True),
    "zendesk": Recipe(
        "X-Zendesk-Webhook-Signature",
        "{ts}{body}",
        encoding="base64",
        timestamp="X-Zendesk-Webhook-Signature-Timestamp",
        unit="iso",
    ),
    "intercom": Recipe("X-Hub-Signature", hash="sha1", prefix="sha1="),
    "zammad": Recipe("X-Hub-Signature", hash="sha1", prefix="sha1="),
    "chatwoot": Recipe("X-Chatwoot-Signature", "{ts}.{body}", prefix="sha256=", timestamp="X-Chatwoot-Timestamp"),
    "helpscout": Recipe("X-HelpScout-Signature", hash="sha1", encoding="base64"),
    "front-app": Recipe(
        "X-Front-Signature",
        "{ts}:{body}",
        encoding="base64",
        timestamp="X-Front-Request-Timestamp",
        unit="ms",
    ),
    "front-rule": Recipe("X-Front-Signature", hash="sha1", encoding="base64"),
    "freshdesk": Recipe("X-Deskhand-Secret", hash="", carrier="header"),
    "gorgias": Recipe("X-Deskhand-Secret", hash="", carrier="header"),
    "znuny": Recipe("Authorization", hash="", carrier="basic"),
    "django-helpdesk": Recipe(hash="", carrier="path"),
}
"""One row for each provider. A Request Tracker scrip that we ship signs as Standard Webhooks say."""


def verify_request(provider: str, request: Request, secrets: Sequence[str], now: datetime) -> Genuine:
    """Return which secret proves that ``request`` is genuine. All secrets are tried, in constant time each.

    Args:
        provider: A row of ``RECIPES``.
        request: The body raw; the URL as the public sees it; a header that came twice joined by commas.
        secrets: All that are valid now, as configured.
        now: The time to compare a signed time with.

    Raises:
        NotGenuine: It is not; ``fault`` says why.
        ConfigError: A secret cannot be one of this provider, or there is none.
    """
    if not secrets or not all(secrets):
        raise ConfigError(f"{provider}: no secret to verify webhooks with; set the variables of secret_envs")
    check = _Check(provider, RECIPES[provider], request, tuple(secrets), now)
    genuine = check.by_signature() if check.recipe.carrier == "signature" else check.by_shared_secret()
    _log.debug("%s: a request is genuine by secret %d", provider, genuine.secret_index)
    return genuine


def read_header(request: Request, name: str) -> str | None:
    """Return a header's value whatever its case, None when it is missing. Raises InputError for a repeated one."""
    values = [value for key, value in request.headers.items() if key.lower() == name.lower()]
    if len(values) > 1:
        raise NotGenuine(name, Fault.duplicate, "the header came twice")
    return values[0] if values else None


def sign_webhook(secret: str, delivery_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers that sign ``body`` as Standard Webhooks say. Raises ConfigError for a wrong secret."""
    stamp = str(int(at.timestamp()))
    signed = b".".join((delivery_id.encode(), stamp.encode(), body))
    digest = hmac.digest(_decode_key("standard-webhooks", secret), signed, "sha256")
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": delivery_id, "webhook-timestamp": stamp, "webhook-signature": signature}


@dataclass(frozen=True)
class _Check:
    provider: str
    recipe: Recipe
    request: Request
    secrets: tuple[str, ...]
    now: datetime

    def by_signature(self) -> Genuine:
        given = self._given()
        stamp = self._token(self.recipe.timestamp)
        at = self._time(stamp) if stamp else None
        delivery_id = self._token(self.recipe.id)
        expected = [self._expected(secret, stamp, delivery_id) for secret in self.secrets]
        genuine = self._match(given, expected, "the signature does not fit the body")
        if at is not None:
            self._check_window(at)
        return genuine

    def by_shared_secret(self) -> Genuine:
        given = self._shared()
        return self._match([given.encode()], [secret.encode() for secret in self.secrets], "the secret is wrong")

    def _refuse(self, fault: Fault, detail: str) -> NotGenuine:
        return NotGenuine(self.provider, fault, detail)

    def _header(self, name: str) -> str:
        value = read_header(self.request, name)
        if value is None and self.recipe.alias:
            value = read_header(self.request, name.replace("webhook-", self.recipe.alias))
        if value is None:
            raise self._refuse(Fault.missing, f"there is no header {name}")
        return value

    def _token(self, name: str) -> str:
        """Return a header that is one word, or '' when the recipe has none of the kind."""
        if not name:
            return ""
        value = self._header(name)
        if "," in value:
            raise self._refuse(Fault.duplicate, f"{name} came twice")
        if not _TOKEN.fullmatch(value):
            raise self._refuse(Fault.malformed, f"{name} cannot be read")
        return value

    def _given(self) -> list[bytes]:
        """Return the signatures in the header, as bytes and without their prefix."""
        recipe, value = self.recipe, self._header(self.recipe.header)
        entries = value.split(" ") if recipe.is_list else [value]
        if any(entry.endswith(",") and entry != recipe.prefix for entry in entries) or (
            not recipe.is_list and "," in value
        ):
            raise self._refuse(Fault.duplicate, f"{recipe.header} came twice")
        known = [entry.removeprefix(recipe.prefix) for entry in entries if entry.startswith(recipe.prefix)]
        if not any(_TOKEN.fullmatch(entry) for entry in known):
            raise self._refuse(Fault.malformed, f"{recipe.header} holds no signature of a known kind")
        return [entry.encode() for entry in known[:16] if _TOKEN.fullmatch(entry)]

    def _shared(self) -> str:
        if self.recipe.carrier == "path":
            secret = unquote(urlsplit(self.request.url).path.rpartition("/")[2])
        elif self.recipe.carrier == "basic":
            secret = self._password()
        else:
            secret = self._token(self.recipe.header)
        if not secret:
            raise self._refuse(Fault.missing, "there is no secret in the request")
        return secret

    def _password(self) -> str:
        scheme, _, encoded = self._header(self.recipe.header).partition(" ")
        try:
            text = base64.b64decode(encoded.strip(), validate=True).decode()
        except (ValueError, binascii.Error) as exc:
            raise self._refuse(Fault.malformed, "the Authorization header cannot be read") from exc
        if scheme.lower() != "basic" or ":" not in text:
            raise self._refuse(Fault.malformed, "the Authorization header is not basic auth")
        return text.partition(":")[2]

    def _expected(self, secret: str, stamp: str, delivery_id: str) -> bytes:
        values = {
            "id": delivery_id.encode(),
            "ts": stamp.encode(),
            "body": self.request.body,
            "method": self.request.method.encode(),
            "uri": self.request.url.encode(),
            "secret": secret.encode(),
        }
        pieces = re.split(r"\{(\w+)\}", self.recipe.parts)  # text, name, text, name, ..., text
        signed = b"".join(values[piece] if n % 2 else piece.encode() for n, piece in enumerate(pieces))
        digest = self._digest(secret, signed)
        return (digest.hex() if self.recipe.encoding == "hex" else base64.b64encode(digest).decode()).encode()

    def _digest(self, secret: str, signed: bytes) -> bytes:
        if self.recipe.is_plain:
            return hashlib.new(self.recipe.hash, signed).digest()
        key = _decode_key(self.provider, secret) if self.recipe.is_base64_key else secret.encode()
        return hmac.digest(key, signed, self.recipe.hash)

    def _match(self, given: Sequence[bytes], expected: Sequence[bytes], detail: str) -> Genuine:
        # no early way out: how long it takes does not tell which secret, or how much of it, was right
        matched = [any([hmac.compare_digest(one, wanted) for one in given]) for wanted in expected]
        if not any(matched):
            raise self._refuse(Fault.mismatch, detail)
        return Genuine(matched.index(True))

    def _time(self, stamp: str) -> datetime:
        try:
            if self.recipe.unit == "iso":
                at = datetime.fromisoformat(stamp)
                if at.tzinfo is None:
                    raise ValueError("without a time zone")
                return at.astimezone(UTC)
            if not re.fullmatch(r"[0-9]{1,15}", stamp):
                raise ValueError("not a whole number")
            return datetime.fromtimestamp(int(stamp) / (1000 if self.recipe.unit == "ms" else 1), UTC)
        except (ValueError, OverflowError, OSError) as exc:
            raise self._refuse(Fault.malformed, f"{self.recipe.timestamp} is not a time") from exc

    def _check_window(self, at: datetime) -> None:
        if self.now - at > TOLERANCE:
            raise self._refuse(Fault.too_old, f"it was signed more than {TOLERANCE.seconds} s ago")
        if at - self.now > TOLERANCE:
            raise self._refuse(Fault.ahead, f"it was signed more than {TOLERANCE.seconds} s in the future")


def _decode_key(provider: str, secret: str) -> bytes:
    encoded = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if not 24 <= len(key) <= 64:
        raise ConfigError(f"{provider}: a secret is 'whsec_' and 24 to 64 bytes in base64; set the variable anew")
    return key
