"""Fitted models on disk: content-addressed, written whole or not at all, never loaded for another input.

``<folder>/<sha256>/{meta.json, arrays.npz}``, and ``current`` with the sha256 in use.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deskhand.errors import InputError, StoreError
from deskhand.jsonio import canonical_json, parse_json, read_text, write_atomic

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEMA = 1


@dataclass(frozen=True)
class Artifact:
    """A fitted model: ``meta`` is JSON, ``arrays`` are its numbers."""

    meta: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class ArtifactStore:
    """The artefacts of one agent in one folder."""

    folder: Path

    def load(self, key: str) -> Artifact | None:
        """Return the artefact made from the inputs with this hash; None when there is none or it is damaged."""
        place = self.folder / key
        if not (place / "meta.json").is_file():
            return None
        try:
            meta = parse_json(read_text(place / "meta.json"), str(place / "meta.json"))
            if not isinstance(meta, dict) or meta.get("schema") != SCHEMA or meta.get("key") != key:
                return None
            with np.load(place / "arrays.npz", allow_pickle=False) as stored:
                return Artifact(meta, {name: stored[name] for name in stored.files})
        except (InputError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None  # derived data: the caller fits it again, which replaces what is damaged

    def save(self, key: str, artifact: Artifact) -> None:
        """Write the artefact and make it current; older ones are removed. Raises StoreError."""
        place, scratch = self.folder / key, self.folder / f".{key}.{os.getpid()}.tmp"
        try:
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)
            np.savez(scratch / "arrays.npz", allow_pickle=False, **artifact.arrays)
            (scratch / "meta.json").write_text(
                canonical_json({**artifact.meta, "schema": SCHEMA, "key": key}), encoding="utf-8"
            )
            self._put(scratch, place)
        except OSError as exc:
            raise StoreError(f"{place}: cannot be written ({exc.strerror}); check permissions and free space") from exc
        write_atomic(self.folder / "current", f"{key}\n")
        self._prune(keep=key)

    def _put(self, scratch: Path, place: Path) -> None:
        if self.load(place.name) is not None:  # another process was faster; equal key, equal content
            shutil.rmtree(scratch)
            return
        shutil.rmtree(place, ignore_errors=True)
        scratch.rename(place)

    def current(self) -> str | None:
        """Return the key in use, or None."""
        file = self.folder / "current"
        return read_text(file).strip() if file.is_file() else None

    def _prune(self, *, keep: str, n_kept: int = 3) -> None:
        places = [p for p in self.folder.iterdir() if p.is_dir() and not p.name.startswith(".") and p.name != keep]
        for old in sorted(places, key=lambda p: p.stat().st_mtime, reverse=True)[n_kept - 1 :]:
            shutil.rmtree(old, ignore_errors=True)
