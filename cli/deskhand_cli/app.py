"""The command line: commands, errors, exit codes. Only typer is imported here, so that ``--help`` is quick."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from deskhand import __version__, libraries
from deskhand.errors import DeskhandError
from deskhand_cli.commands import (
    ask,
    backup,
    config,
    costs,
    demo,
    digest,
    doctor,
    eval,
    golden,
    graph,
    init,
    memory,
    models,
    pause,
    prompts,
    restore,
    resume,
    review,
    run,
    runs,
    schema,
    serve,
    tickets,
    triage,
)
from deskhand_cli.interrupt import EXIT_INTERRUPTED, INTERRUPTED, is_interrupt
from deskhand_cli.options import Globals, WorkspaceOption

_WHOLE = 1000


class _Listed(TyperGroup):
    """Lists commands with their whole first sentence, on two lines where need be; typer alone cuts it off."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # the types are of typer's own, private copy of click
        named = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(_WHOLE)) for name, command in named if command])


class _Commands(_Listed):
    """Turns the errors that deskhand raises on purpose into one line and the right exit code."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        with _interrupted_in_one_line():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        try:
            with _interrupted_in_one_line():
                return super().invoke(ctx)
        except DeskhandError as exc:
            if _wants_traceback(ctx):
                raise
            say(f"error: {exc}")
            raise typer.Exit(exc.exit_code) from exc
        except BrokenPipeError:
            raise
        except OSError as exc:  # standard output on a full disk
            if exc.errno != errno.ENOSPC or _wants_traceback(ctx):
                raise
            say("error: the output cannot be written, the disk is full; nothing else is lost")
            raise typer.Exit(1) from exc


@contextmanager
def _interrupted_in_one_line() -> Iterator[None]:
    """Say how to go on after Ctrl-C; typer alone says nothing."""
    try:
        yield
    except (KeyboardInterrupt, Exception) as exc:
        if not is_interrupt(exc):
            raise
        say(INTERRUPTED)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _wants_traceback(ctx: typer.Context) -> bool:
    return isinstance(ctx.obj, Globals) and ctx.obj.debug


def say(line: str) -> None:
    """Print one line for the person, not for the machine, to standard error."""
    typer.echo(line, err=True)


app = typer.Typer(
    name="deskhand",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Support agents that cite, ask before they act, and survive a crash.\n\n"
    "Example: deskhand run support --ticket tickets/incoming",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"deskhand {__version__}")
        raise typer.Exit


@app.callback()
def _globals(
    ctx: typer.Context,
    workspace: WorkspaceOption = None,
    debug: Annotated[bool, typer.Option("--debug", envvar="DESKHAND_DEBUG", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    ctx.obj = Globals(workspace=workspace, debug=debug)


init.register(app)
demo.register(app)
run.register(app)
ask.register(app)
digest.register(app)
review.register(app)
runs.register(app)
tickets.register(app)
pause.register(app)
resume.register(app)
backup.register(app)
restore.register(app)
memory.register(app)
models.register(app)
prompts.register(app)
costs.register(app)
triage.register(app)
eval.register(app)
golden.register(app)
graph.register(app)
config.register(app)
doctor.register(app)
schema.register(app)
serve.register(app)
for group in app.registered_groups:
    group.cls = _Listed


def run_app() -> None:
    """Run the command line on the process's arguments; leaves by SystemExit."""
    libraries.prepare()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    app()


__all__ = ["app", "run_app"]
