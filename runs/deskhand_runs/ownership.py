"""Who executes a workspace's runs: one process at a time, as long as it lives."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deskhand.config import WorkspaceFolder
from deskhand.errors import OwnedElsewhere, StoreError

_TRIES = 20
_PAUSE_S = 0.02


def _lock_file(folder: WorkspaceFolder) -> Path:
    return folder.state / "engine.lock"


@contextmanager
def own(folder: WorkspaceFolder) -> Iterator[None]:
    """Hold the right to execute the runs of a workspace; the kernel frees it when the process dies.

    Raises:
        OwnedElsewhere: Another process, or another engine of this one, has it.
        StoreError: The lock file cannot be written.
    """
    descriptor = _open(_lock_file(folder))
    try:
        # who only asks holds the lock for an instant, so one refusal is no proof
        for attempt in range(_TRIES):
            if _try_lock(descriptor):
                break
            if attempt == _TRIES - 1:
                owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
                raise OwnedElsewhere(
                    f"{folder.root}: process {owner or 'unknown'} executes its runs already; stop that one first,"
                    " or hand work to it with 'deskhand review' and 'deskhand runs'",
                    owner=owner,
                )
            time.sleep(_PAUSE_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_owned(folder: WorkspaceFolder) -> bool:
    """Tell whether some process, this one included, executes the runs of a workspace now."""
    path = _lock_file(folder)
    if not path.exists():
        return False
    descriptor = _open(path)
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise StoreError(f"{path}: cannot be written ({exc.strerror}); check the folder's permissions") from exc


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
