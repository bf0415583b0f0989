"""Settings of the process, from environment variables that begin with ``DESKHAND_``."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """``DESKHAND_WORKSPACE`` names the workspace; ``DESKHAND_DEBUG=1`` shows tracebacks."""

    model_config = SettingsConfigDict(env_prefix="DESKHAND_", extra="ignore")

    workspace: Path | None = None
    debug: bool = False
