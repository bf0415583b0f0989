"""Where tickets come from and go to: files, folders, and the support systems behind core's ``Helpdesk``."""

from deskhand_helpdesks.connect import Checked, Watched, build_helpdesk, close_helpdesk
from deskhand_helpdesks.django_helpdesk import DjangoHelpdesk
from deskhand_helpdesks.email_helpdesk import EmailHelpdesk
from deskhand_helpdesks.files import LoadedTicket, load_tickets
from deskhand_helpdesks.folder import FolderHelpdesk
from deskhand_helpdesks.signatures import RECIPES, Fault, Genuine, NotGenuine, sign_webhook, verify_request
from deskhand_helpdesks.standard_webhooks import StandardWebhooksHelpdesk, ticket_of

__all__ = [
    "RECIPES",
    "Checked",
    "DjangoHelpdesk",
    "EmailHelpdesk",
    "Fault",
    "FolderHelpdesk",
    "Genuine",
    "LoadedTicket",
    "NotGenuine",
    "StandardWebhooksHelpdesk",
    "Watched",
    "build_helpdesk",
    "close_helpdesk",
    "load_tickets",
    "sign_webhook",
    "ticket_of",
    "verify_request",
]
