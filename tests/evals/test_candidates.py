from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deskhand.actions import Decision, ReviewRequest
from deskhand.answers import Citation, Draft, Summary, Triage
from deskhand.config import WorkspaceFolder
from deskhand.errors import InputError
from deskhand.records import RunRecord, RunResult
from deskhand.testing import NOON, FixedClock, build_ticket
from deskhand.tickets import Message, Role, Ticket
from deskhand_evals import DraftSample, load_samples
from deskhand_evals.candidates import Candidates
from deskhand_evals.datasets import SummarySample
from deskhand_evals.masking import CaseMask

DRAFT = "Hello Ann,\n\nYou can return it within 14 days. The label is free.\n\nTestware support"
REPLY = "Hello Ann,\n\nYou can return it within 30 days. Keep HF-204817 ready, it costs EUR 6.90.\n\nTestware support"


def ticket() -> Ticket:
    text = "Order HF-204817 (or 204817) came late. Mail ann.lee@example.net or call +44 20 7123 4567. Ann Lee, ann"
    answer = Message(id="m2", author="Marieke Visser", role=Role.agent, text="Dear ANN, marieke here", at=NOON)
    return build_ticket(text).model_copy(
        update={"messages": (*build_ticket(text).messages, answer), "fields": {"order": "HF-204817", "year": "2026"}}
    )


def record(verdict: str | None = "edit", text: str | None = REPLY, **changes: Any) -> RunRecord:
    quote = "You can return it within 14 days."
    citation = Citation(sentence=quote, passage_id="returns@1#0", quote=quote)
    draft = Draft(text=DRAFT, citations=(citation,), commitments=(), language="en")
    result = RunResult(
        run_id="run-1", ticket_id="T-1", graph="support", status="parked", needs_human=True, draft=draft,
        triage=Triage(category="returns", language="en", confidence=0.9),
    )  # fmt: skip
    decisions = (Decision(ask_id="a", verdict=verdict, text=text, by="kim", at=NOON),) if verdict else ()
    fields: dict[str, Any] = {
        "run_id": "run-1", "ticket": ticket(), "ticket_hash": "h", "graph": "support", "status": "done",
        "created_at": NOON, "updated_at": NOON, "result": result, "decisions": decisions,
        "review": ReviewRequest(run_id="run-1", ask_id="a", draft=draft),
    }  # fmt: skip
    return RunRecord(**(fields | changes))


@pytest.fixture
def candidates(workspace: Path) -> Candidates:
    return Candidates(WorkspaceFolder(workspace), FixedClock())


def test_personal_data_gets_the_same_surrogate_everywhere() -> None:
    mask = CaseMask(ticket())
    text = mask.text(ticket().customer_text())
    assert text == (
        "Order HF-000001 (or 000001) came late. Mail person1@example.com or call +44 20 7946 0001. Alex Miller, ann"
    )
    assert mask.text("MARIEKE Visser: ANN, HF-204817, 2026") == "SAM Taylor: ALEX, HF-000001, 2026"
    kept = json.dumps(mask.ticket(ticket(), "case-1"))
    for secret in ("Lee", "Marieke", "marieke", "204817", "ann@", 'C-1"', "T-1"):
        assert secret not in kept
    assert "2026" in kept


def test_records_that_only_a_reply_names_are_masked(candidates: Candidates) -> None:
    sent = "Order HF-998877 was sent with PostNL; the tracking number is 3SHLWF344021026. Order HF-998877 is yours."
    text = json.dumps(candidates.add(record("edit", sent), "drafts").sample)
    assert not any(secret in text for secret in ("998877", "344021026"))
    mask = CaseMask(ticket())
    once = mask.text(sent)
    assert (mask.text(once), once.count("HF-000002")) == (once, 2)


def test_names_that_are_nobodys_stay() -> None:
    ours = build_ticket("Testware is nice").model_copy(update={"assignee": "Testware"})
    assert CaseMask(ours, keep=["Testware"]).text("Testware is nice, Ann Lee") == "Testware is nice, Alex Miller"


def test_what_a_reviewer_changed_is_what_is_expected(candidates: Candidates) -> None:
    sample = candidates.add(record(), "drafts").sample
    assert [fact["any"] for fact in sample["must"]] == [["30 days"], ["EUR 6.90"]]  # type: ignore[index,union-attr]
    removed = [fact["fact"] for fact in sample["must_not"]]  # type: ignore[index,union-attr]
    assert removed == ["You can return it within 14 days.", "The label is free."]
    assert "HF-000001" in str(sample["reply"])
    assert (sample["articles"], "Ann" in json.dumps(sample)) == (["returns"], False)


