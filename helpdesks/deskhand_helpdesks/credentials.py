"""Secrets from the environment, read when they are used and kept nowhere."""

from __future__ import annotations

from collections.abc import Sequence

from deskhand.errors import ConfigError
from deskhand.settings import read_key


def read_secret(name: str, variable: str) -> str:
    """Return the secret in ``variable``. Raises ConfigError when it is not set; ``name`` is the helpdesk's."""
    secret = read_key(variable)
    if secret is None:
        raise ConfigError(f"helpdesks.{name}: the environment variable {variable} is not set; set it")
    return secret


def read_secrets(name: str, variables: Sequence[str]) -> list[str]:
    """Return the secrets that are set; during a rotation one may be missing. Raises ConfigError for none."""
    secrets = [secret for secret in map(read_key, variables) if secret]
    if not secrets:
        raise ConfigError(f"helpdesks.{name}: none of {', '.join(variables)} is set; set at least one")
    return secrets
