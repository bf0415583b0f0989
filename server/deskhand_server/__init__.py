"""HTTP: webhooks in, an API, and review pages."""

from deskhand_server.app import build_app
from deskhand_server.desk import Desk, Service
from deskhand_server.serving import Serving, serve, take_short_turns

__all__ = ["Desk", "Service", "Serving", "build_app", "serve", "take_short_turns"]
