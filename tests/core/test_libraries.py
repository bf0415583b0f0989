import os
import subprocess
import sys

from deskhand.libraries import prepare

NAMES = (
    "ANONYMIZED_TELEMETRY",
    "LANGSMITH_TRACING",
    "LANGCHAIN_TRACING_V2",
    "OMP_WAIT_POLICY",
    "TOKENIZERS_PARALLELISM",
)


def test_environment_is_prepared_and_what_the_user_set_stays(monkeypatch):
    for name in NAMES:
        monkeypatch.setenv(name, "kept")  # so that monkeypatch restores it
        monkeypatch.delenv(name)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    prepare()
    assert [os.environ[name] for name in NAMES] == ["False", "false", "false", "ACTIVE", "false"]


def test_importing_the_package_changes_no_environment_and_loads_nothing_heavy():
    script = (
        "import os, sys; before = dict(os.environ); import deskhand.libraries, deskhand.context, deskhand.testing;"
        "assert dict(os.environ) == before;"
        "assert not {'numpy', 'chromadb', 'onnxruntime', 'langchain_core', 'langgraph'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
