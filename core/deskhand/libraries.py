"""The environment that some libraries read at import, set before they are imported.

The only place besides ``settings`` that touches ``os.environ``.
"""

from __future__ import annotations

import os

_DEFAULTS = {
    "ANONYMIZED_TELEMETRY": "False",  # chromadb
    "LANGSMITH_TRACING": "false",  # langchain: no traces leave the house
    "LANGCHAIN_TRACING_V2": "false",
    "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads make small machines ten times slower
    "TOKENIZERS_PARALLELISM": "false",
}


def prepare() -> None:
    """Set what libraries read at import, where the user has not set it."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
