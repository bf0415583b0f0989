"""``deskhand eval``: how good is it, and did it get worse?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import print_json, print_table, progress, say

if TYPE_CHECKING:
    from deskhand.config import WorkspaceFolder
    from deskhand_evals import Experiments, Report, RunOptions, Suite, Verdict
    from deskhand_evals.gate import Figure
    from deskhand_evals.selftest import RuleTest

SuiteArgument = Annotated[Path, typer.Argument(help="A suite file; looked for here, then in the workspace.")]
ReportArgument = Annotated[str, typer.Argument(help="An experiment's id, its beginning, 'latest', or a report file.")]
BaselineOption = Annotated[
    str | None, typer.Option("--baseline", help="An id or a report file; else baselines/<suite>.json beside the suite.")
]
JunitOption = Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML there.")]
MarkdownOption = Annotated[Path | None, typer.Option("--markdown", help="Write a pull request's comment there.")]
HtmlOption = Annotated[Path | None, typer.Option("--html", help="Write a page there; it needs no network.")]
GithubOption = Annotated[bool, typer.Option("--github", help="Print annotations for a GitHub workflow.")]
DEFAULT_SUITE = Path("evals/suite.toml")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run evals, gate on them, compare them.")
    group.command("run")(run)
    group.command("gate")(gate)
    group.command("aa")(aa)
    group.command("list")(list_experiments)
    group.command("show")(show)
    group.command("compare")(compare)
    app.add_typer(group, name="eval")


def run(
    ctx: typer.Context,
    suite: SuiteArgument = DEFAULT_SUITE,
    baseline: BaselineOption = None,
    save_baseline: Annotated[bool, typer.Option("--save-baseline", help="Keep this run as the baseline.")] = False,
    repeats: Annotated[int | None, typer.Option("--repeats", min=1, help="Of each case; else the suite's.")] = None,
    concurrency: Annotated[int | None, typer.Option("--concurrency", min=1, help="Cases at once.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew; do not go on with an interrupted run.")] = False,
    rescore: Annotated[
        str | None, typer.Option("--rescore", help="Score the outputs of this experiment again.")
    ] = None,
    junit: JunitOption = None,
    markdown: MarkdownOption = None,
    html: HtmlOption = None,
    github: GithubOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a suite and say PASS (exit code 0), FAIL (1) or INCONCLUSIVE (3). A run that was killed goes on.

    Example: deskhand eval run evals/suite.toml
    """
    from deskhand_evals import Experiments, RunOptions, load_suite

    folder = find_folder(ctx, workspace)
    loaded = load_suite(_suite_path(suite, folder))
    with progress("running cases") as show_progress:
        options = RunOptions(
            repeats=repeats, concurrency=concurrency, fresh=fresh, rescore=rescore, progress=show_progress, say=say
        )
        report = _run(loaded, folder, options)
    before = _baseline(Experiments.of(folder), loaded, baseline)
    if save_baseline:
        before = _save(loaded, report, before)
    _finish(report, before, _Outputs(junit, markdown, html, github, str(suite)), as_json)


