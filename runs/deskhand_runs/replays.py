"""Running a recorded run again: nothing is asked of the world, nothing is stored, and a miss is loud."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deskhand.actions import Decision
from deskhand.context import RunContext
from deskhand.errors import InputError
from deskhand.jsonio import content_hash
from deskhand.recorder import CallKind, Row, load_recording, replay
from deskhand.records import RunResult
from deskhand.tickets import Ticket
from deskhand_graphs import Drive, begin, memory_saver

if TYPE_CHECKING:
    from deskhand_graphs import Workspace


@dataclass(frozen=True)
class Recordings:
    """The recordings in a folder, or one file of them."""

    files: tuple[Path, ...]

    @classmethod
    def open(cls, path: Path) -> Recordings:
        """Find recordings. Raises InputError when there are none."""
        files = tuple(sorted(path.glob("*.jsonl"))) if path.is_dir() else (path,)
        if not files:
            raise InputError(f"{path}: no recordings there; run with --record first")
        return cls(files)

    def rows_of(self, run_id: str) -> list[Row]:
        """Return the rows of one run. Raises InputError when it was not recorded."""
        for file in self.files:
            if file.stem == run_id:
                return load_recording(file)
        raise InputError(f"{run_id}: was not recorded; run its ticket with --record --again")

    def rows_for(self, ticket: Ticket, graph: str) -> list[Row]:
        """Return the newest recording of ``ticket`` on ``graph``. Raises InputError when there is none."""
        if len(self.files) == 1:
            return load_recording(self.files[0])
        wanted = {"graph": graph, "ticket_hash": content_hash(ticket.model_dump(mode="json"))}
        for file in reversed(self.files):
            rows = load_recording(file)
            if any(row.kind is CallKind.run and row.request == wanted for row in rows):
                return rows
        raise InputError(f"ticket {ticket.id}: no recording of it on graph {graph!r}; run it with --record first")


async def replay_ticket(
    workspace: Workspace, ticket: Ticket, graph: str, rows: list[Row], *, decided: Sequence[Decision] = ()
) -> RunResult:
    """Return what the recorded run returned, its decisions taken in again.

    Args:
        workspace: For its graph and configuration; nothing in it is asked or changed.
        ticket: The ticket that was run.
        graph: The graph that ran it.
        rows: The recording.
        decided: The decisions as they were made. A recording holds them masked; without the originals, personal
            data that only a reviewer wrote stays masked in the result.

    Raises:
        ReplayMiss: The run asks for something that was not recorded: its code, prompts or ticket changed.
    """
    run_id = begin(RunContext("", recorder=replay(rows)), graph, ticket)
    drive = Drive(workspace, memory_saver(), graph)
    originals = {decision.ask_id: decision for decision in decided}
    answers = [originals.get(recorded.ask_id, recorded) for recorded in _decisions(rows)]
    for answer in (None, *answers):
        # A recorder for each stop, as the run had: the node that asked runs again, and its calls are the same calls.
        end = await drive(RunContext(run_id, recorder=replay(rows)), ticket, answer)
    return end.result


def _decisions(rows: list[Row]) -> list[Decision]:
    """Return the recorded decisions in the order in which they were taken in."""
    return [Decision.model_validate(row.response) for row in rows if row.kind is CallKind.decision]


def differences(stored: RunResult | None, replayed: RunResult) -> list[str]:
    """Return a diff of two results that leaves out wall times; empty when they are equal to the byte.

    A run is compared as far as it had come: the stored result of a finished run includes its decision.
    """
    before = _timeless(stored) if stored else {}
    after = _timeless(replayed)
    if json.dumps(before) == json.dumps(after):
        return []
    stored_lines, replayed_lines = _lines(before), _lines(after)
    return list(difflib.unified_diff(stored_lines, replayed_lines, "stored", "replayed", lineterm="", n=1))


def _lines(value: dict[str, Any]) -> list[str]:
    return json.dumps(value, indent=1, ensure_ascii=False).split("\n")


def _timeless(result: RunResult) -> dict[str, Any]:
    value = result.model_dump(mode="json")
    value["usage"].pop("latency_ms")
    for span in value["trace"]:
        span.pop("ms")
    return value
