"""``deskhand eval list``, ``show``, ``compare``, ``best`` and ``export``: experiments that are stored."""

from __future__ import annotations

from typing import Annotated

import typer

from deskhand_cli.eval_options import BaselineOption, Forms, HtmlOption, ReportArgument, open_bench
from deskhand_cli.eval_output import as_json_value, print_changes, print_ranked, print_report, write_forms
from deskhand_cli.options import JsonOption, WorkspaceOption
from deskhand_cli.output import print_json, print_table, say


def register(group: typer.Typer) -> None:
    """Add the commands to ``deskhand eval``."""
    group.command("list")(list_experiments)
    for command in (show, compare, best, export):
        group.command(command.__name__)(command)


def list_experiments(ctx: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List finished experiments, newest first.

    Example: deskhand eval list
    """
    reports = open_bench(ctx, workspace).experiments.list()
    if as_json:
        for report in reports:
            print_json(
                {"id": report.id, "created_at": report.created_at, "suite": report.suite, "n": len(report.rows),
                 "n_failed": report.n_failed, "cost_usd": report.cost_usd}
            )  # fmt: skip
    elif reports:
        rows = [(r.id, r.created_at, r.suite, len(r.rows), r.n_failed, f"{r.cost_usd:.4f}") for r in reports]
        print_table(("id", "when", "suite", "rows", "failed", "USD"), rows, whole=("id",))
    else:
        say("no experiments; run one with 'deskhand eval run evals/suite.toml'")


def show(
    ctx: typer.Context,
    report: ReportArgument = "latest",
    html: HtmlOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the figures of an experiment.

    Example: deskhand eval show latest --html report.html
    """
    from deskhand_evals import verdict

    bench = open_bench(ctx, workspace)
    found = bench.experiments.load(report)
    judged = verdict(found)
    write_forms(bench, Forms(html=html), found, judged)
    if as_json:
        print_json(as_json_value(found, judged))
    else:
        print_report(found)


def compare(
    ctx: typer.Context,
    before: ReportArgument,
    after: ReportArgument = "latest",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two experiments case by case; many measures are corrected for (Benjamini and Hochberg).

    Example: deskhand eval compare exp-1k2 latest
    """
    from deskhand_evals.comparison import compare_reports

    experiments = open_bench(ctx, workspace).experiments
    found = compare_reports(experiments.load(before), experiments.load(after))
    if as_json:
        print_json([line._asdict() for line in found])
    else:
        print_changes(found)


def best(
    ctx: typer.Context,
    measure: Annotated[str | None, typer.Argument(help="Such as 'recall'; else the first of the suite.")] = None,
    part: Annotated[
        str | None, typer.Option("--part", help="The part of the measure; else the first that has it.")
    ] = None,
    suite: Annotated[str | None, typer.Option("--suite", help="The suite's name; else that of the newest run.")] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many to show.")] = 10,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rank experiments by a measure, and say which are surely worse than the best one.

    Example: deskhand eval best recall --part retrieval
    """
    from deskhand_evals.ranking import rank

    reports = open_bench(ctx, workspace).experiments.list()
    name = suite or (reports[0].suite if reports else None)
    rows = rank([report for report in reports if report.suite == name], part, measure)[:top]
    if as_json:
        print_json([row._asdict() for row in rows])
    else:
        print_ranked(rows)


def export(
    ctx: typer.Context,
    report: ReportArgument = "latest",
    mlflow: Annotated[
        str,
        typer.Option(
            "--mlflow", envvar="MLFLOW_TRACKING_URI", help="An MLflow store: http://, file:/// or sqlite:///..."
        ),
    ] = "",
    baseline: BaselineOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write an experiment to an MLflow store; one that is there already is not written again.

    Example: deskhand eval export latest --mlflow http://127.0.0.1:5000
    """
    from deskhand.errors import InputError
    from deskhand_evals.mlflow_export import export_mlflow

    if not mlflow:
        raise InputError("--mlflow: no store is named; give its address, such as --mlflow http://127.0.0.1:5000")
    experiments = open_bench(ctx, workspace).experiments
    found = experiments.load(report)
    run_id = export_mlflow(found, mlflow, baseline=experiments.load(baseline) if baseline else None)
    if as_json:
        print_json({"experiment": found.id, "run_id": run_id, "store": mlflow})
    else:
        say(f"{found.id}: MLflow run {run_id} in {mlflow}")
