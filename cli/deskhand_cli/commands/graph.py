"""``deskhand graph show``: the nodes and edges of a graph."""

from __future__ import annotations

from typing import Annotated

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import print_json, print_table


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at the graphs of a workspace.")
    group.command("show")(show)
    app.add_typer(group, name="graph")


def show(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(help="The graph; the workspace's default when left out.")] = None,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print a Mermaid diagram.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the nodes of a graph and where each leads.

    Example: deskhand graph show support --mermaid
    """
    from deskhand_graphs import Workspace

    with Workspace.open(find_folder(ctx, workspace)) as opened:
        drawn = opened.graph(name or opened.folder.config.graphs.default).compile().get_graph()
    edges = [(edge.source, edge.target, bool(edge.conditional)) for edge in drawn.edges]
    if mermaid:
        typer.echo(drawn.draw_mermaid())
    elif as_json:
        print_json(
            {
                "nodes": list(drawn.nodes),
                "edges": [{"from": a, "to": b, "conditional": maybe} for a, b, maybe in edges],
            }
        )
    else:
        rows = [
            (node, ", ".join(f"{b}{'?' if maybe else ''}" for a, b, maybe in edges if a == node))
            for node in drawn.nodes
        ]
        print_table(("node", "leads to (? where it depends)"), rows)
