"""``[runs]`` and ``[server]`` in ``deskhand.toml``: how a service keeps its promises, and who may talk to it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from deskhand.helpdesk_settings import EnvironmentName
from deskhand.schema import Model


class RunsSettings(Model):
    """The engine's limits.

    Attributes:
        at_once: Runs at work at the same time.
        run_deadline_s: A run that takes longer is cut off and tried again.
        max_attempts: Tries of a run or a write-back before it becomes a dead letter.
        outage_hours: While a helpdesk does not answer, an entry is tried so long after its arrival, however often.
        breaker_runs: More runs than this on one ticket within ``breaker_minutes`` hold it for a person.
        breaker_minutes: The window of the breaker.
        keep_runs_days: Finished runs, their checkpoints, recordings and costs are deleted after this many days.
        keep_inbox_days: Deliveries are remembered this long; longer than any sender repeats one.
        keep_backups: Backups that are kept; the oldest are deleted.
    """

    at_once: Annotated[int, Field(ge=1, le=500)] = 8
    run_deadline_s: Annotated[float, Field(gt=0, le=86_400)] = 300
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 8
    outage_hours: Annotated[float, Field(ge=0, le=720)] = 24
    breaker_runs: Annotated[int, Field(ge=1, le=1000)] = 10
    breaker_minutes: Annotated[int, Field(ge=1, le=10_080)] = 60
    keep_runs_days: Annotated[int, Field(ge=1, le=3650)] = 90
    keep_inbox_days: Annotated[int, Field(ge=3, le=3650)] = 120
    keep_backups: Annotated[int, Field(ge=1, le=1000)] = 7


class ServerSettings(Model):
    """The HTTP service.

    Attributes:
        host: The address to listen on; the default is not reachable from elsewhere.
        port: The port.
        public_url: How the outside reaches us; some senders sign it. Host headers are never trusted.
        max_body_bytes: Larger bodies are refused with 413.
        password_env: The variable with the reviewers' password.
        api_key_envs: The variables with API keys; all are valid at once.
        session_hours: How long a login lasts.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8181
    public_url: str = "http://127.0.0.1:8181"
    max_body_bytes: Annotated[int, Field(ge=1024, le=100_000_000)] = 1_048_576
    password_env: EnvironmentName = "DESKHAND_PASSWORD"  # noqa: S105 - the name of the variable
    api_key_envs: tuple[EnvironmentName, ...] = ("DESKHAND_API_KEY",)
    session_hours: Annotated[float, Field(gt=0, le=720)] = 12
