from __future__ import annotations

import asyncio
import json
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from deskhand.config import WorkspaceFolder
from deskhand.testing import FixedClock
from deskhand_evals import Report, RunOptions, load_suite, run_suite
from deskhand_evals.report import GateSettings, Label, MeasureSpec, PartSpec, Row, RowStatus, Rule, ScorerSpec

Run = Callable[..., Report]


class Bench:
    """A workspace with one dataset, one module of targets, and a suite."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = WorkspaceFolder(root)

    def cases(self, *rows: dict[str, Any], name: str = "cases.jsonl") -> None:
        (self.root / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    def code(self, text: str, name: str) -> None:
        (self.root / f"{name}.py").write_text(textwrap.dedent(text))

    def suite(self, part: str, head: str = "") -> Path:
        path = self.root / "suite.toml"
        body = f'schema = 1\nname = "bench"\n{head}\n[[part]]\nname = "p"\ndataset = "cases.jsonl"\n{part}\n'
        path.write_text(textwrap.dedent(body))
        return path

    def run(self, **options: Any) -> Report:
        suite = load_suite(self.root / "suite.toml")
        return asyncio.run(run_suite(suite, self.folder, RunOptions(clock=FixedClock(), **options)))


@pytest.fixture
def bench(workspace: Path) -> Bench:
    """A workspace of the test kit to run suites in."""
    return Bench(workspace)


@pytest.fixture
def build_report() -> Run:
    """Make a report of 0/1 scores, one case each: None is a row that failed."""

    def build(
        scores: Sequence[float | None],
        *rules: Rule,
        n_cases: int | None = None,
        rows: Sequence[Row] = (),
        **changes: Any,
    ) -> Report:
        made = [
            Row(part="p", case=f"c{number}", status=RowStatus.error, error="boom", labels={"right": _label(None)})
            if score is None
            else Row(part="p", case=f"c{number}", scores={"right": score}, labels={"right": _label(score)})
            for number, score in enumerate(scores)
        ]
        measures = (MeasureSpec(name="right"), MeasureSpec(name="right.macro_f1", per_row=False))
        scorer = {"name": "right", "kind": "exact", "version": "s1", "measures": measures, "rules": rules}
        scorer |= changes.pop("scorer", {})
        part = {"name": "p", "target": "t", "dataset": "d", "dataset_version": "d1", "scorers": (ScorerSpec(**scorer),)}
        part |= {"case_ids": tuple(f"c{number}" for number in range(n_cases or len(made)))} | changes.pop("part", {})
        fields = {"id": "exp-1", "suite": "s", "suite_version": "v", "created_at": "2026-11-20", "seed": 1}
        fields |= {"environment": {}, "gate": GateSettings(), "parts": (PartSpec(**part),), "rows": (*made, *rows)}
        return Report(schema=1, **(fields | changes))

    return build


def _label(score: float | None) -> Label:
    return Label(truth="a", predicted="(failed)" if score is None else "a" if score else "b")
