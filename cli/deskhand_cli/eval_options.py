"""What the commands of ``deskhand eval`` take, and what they open of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from deskhand_cli.options import WorkspaceOption, find_folder

if TYPE_CHECKING:
    from deskhand.config import WorkspaceFolder
    from deskhand_evals import Experiments, Mode, Report, RunOptions, Suite

DEFAULT_SUITE = Path("evals/suite.toml")

SuiteArgument = Annotated[Path, typer.Argument(help="A suite file; looked for here, then in the workspace.")]
ReportArgument = Annotated[str, typer.Argument(help="An experiment's id, its beginning, 'latest', or a report file.")]
BaselineOption = Annotated[
    str | None, typer.Option("--baseline", help="An id or a report file; else baselines/<suite>.json beside the suite.")
]
PartOption = Annotated[list[str] | None, typer.Option("--part", help="Only this part; may stand there several times.")]
HtmlOption = Annotated[Path | None, typer.Option("--html", help="Write a page there; it needs no network.")]


@dataclass(frozen=True)
class Asking:
    """Whether models and targets outside are asked."""

    live: Annotated[bool, typer.Option("--live", help="Ask models and targets for real, and record all answers.")] = (
        False
    )
    replay: Annotated[bool, typer.Option("--replay", help="Ask nothing outside; what was not recorded fails.")] = False
    record: Annotated[bool, typer.Option("--record", help="Replay, and record what is missing.")] = False

    @property
    def mode(self) -> Mode:
        """The mode of a run. Raises InputError when two are asked for."""
        from deskhand.errors import InputError
        from deskhand_evals import Mode

        given = ((Mode.live, self.live), (Mode.replay, self.replay), (Mode.record, self.record))
        chosen = [mode for mode, is_on in given if is_on]
        if len(chosen) > 1:
            raise InputError(f"--{chosen[0]} and --{chosen[1]} contradict each other; use one")
        return chosen[0] if chosen else Mode.auto


@dataclass(frozen=True)
class AskingJudges(Asking):
    """Whether judges are asked, where no target is."""

    live: Annotated[bool, typer.Option("--live", help="Ask judges for real, and record all they say.")] = False
    replay: Annotated[bool, typer.Option("--replay", help="Ask no judge; what was not recorded fails.")] = False
    record: Annotated[bool, typer.Option("--record", help="Replay judges, and record what is missing.")] = False


@dataclass(frozen=True)
class Size:
    """How often each case is asked, and how many at once."""

    repeats: Annotated[int | None, typer.Option("--repeats", min=1, help="Of each case; else the suite's.")] = None
    concurrency: Annotated[int | None, typer.Option("--concurrency", min=1, help="Cases at once.")] = None


@dataclass(frozen=True)
class Forms:
    """Forms of a report that are written besides what is printed."""

    junit: Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML there.")] = None
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write a pull request's comment there.")] = None
    html: HtmlOption = None
    github: Annotated[
        bool, typer.Option("--github", envvar="GITHUB_ACTIONS", help="Print annotations for a GitHub workflow.")
    ] = False


class Bench(NamedTuple):
    """A workspace, its experiments, and where its suites are."""

    folder: WorkspaceFolder
    experiments: Experiments

    def suite(self, path: Path) -> Suite:
        """Return the suite of a file, which is looked for here and then in the workspace."""
        from deskhand_evals import load_suite

        return load_suite(path if path.is_file() or path.is_absolute() else self.folder.root / path)

    def baseline(self, suite: Suite, name: str | None) -> Report | None:
        """Return the report that is named, else the suite's baseline; None where there is none."""
        from deskhand_evals import load_report

        if name is not None:
            return self.experiments.load(name)
        return load_report(suite.baseline_path) if suite.baseline_path.is_file() else None

    def run(self, suite: Suite, options: RunOptions) -> Report:
        """Run a suite. Raises InputError also where code that the suite names ends the program."""
        from deskhand.errors import InputError
        from deskhand_evals import run_suite

        try:
            return asyncio.run(run_suite(suite, self.folder, options))
        except SystemExit as exc:  # it would end the command with the code of its choice, which may be 0
            raise InputError(f"{suite.path}: code that it names ended the program ({exc}); take its exit out") from exc


def open_bench(ctx: typer.Context, workspace: WorkspaceOption) -> Bench:
    """Return the workspace that the person means. Raises ConfigError when there is none."""
    from deskhand_evals import Experiments

    folder = find_folder(ctx, workspace)
    return Bench(folder, Experiments.of(folder))
