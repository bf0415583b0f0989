"""What makes a run survive: the engine, the run store, locks, running graphs, write-back, and replay."""

from deskhand_runs.backup import back_up, default_path, delete_old
from deskhand_runs.doors import Door, EngineStatus, open_client
from deskhand_runs.engine import Engine, open_engine
from deskhand_runs.execute import Executor, Ran
from deskhand_runs.guard_tables import GuardTables
from deskhand_runs.handling import Handling, handling_of, release, sources_of, take_over, taken_over
from deskhand_runs.inbox import Accepted, EntryState, InboxEntry, open_inbox
from deskhand_runs.locks import RunLock
from deskhand_runs.opening import open_runs
from deskhand_runs.ownership import is_owned
from deskhand_runs.replays import Recordings, differences, replay_ticket
from deskhand_runs.restore import put_back
from deskhand_runs.store import Claim, RunStore
from deskhand_runs.work import Pace
from deskhand_runs.write_back import write_back

__all__ = [
    "Accepted",
    "Claim",
    "Door",
    "Engine",
    "EngineStatus",
    "EntryState",
    "Executor",
    "GuardTables",
    "Handling",
    "InboxEntry",
    "Pace",
    "Ran",
    "Recordings",
    "RunLock",
    "RunStore",
    "back_up",
    "default_path",
    "delete_old",
    "differences",
    "handling_of",
    "is_owned",
    "open_client",
    "open_engine",
    "open_inbox",
    "open_runs",
    "put_back",
    "release",
    "replay_ticket",
    "sources_of",
    "take_over",
    "taken_over",
    "write_back",
]
