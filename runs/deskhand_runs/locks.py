"""Who is at work on a run: a lock that the kernel frees when its process dies.

Each run has one byte of one file. POSIX record locks belong to the process and vanish when *any* descriptor of the
file is closed in it, so that there is one descriptor per file and process, closed when its last lock is given back.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from deskhand.errors import OwnedElsewhere, StoreError

_TRIES = 4
_PAUSE_S = 0.01


@dataclass
class _File:
    """The one open descriptor of a lock file in this process, and the bytes that are locked through it."""

    descriptor: int
    held: set[int] = field(default_factory=set)


_guard = threading.RLock()
_files: dict[str, _File] = {}


def _forget_after_fork() -> None:
    """A forked child has the descriptors but none of the locks."""
    global _guard
    _guard = threading.RLock()
    for file in _files.values():
        os.close(file.descriptor)
    _files.clear()


os.register_at_fork(after_in_child=_forget_after_fork)


class RunLock:
    """The right to work on one run, within a ``with`` block; a second holder is refused at once.

    Args:
        path: The lock file, made when it is missing.
        seq: The number of the run's row: 1 or more.
        run_id: For messages.
    """

    def __init__(self, path: Path, seq: int, run_id: str) -> None:
        self.path = path
        self.seq = seq
        self.run_id = run_id

    def __enter__(self) -> RunLock:
        """Take the lock.

        Raises:
            OwnedElsewhere: Another process, or another part of this one, is at work on the run.
            StoreError: The lock file cannot be written.
        """
        name = str(self.path.resolve())
        with _guard:
            file = _files.get(name) or _open(self.path, name)
            try:
                if self.seq in file.held:
                    raise self._owned("this process")
                if not _try_lock(file.descriptor, self.seq):
                    raise self._owned("another process")
                file.held.add(self.seq)
            finally:
                _close_unused(name)
        return self

    def _owned(self, owner: str) -> OwnedElsewhere:
        return OwnedElsewhere(
            f"run {self.run_id}: {owner} is at work on it; wait for it to end and run the command again", owner=owner
        )

    def __exit__(self, *error: object) -> None:
        """Give the lock back."""
        name = str(self.path.resolve())
        with _guard:
            file = _files[name]
            fcntl.lockf(file.descriptor, fcntl.LOCK_UN, 1, self.seq)
            file.held.discard(self.seq)
            _close_unused(name)

    def is_held(self) -> bool:
        """Tell whether somebody is at work on the run now; a ``running`` run without it was interrupted."""
        name = str(self.path.resolve())
        with _guard:
            if not self.path.exists():
                return False
            file = _files.get(name) or _open(self.path, name)
            try:
                return self.seq in file.held or not self._is_free(file.descriptor)
            finally:
                _close_unused(name)

    def _is_free(self, descriptor: int) -> bool:
        # Asking takes the lock for an instant, which is why taking it for good is tried more than once.
        if not _lock_now(descriptor, self.seq):
            return False
        fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, self.seq)
        return True


def _open(path: Path, name: str) -> _File:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _files[name] = _File(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as exc:
        raise StoreError(f"{path}: cannot be written ({exc.strerror}); check the folder's permissions") from exc
    return file


def _close_unused(name: str) -> None:
    if not _files[name].held:
        os.close(_files.pop(name).descriptor)


def _try_lock(descriptor: int, seq: int) -> bool:
    for attempt in range(_TRIES):
        if _lock_now(descriptor, seq):
            return True
        if attempt < _TRIES - 1:
            time.sleep(_PAUSE_S)
    return False


def _lock_now(descriptor: int, seq: int) -> bool:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, seq)
    except (BlockingIOError, PermissionError):
        return False
    return True