def test_an_approved_draft_expects_its_own_values(candidates: Candidates) -> None:
    candidate = candidates.add(record("approve", None), "drafts")
    assert "approved" in candidate.why
    assert [fact["any"] for fact in candidate.sample["must"]] == [["14 days"]]  # type: ignore[index,union-attr]
    assert "must_not" not in candidate.sample


def test_a_reply_without_values_expects_its_sentences(candidates: Candidates) -> None:
    sample = candidates.add(record("edit", "Please send it back to us."), "drafts").sample
    assert [fact["any"] for fact in sample["must"]] == [["Please send it back to us."]]  # type: ignore[index,union-attr]


def test_a_summary_becomes_a_case_masked(candidates: Candidates, workspace: Path) -> None:
    whole = record()
    assert whole.result is not None
    with pytest.raises(InputError, match="has no summary"):
        candidates.add(whole, "summaries")
    summary = Summary(text="Ann Lee paid EUR 6.90 for HF-204817. She is upset.", method="extractive")
    summarised = whole.model_copy(update={"result": whole.result.model_copy(update={"summary": summary})})
    sample = candidates.add(summarised, "summaries").sample
    assert [fact["any"] for fact in sample["must"]] == [["EUR 6.90"], ["She is upset."]]  # type: ignore[index,union-attr]
    assert not {"Ann", "204817"} & set(json.dumps(sample).replace("-", " ").split())
    assert [case.id for case in load_samples(candidates.accept("run-1-s"), SummarySample)] == ["run-1-summaries"]


def test_accepting_moves_a_candidate_into_its_set(candidates: Candidates, workspace: Path) -> None:
    for kind in ("drafts", "triage", "retrieval"):
        candidates.add(record(), kind)
    assert [candidate.kind for candidate in candidates.list()] == ["drafts", "triage", "retrieval"]
    path = candidates.accept("run-1-drafts")
    (workspace / "golden" / "retrieval.jsonl").write_text('{"id":"r","text":"x","relevant":["returns"]}')
    candidates.accept("run-1-retrieval")
    candidates.reject("run-1-t")
    assert candidates.list() == []
    assert [sample.id for sample in load_samples(path, DraftSample)] == ["run-1-drafts"]
    assert len((workspace / "golden" / "retrieval.jsonl").read_text().splitlines()) == 2
    with pytest.raises(InputError, match="is a case already"):
        candidates.add(record(), "drafts")


def test_a_candidate_that_is_nearly_a_case_is_not_accepted(candidates: Candidates) -> None:
    candidates.add(record(), "triage")
    candidates.accept("run-1-triage")
    candidates.add(record(run_id="run-2"), "triage")
    with pytest.raises(InputError, match="is nearly the case 'run-1-triage'"):
        candidates.accept("run-2")
    assert len(candidates.list()) == 1


def test_an_edited_candidate_must_fit_its_kind(candidates: Candidates) -> None:
    candidate = candidates.add(record(), "triage")
    candidates.replace(candidate.model_copy(update={"sample": candidate.sample | {"label": "delivery"}}))
    assert candidates.load("run-1").sample["label"] == "delivery"
    with pytest.raises(InputError, match="lable"):
        candidates.replace(candidate.model_copy(update={"sample": candidate.sample | {"lable": "x"}}))


@pytest.mark.parametrize(
    ("made", "kind", "said"),
    [
        (record(None), "drafts", "nobody approved"),
        (record("reject", None), "drafts", "nobody approved"),
        (record(result=None), "drafts", "has no result"),
    ],
)
def test_a_run_that_teaches_nothing_is_refused(candidates: Candidates, made: RunRecord, kind: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        candidates.add(made, kind)


def test_a_run_without_triage_or_citations_is_refused(candidates: Candidates) -> None:
    whole = record()
    assert whole.result is not None
    bare = whole.model_copy(
        update={"result": whole.result.model_copy(update={"triage": None, "draft": None}), "review": None}
    )
    with pytest.raises(InputError, match="was not triaged"):
        candidates.add(bare, "triage")
    with pytest.raises(InputError, match="cites no article"):
        candidates.add(bare, "retrieval")


def test_unknown_names_say_how_to_find_them(candidates: Candidates) -> None:
    with pytest.raises(InputError, match="golden list"):
        candidates.load("x")
