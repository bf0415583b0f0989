"""``deskhand golden``: golden sets, and the cases that production adds to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import one_line, print_json, print_table, printable, say

if TYPE_CHECKING:
    from deskhand_evals.candidates import Candidate, Candidates, Kind


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Check golden sets, and add cases to them.")
    group.command("check")(check)
    group.command("add")(add)
    group.command("list")(list_sets)
    group.command("review")(review)
    app.add_typer(group, name="golden")


def check(
    ctx: typer.Context,
    folder_of_sets: Annotated[
        Path | None, typer.Option("--golden", help="The folder of the sets; golden/ when left out.")
    ] = None,
    least: Annotated[
        float, typer.Option("--least", min=0.5, max=1, help="Likeness from which two texts are one.")
    ] = 0.8,
    meaning: Annotated[bool, typer.Option("--meaning", help="Also compare by meaning; takes 20 ms a text.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for duplicates, cases that agents have seen, and unknown names: exit code 1 when there are any.

    Example: deskhand golden check --json
    """
    from deskhand_evals.golden_check import check_golden

    folder = find_folder(ctx, workspace)
    encoder = None
    if meaning:
        from deskhand_memory import load_encoder

        encoder = load_encoder()
    found = check_golden(folder, folder_of_sets, least=least, encoder=encoder)
    if as_json:
        sets = [size._asdict() for size in found.sets]
        problems = [problem._asdict() for problem in found.problems]
        compared = dict(found.compared_with)
        print_json({"sets": sets, "compared_with": compared, "problems": problems, "n_errors": found.n_errors})
    else:
        print_table(("set", "cases", "version"), ((s.name, s.n, s.version[:12]) for s in found.sets))
        if found.problems:
            print_table(
                ("", "what", "case", "and", "likeness", "why"),
                (
                    ("error" if p.is_error else "note", p.kind, p.case, p.other,
                     "" if p.likeness is None else f"{p.likeness:.2f}", p.detail)
                    for p in found.problems
                ),
            )  # fmt: skip
        compared_text = ", ".join(f"{n} {name}" for name, n in found.compared_with.items())
        say(f"{found.n_errors} errors; compared with each other and with {compared_text}")
    if found.n_errors:
        raise typer.Exit(1)


