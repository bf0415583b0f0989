from __future__ import annotations

from typing import Any

import pytest
from parked_runs import REPLY, actions, park
from server_house import API_KEY

from deskhand.errors import OwnedElsewhere, StoreError
from deskhand.testing import build_ticket


def _ticket(**changes: Any) -> dict[str, Any]:
    return build_ticket(**changes).model_dump(mode="json")


async def test_ticket_is_taken_in_once_for_each_key(house: Any) -> None:
    answers = [await house.api("POST", "/api/v1/runs", _ticket(), **{"Idempotency-Key": "k-1"}) for _ in range(2)]
    assert [answer.status for answer in answers] == [202, 200]
    assert answers[0].json["delivery_id"] == "api:k-1" and answers[0].json["is_new"]
    [(event, ticket, graph)] = house.engine.accepted
    assert (event.source, event.actor, ticket.id, graph) == ("file", "api", "T-1", None)


async def test_without_a_key_the_content_is_the_key(house: Any) -> None:
    statuses = [
        (await house.api("POST", "/api/v1/runs", _ticket(text=text))).status for text in ("one", "one", "another")
    ]
    assert statuses == [202, 200, 202]


async def test_key_with_another_ticket_is_a_conflict_and_not_a_loss(house: Any) -> None:
    await house.api("POST", "/api/v1/runs", _ticket(), **{"Idempotency-Key": "k"})
    answer = await house.api("POST", "/api/v1/runs", _ticket(text="another"), **{"Idempotency-Key": "k"})
    assert answer.status == 409 and "another ticket" in answer.json["error"]


async def test_graph_is_the_one_named(house: Any) -> None:
    assert (await house.api("POST", "/api/v1/runs?graph=answer", _ticket())).status == 202
    assert house.engine.accepted[0][2] == "answer"
    assert (await house.api("POST", "/api/v1/runs?graph=made-up", _ticket())).status == 400


@pytest.mark.parametrize(
    ("body", "headers", "why"),
    [
        (b"", {}, "not valid JSON"),
        (b"{}", {}, "id"),
        (b"\xff", {}, "UTF-8"),
        (b"[" * 60_000, {}, "deep"),
        (None, {"Idempotency-Key": "x" * 300}, "Idempotency-Key"),
        (None, {"Idempotency-Key": "a\x01"}, "Idempotency-Key"),
    ],
)
async def test_wrong_ticket_is_answered_400_with_the_reason(
    house: Any, body: bytes | None, headers: dict[str, str], why: str
) -> None:
    raw = build_ticket().model_dump_json().encode() if body is None else body
    answer = await house.ask("POST", "/api/v1/runs", raw, {"x-api-key": API_KEY, **headers})
    assert answer.status == 400 and why in answer.json["error"]
    assert house.engine.accepted == []


async def test_ticket_of_an_unknown_source_or_too_long_is_refused(house: Any) -> None:
    assert (await house.api("POST", "/api/v1/runs", _ticket(source="nowhere"))).status == 400
    big = b"x" * 100_001
    assert (await house.ask("POST", "/api/v1/runs", big, {"x-api-key": API_KEY})).status == 413


async def test_ticket_that_cannot_be_stored_is_answered_503(house: Any) -> None:
    house.engine.error = StoreError("the disk is full; free some")
    assert (await house.api("POST", "/api/v1/runs", _ticket())).status == 503
    house.engine.error = RuntimeError("boom")
    assert (await house.api("POST", "/api/v1/runs", _ticket())).status == 503
    house.engine.error = None
    house.app.state.desk.is_draining = True
    assert (await house.api("POST", "/api/v1/runs", _ticket())).status == 503


async def test_delivery_can_be_looked_up(house: Any) -> None:
    made = (await house.api("POST", "/api/v1/runs", _ticket())).json
    shown = await house.api("GET", made["delivery"])
    assert shown.json["state"] == "queued" and shown.json["ticket_id"] == "T-1"
    assert (await house.api("GET", "/api/v1/deliveries/99")).status == 404


