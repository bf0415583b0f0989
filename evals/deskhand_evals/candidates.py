"""Candidate cases: what production runs and reviewers' edits teach, masked, waiting for a person to accept them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from deskhand.actions import Verdict
from deskhand.clock import Clock, SystemClock
from deskhand.config import WorkspaceFolder
from deskhand.errors import InputError
from deskhand.jsonio import canonical_json, read_lines, read_text, validate, write_atomic
from deskhand.records import RunRecord
from deskhand.schema import Json, Model
from deskhand_evals.datasets import KINDS, Sample, load_samples
from deskhand_evals.duplicates import near_pairs
from deskhand_evals.masking import CaseMask

if TYPE_CHECKING:
    from deskhand.answers import Draft

Kind = Literal["triage", "retrieval", "drafts", "summaries"]
MAX_FACT_CHARS = 500

_VALUE = re.compile(
    r"(?<![\w-])\d+(?:[.,:]\d+)*(?:\s?%|\s(?:working |business )?(?:days?|weeks?|months?|hours?|years?))"
)


class Candidate(Model):
    """A case that waits. ``sample`` is a row of the golden set ``kind``; ``why`` says where its answers come from."""

    id: str
    kind: Kind
    run_id: str
    added_at: str
    why: str
    sample: dict[str, Json]


class Candidates:
    """``golden/candidates.jsonl`` of a workspace. A candidate leaves it when it is accepted or rejected."""

    def __init__(self, folder: WorkspaceFolder, clock: Clock | None = None) -> None:
        self._folder, self._clock = folder, clock or SystemClock()
        self.path = folder.root / "golden" / "candidates.jsonl"

    def list(self) -> list[Candidate]:
        """Return the candidates, oldest first. Raises InputError when the file is damaged."""
        if not self.path.is_file():
            return []
        return [validate(Candidate, value, where) for where, value in read_lines(self.path)]

    def load(self, name: str) -> Candidate:
        """Return one by its id or the unique beginning of it. Raises InputError."""
        found = self.list()
        matches = [c for c in found if c.id == name] or [c for c in found if c.id.startswith(name)]
        if len(matches) != 1:
            problem = f"{len(matches)} candidates begin with it" if matches else "no such candidate"
            raise InputError(f"{name!r}: {problem}; 'deskhand golden list' shows them")
        return matches[0]

    def add(self, record: RunRecord, kind: Kind) -> Candidate:
        """Keep a run as a candidate. Raises InputError when it is one already, or teaches nothing of that kind."""
        known = {candidate.id for candidate in self.list()}
        candidate = build_candidate(record, kind, self._folder, self._clock.now().isoformat(timespec="seconds"))
        if candidate.id in known or candidate.id in self._accepted(kind):
            raise InputError(f"{candidate.id}: is a case already; 'deskhand golden list' shows the candidates")
        self._write([*self.list(), candidate])
        return candidate

    def replace(self, candidate: Candidate) -> None:
        """Keep an edited candidate. Raises InputError when its sample is not one of its kind, or it is not there."""
        validate(KINDS[candidate.kind], candidate.sample, candidate.id)
        self.load(candidate.id)
        self._write([candidate if other.id == candidate.id else other for other in self.list()])

    def accept(self, name: str) -> Path:
        """Move a candidate to the end of its golden set and return that file.

        Raises:
            InputError: Its sample is not one of its kind, its id is taken, or a case of the set is a near duplicate.
        """
        candidate = self.load(name)
        sample = validate(KINDS[candidate.kind], candidate.sample, candidate.id)
        path = self._set(candidate.kind)
        self._check_new(sample, path)
        before = read_text(path) if path.is_file() else ""
        end = "" if before.endswith("\n") or not before else "\n"
        write_atomic(path, f"{before}{end}{canonical_json(candidate.sample)}\n")
        self._write([other for other in self.list() if other.id != candidate.id])
        return path

    def reject(self, name: str) -> None:
        """Drop a candidate. Raises InputError when there is none."""
        candidate = self.load(name)
        self._write([other for other in self.list() if other.id != candidate.id])

    def _set(self, kind: str) -> Path:
        return self._folder.root / "golden" / f"{kind}.jsonl"

    def _accepted(self, kind: str) -> set[str]:
        path = self._set(kind)
        return {sample.id for sample in load_samples(path, KINDS[kind])} if path.is_file() else set()

    def _check_new(self, sample: Sample, path: Path) -> None:
        others = load_samples(path, type(sample)) if path.is_file() else []
        if sample.id in {other.id for other in others}:
            raise InputError(f"{path}: has a case {sample.id!r} already; reject the candidate")
        for pair in near_pairs([sample.customer_text], [other.customer_text for other in others]):
            raise InputError(
                f"{sample.id}: is nearly the case {others[pair.b].id!r} of {path} (likeness {pair.likeness:.2f});"
                " reject the candidate, or remove that case"
            )

    def _write(self, candidates: Sequence[Candidate]) -> None:
        write_atomic(self.path, "".join(f"{canonical_json(c.model_dump(mode='json'))}\n" for c in candidates))


def build_candidate(record: RunRecord, kind: Kind, folder: WorkspaceFolder, added_at: str) -> Candidate:
    """Return a run as a candidate case, masked.

    ``drafts``: what a reviewer approved or wrote is the expected reply; sentences they added are facts it must state,
    sentences they removed are facts it must not. ``triage``, ``retrieval`` and ``summaries``: what the run itself
    answered, for a person to correct.

    Raises:
        InputError: The run has no result, or nothing that such a case could expect.
    """
    if record.result is None:
        raise InputError(f"{record.run_id}: has no result; choose a run that parked or is done")
    mask = CaseMask(record.ticket, keep=[folder.config.brand.name, folder.config.brand.signature])
    name = f"{record.run_id}-{kind}"
    build = {"triage": _triage, "retrieval": _retrieval, "drafts": _drafts, "summaries": _summaries}[kind]
    sample, why = build(record, mask, name)
    checked = validate(KINDS[kind], {"id": name} | sample, name)
    plain = cast(dict[str, Json], checked.model_dump(mode="json", exclude_defaults=True) | _required(checked))
    return Candidate(id=name, kind=kind, run_id=record.run_id, added_at=added_at, why=why, sample=plain)


def _required(sample: Sample) -> dict[str, Json]:
    """Return fields that a row must have even where they are empty."""
    return cast(dict[str, Json], {"must": []}) if hasattr(sample, "must") and not sample.must else {}


def _triage(record: RunRecord, mask: CaseMask, name: str) -> tuple[dict[str, Any], str]:
    triage = record.result.triage if record.result else None
    if triage is None:
        raise InputError(f"{record.run_id}: was not triaged; choose another run")
    sample = {
        "text": mask.text(record.ticket.customer_text()),
        "label": triage.category,
        "priority": triage.priority or "normal",
        "team": triage.team,
        "language": triage.language or "en",
        "flags": list(triage.flags),
    }
    return sample, "label, priority and team are what the run said; correct them"


def _retrieval(record: RunRecord, mask: CaseMask, name: str) -> tuple[dict[str, Any], str]:
    draft = _shown(record)
    articles = _articles(draft)
    if not articles:
        raise InputError(f"{record.run_id}: its draft cites no article; choose a run whose draft does")
    sample = {"text": mask.text(record.ticket.customer_text()), "relevant": articles}
    return sample, "the articles are those that the draft cited; correct them"


def _drafts(record: RunRecord, mask: CaseMask, name: str) -> tuple[dict[str, Any], str]:
    draft, reply = _shown(record), _reply(record)
    if reply is None:
        raise InputError(
            f"{record.run_id}: nobody approved or edited its draft; decide with 'deskhand review', or use --kind triage"
        )
    added, removed = _changes(draft.text if draft else "", reply)
    sample = {
        "ticket": mask.ticket(record.ticket, name),
        "must": mask.json(cast(Json, [fact for sentence in added for fact in _facts(sentence)])),
        "must_not": mask.json(cast(Json, [_whole(sentence) for sentence in removed])),
        "articles": _articles(draft),
        "reply": mask.text(reply),
    }
    verb = "edited" if removed or (draft and reply != draft.text) else "approved"
    return sample, f"a reviewer {verb} the reply; see that every fact is one that any good reply states"


def _summaries(record: RunRecord, mask: CaseMask, name: str) -> tuple[dict[str, Any], str]:
    from deskhand_agents.sentences import body_sentences

    summary = record.result.summary if record.result else None
    sentences = body_sentences(summary.text) if summary else []
    if not sentences:
        raise InputError(f"{record.run_id}: has no summary; choose a run that was summarised, or use --kind triage")
    facts = [fact for sentence in sentences for fact in _facts(sentence)]
    sample = {"ticket": mask.ticket(record.ticket, name), "must": mask.json(cast(Json, facts))}
    return sample, "the facts are those of the run's own summary; correct them, and add what it must not state"


def _shown(record: RunRecord) -> Draft | None:
    """Return the draft that the reviewer saw."""
    if record.review is not None and record.review.draft is not None:
        return record.review.draft
    return record.result.draft if record.result else None


def _reply(record: RunRecord) -> str | None:
    for decision in reversed(record.decisions):
        if decision.verdict is Verdict.edit and decision.text:
            return decision.text
        if decision.verdict is Verdict.approve:
            draft = _shown(record)
            return draft.text if draft else None
    return None


def _changes(draft: str, reply: str) -> tuple[list[str], list[str]]:
    """Return the sentences that only the reply has, and those that only the draft has; all of an approved one."""
    from deskhand_agents.sentences import body_sentences

    before, after = body_sentences(draft), body_sentences(reply)
    if draft == reply:
        return [sentence for sentence in after if _values(sentence)] or after, []
    added = [sentence for sentence in after if sentence not in before]
    kept = [sentence for sentence in after if sentence in before and _values(sentence)]
    return added or kept or after, [sentence for sentence in before if sentence not in after]


def _facts(sentence: str) -> list[dict[str, Any]]:
    """Return a fact for every amount, date, length of time and share in a sentence, or one for all of it."""
    values = _values(sentence)
    return [{"fact": sentence[:MAX_FACT_CHARS], "any": [value]} for value in values] or [_whole(sentence)]


def _whole(sentence: str) -> dict[str, Any]:
    return {"fact": sentence[:MAX_FACT_CHARS], "any": [sentence[:MAX_FACT_CHARS]]}


def _values(sentence: str) -> list[str]:
    from deskhand_agents.entities import find_amounts, find_dates

    found = [entity.text for entity in (*find_amounts(sentence), *find_dates(sentence))]
    return list(dict.fromkeys([*found, *_VALUE.findall(sentence)]))


def _articles(draft: Draft | None) -> list[str]:
    ids = [citation.passage_id for citation in draft.citations] if draft else []
    return list(dict.fromkeys(name.partition("@")[0] for name in ids if not name.startswith("record:")))
