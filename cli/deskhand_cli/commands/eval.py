"""``deskhand eval``: how good is it, and did it get worse?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deskhand_cli.eval_output import Outputs, as_json_value, finish, print_ranked, print_report, rule_json
from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import print_json, print_table, progress, say

if TYPE_CHECKING:
    from deskhand.config import WorkspaceFolder
    from deskhand_evals import Experiments, Mode, Report, RunOptions, Suite

SuiteArgument = Annotated[Path, typer.Argument(help="A suite file; looked for here, then in the workspace.")]
ReportArgument = Annotated[str, typer.Argument(help="An experiment's id, its beginning, 'latest', or a report file.")]
BaselineOption = Annotated[
    str | None, typer.Option("--baseline", help="An id or a report file; else baselines/<suite>.json beside the suite.")
]
JunitOption = Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML there.")]
MarkdownOption = Annotated[Path | None, typer.Option("--markdown", help="Write a pull request's comment there.")]
HtmlOption = Annotated[Path | None, typer.Option("--html", help="Write a page there; it needs no network.")]
GithubOption = Annotated[
    bool, typer.Option("--github", envvar="GITHUB_ACTIONS", help="Print annotations for a GitHub workflow.")
]
RepeatsOption = Annotated[int | None, typer.Option("--repeats", min=1, help="Of each case; else the suite's.")]
ConcurrencyOption = Annotated[int | None, typer.Option("--concurrency", min=1, help="Cases at once.")]
PartOption = Annotated[list[str] | None, typer.Option("--part", help="Only this part; may stand there several times.")]
LiveOption = Annotated[bool, typer.Option("--live", help="Ask models and targets for real, and record all answers.")]
ReplayOption = Annotated[bool, typer.Option("--replay", help="Ask nothing outside; what was not recorded fails.")]
RecordOption = Annotated[bool, typer.Option("--record", help="Replay, and record what is missing.")]
LiveJudgesOption = Annotated[bool, typer.Option("--live", help="Ask judges for real, and record all they say.")]
ReplayJudgesOption = Annotated[bool, typer.Option("--replay", help="Ask no judge; what was not recorded fails.")]
RecordJudgesOption = Annotated[bool, typer.Option("--record", help="Replay judges, and record what is missing.")]
DEFAULT_SUITE = Path("evals/suite.toml")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run evals, gate on them, compare them.")
    group.command("run")(run)
    group.command("rescore")(rescore)
    group.command("gate")(gate)
    group.command("aa")(aa)
    group.command("list")(list_experiments)
    group.command("show")(show)
    group.command("compare")(compare)
    group.command("best")(best)
    group.command("sweep")(sweep)
    group.command("export")(export)
    app.add_typer(group, name="eval")


def run(
    ctx: typer.Context,
    suite: SuiteArgument = DEFAULT_SUITE,
    baseline: BaselineOption = None,
    save_baseline: Annotated[bool, typer.Option("--save-baseline", help="Keep this run as the baseline.")] = False,
    live: LiveOption = False,
    replay: ReplayOption = False,
    record: RecordOption = False,
    part: PartOption = None,
    repeats: RepeatsOption = None,
    concurrency: ConcurrencyOption = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew; do not go on with an interrupted run.")] = False,
    junit: JunitOption = None,
    markdown: MarkdownOption = None,
    html: HtmlOption = None,
    github: GithubOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a suite and say PASS (exit code 0), FAIL (1) or INCONCLUSIVE (3). A run that was killed goes on.

    Parts with a recording beside the suite are replayed: no token is spent, and a call that was not recorded fails.

    Example: deskhand eval run evals/suite.toml --replay
    """
    from deskhand.errors import InputError
    from deskhand_evals import Experiments, RunOptions, load_suite

    if save_baseline and part:
        raise InputError("--save-baseline keeps a run of the whole suite; leave --part out")
    folder = find_folder(ctx, workspace)
    loaded = load_suite(_suite_path(suite, folder))
    before = _baseline(Experiments.of(folder), loaded, baseline)  # read first: "latest" is the run before this one
    with progress("running cases") as show_progress:
        options = RunOptions(
            repeats=repeats, concurrency=concurrency, fresh=fresh, mode=_mode(live, replay, record),
            only=tuple(part or ()), progress=show_progress, say=say,
        )  # fmt: skip
        report = _run(loaded, folder, options)
    if save_baseline:
        before = _save(loaded, report, before)
    finish(report, before, Outputs(junit, markdown, html, github, str(suite), _history(folder, html)), as_json)


def _run(suite: Suite, folder: WorkspaceFolder, options: RunOptions) -> Report:
    from deskhand.errors import InputError
    from deskhand_evals import run_suite

    try:
        return asyncio.run(run_suite(suite, folder, options))
    except SystemExit as exc:  # it would end the command with the code of its choice, which may be 0
        raise InputError(f"{suite.path}: code that it names ended the program ({exc}); take its exit out") from exc