async def test_runs_are_listed_and_shown(house: Any) -> None:
    park(house.engine.store, "T-1")
    park(house.engine.store, "T-2")
    runs = (await house.api("GET", "/api/v1/runs?status=parked&limit=1")).json["runs"]
    assert [(run["ticket_id"], run["waits"], run["reasons"]) for run in runs] == [("T-2", True, ["review_by_default"])]
    assert len((await house.api("GET", "/api/v1/runs?ticket_id=T-1")).json["runs"]) == 1
    assert (await house.api("GET", "/api/v1/runs?limit=0")).status == 422
    one = await house.api("GET", "/api/v1/runs/run-t-2")
    assert one.json["review"]["draft"]["text"] == REPLY
    assert (await house.api("GET", "/api/v1/runs/run-x")).status == 404


async def test_decision_is_taken_in_once_and_another_is_a_conflict(house: Any) -> None:
    run_id = park(house.engine.store, actions=actions())
    wish = {"ask_id": f"{run_id}:0", "verdict": "approve", "action_ids": ["a0"], "by": "bot-1"}
    path = f"/api/v1/runs/{run_id}/decisions"
    answers = [await house.api("POST", path, wish) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    [decision] = answers[1].json["decisions"]
    assert (decision["verdict"], decision["by"], decision["action_ids"]) == ("approve", "bot-1", ["a0"])
    other = await house.api("POST", path, {**wish, "verdict": "reject", "action_ids": None})
    assert other.status == 409 and "already decided" in other.json["error"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"verdict": "maybe"}, 400),
        ({"verdict": "edit"}, 400),
        ({"verdict": "edit", "text": " "}, 400),
        ({"by": ""}, 400),
        ({"extra": 1}, 400),
        ({"ask_id": "other"}, 409),
        ({"action_ids": ["a2"]}, 409),
    ],
)
async def test_wrong_decision_changes_nothing(house: Any, change: dict[str, Any], status: int) -> None:
    run_id = park(house.engine.store, actions=actions())
    wish = {"ask_id": f"{run_id}:0", "verdict": "approve", **change}
    assert (await house.api("POST", f"/api/v1/runs/{run_id}/decisions", wish)).status == status
    assert house.engine.store.load(run_id).waits


async def test_decision_on_no_run_is_404_and_one_that_cannot_be_stored_503(house: Any) -> None:
    run_id = park(house.engine.store)
    wish = {"ask_id": f"{run_id}:0", "verdict": "approve"}
    assert (await house.api("POST", "/api/v1/runs/run-x/decisions", wish)).status == 404
    house.engine.error = OwnedElsewhere("another process is at work on it; wait")
    assert (await house.api("POST", f"/api/v1/runs/{run_id}/decisions", wish)).status == 503


async def test_readiness_says_why_it_is_not_ready(house: Any) -> None:
    assert (await house.api("GET", "/readyz")).json["status"] == "ready"
    house.engine.is_owner = False
    assert (await house.api("GET", "/readyz")).status == 503
    house.engine.error = StoreError("damaged; restore a backup")
    assert (await house.api("GET", "/readyz")).json["status"] == "store"
    house.app.state.desk.is_draining = True
    assert (await house.api("GET", "/readyz")).json["status"] == "stopping"


async def test_metrics_show_how_the_engine_stands(house: Any) -> None:
    park(house.engine.store)
    text = (await house.api("GET", "/metrics")).text
    assert "deskhand_queued 3.0" in text and "deskhand_waiting_for_person 1.0" in text
    assert "deskhand_oldest_queued_seconds 7.0" in text


async def test_store_that_cannot_be_read_is_answered_503(house: Any) -> None:
    house.engine.store.close()
    for path in ("/api/v1/runs", "/api/v1/runs/run-1"):
        assert (await house.api("GET", path)).status == 503
    house.engine.error = StoreError("damaged; restore a backup")
    assert (await house.api("GET", "/")).status == 503


async def test_what_waits_is_listed_page_by_page_the_oldest_first(house: Any) -> None:
    for n in range(5):
        park(house.engine.store, f"T-{n}")
    seen, after = [], 0
    while after is not None:
        answer = (await house.api("GET", f"/api/v1/queue?limit=2&after={after}")).json
        seen.append([run["ticket_id"] for run in answer["runs"]])
        after = answer["next_after"]
    assert seen == [["T-0", "T-1"], ["T-2", "T-3"], ["T-4"]]
    assert (await house.api("GET", "/api/v1/queue?after=-1")).status == 422
    house.engine.store.close()
    assert (await house.api("GET", "/api/v1/queue")).status == 503
