import os
import subprocess
import sys

import pytest
import tiktoken

from deskhand.libraries import prepare

NAMES = (
    "ANONYMIZED_TELEMETRY",
    "LANGSMITH_TRACING",
    "LANGCHAIN_TRACING_V2",
    "LITELLM_LOCAL_MODEL_COST_MAP",
    "OMP_WAIT_POLICY",
    "TOKENIZERS_PARALLELISM",
)


def test_environment_is_prepared_and_what_the_user_set_stays(monkeypatch):
    for name in NAMES:
        monkeypatch.setenv(name, "kept")  # so that monkeypatch restores it
        monkeypatch.delenv(name)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    prepare()
    assert [os.environ[name] for name in NAMES] == ["False", "false", "false", "True", "ACTIVE", "false"]


def test_tokens_are_counted_without_a_network(monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "kept")
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR")
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a socket was opened"))
    prepare()
    assert len(tiktoken.get_encoding("cl100k_base").encode("hello world")) == 2


def test_cache_that_the_user_set_stays(monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "own")
    prepare()
    assert os.environ["TIKTOKEN_CACHE_DIR"] == "own"


def test_without_litellm_the_encodings_are_left_to_tiktoken(monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "kept")
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR")
    monkeypatch.setattr("deskhand.libraries.find_spec", lambda name: None)
    prepare()
    assert "TIKTOKEN_CACHE_DIR" not in os.environ


def test_importing_the_package_changes_no_environment_and_loads_nothing_heavy():
    script = (
        "import os, sys; before = dict(os.environ); import deskhand.libraries, deskhand.context, deskhand.testing;"
        "assert dict(os.environ) == before;"
        "assert not {'numpy', 'chromadb', 'onnxruntime', 'langchain_core', 'langgraph'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
