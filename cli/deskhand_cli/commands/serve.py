"""``deskhand serve``: webhooks, the API and the review pages, and the engine that works on what comes in."""

from __future__ import annotations

import asyncio
import getpass
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from deskhand_cli.options import WorkspaceOption, find_folder
from deskhand_cli.output import say

if TYPE_CHECKING:
    from deskhand.config import WorkspaceFolder
    from deskhand.helpdesk_settings import HelpdeskSettings
    from deskhand_server import Serving

HostOption = Annotated[
    str | None, typer.Option("--host", envvar="DESKHAND_HOST", help="The address to listen on; else server.host.")
]
PortOption = Annotated[
    int | None,
    typer.Option("--port", envvar="DESKHAND_PORT", min=0, max=65_535, help="The port, 0 for any; else server.port."),
]

_WEBHOOK_PATHS = {"standard-webhooks": "", "django-helpdesk": "/<the secret>"}
"""What stands behind a helpdesk's name in the address of its webhooks; the others have none."""


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("serve")(serve)


def serve(
    ctx: typer.Context, host: HostOption = None, port: PortOption = None, workspace: WorkspaceOption = None
) -> None:
    """Take in webhooks, work on them, and show what waits for a person; SIGTERM stops it and loses nothing.

    Example: DESKHAND_PASSWORD=... deskhand serve --port 8181
    """
    folder = find_folder(ctx, workspace)
    settings = folder.config.server
    asyncio.run(_serve(folder, host or settings.host, settings.port if port is None else port))


async def _serve(folder: WorkspaceFolder, host: str, port: int) -> None:
    from deskhand.clock import SystemClock
    from deskhand_cli.session import bring_up_to_date
    from deskhand_graphs import Workspace
    from deskhand_runs import open_engine
    from deskhand_server import build_app, serve, take_short_turns

    _log_to_stderr()
    take_short_turns()
    with Workspace.open(folder) as workspace:
        bring_up_to_date(workspace)
        try:
            async with open_engine(workspace, jobs=True) as engine:
                app = build_app(engine, workspace, folder.config.server, SystemClock())
                await serve(app, engine, host=host, port=port, on_start=lambda serving: _greet(folder, serving))
                say("stopped taking in; waiting for what is at work")
        finally:
            await workspace.aclose()
    say("stopped; nothing is lost")


def _greet(folder: WorkspaceFolder, serving: Serving) -> None:
    """Say where it is, how to get in, and what is missing."""
    from deskhand.settings import read_key

    settings = folder.config.server
    say(f"deskhand serves {folder.root.name} on {serving.url}")
    if not read_key(settings.password_env):
        say(f"warning: no password is set; only one-time links log in. Set {settings.password_env} for reviewers")
    if not any(read_key(name) for name in settings.api_key_envs):
        say(f"note: no API key is set; set {settings.api_key_envs[0]} for the API and for /metrics")
    for name, desk in folder.config.helpdesks.items():
        for variable in _unset_variables(desk):
            say(f"warning: {variable} is not set, which helpdesks.{name} needs; set it and start again")
        if desk.kind in _WEBHOOK_PATHS:
            say(f"webhooks of {name}: {settings.public_url.rstrip('/')}/webhooks/{name}{_WEBHOOK_PATHS[desk.kind]}")
    if sys.stderr.isatty():  # a link in a log file would be a key for whoever reads it
        from deskhand_server.sessions import LINK_MINUTES

        token = serving.app.state.desk.access.links.issue(getpass.getuser())
        say(f"log in once, within {LINK_MINUTES} minutes: {serving.url}/login/{token}")


def _unset_variables(desk: HelpdeskSettings) -> list[str]:
    """Return the variables that a helpdesk's table names and that are not set; of those for rotation one is enough."""
    from deskhand.settings import read_key

    named = desk.model_dump()
    single = [value for key, value in named.items() if key.endswith("_env") and value and not read_key(value)]
    several = [value for key, value in named.items() if key.endswith("_envs") and not any(map(read_key, value))]
    return [*single, *(names[0] for names in several)]


def _log_to_stderr() -> None:
    import logging

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("dbos", "httpx", "uvicorn", "chromadb"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
