"""``[helpdesks.<name>]`` in ``deskhand.toml``: the support systems of a workspace, one table for each.

Secrets never stand in the file: a key that ends in ``_env`` names an environment variable.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from deskhand.schema import Model
from deskhand.tickets import ShortText

EnvironmentName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,127}$")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
HttpAddress = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+([/?][^\s#]*)?$", max_length=2_000)]
MailAddress = Annotated[str, Field(pattern=r"^[^\s@<>\",;:]+@[A-Za-z0-9.-]+$", max_length=254)]
MailboxName = Annotated[str, Field(pattern=r"^[\x20-\x7e]{1,200}$")]

_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})


class HelpdeskBase(Model):
    """What every support system has.

    Attributes:
        actor_ids: The names under which our own writes come back.
        backlog: What the first poll does with what is older than an hour: ``skip`` leaves it to people, until its
            customer writes again, ``run`` drafts an answer to all of it.
        poll_every_s: How often it is asked what webhooks lost.
        max_writes_per_minute: More than these wait.
        timeout_s: For one call.
    """

    actor_ids: tuple[ShortText, ...] = ()
    backlog: Literal["skip", "run"] = "skip"
    poll_every_s: Seconds = 60
    max_writes_per_minute: Annotated[int, Field(ge=1, le=10_000)] = 60
    timeout_s: Seconds = 10


class FolderSettings(HelpdeskBase):
    """A watched folder of ticket files, and a folder of outgoing ones; both relative to the workspace.

    Whoever puts a file there wants it answered: by default ``backlog`` is ``run``.
    """

    kind: Literal["folder"]
    backlog: Literal["skip", "run"] = "run"
    incoming: str = "tickets/incoming"
    outgoing: str = "tickets/outgoing"


class StandardWebhooksSettings(HelpdeskBase):
    """Any sender that signs as Standard Webhooks say; the payload carries the whole ticket.

    Attributes:
        secret_envs: The variables with signing secrets; all are valid at once, so that one can be rotated.
        reply_url: Receives our actions, signed with the secret of ``reply_secret_env``; without it nothing is
            written back.
        reply_secret_env: The variable with the secret that signs what we send.
        ticket_url: Where a ticket can be read again, with ``{id}`` for its id; without it the payload is all there is.
        ticket_token_env: The variable with the bearer token for ``ticket_url``.
    """

    kind: Literal["standard-webhooks"]
    secret_envs: Annotated[tuple[EnvironmentName, ...], Field(min_length=1)]
    reply_url: HttpAddress | None = None
    reply_secret_env: EnvironmentName | None = None
    ticket_url: HttpAddress | None = None
    ticket_token_env: EnvironmentName | None = None

    @model_validator(mode="after")
    def _complete(self) -> StandardWebhooksSettings:
        if self.reply_url and not self.reply_secret_env:
            raise ValueError("reply_url needs reply_secret_env: what is sent there must be signed")
        if self.ticket_url and "{id}" not in self.ticket_url:
            raise ValueError("ticket_url must hold {id}, where the ticket's id goes")
        return self


class DjangoHelpdeskSettings(HelpdeskBase):
    """A django-helpdesk: its REST API, and a secret in the webhook's path, because it does not sign.

    Attributes:
        base_url: Where its URLs begin, without ``/api``: ``https://desk.example.com/helpdesk``.
        token_env: The variable with the API token of a staff user.
        secret_envs: The variables with the last part of the webhook's path; all are valid at once.
        tag_field: The name of the custom text field that holds tags, separated by commas.
        closed_status: The status number that ``close_ticket`` sets.
        done_statuses: The status numbers that mean nobody waits for an answer.
        verified_submitters: True when only people who logged in can open tickets under their address.
    """

    kind: Literal["django-helpdesk"]
    base_url: HttpAddress
    token_env: EnvironmentName
    secret_envs: Annotated[tuple[EnvironmentName, ...], Field(min_length=1)]
    tag_field: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,49}$")] = "tags"
    closed_status: int = 4
    done_statuses: tuple[int, ...] = (3, 4, 5)
    verified_submitters: bool = False


class EmailSettings(HelpdeskBase):
    """A mailbox: IMAP for what comes in, SMTP for what goes out.

    Attributes:
        address: The address that customers write to, and from which we answer.
        from_name: The name beside it.
        imap_tls: False only on this machine, or with ``allow_plain_text``.
        smtp_tls: ``none`` only on this machine, or with ``allow_plain_text``.
        smtp_login: False for a relay that takes mail without a password.
        allow_plain_text: Let the password travel unencrypted; only for a closed network.
        ca_file: Certificates to trust instead of the system's, relative to the workspace.
        sent_mailbox: Where our copies are kept. They are the proof that a reply was sent: never delete them.
        trusted_authserv: The name under which your own mail server writes Authentication-Results; without it no
            sender counts as verified.
        max_read_bytes: How much of one mail is read; what lies behind is listed, not read.
    """

    kind: Literal["email"]
    address: MailAddress
    from_name: ShortText = ""
    imap_host: str
    imap_port: Annotated[int, Field(ge=1, le=65_535)] = 993
    imap_tls: bool = True
    smtp_host: str
    smtp_port: Annotated[int, Field(ge=1, le=65_535)] = 587
    smtp_tls: Literal["starttls", "tls", "none"] = "starttls"
    smtp_login: bool = True
    allow_plain_text: bool = False
    ca_file: str | None = None
    user: str
    password_env: EnvironmentName
    mailbox: MailboxName = "INBOX"
    sent_mailbox: MailboxName = "Sent"
    trusted_authserv: str | None = None
    max_read_bytes: Annotated[int, Field(ge=65_536, le=50_000_000)] = 1_048_576

    @model_validator(mode="after")
    def _encrypted(self) -> EmailSettings:
        plain = [
            f"{key} = {value} would send the password to {host} in the clear"
            for key, value, host, is_plain in (
                ("imap_tls", "false", self.imap_host, not self.imap_tls),
                ("smtp_tls", '"none"', self.smtp_host, self.smtp_tls == "none" and self.smtp_login),
            )
            if is_plain and host not in _THIS_MACHINE
        ]
        if plain and not self.allow_plain_text:
            raise ValueError(f"{plain[0]}; switch TLS on, or set allow_plain_text = true on a closed network")
        return self


HelpdeskSettings = Annotated[
    FolderSettings | StandardWebhooksSettings | DjangoHelpdeskSettings | EmailSettings, Field(discriminator="kind")
]
