"""Ten thousand bodies that nobody should send, through the whole route of the webhooks."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest
from server_house import call_app, payload, signed

N_BODIES = 10_000
_DEEP = (b"[" * 20_000, b'{"data":' * 9_000 + b"1" + b"}" * 9_000, b'{"type":' + b"[" * 5_000 + b"]" * 5_000 + b"}")
_VALUES: tuple[Any, ...] = (None, True, -1, 1e308, 2**70, "", "\x00", "\ud800", "x" * 3_000, [], {}, [[]], {"id": {}})


def _mutate(rng: random.Random, genuine: dict[str, Any]) -> bytes:
    """Return a body that was genuine once."""
    kind = rng.randrange(7)
    if kind == 0:
        return rng.randbytes(rng.randrange(200))
    if kind == 1 and rng.random() < 0.02:
        return rng.choice(_DEEP)
    raw = bytearray(
        json.dumps(_changed(rng, genuine), ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    )
    if kind == 2:
        return bytes(raw[: rng.randrange(len(raw))])
    if kind == 3:
        for _ in range(rng.randrange(1, 6)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
    if kind == 4:
        return raw.decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-32", "utf-7")), "replace")
    if kind == 5 and rng.random() < 0.02:
        return bytes(raw) + b" " * 100_000
    return bytes(raw)


def _changed(rng: random.Random, value: Any) -> Any:
    """Return ``value`` with one leaf or branch replaced, removed or doubled."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        if rng.random() < 0.15:
            return {name: entry for name, entry in value.items() if name != key}
        return {**value, key: _changed(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.7:
        at = rng.randrange(len(value))
        return [*value[:at], _changed(rng, value[at]), *value[at:]]
    return rng.choice(_VALUES)


DJANGO = {
    "ticket": {
        "id": 7,
        "queue": 1,
        "title": "Lamp",
        "description": "It is broken",
        "submitter_email": "ann@example.com",
        "status": 1,
        "priority": 3,
        "custom_tags": "a,b",
        "followup_set": [
            {"id": 1, "user": None, "title": "t", "comment": "c", "public": True, "date": "2026-11-20T12:00:00Z"}
        ],
    },
    "queue_slug": "support",
    "followup_id": 1,
}


@pytest.mark.parametrize("source", ["shop", "desk"])
async def test_fuzzed_bodies_give_no_error_of_ours_and_no_crash(
    house: Any, source: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("ERROR")  # ten thousand refusals are ten thousand lines
    rng = random.Random(20_261_121)
    genuine = payload() if source == "shop" else DJANGO
    path = "/webhooks/shop" if source == "shop" else "/webhooks/desk/path-secret"
    statuses: Counter[int] = Counter()
    for n in range(N_BODIES):
        body = _mutate(rng, genuine)
        headers = signed(body, f"d-{n}") if source == "shop" and n % 10 else {}
        answer = await call_app(house.app, "POST", path, body, headers)
        statuses[answer.status] += 1
    assert set(statuses) <= {200, 202, 400, 403, 413}, statuses
    assert statuses[400] > 500 and statuses[200] + statuses[202] > 500, statuses
    assert len(house.engine.accepted) <= statuses[202]
