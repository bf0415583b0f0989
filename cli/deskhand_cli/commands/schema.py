"""``deskhand schema``: the JSON schema of what deskhand reads and prints."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

_WHERE = {
    "ticket": "deskhand.tickets:Ticket",
    "event": "deskhand.tickets:Event",
    "run": "deskhand.records:RunResult",
    "record": "deskhand.records:RunRecord",
    "review": "deskhand.actions:ReviewRequest",
    "decision": "deskhand.actions:Decision",
    "action": "deskhand.actions:Action",
    "config": "deskhand.config:WorkspaceConfig",
    "taxonomy": "deskhand.config:Taxonomy",
    "article": "deskhand_memory:Article",
}


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("schema")(schema)


def schema(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(_WHERE)}.")],
) -> None:
    """Print the JSON schema of a type.

    Example: deskhand schema ticket
    """
    import importlib

    from deskhand.errors import InputError

    if name not in _WHERE:
        raise InputError(f"no schema {name!r}; there are: {', '.join(_WHERE)}")
    module, _, attribute = _WHERE[name].partition(":")
    model = getattr(importlib.import_module(module), attribute)
    found = model.model_json_schema(mode="serialization" if name in ("run", "record") else "validation")
    typer.echo(json.dumps(found, indent=2 if sys.stdout.isatty() else None, ensure_ascii=False))
