"""Loading a user's own Python by ``module:attribute``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from deskhand.errors import ConfigError


def load_attribute(name: str, folder: Path, *, key: str) -> Any:
    """Return what ``module:attribute`` names; modules are looked for in ``folder`` first.

    Args:
        name: Such as ``my_graphs:build_refund_graph``.
        folder: The workspace; it is put at the front of the import path.
        key: The configuration key, for the error.

    Raises:
        ConfigError: The module or the attribute is not there, or importing it fails.
    """
    module_name, _, attribute = name.partition(":")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as exc:
        raise ConfigError(
            f"{key}: cannot import {module_name!r} ({type(exc).__name__}: {exc}); looked for in {folder}; correct it"
        ) from exc
    try:
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError as exc:
        raise ConfigError(f"{key}: {module_name!r} has no {attribute!r}; check the name after the colon") from exc
    return found
