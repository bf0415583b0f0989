from __future__ import annotations

import subprocess
from pathlib import Path

from deskhand_evals.environment import environment


def _git(folder: Path, *words: str) -> None:
    names = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True)


def test_the_commit_of_the_code_is_kept_with_a_mark_when_files_changed(tmp_path: Path) -> None:
    assert "commit" not in environment(tmp_path)
    (tmp_path / "a.txt").write_text("a")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", "a.txt")
    _git(tmp_path, "commit", "-q", "-m", "a")
    clean = environment(tmp_path)["commit"]
    assert len(clean) == 12
    (tmp_path / "a.txt").write_text("b")
    assert environment(tmp_path)["commit"] == f"{clean}+"


def test_a_broken_repository_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    assert "commit" not in environment(tmp_path)
