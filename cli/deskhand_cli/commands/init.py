"""``deskhand init``: make an empty workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deskhand_cli.output import say

_FILES = {
    "deskhand.toml": """schema = 1
# mode = "shadow"           # run everything, write nothing back

[brand]
name = "{name}"
signature = "The {name} support team"
greetings = {{ en = "Hello {{name}}," }}
nameless_greetings = {{ en = "Hello," }}

[memory]
top_k = 8                   # passages a draft may quote from
min_similarity = 0.30       # cosine similarity, -1 to 1

# [orders]
# database = "orders.db"    # SQLite, read only; its tables are in docs/workspace.md

# [graphs.own]
# my_graph = "my_graphs:build"
""",
    "taxonomy.toml": """schema = 1

# [[category]]
# id = "delivery"
# name = "Delivery"
# description = "Where is my parcel; late, lost or misdirected deliveries."
# team = "logistics"

# [[team]]
# id = "logistics"
# name = "Logistics"
""",
    "policy.toml": """schema = 1

# Without a rule: read tools run, write and money tools are refused, a reply needs approval.
# [[rule]]
# tool = "add_tag"
# verdict = "allowed"
""",
    ".gitignore": ".deskhand/\n",
    "tickets/labelled.jsonl": "",
    "tickets/example.json": """{
  "id": "EXAMPLE-1",
  "subject": "My parcel",
  "requester": {"id": "C-1", "name": "Ann Lee", "email": "ann@example.com"},
  "messages": [
    {"id": "m1", "author": "Ann Lee", "role": "customer", "at": "2026-11-20T12:00:00Z",
     "text": "How many days does a parcel take?"}
  ],
  "created_at": "2026-11-20T12:00:00Z",
  "updated_at": "2026-11-20T12:00:00Z"
}
""",
}
_FOLDERS = ("knowledge", "tickets/incoming", "golden", "prompts")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("init")(init)


def init(
    folder: Annotated[Path, typer.Argument(help="The folder to make; here when left out.")] = Path(),
) -> None:
    """Make an empty, valid workspace.

    Example: deskhand init my-support
    """
    from deskhand.errors import InputError, StoreError

    target = folder.resolve()
    if (target / "deskhand.toml").exists():
        raise InputError(f"{target}: is a workspace already; edit its deskhand.toml or name another folder")
    taken = [name for name in _FILES if (target / name).exists() and name != ".gitignore"]
    if taken:
        raise InputError(f"{target / taken[0]}: exists already; move it away or name another folder")
    try:
        _write(target)
    except OSError as exc:
        raise StoreError(f"{target}: cannot be written ({exc.strerror}); name a folder you may write to") from exc
    say(f"made {target}")
    say(f"next: put articles (Markdown) into {folder / 'knowledge'}, categories into {folder / 'taxonomy.toml'}, then")
    say(f"      deskhand run --ticket {folder / 'tickets' / 'example.json'} --workspace {folder}")
    say("      Your own tickets look like that one; 'deskhand schema ticket' has every key")


def _write(target: Path) -> None:
    for name in _FOLDERS:
        (target / name).mkdir(parents=True, exist_ok=True)
    for name, text in _FILES.items():
        path = target / name
        if not path.exists():
            path.write_text(text.format(name=_title(target)) if name == "deskhand.toml" else text, encoding="utf-8")


def _title(target: Path) -> str:
    plain = "".join(char for char in target.name if char.isalnum() or char in " -_").strip(" -_")
    return plain.replace("-", " ").replace("_", " ").title() or "Our"
