"""Other settings for a workspace than its files say: of a suite, of one part, or of one arm of a sweep."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError

from deskhand.config import WorkspaceConfig, WorkspaceFolder
from deskhand.errors import ConfigError
from deskhand.jsonio import first_problem
from deskhand.schema import Json

PROMPTS = "prompts."
"""Settings that begin so name the file of a prompt: ``prompts.draft = "variants/short.md"``."""

PART = "part."
"""Settings that begin so are options of a part: ``part.retrieval.options.top_k = 4``."""


def of_config(settings: Mapping[str, Json]) -> dict[str, Json]:
    """Return the settings that are keys of ``deskhand.toml``."""
    return {key: value for key, value in settings.items() if not key.startswith((PROMPTS, PART))}


def with_settings(folder: WorkspaceFolder, settings: Mapping[str, Json]) -> WorkspaceFolder:
    """Return the folder with keys of ``deskhand.toml`` replaced, such as ``{"memory.top_k": 4}``.

    Raises:
        ConfigError: There is no such key, or its value is wrong.
    """
    if not settings:
        return folder
    raw: dict[str, Any] = folder.config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for path, value in settings.items():
        _put(raw, path, value)
    try:
        config = WorkspaceConfig.model_validate(raw)
    except ValidationError as exc:
        raise ConfigError(f"settings: {first_problem(exc)}; correct {', '.join(settings)}") from exc
    own = WorkspaceFolder(folder.root)
    vars(own).update(config=config, taxonomy=folder.taxonomy)
    return own


def _put(raw: dict[str, Any], path: str, value: Json) -> None:
    *above, last = path.split(".")
    table = raw
    for key in above:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ConfigError(f"settings: {path!r}: {key!r} is no table of deskhand.toml; correct the key")
    table[last] = value


def parse_value(text: str) -> Json:
    """Return a value as TOML reads it, and as text where it is none: ``4``, ``0.3``, ``true``, ``["a"]``, ``small``."""
    try:
        value: Json = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return value


@contextmanager
def with_prompts(folder: WorkspaceFolder, settings: Mapping[str, Json]) -> Iterator[WorkspaceFolder]:
    """Yield the folder with other prompt files: ``{"prompts.draft": "variants/short.md"}``, relative to the workspace.

    The rest of the workspace is the same one, its state included.

    Raises:
        ConfigError: There is no such file.
    """
    chosen = {name.removeprefix(PROMPTS): str(value) for name, value in settings.items() if name.startswith(PROMPTS)}
    if not chosen:
        yield folder
        return
    with TemporaryDirectory(prefix="deskhand-eval-") as scratch:
        root = Path(scratch)
        folder.state.mkdir(exist_ok=True)
        for path in folder.root.iterdir():
            if path.name != "prompts":
                (root / path.name).symlink_to(path)
        (root / "prompts").mkdir()
        for path in (folder.root / "prompts").glob("*.md"):
            (root / "prompts" / path.name).symlink_to(path)
        for name, file in chosen.items():
            _place(folder.root / file, root / "prompts" / f"{name}.md")
        yield WorkspaceFolder(root)


def _place(source: Path, target: Path) -> None:
    if not source.is_file():
        raise ConfigError(f"settings: {source}: no such prompt; name a file of the workspace")
    target.unlink(missing_ok=True)
    target.symlink_to(source)
