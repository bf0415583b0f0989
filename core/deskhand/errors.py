"""Every error that deskhand raises on purpose, in one tree, split by what the caller does next.

DeskhandError
├── InputError           tell the person: the thing they handed in is wrong (exit code 2)
│   └── ConfigError      tell the person: their configuration is wrong (exit code 2)
├── StoreError           stop: a database, an index or a folder cannot be used (exit code 1)
│   └── OwnedElsewhere   stop, or go on without: another process holds it
├── Unavailable          go on to the next strategy, or try later
│   └── BudgetExceeded   the same, because a cost, token or time limit would be passed
├── ToolRetry            tell the model: it may call again with better arguments
├── ToolFailed           tell the model: the call is over and must not be repeated
├── RunFailed            tell the person: a run stopped; the same command goes on from its checkpoint
└── ReplayMiss           stop: the recording has no row for this call
"""

from __future__ import annotations


class DeskhandError(Exception):
    """Base of every error that deskhand raises on purpose; the message ends with the next step."""

    exit_code = 1


class InputError(DeskhandError):
    """Something handed in is wrong; the message names it, shows the value and says what to do."""

    exit_code = 2


class ConfigError(InputError):
    """The configuration is wrong; the message says which key and how to fix it."""


class StoreError(DeskhandError):
    """A database, an index or a folder cannot be used; the message says what to do about it."""


class OwnedElsewhere(StoreError):
    """Another process owns the resource; ``owner`` says who, as far as it is known."""

    def __init__(self, message: str, *, owner: str = "") -> None:
        super().__init__(message)
        self.owner = owner


class Unavailable(DeskhandError):
    """A model or a service did not answer; a cascade goes on to its next strategy.

    ``retry_after_s`` is how long the service asked to be left alone, None when it did not say.
    """

    def __init__(self, message: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BudgetExceeded(Unavailable):
    """A cost, token or time limit would be passed; nothing was spent beyond it."""


class ToolRetry(DeskhandError):
    """The model may fix its arguments; the message is sent back to the model."""

    def __init__(self, message: str, *, tool_name: str) -> None:
        super().__init__(message)
        self.tool_name = tool_name


class ToolFailed(DeskhandError):
    """The tool call is over; the model sees the message and must not repeat it."""

    def __init__(self, message: str, *, tool_name: str) -> None:
        super().__init__(message)
        self.tool_name = tool_name


class RunFailed(DeskhandError):
    """A run stopped before it parked or finished; its checkpoint is kept."""

    def __init__(self, message: str, *, run_id: str) -> None:
        super().__init__(message)
        self.run_id = run_id


class ReplayMiss(DeskhandError):
    """The recording holds no row for a call; the message shows how the nearest row differs."""
