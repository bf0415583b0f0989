"""The command line's entry point. Only typer is imported here, so that ``--help`` is quick."""

from __future__ import annotations

import errno
import sys
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
from deskhand_cli.options import Globals, WorkspaceOption

EXIT_INTERRUPTED = 130


class _Commands(TyperGroup):
    """Turns the errors that deskhand raises on purpose into one line and the right exit code."""

    def invoke(self, ctx: Any) -> Any:  # the type is of typer's own, private copy of click
        try:
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
        except KeyboardInterrupt:
            say("interrupted; nothing is lost, run the same command again to go on")
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


def main() -> None:
    """Run the command line."""
    libraries.prepare()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    app()


if __name__ == "__main__":
    main()


__all__ = ["app", "main"]
