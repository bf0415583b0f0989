"""Triage and retrieval of a workspace on golden sets: the functions behind `triage evaluate` and `memory evaluate`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deskhand.context import RunContext
from deskhand_evals.calibration import calibration_error
from deskhand_evals.datasets import RetrievalSample, TriageSample, load_samples
from deskhand_evals.metrics import per_class
from deskhand_evals.scorers import Case
from deskhand_evals.scores import score_retrieval, score_triage

if TYPE_CHECKING:
    from deskhand_graphs import Workspace

Progress = Callable[[int, int], None]


def evaluate_triage(
    workspace: Workspace, golden: Path, progress: Progress = lambda done, total: None
) -> dict[str, Any]:
    """Return the figures of the workspace's triage on a golden set, JSON.

    Top level: all samples in languages that the encoder reads. ``arms``: ``all`` (every sample) and each language.
    ``ece`` is the expected calibration error; ``certified`` the accuracy and share of certified answers.

    Raises:
        InputError: The golden set cannot be read, or has no sample in a language that is read.
    """
    samples = load_samples(golden, TriageSample)
    found = asyncio.run(_triage_all(workspace, samples, progress))
    read = workspace.encoder().languages
    chosen = [number for number, sample in enumerate(samples) if sample.language in read] or list(range(len(samples)))
    groups = {"all": list(range(len(samples)))}
    for language in sorted({sample.language for sample in samples}):
        groups[language] = [number for number, sample in enumerate(samples) if sample.language == language]
    arms = {name: _triage_figures(samples, found, places) for name, places in groups.items()}
    return _triage_figures(samples, found, chosen, details=True) | {"arms": arms}


async def _triage_all(workspace: Workspace, samples: Sequence[TriageSample], progress: Progress) -> list[Any]:
    from deskhand_evals.workspace_targets import triage_target

    target = triage_target(workspace)
    found = []
    for number, sample in enumerate(samples, start=1):
        output = await target(Case(sample.id, {"text": sample.text}), 0, RunContext(f"eval-{sample.id}-0"))
        found.append(output.value or {})
        progress(number, len(samples))
    return found


def _triage_figures(
    samples: Sequence[TriageSample], found: Sequence[Any], places: Sequence[int], *, details: bool = False
) -> dict[str, Any]:
    chosen = [samples[place] for place in places]
    predicted = [found[place].get("category") for place in places]
    score = score_triage(chosen, predicted)
    hits = [sample.label == guess for sample, guess in zip(chosen, predicted, strict=True)]
    certified = [hit for hit, place in zip(hits, places, strict=True) if found[place].get("certified")]
    figures: dict[str, Any] = {
        "n": score.n,
        "accuracy": score.accuracy,
        "interval": list(score.interval),
        "macro_f1": score.macro_f1,
        "ece": calibration_error([found[place].get("confidence", 0.0) for place in places], hits),
        "certified": {
            "share": len(certified) / len(hits),
            "accuracy": sum(certified) / len(certified) if certified else None,
        },
    }
    if details:
        classes = per_class([sample.label for sample in chosen], predicted)
        figures["classes"] = {str(name): classes[name]._asdict() for name in classes}
        figures["wrong"] = [list(case) for case in score.wrong]
    return figures


def evaluate_retrieval(workspace: Workspace, golden: Path, *, on: date) -> dict[str, Any]:
    """Return the figures of the agents' search on a golden set, JSON.

    Top level: the search as configured, with lexical routing. ``arms``: ``no_threshold`` is the same without
    ``min_similarity``, as far as it ranks.

    Raises:
        InputError: The golden set cannot be read.
    """
    samples = load_samples(golden, RetrievalSample)
    settings = workspace.folder.config.memory

    def arm(min_similarity: float, top_k: int) -> dict[str, Any]:
        def search(query: str) -> Sequence[str]:
            found = workspace.knowledge.search(
                query, top_k=top_k, min_similarity=min_similarity, on=on, audience=settings.audience
            )
            return [passage.source_id for passage in found]

        return asdict(score_retrieval(samples, search))

    figures = arm(settings.min_similarity, settings.top_k)
    return figures | {"arms": {"no_threshold": arm(-1.0, max(10, settings.top_k))}}