def add(
    ctx: typer.Context,
    run_id: Annotated[str, typer.Argument(help="The run's id, or its unique beginning.")],
    kind: Annotated[
        str, typer.Option("--kind", help="drafts (a reviewed reply), triage, retrieval or summaries.")
    ] = "drafts",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a candidate case of a run, masked. What a reviewer changed becomes what is expected.

    Example: deskhand golden add run-1k2
    """
    from deskhand.errors import InputError
    from deskhand_evals.candidates import Candidates, Kind
    from deskhand_runs import RunStore

    if kind not in get_args(Kind):
        raise InputError(f"--kind: {kind!r}; one of {', '.join(get_args(Kind))}")
    folder = find_folder(ctx, workspace)
    with RunStore.open(folder) as store:
        record = store.load(run_id)
    candidate = Candidates(folder).add(record, cast("Kind", kind))
    if as_json:
        print_json(candidate.model_dump(mode="json"))
    else:
        _show(candidate)
        say(f"next: deskhand golden review --accept {candidate.id}   (or --reject, or without a name to read them all)")


def list_sets(ctx: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the golden sets, and the candidates that wait.

    Example: deskhand golden list
    """
    from deskhand_evals.candidates import Candidates
    from deskhand_evals.datasets import KINDS, load_dataset

    folder = find_folder(ctx, workspace)
    paths = {name: folder.root / "golden" / f"{name}.jsonl" for name in KINDS}
    sets = [load_dataset(path, KINDS[name]) for name, path in paths.items() if path.is_file()]
    waiting = Candidates(folder).list()
    if as_json:
        rows = [{"name": s.name, "n": len(s.samples), "version": s.version} for s in sets]
        print_json({"sets": rows, "candidates": [candidate.model_dump(mode="json") for candidate in waiting]})
        return
    if sets:
        print_table(("set", "cases", "version"), ((s.name, len(s.samples), s.version[:12]) for s in sets))
    if waiting:
        print_table(
            ("candidate", "kind", "added", "why"),
            ((c.id, c.kind, c.added_at, c.why) for c in waiting),
            whole=("candidate",),
        )
        say("next: deskhand golden review")
    else:
        say("no candidates; make one with 'deskhand golden add RUN'")


def review(
    ctx: typer.Context,
    accept: Annotated[list[str] | None, typer.Option("--accept", help="Accept this candidate; repeat it.")] = None,
    reject: Annotated[list[str] | None, typer.Option("--reject", help="Reject this candidate; repeat it.")] = None,
    edit: Annotated[str | None, typer.Option("--edit", help="Replace this candidate's case by --file.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A JSON file with the case.")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Accept, edit or reject candidates: those named, or each in turn.

    Example: deskhand golden review --accept run-1k2-drafts
    """
    from deskhand.errors import InputError
    from deskhand.jsonio import parse_json, read_text
    from deskhand_evals.candidates import Candidates

    candidates = Candidates(find_folder(ctx, workspace))
    if (edit is None) != (file is None):
        raise InputError("--edit and --file belong together; give both")
    if edit is not None and file is not None:
        _keep(candidates, candidates.load(edit), parse_json(read_text(file), str(file)))
    for name in accept or ():
        say(f"accepted: {candidates.accept(name)}")
    for name in reject or ():
        candidates.reject(name)
        say(f"rejected: {name}")
    if not (accept or reject or edit):
        _in_turn(candidates)


def _in_turn(candidates: Candidates) -> None:
    waiting = candidates.list()
    if not waiting:
        say("no candidates; make one with 'deskhand golden add RUN'")
    for candidate in waiting:
        while not _decided(candidates, candidates.load(candidate.id)):
            continue


def _decided(candidates: Candidates, candidate: Candidate) -> bool:
    """Ask about one candidate; False when it was edited and has to be shown again."""
    from deskhand.errors import InputError

    _show(candidate)
    answer = typer.prompt("accept, edit, reject, skip or quit", default="skip", err=True).strip().lower()[:1]
    try:
        if answer == "a":
            say(f"accepted: {candidates.accept(candidate.id)}")
        elif answer == "r":
            candidates.reject(candidate.id)
        elif answer == "q":
            raise typer.Exit
        elif answer == "e":
            _edit(candidates, candidate)
            return False
    except InputError as exc:
        say(f"error: {exc}")
        return False
    return answer in ("a", "r", "s", "")


def _edit(candidates: Candidates, candidate: Candidate) -> None:
    import click

    from deskhand.jsonio import parse_json

    shown = json.dumps(candidate.sample, indent=1, ensure_ascii=False)
    after = click.edit(shown, extension=".json")
    if after is not None:
        _keep(candidates, candidate, parse_json(after, candidate.id))


def _keep(candidates: Candidates, candidate: Candidate, sample: object) -> None:
    from deskhand.errors import InputError

    if not isinstance(sample, dict):
        raise InputError(f"{candidate.id}: the case is no object; write one")
    candidates.replace(candidate.model_copy(update={"sample": sample}))
    say(f"edited: {candidate.id}")


def _show(candidate: Candidate) -> None:
    from deskhand_evals.datasets import KINDS

    sample = KINDS[candidate.kind].model_validate_json(json.dumps(candidate.sample))
    say(one_line(f"{candidate.id} ({candidate.kind}): {candidate.why}"))
    typer.echo(printable(sample.customer_text))
    rest = {key: value for key, value in candidate.sample.items() if key not in ("ticket", "text", "id")}
    typer.echo(printable(json.dumps(rest, indent=1, ensure_ascii=False)))
