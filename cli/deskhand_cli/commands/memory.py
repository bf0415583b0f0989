"""``deskhand memory``: the knowledge that drafts quote from."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import print_json, print_table, progress, say


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Read knowledge in and search it.")
    group.command("ingest")(ingest)
    group.command("search")(search)
    group.command("evaluate")(evaluate)
    group.command("check")(check)
    group.command("rebuild")(rebuild)
    app.add_typer(group, name="memory")


def ingest(
    ctx: typer.Context,
    paths: Annotated[list[Path] | None, typer.Argument(help="Files or folders; knowledge/ when left out.")] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read articles (Markdown or JSONL) into the knowledge; only what changed is read again.

    Example: deskhand memory ingest
    """
    from deskhand_memory import Knowledge

    with Knowledge.open(find_folder(ctx, workspace)) as knowledge, progress("reading knowledge") as report:
        result = knowledge.ingest(paths or None, progress=report)
    if as_json:
        print_json(asdict(result))
    else:
        typer.echo(
            f"{result.n_articles} articles, {result.n_chunks} chunks: {result.added} added, {result.changed} changed,"
            f" {result.removed} removed, {result.unchanged} unchanged"
        )


def search(
    ctx: typer.Context,
    query: Annotated[str, typer.Argument(help="A question in plain words, or an identifier.")],
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, max=50, help="The most passages.")] = 5,
    internal: Annotated[bool, typer.Option("--internal", help="Search internal articles too.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search the knowledge as the agents do.

    Example: deskhand memory search "how long do I have to return it"
    """
    from deskhand.clock import SystemClock
    from deskhand_memory import Knowledge

    folder = find_folder(ctx, workspace)
    with Knowledge.open(folder) as knowledge:
        if knowledge.is_stale():
            with progress("reading knowledge") as report:
                knowledge.ingest(progress=report)
        found = knowledge.search(
            query,
            top_k=top_k,
            min_similarity=folder.config.memory.min_similarity,
            on=SystemClock().now().date(),
            audience="internal" if internal else "public",
        )
    if as_json:
        print_json([passage.model_dump(mode="json") for passage in found])
    elif found:
        print_table(
            ("score", "by", "passage", "title", "text"),
            ((f"{p.score:.2f}", p.found_by, p.id, p.title, p.text) for p in found),
        )
    else:
        say("nothing found; try other words, or add articles to knowledge/")


def evaluate(
    ctx: typer.Context,
    golden: Annotated[
        Path | None, typer.Option("--golden", help="A golden set, JSONL; golden/retrieval.jsonl when left out.")
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score the search on a golden set.

    Example: deskhand memory evaluate
    """
    from deskhand.clock import SystemClock
    from deskhand_cli.session import bring_up_to_date
    from deskhand_evals import evaluate_retrieval
    from deskhand_graphs import Workspace

    folder = find_folder(ctx, workspace)
    with Workspace.open(folder) as opened:
        bring_up_to_date(opened)
        path = golden or folder.root / "golden" / "retrieval.jsonl"
        figures = evaluate_retrieval(opened, path, on=SystemClock().now().date())
    if as_json:
        print_json(figures)
        return
    rows = [("as configured", figures), *figures["arms"].items()]
    print_table(
        ("arm", "n", "recall@5", "MRR", "nDCG@5", "recall@5 by kind"),
        (
            (
                name,
                arm["n"],
                f"{arm['recall_at_5']:.1%}",
                f"{arm['mrr']:.3f}",
                f"{arm['ndcg_at_5']:.3f}",
                ", ".join(f"{kind} {share:.0%}" for kind, share in arm["by_kind"].items()),
            )
            for name, arm in rows
        ),
    )


def check(ctx: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Check that every stored passage can be found by its own vector.

    Example: deskhand memory check
    """
    from deskhand_memory import Knowledge

    with Knowledge.open(find_folder(ctx, workspace)) as knowledge:
        problems = knowledge.check()
    if as_json:
        print_json({"problems": problems})
    else:
        typer.echo("\n".join(problems) or "the index is right")
    if problems:
        say("next: deskhand memory rebuild")
        raise typer.Exit(1)


def rebuild(ctx: typer.Context, workspace: WorkspaceOption = None) -> None:
    """Build the Chroma index anew from knowledge.db.

    Example: deskhand memory rebuild
    """
    from deskhand_memory import Knowledge

    with Knowledge.open(find_folder(ctx, workspace)) as knowledge:
        knowledge.rebuild()
    say("the index was built anew")
