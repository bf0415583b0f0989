"""Whether golden sets can be trusted: no case that stands twice, none that an agent has seen, no unknown name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from deskhand.config import WorkspaceFolder
from deskhand.errors import InputError
from deskhand.jsonio import read_lines
from deskhand_evals.datasets import (
    KINDS,
    Dataset,
    DraftSample,
    RetrievalSample,
    Sample,
    SummarySample,
    TriageSample,
    load_dataset,
)
from deskhand_evals.duplicates import NEAR, Pair, alike_pairs, contained_pairs, near_pairs
from deskhand_evals.metrics import states

if TYPE_CHECKING:
    from deskhand.interfaces import Encoder


class Problem(NamedTuple):
    """One thing that is wrong with a case. ``is_error`` ones make the check fail; the others are worth a look.

    ``other`` names the text it is too close to, or the unknown name; ``likeness`` is in [0, 1] where there is one.
    """

    kind: str
    case: str
    other: str
    likeness: float | None
    is_error: bool
    detail: str


class SetSize(NamedTuple):
    """A set that was looked at, with the hash of its content."""

    name: str
    n: int
    version: str


@dataclass(frozen=True)
class GoldenReport:
    """What was looked at, and what was found."""

    sets: tuple[SetSize, ...]
    compared_with: Mapping[str, int]
    problems: tuple[Problem, ...]

    @property
    def n_errors(self) -> int:
        """How many problems make the check fail."""
        return sum(problem.is_error for problem in self.problems)


class _Text(NamedTuple):
    name: str
    text: str


def check_golden(
    folder: WorkspaceFolder, golden: Path | None = None, *, least: float = NEAR, encoder: Encoder | None = None
) -> GoldenReport:
    """Return what is wrong with the golden sets of a workspace.

    Errors: near duplicates within a set; cases that are near an example (``tickets/labelled.jsonl``,
    ``tickets/solved.jsonl``) or stand word for word in one or in an article; the same ticket in both; names that
    are in no taxonomy, team or article; a text that a case both asks for and forbids. Notes: one text in two sets
    (the same ticket may well be triaged and answered), and with an ``encoder`` what means the same.

    Args:
        folder: The workspace.
        golden: The folder of the sets; ``golden/`` when left out. Sets that do not exist are left out.
        least: Likeness of two near duplicates, in (0, 1].
        encoder: Also compares by meaning, from a cosine similarity of 0.9.

    Raises:
        InputError: There is no golden set, or one cannot be read.
    """
    sets = _load(golden or folder.root / "golden")
    cases = [_Text(f"{dataset.name}:{s.id}", s.customer_text) for dataset in sets for s in dataset.samples]
    examples = _examples(folder)
    articles = _articles(folder)
    problems = [
        *_duplicates(cases, least, encoder),
        *_leaks(cases, examples, least, encoder),
        *_in_knowledge(cases, articles),
        *_same_tickets(sets, folder),
        *(problem for dataset in sets for problem in _names(dataset, folder, {a.name for a in articles})),
        *(problem for dataset in sets for problem in _contradictions(dataset)),
    ]
    return GoldenReport(
        tuple(SetSize(dataset.name, len(dataset.samples), dataset.version) for dataset in sets),
        {"examples": len(examples), "articles": len(articles)},
        tuple(sorted(problems, key=lambda problem: not problem.is_error)),
    )


def _load(golden: Path) -> list[Dataset[Sample]]:
    paths = {name: golden / f"{name}.jsonl" for name in KINDS}
    found = [load_dataset(path, KINDS[name]) for name, path in paths.items() if path.is_file()]
    if not found:
        raise InputError(f"{golden}: no golden set; add one of {', '.join(path.name for path in paths.values())}")
    return found


def _examples(folder: WorkspaceFolder) -> list[_Text]:
    """Return what agents learn from: labelled tickets and the customers' side of solved ones."""
    labelled = folder.labelled
    found = [_Text(f"labelled:{number}", str(row.get("text", ""))) for number, row in _objects(labelled)]
    for number, row in _objects(labelled.parent / "solved.jsonl"):
        ticket = row.get("ticket")
        texts = [] if not isinstance(ticket, dict) else [str(ticket.get("subject", "")), *_customer_texts(ticket)]
        found.append(_Text(f"solved:{number}", "\n\n".join(texts)))
    return found


