"""The prompts of a workspace: which version is in use, and the ones before it.

A workspace file ``prompts/<name>.md`` takes the place of the built-in one of the same name. Every version that was
ever loaded is kept in ``.deskhand/prompts/<name>/<hash>.md``.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deskhand.config import WorkspaceFolder
from deskhand.errors import ConfigError, InputError, StoreError
from deskhand.jsonio import content_hash, read_text, write_atomic
from deskhand_agents.prompts import HASH_CHARS, VARIABLES, Prompt, parse_prompt

BUILT_IN = Path(__file__).with_name("prompts")
"""The folder of the prompts that come with deskhand."""


@dataclass(frozen=True)
class PromptVersions:
    """A prompt in use and the hashes of all its versions that are kept, the one in use first, then newest first."""

    prompt: Prompt
    versions: tuple[str, ...]


def load_prompt(folder: WorkspaceFolder | None, name: str) -> Prompt:
    """Return the prompt in use and keep its version; without a workspace the built-in one.

    Raises:
        ConfigError: There is no such prompt, or its file is wrong.
        StoreError: Its version cannot be kept.
    """
    own = _own_file(folder, name) if folder else None
    prompt = _read(own, name, "workspace") if own and own.is_file() else _read_built_in(name)
    if folder is not None:
        _keep(folder, prompt)
    return prompt


def _own_file(folder: WorkspaceFolder, name: str) -> Path:
    return folder.root / "prompts" / f"{_checked(name)}.md"


def _checked(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,63}", name):
        raise ConfigError(f"prompt {name!r}: not a name; see 'deskhand prompts list'")
    return name


def _read(path: Path, name: str, origin: Literal["built-in", "workspace", "history"]) -> Prompt:
    try:
        prompt = parse_prompt(read_text(path), str(path), origin)
    except ConfigError:
        raise
    except InputError as exc:
        raise ConfigError(str(exc)) from exc
    if prompt.name != name:
        raise ConfigError(f"{path}: its name is {prompt.name!r}; write name: {name}, or rename the file")
    return prompt


def _read_built_in(name: str) -> Prompt:
    path = BUILT_IN / f"{_checked(name)}.md"
    if not path.is_file():
        known = ", ".join(sorted(VARIABLES))
        raise ConfigError(f"no prompt {name!r}; use one of {known}, or add prompts/{name}.md to the workspace")
    return _read(path, name, "built-in")


def _history(folder: WorkspaceFolder, name: str) -> Path:
    return folder.state / "prompts" / _checked(name)


def _keep(folder: WorkspaceFolder, prompt: Prompt) -> None:
    path = _history(folder, prompt.name) / f"{prompt.hash}.md"
    if not path.is_file():
        write_atomic(path, prompt.source)


def list_prompts(folder: WorkspaceFolder) -> list[PromptVersions]:
    """Return every prompt in use, sorted by name, with its kept versions.

    Raises:
        ConfigError: A file in ``prompts/`` is wrong.
        StoreError: A version cannot be kept.
    """
    names = {path.stem for where in (BUILT_IN, folder.root / "prompts") for path in where.glob("*.md")}
    found = []
    for name in sorted(names):
        prompt = load_prompt(folder, name)
        files = sorted(_history(folder, name).glob("*.md"), key=lambda path: (-path.stat().st_mtime_ns, path.stem))
        hashes = [prompt.hash, *(path.stem for path in files)]
        found.append(PromptVersions(prompt, tuple(dict.fromkeys(hashes))))
    return found


def load_version(folder: WorkspaceFolder, name: str, version: str) -> Prompt:
    """Return a kept version by its hash, or by the beginning of it, at least four characters.

    Raises:
        ConfigError: No version, or more than one, begins so.
    """
    files = sorted(_history(folder, name).glob("*.md"))
    fitting = [path for path in files if len(version) >= 4 and path.stem.startswith(version)]
    if len(fitting) != 1:
        known = ", ".join(path.stem for path in files) or "none"
        problem = "fits more than one" if fitting else "is not kept"
        raise ConfigError(f"prompt {name!r}: version {version!r} {problem}; the versions: {known}")
    try:
        source = read_text(fitting[0])
    except InputError as exc:
        raise StoreError(str(exc)) from exc
    prompt = parse_prompt(source, str(fitting[0]), "history")
    if prompt.hash != fitting[0].stem:
        raise StoreError(f"{fitting[0]}: was changed after it was kept; delete it")
    return prompt


def diff_prompt(folder: WorkspaceFolder, name: str, version: str) -> str:
    """Return what changed from a kept version to the one in use, as a unified diff; "" when nothing did."""
    current, other = load_prompt(folder, name), load_version(folder, name, version)
    before, after = (prompt.source.splitlines(keepends=True) for prompt in (other, current))
    return "".join(difflib.unified_diff(before, after, f"{name}@{other.hash}", f"{name}@{current.hash}"))


def rollback_prompt(folder: WorkspaceFolder, name: str, version: str) -> Prompt:
    """Write a kept version to ``prompts/<name>.md`` and return it; the one in use until now stays kept.

    Raises:
        ConfigError: There is no such version.
        StoreError: The file cannot be written.
    """
    own = _own_file(folder, name)
    if own.is_file():
        # as it stands, even if it is broken: whoever rolls back must not lose what they wrote
        source = read_text(own)
        write_atomic(_history(folder, name) / f"{content_hash(source)[:HASH_CHARS]}.md", source)
    chosen = load_version(folder, name, version)
    write_atomic(own, chosen.source)
    return load_prompt(folder, name)
