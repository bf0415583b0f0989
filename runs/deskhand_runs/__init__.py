"""What makes a run survive: the run store, locks, running graphs, write-back, and replay."""

from deskhand_runs.execute import Executor, Ran
from deskhand_runs.locks import RunLock
from deskhand_runs.opening import open_runs
from deskhand_runs.replays import Recordings, differences, replay_ticket
from deskhand_runs.store import Claim, RunStore
from deskhand_runs.write_back import write_back

__all__ = [
    "Claim",
    "Executor",
    "Ran",
    "Recordings",
    "RunLock",
    "RunStore",
    "differences",
    "open_runs",
    "replay_ticket",
    "write_back",
]
