"""Settings of the process, from environment variables that begin with ``DESKHAND_``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from deskhand.errors import ConfigError
from deskhand.jsonio import first_problem


class Settings(BaseSettings):
    """``DESKHAND_WORKSPACE`` names the workspace; ``DESKHAND_DEBUG=1`` shows tracebacks.

    An empty variable counts as not set. Raises ConfigError when one has a value that it cannot have.
    """

    model_config = SettingsConfigDict(env_prefix="DESKHAND_", extra="ignore", env_ignore_empty=True)

    workspace: Path | None = None
    debug: bool = False

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as exc:
            key, _, problem = first_problem(exc).partition(":")
            raise ConfigError(f"DESKHAND_{key.upper()}:{problem}; correct the variable or unset it") from exc


def read_key(name: str) -> str | None:
    """Return the key in the environment variable ``name``, or None when it is not set or blank.

    Keys are read when they are used and kept nowhere.
    """
    return os.environ.get(name, "").strip() or None
