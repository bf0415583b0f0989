"""Sending one mail by SMTP, so that afterwards it is clear whether it went out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING

from deskhand.errors import ConfigError, InputError, Unavailable
from deskhand.helpdesk_settings import EmailSettings
from deskhand_helpdesks.calls import NoAnswer
from deskhand_helpdesks.credentials import read_secret
from deskhand_helpdesks.mail_parse import TICKET_HEADER
from deskhand_helpdesks.mailbox import tls_context

if TYPE_CHECKING:
    from aiosmtplib import SMTP

_MAX_REFERENCES = 20
# lines are folded at blanks only: at 78 characters the standard library would encode a long Message-ID
_POLICY = policy.SMTP.clone(max_line_length=900, cte_type="7bit")


def build_reply(
    settings: EmailSettings,
    *,
    to: str,
    subject: str,
    text: str,
    message_id: str,
    references: Sequence[str],
    ticket_id: str,
    at: datetime,
) -> EmailMessage:
    """Return a mail that threads below the last of ``references``. Raises InputError for a wrong address."""
    message = EmailMessage(_POLICY)
    try:
        message["From"] = Address(settings.from_name, addr_spec=settings.address)
        message["To"] = Address(addr_spec=to)
    except (ValueError, IndexError, TypeError) as exc:
        raise InputError(f"{to[:80]!r} is not a mail address; answer by hand") from exc
    message["Subject"] = subject
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{message_id}>"
    if references:
        shown = [*references[:1], *references[1:][-(_MAX_REFERENCES - 1) :]]
        message["In-Reply-To"] = f"<{references[-1]}>"
        message["References"] = " ".join(f"<{one}>" for one in shown)
    message[TICKET_HEADER] = ticket_id
    message["X-Auto-Response-Suppress"] = "OOF, AutoReply"
    message.set_content(text.rstrip() + "\n")
    return message


async def send_mail(name: str, settings: EmailSettings, root: Path, message: EmailMessage) -> None:
    """Hand a mail to the SMTP server, byte for byte as it is.

    Raises:
        ConfigError: The login is refused. Nothing was sent.
        InputError: The server refuses the mail for good. Nothing was sent.
        Unavailable: Nothing was sent, and trying again may help.
        NoAnswer: It may have been sent.
    """
    import aiosmtplib

    where = _where(name, settings)
    async with _logged_in(name, settings, root) as client:
        try:
            await client.sendmail(settings.address, [str(message["To"])], message.as_bytes())
        except aiosmtplib.SMTPRecipientsRefused as exc:
            raise _refused(where, max(one.code for one in exc.recipients)) from exc
        except aiosmtplib.SMTPResponseException as exc:
            raise _refused(where, exc.code) from exc
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as exc:
            raise NoAnswer(f"{where}: cut off while sending ({type(exc).__name__}); look into the mailbox") from exc


async def check_login(name: str, settings: EmailSettings, root: Path) -> None:
    """Log in and out again. Raises ConfigError when the login is refused, Unavailable when nobody answers."""
    async with _logged_in(name, settings, root):
        pass


def _where(name: str, settings: EmailSettings) -> str:
    return f"{name}: SMTP {settings.smtp_host}:{settings.smtp_port}"


@asynccontextmanager
async def _logged_in(name: str, settings: EmailSettings, root: Path) -> AsyncIterator[SMTP]:
    import aiosmtplib

    client = aiosmtplib.SMTP(
        hostname=settings.smtp_host,
        port=settings.smtp_port,
        timeout=settings.timeout_s,
        use_tls=settings.smtp_tls == "tls",
        start_tls=settings.smtp_tls == "starttls",
        tls_context=tls_context(settings, root) if settings.smtp_tls != "none" else None,
    )
    try:
        await _log_in(client, name, settings, _where(name, settings))
        yield client
    finally:
        with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
            await client.quit()
        client.close()


async def _log_in(client: SMTP, name: str, settings: EmailSettings, where: str) -> None:
    import aiosmtplib

    try:
        await client.connect()
        if settings.smtp_login:
            await client.login(settings.user, read_secret(name, settings.password_env))
    except aiosmtplib.SMTPAuthenticationError as exc:
        raise ConfigError(
            f"{where}: the login is refused ({exc.code}); check user and the variable {settings.password_env}"
        ) from exc
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as exc:
        raise Unavailable(f"{where}: not reached ({type(exc).__name__}); try again later") from exc


def _refused(where: str, code: int) -> Exception:
    if code >= 500:
        return InputError(f"{where}: the mail is refused ({code}); check the customer's address, answer by hand")
    return Unavailable(f"{where}: not now ({code}); try again later")
