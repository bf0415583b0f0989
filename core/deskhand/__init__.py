"""deskhand: agents for customer support that cite, ask before they act, and can be measured.

This package is the room `core`: what every other room shares. Import from its modules
(``from deskhand.tickets import Ticket``); nothing heavy is imported here, so that the command
line starts fast.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
