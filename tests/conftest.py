"""Fixtures that several rooms share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deskhand.testing import build_workspace

sys.path.insert(0, str(Path(__file__).parent))
pytest_plugins = ["real_systems"]

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "hollowfern"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own settings must not change what is tested."""
    for name in ("DESKHAND_WORKSPACE", "DESKHAND_DEBUG", "DESKHAND_JSON", "DESKHAND_TICKET", "DESKHAND_REVIEWER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def example() -> Path:
    """The example workspace as it is in the repository; read only."""
    return EXAMPLE


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A small workspace of the test kit."""
    return build_workspace(tmp_path / "workspace")