def _mode(live: bool, replay: bool, record: bool) -> Mode:
    from deskhand.errors import InputError
    from deskhand_evals import Mode

    chosen = [mode for mode, is_on in ((Mode.live, live), (Mode.replay, replay), (Mode.record, record)) if is_on]
    if len(chosen) > 1:
        raise InputError(f"--{chosen[0]} and --{chosen[1]} contradict each other; use one")
    return chosen[0] if chosen else Mode.auto


def rescore(
    ctx: typer.Context,
    experiment: Annotated[str, typer.Argument(help="An experiment's id, its beginning, or 'latest'.")] = "latest",
    suite: SuiteArgument = DEFAULT_SUITE,
    baseline: BaselineOption = None,
    part: PartOption = None,
    live: LiveJudgesOption = False,
    replay: ReplayJudgesOption = False,
    record: RecordJudgesOption = False,
    junit: JunitOption = None,
    markdown: MarkdownOption = None,
    html: HtmlOption = None,
    github: GithubOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score what an experiment put out with the suite's scorers as they are now; no target is asked again.

    Judges that are models are replayed where the part has a recording; --record asks those that are new.

    Example: deskhand eval rescore latest evals/suite.toml
    """
    from deskhand_evals import Experiments, RunOptions, load_suite

    folder = find_folder(ctx, workspace)
    loaded = load_suite(_suite_path(suite, folder))
    before = _baseline(Experiments.of(folder), loaded, baseline)
    with progress("scoring") as show_progress:
        options = RunOptions(
            rescore=Experiments.of(folder).load(experiment).id, only=tuple(part or ()),
            mode=_mode(live, replay, record), progress=show_progress, say=say,
        )  # fmt: skip
        report = _run(loaded, folder, options)
    finish(report, before, Outputs(junit, markdown, html, github, str(suite), _history(folder, html)), as_json)


def gate(
    ctx: typer.Context,
    report: ReportArgument = "latest",
    baseline: BaselineOption = None,
    suite: Annotated[Path, typer.Option("--suite", help="The suite whose baseline is used.")] = DEFAULT_SUITE,
    junit: JunitOption = None,
    markdown: MarkdownOption = None,
    html: HtmlOption = None,
    github: GithubOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute the verdict of a stored report again; nothing is run.

    Example: deskhand eval gate latest --markdown comment.md
    """
    from deskhand_evals import Experiments, load_suite

    folder = find_folder(ctx, workspace)
    experiments = Experiments.of(folder)
    loaded = None if baseline else load_suite(_suite_path(suite, folder))
    before = _baseline(experiments, loaded, baseline)
    finish(
        experiments.load(report),
        before,
        Outputs(junit, markdown, html, github, str(suite), _history(folder, html)),
        as_json,
    )


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
    from deskhand_evals import Experiments, RunOptions, load_suite
    from deskhand_evals.selftest import check_rules

    folder = find_folder(ctx, workspace)
    loaded, experiments = load_suite(_suite_path(suite, folder)), Experiments.of(folder)
    newest = (found for found in experiments.list() if found.suite == loaded.file.name)
    tested = experiments.load(report) if report else next(newest, None) or _run(loaded, folder, RunOptions(say=say))
    with progress("testing rules") as show_progress:
        found = check_rules(tested, noise=noise, repeats=repeats, n=simulations, progress=show_progress)
    if not found:
        raise InputError(f"{suite}: no rule looks for a drop; add gate = {{ max_drop = 0.05 }} to a scorer")
    if as_json:
        print_json({"report": tested.id, "rules": [rule_json(rule) for rule in found]})
        return
    print_table(
        ("measure", "cases", "noise", "false FAIL", "a drop of", "is seen", "sees", "needs"),
        (
            (
                f"{r.part} {r.measure}", f"{r.n_cases} x {r.repeats}", f"{r.noise:.1%}{'*' if r.is_assumed else ''}",
                f"{r.same.failed:.1%}", f"{r.max_drop:.1%}", f"{r.planted.failed:.0%}" if r.planted else "",
                f"{r.detectable_drop:.1%}" if r.detectable_drop else "nothing",
                f"{r.needed_repeats} repeats" if r.needed_repeats else "more cases",
            )
            for r in found
        ),
        whole=("cases", "needs"),
    )  # fmt: skip
    if any(rule.is_assumed for rule in found):
        say("* assumed; run the suite with --repeats 3 to measure it, or name it with --noise")


def list_experiments(ctx: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List finished experiments, newest first.

    Example: deskhand eval list
    """
    from deskhand_evals import Experiments

    reports = Experiments.of(find_folder(ctx, workspace)).list()
    rows = [(r.id, r.created_at, r.suite, len(r.rows), r.n_failed, f"{r.cost_usd:.4f}") for r in reports]
    if as_json:
        for report in reports:
            print_json(
                {"id": report.id, "created_at": report.created_at, "suite": report.suite, "n": len(report.rows),
                 "n_failed": report.n_failed, "cost_usd": report.cost_usd}
            )  # fmt: skip
    elif rows:
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
    from deskhand_evals import Experiments, verdict

    folder = find_folder(ctx, workspace)
    found = Experiments.of(folder).load(report)
    judged = verdict(found)
    Outputs(html=html, history=_history(folder, html)).write(found, judged, None)
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
    from deskhand_evals import Experiments
    from deskhand_evals.comparison import compare_reports

    experiments = Experiments.of(find_folder(ctx, workspace))
    found = compare_reports(experiments.load(before), experiments.load(after))
    if as_json:
        print_json([line._asdict() for line in found])
        return
    print_table(
        ("measure", "before", "after", "change", "interval", "q", ""),
        (
            (f"{c.part} {c.measure}", f"{c.before:.3f}", f"{c.after:.3f}", f"{c.after - c.before:+.3f}",
             f"{c.low:+.3f} to {c.high:+.3f}", f"{c.q:.3f}", c.note)
            if c.q is not None and c.before is not None and c.after is not None
            else (f"{c.part} {c.measure}", "", "", "", "", "", c.note)
            for c in found
        ),
    )  # fmt: skip


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
    from deskhand_evals import Experiments
    from deskhand_evals.ranking import rank

    reports = Experiments.of(find_folder(ctx, workspace)).list()
    name = suite or (reports[0].suite if reports else None)
    rows = rank([report for report in reports if report.suite == name], part, measure)[:top]
    if as_json:
        print_json([row._asdict() for row in rows])
    else:
        print_ranked(rows)


def sweep(
    ctx: typer.Context,
    suite: SuiteArgument = DEFAULT_SUITE,
    choices: Annotated[
        list[str] | None, typer.Option("--set", help="A setting and its values, such as memory.top_k=4,8.")
    ] = None,
    measure: Annotated[str | None, typer.Option("--measure", help="Of quality; else the first of the part.")] = None,
    part: PartOption = None,
    live: LiveOption = False,
    replay: ReplayOption = False,
    record: RecordOption = False,
    repeats: RepeatsOption = None,
    concurrency: ConcurrencyOption = None,
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
    from deskhand_evals import RunOptions, load_suite
    from deskhand_evals.plots import frontier_svg
    from deskhand_evals.ranking import choose, rank
    from deskhand_evals.reports import sweep_page
    from deskhand_evals.sweep import Sweep, grid, parse_choices

    if not choices:
        raise InputError("nothing to try; name settings, such as --set memory.top_k=4,8")
    arms = grid(parse_choices(choices))
    folder = find_folder(ctx, workspace)
    loaded = load_suite(_suite_path(suite, folder))
    with progress("running cases") as show_progress:
        options = RunOptions(
            repeats=repeats, concurrency=concurrency, fresh=True, mode=_mode(live, replay, record),
            only=tuple(part or ()), progress=show_progress, say=say,
        )  # fmt: skip
        reports = asyncio.run(Sweep(loaded, folder, options).run(arms))
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


def _history(folder: WorkspaceFolder, html: Path | None) -> list[Report]:
    """Return the experiments that a page shows beside this one; none are read where no page is asked for."""
    from deskhand_evals import Experiments

    return Experiments.of(folder).list() if html else []


def _suite_path(suite: Path, folder: WorkspaceFolder) -> Path:
    return suite if suite.is_file() or suite.is_absolute() else folder.root / suite


def _baseline(experiments: Experiments, suite: Suite | None, name: str | None) -> Report | None:
    from deskhand_evals import load_report

    if name is not None:
        return experiments.load(name)
    if suite is not None and suite.baseline_path.is_file():
        return load_report(suite.baseline_path)
    return None


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


def export(
    ctx: typer.Context,
    report: ReportArgument = "latest",
    mlflow: Annotated[
        str, typer.Option("--mlflow", envvar="MLFLOW_TRACKING_URI", help="An MLflow store: http://... or file:///...")
    ] = "",
    baseline: BaselineOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write an experiment to an MLflow store; one that is there already is not written again.

    Example: deskhand eval export latest --mlflow http://127.0.0.1:5000
    """
    from deskhand.errors import InputError
    from deskhand_evals import Experiments
    from deskhand_evals.mlflow_export import export_mlflow

    if not mlflow:
        raise InputError("--mlflow: no store is named; give its address, such as --mlflow http://127.0.0.1:5000")
    experiments = Experiments.of(find_folder(ctx, workspace))
    found = experiments.load(report)
    before = experiments.load(baseline) if baseline else None
    run_id = export_mlflow(found, mlflow, baseline=before)
    if as_json:
        print_json({"experiment": found.id, "run_id": run_id, "store": mlflow})
    else:
        say(f"{found.id}: MLflow run {run_id} in {mlflow}")
