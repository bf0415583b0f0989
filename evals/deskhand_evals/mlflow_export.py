"""Experiments in an MLflow store, for teams that look there. Needs the extra ``mlflow``; nothing else is sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from deskhand.errors import InputError, StoreError
from deskhand_evals.experiments import report_text
from deskhand_evals.gate import verdict
from deskhand_evals.report import Report
from deskhand_evals.summary import summarize

RUN_TAG = "deskhand.experiment"
_MAX_CHARS = 500


def export_mlflow(report: Report, uri: str, *, baseline: Report | None = None) -> str:
    """Write an experiment as a run of the MLflow experiment ``deskhand/<suite>`` and return the run's id.

    Figures become metrics (``part.measure``, with ``.low`` and ``.high``), the versions of suite, datasets, targets
    and scorers parameters, and the report an artifact. An experiment that is there already is not written again.

    Args:
        report: The experiment.
        uri: A tracking store, such as ``http://127.0.0.1:5000``, ``file:///path/mlruns`` or ``sqlite:///mlflow.db``;
            what is written into a file's database has its artifacts in ``mlruns`` beside it.
        baseline: What the verdict compares with.

    Raises:
        InputError: The library, or what it needs for a database, is not installed.
        StoreError: The store cannot be reached or written.
    """
    mlflow = _import_mlflow()
    from mlflow.exceptions import MlflowException

    try:
        client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
        return _write(client, report, baseline, _artifacts_of(uri))
    except ImportError as exc:
        raise InputError(
            f"{uri}: this kind of store needs {exc.name}; install it with: pip install {exc.name}"
        ) from exc
    except (MlflowException, OSError) as exc:
        reason = " ".join(str(exc).split())[:300]
        raise StoreError(f"{uri}: cannot be written ({reason}); check the address of the MLflow store") from exc


def _import_mlflow() -> ModuleType:
    from deskhand import libraries

    libraries.prepare()
    try:
        import mlflow
    except ImportError as exc:
        raise InputError(
            "exporting to MLflow needs its library; install it with: pip install 'deskhand[mlflow]'"
        ) from exc
    found: ModuleType = mlflow
    return found


def _artifacts_of(uri: str) -> str | None:
    """Return where artifacts go; None leaves it to the store. For SQLite that would be wherever the command runs."""
    kind, _, path = uri.partition(":///")
    return (Path(path).resolve().parent / "mlruns").as_uri() if kind == "sqlite" and path else None


def _write(client: Any, report: Report, baseline: Report | None, artifacts: str | None) -> str:
    name = f"deskhand/{report.suite}"
    found = client.get_experiment_by_name(name)
    experiment_id = found.experiment_id if found else client.create_experiment(name, artifact_location=artifacts)
    known = client.search_runs([experiment_id], f"tags.`{RUN_TAG}` = '{report.id}'", max_results=1)
    if known:
        return str(known[0].info.run_id)
    at = int(datetime.fromisoformat(report.created_at).timestamp() * 1000)
    run_id = str(client.create_run(experiment_id, start_time=at, tags=_tags(report, baseline)).info.run_id)
    client.log_batch(run_id, metrics=list(_metrics(report, at)), params=list(_params(report)))
    client.log_text(run_id, report_text(report), "report.json")
    client.set_terminated(run_id)
    return run_id


def _tags(report: Report, baseline: Report | None) -> dict[str, str]:
    judged = verdict(report, baseline)
    return {
        "mlflow.runName": report.id,
        RUN_TAG: report.id,
        "deskhand.verdict": str(judged.outcome),
        "deskhand.baseline": judged.baseline_id or "",
    }


def _metrics(report: Report, at: int) -> Iterator[Any]:
    from mlflow.entities import Metric

    yield Metric("rows", float(len(report.rows)), at, 0)
    yield Metric("rows_failed", float(report.n_failed), at, 0)
    yield Metric("cost_usd", report.cost_usd, at, 0)
    yield Metric("eval_usd", report.eval_usd, at, 0)
    yield Metric("tokens", float(report.n_tokens), at, 0)
    for part in summarize(report):
        for line in part.lines:
            if line.figure is not None:
                name = f"{part.spec.name}.{line.measure.name}".replace("@", "_at_").replace("^", "_hat_")
                yield Metric(name, line.figure.value, at, 0)
                yield Metric(f"{name}.low", line.figure.interval.low, at, 0)
                yield Metric(f"{name}.high", line.figure.interval.high, at, 0)


def _params(report: Report) -> Iterator[Any]:
    from mlflow.entities import Param

    values: dict[str, object] = {"suite_version": report.suite_version, "seed": report.seed}
    values |= {f"environment.{key}": value for key, value in report.environment.items()}
    values |= {f"parameters.{key}": value for key, value in report.parameters.items()}
    for part in report.parts:
        fields = ("target", "target_version", "dataset", "dataset_version", "repeats")
        values |= {f"{part.name}.{name}": getattr(part, name) for name in fields}
        values |= {f"{part.name}.prompt.{name}": version for name, version in part.prompts.items()}
        values |= {f"{part.name}.scorer.{scorer.name}": scorer.version for scorer in part.scorers}
    for key, value in values.items():
        yield Param(key, str(value)[:_MAX_CHARS])
