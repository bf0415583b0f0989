"""``deskhand eval aa`` and ``sweep``: the gate itself is tested, and settings are tried."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from deskhand_cli.eval_options import DEFAULT_SUITE, Asking, HtmlOption, PartOption, Size, SuiteArgument, open_bench
from deskhand_cli.eval_output import print_ranked, print_rules, rule_json
from deskhand_cli.option_groups import spread
from deskhand_cli.options import JsonOption, WorkspaceOption
from deskhand_cli.output import print_json, progress, say


def register(group: typer.Typer) -> None:
    """Add the commands to ``deskhand eval``."""
    group.command("aa")(aa)
    group.command("sweep")(spread(sweep))


def aa(
    ctx: typer.Context,
    suite: SuiteArgument = DEFAULT_SUITE,
    report: Annotated[str | None, typer.Option("--report", help="An experiment; else the suite's newest.")] = None,
    noise: Annotated[
        float | None, typer.Option("--noise", min=0, max=0.5, help="Chance that a score is turned over; else measured.")
    ] = None,
    repeats: Annotated[int | None, typer.Option("--repeats", min=1, help="To test with; else the report's.")] = None,
    simulations: Annotated[int, typer.Option("--simulations", min=100, help="Comparisons for each figure.")] = 1_000,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Test the gate itself: how often it fails when nothing changed, and how often it sees the drop it looks for.

    'sees' is the smallest drop that the cases and repeats show; a planted drop that is not seen is INCONCLUSIVE.

    Example: deskhand eval aa evals/suite.toml --noise 0.1
    """
    from deskhand.errors import InputError
    from deskhand_evals import RunOptions
    from deskhand_evals.selftest import check_rules

    bench = open_bench(ctx, workspace)
    loaded = bench.suite(suite)
    newest = (found for found in bench.experiments.list() if found.suite == loaded.file.name)
    tested = bench.experiments.load(report) if report else next(newest, None) or bench.run(loaded, RunOptions(say=say))
    with progress("testing rules") as show_progress:
        found = check_rules(tested, noise=noise, repeats=repeats, n=simulations, progress=show_progress)
    if not found:
        raise InputError(f"{suite}: no rule looks for a drop; add gate = {{ max_drop = 0.05 }} to a scorer")
    if as_json:
        print_json({"report": tested.id, "rules": [rule_json(rule) for rule in found]})
    else:
        print_rules(found)


def sweep(
    ctx: typer.Context,
    asking: Asking,
    size: Size,
    suite: SuiteArgument = DEFAULT_SUITE,
    choices: Annotated[
        list[str] | None, typer.Option("--set", help="A setting and its values, such as memory.top_k=4,8.")
    ] = None,
    measure: Annotated[str | None, typer.Option("--measure", help="Of quality; else the first of the part.")] = None,
    part: PartOption = None,
    html: HtmlOption = None,
    svg: Annotated[Path | None, typer.Option("--svg", help="Write the plot of cost against quality there.")] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a suite with every combination of settings; show which no other beats in quality, cost and latency.

    A setting is a key of deskhand.toml, prompts.<name> with files, or part.<name>.options.<option>.

    Example: deskhand eval sweep evals/suite.toml --part retrieval --set memory.top_k=4,8
    """
    from deskhand.errors import InputError
    from deskhand.jsonio import write_atomic
    from deskhand_evals import RunOptions
    from deskhand_evals.plots import frontier_svg
    from deskhand_evals.ranking import choose, rank
    from deskhand_evals.reports import sweep_page
    from deskhand_evals.sweep import Sweep, grid, parse_choices

    if not choices:
        raise InputError("nothing to try; name settings, such as --set memory.top_k=4,8")
    arms = grid(parse_choices(choices))
    bench = open_bench(ctx, workspace)
    loaded = bench.suite(suite)
    with progress("running cases") as show_progress:
        options = RunOptions(
            repeats=size.repeats, concurrency=size.concurrency, fresh=True, mode=asking.mode,
            only=tuple(part or ()), progress=show_progress, say=say,
        )  # fmt: skip
        reports = asyncio.run(Sweep(loaded, bench.folder, options).run(arms))
    chosen = choose(reports[0], part[0] if part else None, measure)
    rows = rank(reports, chosen.part.name, chosen.measure.name)
    title = f"{chosen.part.name} {chosen.measure.name}"
    if svg:
        write_atomic(svg, frontier_svg(rows, title, standalone=True))
    if html:
        write_atomic(html, sweep_page(loaded.file.name, title, rows))
    if as_json:
        print_json({"measure": title, "arms": [row._asdict() for row in rows]})
    else:
        print_ranked(rows, with_settings=True)
