"""From a table of ``deskhand.toml`` to the helpdesk that it describes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Protocol, runtime_checkable

from deskhand.clock import Clock, SystemClock
from deskhand.helpdesk_settings import (
    DjangoHelpdeskSettings,
    EmailSettings,
    FolderSettings,
    HelpdeskSettings,
    StandardWebhooksSettings,
)
from deskhand.interfaces import Helpdesk
from deskhand_helpdesks.calls import Calls
from deskhand_helpdesks.django_helpdesk import DjangoHelpdesk
from deskhand_helpdesks.email_helpdesk import EmailHelpdesk
from deskhand_helpdesks.folder import FolderHelpdesk
from deskhand_helpdesks.standard_webhooks import StandardWebhooksHelpdesk


@runtime_checkable
class Watched(Protocol):
    """A helpdesk that tells of news by itself: poll it whenever ``watch`` yields."""

    def watch(self) -> AsyncGenerator[None, None]:
        """Yield when there may be news, at once for the first time. Close it when it is no longer needed."""
        ...


@runtime_checkable
class Checked(Protocol):
    """A helpdesk that can tell whether it would work."""

    async def check(self) -> str:
        """Return in a few words what works; nothing is changed anywhere.

        Raises:
            ConfigError: A secret is missing or refused, or an address or a folder is wrong.
            InputError: It refuses something else.
            Unavailable: It does not answer.
        """
        ...


def build_helpdesk(name: str, settings: HelpdeskSettings, root: Path, clock: Clock | None = None) -> Helpdesk:
    """Return the helpdesk ``name``; nothing is opened before its first use.

    Args:
        name: Its name in ``deskhand.toml``, and the ``source`` of its tickets and events.
        settings: Its table.
        root: The workspace, for paths.
        clock: For times that a helpdesk does not give; the system's when left out.
    """
    clock = clock or SystemClock()
    match settings:
        case FolderSettings():
            every_s = min(settings.poll_every_s, 5.0)
            return FolderHelpdesk(root / settings.incoming, root / settings.outgoing, name, every_s)
        case StandardWebhooksSettings():
            return StandardWebhooksHelpdesk(name, settings, Calls(settings.timeout_s), clock)
        case DjangoHelpdeskSettings():
            return DjangoHelpdesk(name, settings, Calls(settings.timeout_s), clock)
        case EmailSettings():
            return EmailHelpdesk(name, settings, root, clock)


async def close_helpdesk(helpdesk: Helpdesk) -> None:
    """Close the connections of a helpdesk; its next use opens new ones."""
    calls = getattr(helpdesk, "calls", None)
    if isinstance(calls, Calls):
        await calls.close()
