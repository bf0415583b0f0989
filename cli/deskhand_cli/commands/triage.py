"""``deskhand triage``: how good is the classifier?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import print_json, print_table, progress, say


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Measure the classifier.")
    group.command("evaluate")(evaluate)
    app.add_typer(group, name="triage")


def evaluate(
    ctx: typer.Context,
    golden: Annotated[
        Path | None, typer.Option("--golden", help="A golden set, JSONL; golden/triage.jsonl when left out.")
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score the categories on a golden set.

    Example: deskhand triage evaluate
    """
    from deskhand_cli.session import bring_up_to_date
    from deskhand_evals import evaluate_triage
    from deskhand_graphs import Workspace

    folder = find_folder(ctx, workspace)
    with Workspace.open(folder) as opened:
        bring_up_to_date(opened)
        with progress("tickets") as report:
            figures = evaluate_triage(opened, golden or folder.root / "golden" / "triage.jsonl", report)
    if as_json:
        print_json(figures)
        return
    rows = [("read languages", figures), *figures["arms"].items()]
    print_table(("arm", "n", "accuracy", "95 % interval", "macro F1", "ECE"), (_row(name, arm) for name, arm in rows))
    for sample_id, truth, guess in figures["wrong"]:
        say(f"{sample_id}: {truth or 'no category'} was taken for {guess or 'no category'}")


def _row(name: str, arm: dict[str, Any]) -> tuple[object, ...]:
    low, high = arm["interval"]
    return (
        name,
        arm["n"],
        f"{arm['accuracy']:.1%}",
        f"{low:.1%} - {high:.1%}",
        f"{arm['macro_f1']:.3f}",
        f"{arm['ece']:.3f}",
    )
