"""Labelled tickets: what people decided before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from deskhand.config import Taxonomy
from deskhand.errors import InputError
from deskhand.fencing import fold, normalise
from deskhand.jsonio import read_lines, validate
from deskhand.schema import Model
from deskhand.tickets import Priority, Text
from deskhand.vault import PatternVault
from deskhand_agents.sentences import nameless


class LabelledTicket(Model):
    """One line of ``tickets/labelled.jsonl``. ``label`` null: it was looked at and fits no category."""

    text: Text
    label: str | None
    language: str | None = None
    priority: Priority | None = None
    team: str | None = None


def load_labelled(path: Path, taxonomy: Taxonomy) -> tuple[LabelledTicket, ...]:
    """Return the labelled tickets, personal data masked, exact repetitions left out; empty when there is no file.

    Raises:
        InputError: A line is not a labelled ticket, or its label is neither null nor a category of the taxonomy.
    """
    if not path.is_file():
        return ()
    known = {None, *(category.id for category in taxonomy.category)}
    rows: dict[tuple[str, str | None], LabelledTicket] = {}
    for where, value in read_lines(path):
        row = validate(LabelledTicket, value, where)
        if taxonomy.category and row.label not in known:
            raise InputError(f"{where}: label {row.label!r} is not a category; correct it or add it to taxonomy.toml")
        masked = row.model_copy(update={"text": nameless(PatternVault().mask(normalise(row.text)))})
        rows.setdefault((fold(masked.text), masked.label), masked)
    return tuple(rows.values())


def usual_priorities(rows: Sequence[LabelledTicket]) -> dict[str | None, Priority]:
    """Return the commonest priority per label, the lower one on a tie; labels without any are left out."""
    counts: dict[str | None, Counter[Priority]] = {}
    for row in rows:
        if row.priority is not None:
            counts.setdefault(row.label, Counter())[row.priority] += 1
    order = list(Priority)
    return {label: max(order, key=lambda p: (found[p], -order.index(p))) for label, found in counts.items()}
