"""``deskhand eval``: how good is it, and did it get worse?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deskhand_cli.commands import eval_experiments, eval_trials
from deskhand_cli.eval_options import (
    DEFAULT_SUITE,
    Asking,
    AskingJudges,
    BaselineOption,
    Forms,
    PartOption,
    ReportArgument,
    Size,
    SuiteArgument,
    open_bench,
)
from deskhand_cli.eval_output import finish
from deskhand_cli.option_groups import spread
from deskhand_cli.options import JsonOption, WorkspaceOption
from deskhand_cli.output import progress, say

if TYPE_CHECKING:
    from deskhand_evals import Report, Suite


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run evals, gate on them, compare them.")
    for command in (run, rescore, gate):
        group.command(command.__name__)(spread(command))
    eval_trials.register(group)
    eval_experiments.register(group)
    app.add_typer(group, name="eval")


def run(
    ctx: typer.Context,
    asking: Asking,
    size: Size,
    forms: Forms,
    suite: SuiteArgument = DEFAULT_SUITE,
    baseline: BaselineOption = None,
    save_baseline: Annotated[bool, typer.Option("--save-baseline", help="Keep this run as the baseline.")] = False,
    part: PartOption = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew; do not go on with an interrupted run.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a suite and say PASS (exit code 0), FAIL (1) or INCONCLUSIVE (3). A run that was killed goes on.

    Parts with a recording beside the suite are replayed: no token is spent, and a call that was not recorded fails.

    Example: deskhand eval run evals/suite.toml --replay
    """
    from deskhand.errors import InputError
    from deskhand_evals import RunOptions

    if save_baseline and part:
        raise InputError("--save-baseline keeps a run of the whole suite; leave --part out")
    bench = open_bench(ctx, workspace)
    loaded = bench.suite(suite)
    before = bench.baseline(loaded, baseline)  # read first: "latest" is the run before this one
    with progress("running cases") as show_progress:
        options = RunOptions(
            repeats=size.repeats, concurrency=size.concurrency, fresh=fresh, mode=asking.mode,
            only=tuple(part or ()), progress=show_progress, say=say,
        )  # fmt: skip
        report = bench.run(loaded, options)
    if save_baseline:
        before = _save(loaded, report, before)
    finish(bench, report, before, forms, suite, as_json)


def rescore(
    ctx: typer.Context,
    asking: AskingJudges,
    forms: Forms,
    experiment: Annotated[str, typer.Argument(help="An experiment's id, its beginning, or 'latest'.")] = "latest",
    suite: SuiteArgument = DEFAULT_SUITE,
    baseline: BaselineOption = None,
    part: PartOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score what an experiment put out with the suite's scorers as they are now; no target is asked again.

    Judges that are models are replayed where the part has a recording; --record asks those that are new.

    Example: deskhand eval rescore latest evals/suite.toml
    """
    from deskhand_evals import RunOptions

    bench = open_bench(ctx, workspace)
    loaded = bench.suite(suite)
    before = bench.baseline(loaded, baseline)
    with progress("scoring") as show_progress:
        options = RunOptions(
            rescore=bench.experiments.load(experiment).id, only=tuple(part or ()), mode=asking.mode,
            progress=show_progress, say=say,
        )  # fmt: skip
        report = bench.run(loaded, options)
    finish(bench, report, before, forms, suite, as_json)


def gate(
    ctx: typer.Context,
    forms: Forms,
    report: ReportArgument = "latest",
    baseline: BaselineOption = None,
    suite: Annotated[Path, typer.Option("--suite", help="The suite whose baseline is used.")] = DEFAULT_SUITE,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute the verdict of a stored report again; nothing is run.

    Example: deskhand eval gate latest --markdown comment.md
    """
    bench = open_bench(ctx, workspace)
    before = bench.experiments.load(baseline) if baseline else bench.baseline(bench.suite(suite), None)
    finish(bench, bench.experiments.load(report), before, forms, suite, as_json)


def _save(suite: Suite, report: Report, before: Report | None) -> Report:
    """Keep a report as the baseline, and return what to compare it with."""
    from deskhand.errors import InputError
    from deskhand.jsonio import write_atomic
    from deskhand_evals.experiments import report_text

    if report.n_failed or any(part.problem for part in report.parts):
        raise InputError(
            f"{report.id}: {report.n_failed} rows failed or a part could not run; it is not kept as the baseline,"
            f" see 'deskhand eval show {report.id}'"
        )
    write_atomic(suite.baseline_path, report_text(report))
    say(f"baseline: {suite.baseline_path}")
    return before or report
