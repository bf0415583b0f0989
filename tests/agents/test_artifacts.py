"""Artefacts on disk: whole, matching, or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from deskhand.errors import StoreError
from deskhand_agents import ArtifactStore
from deskhand_agents.artifacts import Artifact

KEY = "a" * 64
MADE = Artifact({"encoder": "e"}, {"vectors": np.eye(2, dtype=np.float32)})


def test_saved_artifact_comes_back_and_is_current(tmp_path):
    store = ArtifactStore(tmp_path / "triage")
    store.save(KEY, MADE)
    loaded = store.load(KEY)
    assert loaded is not None
    assert loaded.meta["encoder"] == "e"
    assert np.array_equal(loaded.arrays["vectors"], MADE.arrays["vectors"])
    assert store.current() == KEY
    assert sorted(p.name for p in (tmp_path / "triage").iterdir()) == [KEY, "current"]


def test_unknown_key_is_none(tmp_path):
    store = ArtifactStore(tmp_path)
    assert store.load(KEY) is None
    assert store.current() is None


@pytest.mark.parametrize(
    ("name", "content"),
    [("meta.json", b"{"), ("meta.json", b'{"schema":2}'), ("arrays.npz", b"no zip"), ("arrays.npz", b"")],
)
def test_damaged_artifact_is_not_loaded_and_is_replaced(tmp_path, name, content):
    store = ArtifactStore(tmp_path)
    store.save(KEY, MADE)
    (tmp_path / KEY / name).write_bytes(content)
    assert store.load(KEY) is None
    store.save(KEY, MADE)
    assert store.load(KEY) is not None


def test_artifact_under_another_key_is_not_loaded(tmp_path):
    store = ArtifactStore(tmp_path)
    store.save(KEY, MADE)
    (tmp_path / KEY).rename(tmp_path / ("b" * 64))
    assert store.load("b" * 64) is None


def test_saving_what_is_there_keeps_it_and_old_ones_go(tmp_path):
    store = ArtifactStore(tmp_path)
    for letter in "bcdefa":
        store.save(letter * 64, MADE)
    store.save(KEY, MADE)
    assert len([p for p in tmp_path.iterdir() if p.is_dir()]) == 3
    assert store.load(KEY) is not None


def test_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="check permissions"):
        ArtifactStore(tmp_path / "file").save(KEY, MADE)
