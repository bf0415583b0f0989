"""``[helpdesks.<name>]`` in ``deskhand.toml``: the support systems of a workspace, one table for each.

Secrets never stand in the file: a key that ends in ``_env`` names an environment variable.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from deskhand.schema import Model
from deskhand.tickets import ShortText

EnvironmentName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,127}$")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class HelpdeskBase(Model):
    """What every support system has. ``actor_ids`` are the names under which our own writes come back."""

    actor_ids: tuple[ShortText, ...] = ()
    poll_every_s: Seconds = 60
    max_writes_per_minute: Annotated[int, Field(ge=1, le=10_000)] = 60
    timeout_s: Seconds = 10


class FolderSettings(HelpdeskBase):
    """A watched folder of ticket files, and a folder of outgoing ones; both relative to the workspace."""

    kind: Literal["folder"]
    incoming: str = "tickets/incoming"
    outgoing: str = "tickets/outgoing"


class StandardWebhooksSettings(HelpdeskBase):
    """Any sender that signs as Standard Webhooks say; the payload carries the whole ticket.

    ``secret_envs`` are all valid at once, so that a secret can be rotated. ``reply_url`` receives our actions.
    """

    kind: Literal["standard-webhooks"]
    secret_envs: Annotated[tuple[EnvironmentName, ...], Field(min_length=1)]
    reply_url: str | None = None
    reply_secret_env: EnvironmentName | None = None


class DjangoHelpdeskSettings(HelpdeskBase):
    """A django-helpdesk: its REST API, and a secret in the webhook's path, because it does not sign."""

    kind: Literal["django-helpdesk"]
    base_url: str
    token_env: EnvironmentName
    secret_envs: Annotated[tuple[EnvironmentName, ...], Field(min_length=1)]


class EmailSettings(HelpdeskBase):
    """A mailbox: IMAP for what comes in, SMTP for what goes out."""

    kind: Literal["email"]
    address: str
    imap_host: str
    imap_port: Annotated[int, Field(ge=1, le=65_535)] = 993
    imap_tls: bool = True
    smtp_host: str
    smtp_port: Annotated[int, Field(ge=1, le=65_535)] = 587
    smtp_tls: Literal["starttls", "tls", "none"] = "starttls"
    user: str
    password_env: EnvironmentName
    mailbox: str = "INBOX"


HelpdeskSettings = Annotated[
    FolderSettings | StandardWebhooksSettings | DjangoHelpdeskSettings | EmailSettings, Field(discriminator="kind")
]
