"""Triage by cross-validation: what labelled tickets are worth, without touching the golden set."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from deskhand.context import RunContext
from deskhand.errors import InputError
from deskhand.jsonio import content_hash
from deskhand.view import view_ticket
from deskhand_evals.calibration import calibration_error
from deskhand_evals.duplicates import duplicate_groups
from deskhand_evals.metrics import accuracy, macro_f1, wilson
from deskhand_evals.scorers import Case
from deskhand_evals.splits import SEED, Fold, folds
from deskhand_evals.workspace_targets import ticket_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deskhand.interfaces import Encoder
    from deskhand_agents import ExamplesTriage, LabelledTicket
    from deskhand_graphs import Workspace

Progress = Callable[[int, int], None]


class _Guess(NamedTuple):
    label: str | None
    confidence: float
    is_certified: bool


@dataclass
class _Remembering:
    """An encoder that encodes each text once: folds share almost all of theirs."""

    encoder: Encoder
    vectors: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.encoder.name

    @property
    def dim(self) -> int:
        return self.encoder.dim

    @property
    def max_tokens(self) -> int:
        return self.encoder.max_tokens

    @property
    def languages(self) -> frozenset[str]:
        return self.encoder.languages

    def count_tokens(self, text: str) -> int:
        return self.encoder.count_tokens(text)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        new = [text for text in dict.fromkeys(texts) if text not in self.vectors]
        self.vectors.update(zip(new, self.encoder.encode(new), strict=True))
        rows = [self.vectors[text] for text in texts]
        return np.stack(rows) if rows else np.zeros((0, self.dim), np.float32)


def cross_validate_triage(
    workspace: Workspace, n_folds: int, *, seed: int = SEED, progress: Progress = lambda done, total: None
) -> dict[str, Any]:
    """Return the figures of triage on labelled tickets that it was not fitted on, JSON.

    Folds are stratified by label; near duplicates of a ticket are in its fold, so that none is tested on its own
    copy. Articles count as known: they are what triage reads in production too. Only tickets in languages that the
    encoder reads take part.

    Returns:
        ``n``, ``accuracy``, ``interval`` (95 %), ``macro_f1``, ``ece``, ``certified`` (``share``, ``accuracy``), and
        ``folds``, one object each with ``n``, ``accuracy`` and ``macro_f1``.

    Raises:
        InputError: There are too few labelled tickets for so many folds.
    """
    from deskhand_agents import knows_language

    encoder = _Remembering(workspace.encoder())
    rows = [row for row in workspace.labelled if knows_language(encoder, row.language)]
    try:
        cut = labelled_folds(rows, n_folds, seed=seed)
    except ValueError as exc:
        raise InputError(f"--folds {n_folds}: {exc}; label more tickets or ask for fewer folds") from exc
    guesses: list[_Guess] = [_Guess(None, 0.0, False)] * len(rows)
    with tempfile.TemporaryDirectory() as scratch:
        for number, fold in enumerate(cut, start=1):
            fitted = _fit(workspace, encoder, [rows[place] for place in fold.fit], Path(scratch, str(number)))
            found = asyncio.run(_guess_all(fitted, [rows[place] for place in fold.held_out]))
            for place, guess in zip(fold.held_out, found, strict=True):
                guesses[place] = guess
            progress(number, len(cut))
    return _figures(rows, guesses, cut)


def labelled_folds(rows: Sequence[LabelledTicket], n: int, *, seed: int = SEED) -> list[Fold]:
    """Return folds of labelled tickets, stratified by label, near duplicates kept together. Raises ValueError."""
    texts = [row.text for row in rows]
    names = [content_hash([row.text, row.label]) for row in rows]
    # a group is called by its smallest member, so that the order of the rows does not matter
    groups = duplicate_groups(texts)
    smallest = {group: min(names[k] for k, other in enumerate(groups) if other == group) for group in set(groups)}
    return folds(names, n, strata=[row.label for row in rows], groups=[smallest[g] for g in groups], seed=seed)


def _fit(workspace: Workspace, encoder: Encoder, rows: Sequence[LabelledTicket], folder: Path) -> ExamplesTriage:
    from deskhand_agents import ArtifactStore, ExamplesTriage
    from deskhand_graphs.library import triage_library

    settings = workspace.folder.config.triage
    fitted = ExamplesTriage(
        rows,
        workspace.folder.taxonomy,
        encoder,
        ArtifactStore(folder),
        library=triage_library(workspace.folder, encoder.languages),
        neighbours=settings.neighbours,
        target=settings.target,
    )
    fitted.prepare()
    return fitted


async def _guess_all(fitted: ExamplesTriage, rows: Sequence[LabelledTicket]) -> list[_Guess]:
    from deskhand_agents import TriageTask

    found = []
    for number, row in enumerate(rows):
        ctx = RunContext(f"fold-{number}")
        view = view_ticket(ticket_of(Case(str(number), {"text": row.text})), ctx.vault)
        answer = await fitted(TriageTask(view, language=row.language or "en"), ctx)
        guess = answer.value
        found.append(_Guess(guess.category, guess.confidence, guess.certified) if guess else _Guess(None, 0.0, False))
    return found


def _figures(rows: Sequence[LabelledTicket], guesses: Sequence[_Guess], cut: Sequence[Fold]) -> dict[str, Any]:
    truth, predicted = [row.label for row in rows], [guess.label for guess in guesses]
    hits = [a == b for a, b in zip(truth, predicted, strict=True)]
    certified = [hit for hit, guess in zip(hits, guesses, strict=True) if guess.is_certified]
    return {
        "n": len(rows),
        "accuracy": accuracy(truth, predicted),
        "interval": list(wilson(sum(hits), len(hits))),
        "macro_f1": macro_f1(truth, predicted),
        "ece": calibration_error([guess.confidence for guess in guesses], hits),
        "certified": {
            "share": len(certified) / len(hits),
            "accuracy": sum(certified) / len(certified) if certified else None,
        },
        "folds": [_fold_figures([truth[p] for p in f.held_out], [predicted[p] for p in f.held_out]) for f in cut],
    }


def _fold_figures(truth: Sequence[str | None], predicted: Sequence[str | None]) -> dict[str, Any]:
    return {"n": len(truth), "accuracy": accuracy(truth, predicted), "macro_f1": macro_f1(truth, predicted)}
