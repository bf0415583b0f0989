"""The environment that some libraries read at import, set before they are imported.

The only place besides ``settings`` that touches ``os.environ``.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

_DEFAULTS = {
    "ANONYMIZED_TELEMETRY": "False",  # chromadb
    "LANGSMITH_TRACING": "false",  # langchain: no traces leave the house
    "LANGCHAIN_TRACING_V2": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no look-up of prices at import
    "DO_NOT_TRACK": "true",  # mlflow, and others that know it
    "HF_DATASETS_OFFLINE": "1",  # datasets are read from disk
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_ALLOW_FILE_STORE": "true",  # the store of mlflow-skinny without a database
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # 7 keep a person waiting for minutes
    "OPENBLAS_NUM_THREADS": "1",  # numpy: our matrices are small, and its waiting threads cost 54 ms of CPU a ticket
    "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads make small machines ten times slower
    "TOKENIZERS_PARALLELISM": "false",
}


def prepare() -> None:
    """Set what libraries read at import, where the user has not set it."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    encodings = _encodings()
    if encodings is not None:
        os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(encodings))


@contextmanager
def loaded_for_good() -> Iterator[None]:
    """Leave what is loaded now out of garbage collections for the length of a block that makes many of them.

    Libraries are 200,000 objects, and looking through them takes 0.1 s each time.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _encodings() -> Path | None:
    """Return the folder of token encodings in LiteLLM's wheel, so that tiktoken needs no network. Imports nothing."""
    spec = find_spec("litellm")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return Path(folders[0], "litellm_core_utils", "tokenizers") if folders else None
