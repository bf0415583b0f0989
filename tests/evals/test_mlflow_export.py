from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from deskhand import libraries
from deskhand.errors import InputError, StoreError
from deskhand_evals.mlflow_export import export_mlflow
from deskhand_evals.report import Rule


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["folder", "database"])
def test_an_experiment_is_written_to_a_real_store_once(
    build_report: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    libraries.prepare()
    mlflow = pytest.importorskip("mlflow")
    if kind == "database":
        pytest.importorskip("alembic")
    uri = (tmp_path / "mlruns").as_uri() if kind == "folder" else f"sqlite:///{tmp_path}/mlflow.db"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    report = build_report([1.0, 0.0, 1.0, 1.0] * 10, Rule(bar=0.2), created_at="2026-11-20T12:00:00+00:00")
    run_id = export_mlflow(report, uri)
    assert export_mlflow(report, uri) == run_id
    client = mlflow.MlflowClient(tracking_uri=uri)
    run = client.get_run(run_id)
    assert run.data.metrics["p.right"] == 0.75
    assert run.data.metrics["p.right.low"] < 0.75 < run.data.metrics["p.right.high"]
    assert run.data.metrics["rows"] == 40
    assert (run.data.params["p.dataset_version"], run.data.params["p.scorer.right"]) == ("d1", "s1")
    assert (run.data.tags["deskhand.verdict"], run.info.run_name) == ("PASS", "exp-1")
    assert [file.path for file in client.list_artifacts(run_id)] == ["report.json"]
    (experiment,) = client.search_experiments(filter_string="name = 'deskhand/s'")
    assert len(client.search_runs([experiment.experiment_id])) == 1
    assert not list(elsewhere.iterdir())
    assert list((tmp_path / "mlruns").rglob("report.json"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_database_without_its_library_says_what_to_install(
    build_report: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setitem(sys.modules, "alembic", None)
    monkeypatch.setitem(sys.modules, "alembic.migration", None)
    for name in ("mlflow.store.tracking.sqlalchemy_store", "mlflow.store.db.utils"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(InputError, match=r"needs alembic.*; install it with: pip install alembic"):
        export_mlflow(build_report([1.0], created_at="2026-11-20T12:00:00+00:00"), f"sqlite:///{tmp_path}/m.db")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_store_that_cannot_be_used_is_named(build_report: Any, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    (tmp_path / "file").write_text("")
    report = build_report([1.0], created_at="2026-11-20T12:00:00+00:00")
    with pytest.raises(StoreError, match="check the address"):
        export_mlflow(report, (tmp_path / "file" / "mlruns").as_uri())


def test_no_telemetry_is_sent() -> None:
    import os

    libraries.prepare()
    assert (os.environ["MLFLOW_DISABLE_TELEMETRY"], os.environ["DO_NOT_TRACK"]) == ("true", "true")


def test_without_the_extra_the_next_step_is_said(build_report: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(InputError, match=r"deskhand\[mlflow\]"):
        export_mlflow(build_report([1.0]), "file:///nowhere")
