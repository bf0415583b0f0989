"""In what order: state machines over agents, and ``Workspace``, where all parts are put together."""

from deskhand_graphs.checks import check_workspace
from deskhand_graphs.drive import Drive, End, begin, checkpoint_serializer, memory_saver
from deskhand_graphs.results import build_result, unmask
from deskhand_graphs.step import step
from deskhand_graphs.workspace import Workspace

__all__ = [
    "Drive",
    "End",
    "Workspace",
    "begin",
    "build_result",
    "check_workspace",
    "checkpoint_serializer",
    "memory_saver",
    "step",
    "unmask",
]
