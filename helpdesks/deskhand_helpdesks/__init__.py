"""Where tickets come from and go to: files, folders, and the support systems behind core's ``Helpdesk``."""

from deskhand_helpdesks.files import LoadedTicket, load_tickets
from deskhand_helpdesks.folder import FolderHelpdesk

__all__ = ["FolderHelpdesk", "LoadedTicket", "load_tickets"]
