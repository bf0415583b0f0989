"""What a run depends on besides its suite, as experiments keep it: code, machine, and how it was started."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from deskhand import __version__
from deskhand.schema import Json

if TYPE_CHECKING:
    from deskhand_evals.run import RunOptions
    from deskhand_evals.suite import Suite


def environment(folder: Path) -> dict[str, str]:
    """Return the versions of the code and the machine; ``commit`` where ``folder`` is in a git repository."""
    found = {"deskhand": __version__, "python": platform.python_version(), "system": platform.platform()}
    commit = _commit(folder)
    return found | ({"commit": commit} if commit else {})


def _commit(folder: Path) -> str:
    """Return the commit of the workspace's code, with ``+`` when files of it were changed since; else nothing."""
    if not any((above / ".git").exists() for above in (folder.resolve(), *folder.resolve().parents)):
        return ""
    commit = _git(folder, "rev-parse", "--short=12", "HEAD")
    changed = commit and _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return f"{commit}+" if changed else commit


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - words of this module only
            ["git", *words],  # noqa: S607 - the git of the user's path
            cwd=folder, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""  # no git here, or no repository of ours: the run does not depend on it
    return done.stdout.strip()


def parameters(suite: Suite, options: RunOptions) -> dict[str, Json]:
    """Return how the run was started."""
    file = suite.file
    return {
        "mode": str(options.mode),
        "timeout_s": file.timeout_s,
        "concurrency": options.concurrency or file.concurrency,
        "repeats": options.repeats or file.repeats,
        "now": file.now.isoformat() if file.now else None,
        "settings": {**file.settings, **options.settings},
        "rescored": options.rescore,
        "parts": list(options.only),
    }