def _objects(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    lines = read_lines(path) if path.is_file() else iter(())
    yield from ((number, value) for number, (_, value) in enumerate(lines, start=1) if isinstance(value, dict))


def _customer_texts(ticket: Mapping[str, object]) -> list[str]:
    messages = ticket.get("messages")
    rows = [row for row in messages if isinstance(row, dict)] if isinstance(messages, list) else []
    return [str(row.get("text", "")) for row in rows if row.get("role") == "customer"]


def _articles(folder: WorkspaceFolder) -> list[_Text]:
    from deskhand_memory import load_articles
    from deskhand_memory.articles import find_files

    files = find_files([folder.knowledge]) if folder.knowledge.is_dir() else []
    return [_Text(article.id, article.text) for file in files for article in load_articles(file)]


def _duplicates(cases: Sequence[_Text], least: float, encoder: Encoder | None) -> Iterator[Problem]:
    texts = [case.text for case in cases]
    near = near_pairs(texts, least=least)
    for pair in near:
        a, b = cases[pair.a].name, cases[pair.b].name
        same_set = a.partition(":")[0] == b.partition(":")[0]
        kind, detail = ("duplicate", "keep one") if same_set else ("shared", "one text in two sets")
        yield Problem(kind, a, b, pair.likeness, same_set, detail)
    yield from _alike(cases, None, near, encoder)


def _leaks(
    cases: Sequence[_Text], examples: Sequence[_Text], least: float, encoder: Encoder | None
) -> Iterator[Problem]:
    texts, seen = [case.text for case in cases], [example.text for example in examples]
    near = near_pairs(texts, seen, least=least)
    known = {(pair.a, pair.b) for pair in near}
    copied = [pair for pair in contained_pairs(texts, seen) if (pair.a, pair.b) not in known]
    for pairs, detail in ((near, "the agents have seen it"), (copied, "stands in an example word for word")):
        for pair in pairs:
            yield Problem("leak", cases[pair.a].name, examples[pair.b].name, pair.likeness, True, detail)
    yield from _alike(cases, examples, [*near, *copied], encoder)


def _alike(
    cases: Sequence[_Text], others: Sequence[_Text] | None, known: Sequence[Pair], encoder: Encoder | None
) -> Iterator[Problem]:
    if encoder is None:
        return
    named = {(pair.a, pair.b) for pair in known}
    second = None if others is None else [other.text for other in others]
    for pair in alike_pairs([case.text for case in cases], second, encoder):
        if (pair.a, pair.b) not in named:
            other = (cases if others is None else others)[pair.b]
            yield Problem("alike", cases[pair.a].name, other.name, pair.likeness, False, "means the same")


def _in_knowledge(cases: Sequence[_Text], articles: Sequence[_Text]) -> Iterator[Problem]:
    texts = [case.text for case in cases]
    for pair in contained_pairs(texts, [article.text for article in articles]):
        case, article = cases[pair.a].name, articles[pair.b].name
        yield Problem("leak", case, f"article:{article}", pair.likeness, True, "stands in an article word for word")


def _same_tickets(sets: Sequence[Dataset[Sample]], folder: WorkspaceFolder) -> Iterator[Problem]:
    solved = {}
    for number, row in _objects(folder.labelled.parent / "solved.jsonl"):
        ticket = row.get("ticket")
        if isinstance(ticket, dict):
            solved[str(ticket.get("id"))] = number
    for dataset in sets:
        for sample in dataset.samples:
            ticket_id = sample.ticket.id if isinstance(sample, DraftSample | SummarySample) else None
            if ticket_id in solved:
                other = f"solved:{solved[ticket_id]}"
                yield Problem("leak", f"{dataset.name}:{sample.id}", other, 1.0, True, f"both are ticket {ticket_id}")


def _names(dataset: Dataset[Sample], folder: WorkspaceFolder, articles: set[str]) -> Iterator[Problem]:
    categories = {category.id for category in folder.taxonomy.category}
    teams = {team.id for team in folder.taxonomy.team}
    for sample in dataset.samples:
        case = f"{dataset.name}:{sample.id}"
        wanted: list[tuple[str, str | None, set[str]]] = []
        if isinstance(sample, TriageSample):
            wanted = [("category", sample.label, categories), ("team", sample.team, teams)]
        elif isinstance(sample, RetrievalSample):
            wanted = [("article", name, articles) for name in sample.relevant]
        elif isinstance(sample, DraftSample):
            wanted = [("article", name, articles) for name in sample.articles]
        for what, name, known in wanted:
            if name is not None and known and name not in known:
                yield Problem("unknown", case, name, None, True, f"there is no {what} of this name")


def _contradictions(dataset: Dataset[Sample]) -> Iterator[Problem]:
    """Yield the facts that are forbidden although a required wording states them: no answer could pass."""
    for sample in dataset.samples:
        if not isinstance(sample, DraftSample | SummarySample):
            continue
        for must in sample.must:
            for forbidden in sample.must_not:
                if all(states(wording, forbidden) for wording in must.any):
                    detail = "a required fact is forbidden in every wording"
                    yield Problem("contradiction", f"{dataset.name}:{sample.id}", forbidden.fact, None, True, detail)
