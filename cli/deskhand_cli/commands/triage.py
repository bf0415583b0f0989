"""``deskhand triage``: how good is the classifier?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import print_json, print_table, progress, say

if TYPE_CHECKING:
    from deskhand.config import WorkspaceFolder


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
    folds: Annotated[
        int | None, typer.Option("--folds", min=2, help="Cross-validate on the labelled tickets in so many folds.")
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score the categories on a golden set, or with --folds on labelled tickets that were held out.

    Example: deskhand triage evaluate --folds 5
    """
    from deskhand_cli.session import bring_up_to_date
    from deskhand_evals import evaluate_triage
    from deskhand_graphs import Workspace

    folder = find_folder(ctx, workspace)
    if folds is not None:
        _cross_validate(folder, golden, folds, as_json)
        return
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


def _cross_validate(folder: WorkspaceFolder, golden: Path | None, n_folds: int, as_json: bool) -> None:
    from deskhand.errors import InputError
    from deskhand_evals.cross_validation import cross_validate_triage
    from deskhand_graphs import Workspace

    if golden is not None:
        raise InputError("--folds and --golden: folds are of the labelled tickets; give one of them")
    with Workspace.open(folder) as opened, progress("folds") as report:
        figures = cross_validate_triage(opened, n_folds, progress=report)
    if as_json:
        print_json(figures)
        return
    rows = [(f"fold {n}", fold["n"], f"{fold['accuracy']:.1%}", "", f"{fold['macro_f1']:.3f}", "")
            for n, fold in enumerate(figures["folds"], start=1)]  # fmt: skip
    columns = ("arm", "n", "accuracy", "95 % interval", "macro F1", "ECE")
    print_table(columns, (*rows, _row("held out", figures)))


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
