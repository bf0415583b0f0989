"""Printing: results to standard output, talk to standard error."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


class Progress(Protocol):
    """Told how far long work has come."""

    def __call__(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` is done."""
        ...


_WIDE = 110
"""Characters of a terminal on which every column of a table has room."""
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Return ``text`` without what a terminal would obey: escapes, controls and direction marks show as ``?``.

    Tickets and articles are written outside; shown as they are, they could move the cursor and forge a screen.
    """
    return _OBEYED.sub("?", text)


def one_line(text: str) -> str:
    """Return ``text`` printable and on one line: a name must not look like lines of ours."""
    return " ".join(printable(text).split())


def print_json(value: object) -> None:
    """Print ``value`` as one line of JSON with the keys in their order."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def say(line: str) -> None:
    """Print one line for the person to standard error."""
    typer.echo(printable(line), err=True)


def stdout_console() -> Console:
    """Return a console for results."""
    from rich.console import Console

    return Console(highlight=False, emoji=False, markup=False)


def print_rich(shown: RenderableType, style: str | None = None) -> None:
    """Print what rich lays out, without the spaces that it fills lines up with: they get in the way of copying."""
    console = stdout_console()
    with console.capture() as captured:
        console.print(shown, style=style)
    typer.echo("\n".join(line.rstrip(" ") for line in captured.get().split("\n")), nl=False)


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    whole: Collection[str] = (),
    spare: Collection[str] = (),
) -> None:
    """Print a table; cells are never read as markup.

    Args:
        columns: The heads.
        rows: As many cells each.
        whole: Columns that keep to one line, such as ids that are copied; the others fold.
        spare: Columns left out on a terminal of less than 110 characters.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    left_out = spare if stdout_console().width < _WIDE else ()
    shown = [place for place, column in enumerate(columns) if column not in left_out]
    table = Table(box=box.SIMPLE_HEAD)
    for place in shown:
        table.add_column(columns[place], overflow="fold", no_wrap=columns[place] in whole)
    for row in rows:
        cells = [row[place] for place in shown]
        table.add_row(*(cell if isinstance(cell, Text) else Text(one_line(str(cell))) for cell in cells))
    print_rich(table)


@contextmanager
def progress(label: str, *, quiet: bool = False) -> Iterator[Progress]:
    """Yield a function that shows progress on standard error; nothing is shown where no one looks."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Bar(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