def _run(suite: Suite, folder: WorkspaceFolder, options: RunOptions) -> Report:
    from deskhand_evals import run_suite

    return asyncio.run(run_suite(suite, folder, options))


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
    _finish(experiments.load(report), before, _Outputs(junit, markdown, html, github, str(suite)), as_json)


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

    Example: deskhand eval aa evals/suite.toml --noise 0.1
    """
    from deskhand.errors import InputError
    from deskhand_evals import Experiments, RunOptions, load_suite
    from deskhand_evals.selftest import check_rules

    folder = find_folder(ctx, workspace)
    loaded, experiments = load_suite(_suite_path(suite, folder)), Experiments.of(folder)
    newest = (found for found in experiments.list() if found.suite == loaded.file.name)
    tested = experiments.load(report) if report else next(newest, None) or _run(loaded, folder, RunOptions(say=say))
    found = check_rules(tested, noise=noise, repeats=repeats, n=simulations)
    if not found:
        raise InputError(f"{suite}: no rule looks for a drop; add gate = {{ max_drop = 0.05 }} to a scorer")
    if as_json:
        print_json({"report": tested.id, "rules": [_rule_json(rule) for rule in found]})
        return
    print_table(
        ("measure", "cases", "repeats", "noise", "false FAIL", "drop", "seen", "open", "sees", "needs"),
        (
            (
                f"{r.part} {r.measure}", r.n_cases, r.repeats, f"{r.noise:.1%}{' (assumed)' if r.is_assumed else ''}",
                f"{r.same.failed:.1%}", f"{r.max_drop:.1%}", f"{r.planted.failed:.0%}" if r.planted else "",
                f"{r.planted.inconclusive:.0%}" if r.planted else "",
                f"{r.detectable_drop:.1%}" if r.detectable_drop else "nothing",
                f"{r.needed_repeats} repeats" if r.needed_repeats else "more cases",
            )
            for r in found
        ),
    )  # fmt: skip
    if any(rule.is_assumed for rule in found):
        say("note: the noise is assumed; run the suite with --repeats 3 to measure it, or name it with --noise")


def _rule_json(rule: RuleTest) -> dict[str, Any]:
    tests = {"same": rule.same._asdict(), "planted": rule.planted._asdict() if rule.planted else None}
    return rule._asdict() | tests


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
        print_table(("id", "when", "suite", "rows", "failed", "USD"), rows)
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

    found = Experiments.of(find_folder(ctx, workspace)).load(report)
    judged = verdict(found)
    _Outputs(html=html).write(found, judged, None)
    if as_json:
        print_json(_as_json(found, judged))
    else:
        _print_report(found)


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


class _Outputs:
    """Files and lines that were asked for."""

    def __init__(
        self,
        junit: Path | None = None,
        markdown: Path | None = None,
        html: Path | None = None,
        github: bool = False,
        suite: str = "",
    ) -> None:
        self._junit, self._markdown, self._html, self._github, self._suite = junit, markdown, html, github, suite

    def write(self, report: Report, verdict: Verdict, baseline: Report | None) -> None:
        """Write them."""
        from deskhand.jsonio import write_atomic
        from deskhand_evals import reports

        if self._junit:
            write_atomic(self._junit, reports.junit_xml(report, verdict))
        if self._markdown:
            write_atomic(self._markdown, reports.markdown(report, verdict, baseline))
        if self._html:
            write_atomic(self._html, reports.html_page(report, verdict, baseline))
        if self._github:
            typer.echo(reports.github_annotations(report, verdict, file=self._suite), nl=False, err=True)


def _finish(report: Report, baseline: Report | None, outputs: _Outputs, as_json: bool) -> None:
    """Print a report and its verdict, and end with the verdict's exit code."""
    from deskhand_evals import verdict

    judged = verdict(report, baseline)
    outputs.write(report, judged, baseline)
    if as_json:
        print_json(_as_json(report, judged))
    else:
        _print_report(report)
        _print_verdict(judged)
    if judged.exit_code:
        raise typer.Exit(judged.exit_code)


def _as_json(report: Report, verdict: Verdict) -> dict[str, Any]:
    from deskhand_evals.summary import summarize

    parts = {}
    for found in summarize(report):
        measures = {line.measure.name: _figure_json(line.figure) for line in found.lines}
        ece = {classes.scorer: classes.ece for classes in found.classes if classes.ece is not None}
        parts[found.spec.name] = {
            "n_cases": len(found.spec.case_ids), "repeats": found.spec.repeats, "n_failed": found.n_failed,
            "cost_usd": found.cost_usd, "latency_p50_ms": found.latency_p50_ms, "measures": measures, "ece": ece,
            "pass_hat_k": found.pass_hat_k, "problem": found.spec.problem or None,
        }  # fmt: skip
    head = {"id": report.id, "suite": report.suite, "outcome": verdict.outcome}
    return head | {"parts": parts, "verdict": verdict.model_dump(mode="json")}


def _figure_json(figure: Figure | None) -> dict[str, float] | None:
    if figure is None:
        return None
    return {"value": figure.value, "low": figure.interval.low, "high": figure.interval.high}


def _print_report(report: Report) -> None:
    from deskhand_evals.summary import summarize

    rows = []
    for found in summarize(report):
        for line in found.lines:
            name, figure = f"{found.spec.name} {line.measure.name}", line.figure
            size = f"{len(found.spec.case_ids)} x {found.spec.repeats}"
            if figure is None:
                rows.append((name, size, "not scored", "", found.n_failed))
            else:
                low, high = figure.interval
                rows.append((name, size, f"{figure.value:.3f}", f"{low:.3f} to {high:.3f}", found.n_failed))
    level = f"{report.gate.confidence:g}"
    say(f"{report.suite} {report.id}")
    print_table(("measure", "cases", "value", f"interval ({level})", "failed"), rows)


def _print_verdict(verdict: Verdict) -> None:
    print_table(
        ("gate", "rule", "verdict", "why"),
        ((f"{c.part} {c.measure}".strip(), c.rule, c.outcome, c.reason) for c in verdict.checks),
    )
    for line in verdict.changed:
        say(f"changed since the baseline: {line}")
    typer.echo(f"{verdict.outcome}: {verdict.n_rows} rows, {verdict.n_failed} failed")
