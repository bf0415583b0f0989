"""Prompts of a workspace: which is in use, and the versions before it."""

from __future__ import annotations

import pytest

from deskhand.config import WorkspaceFolder
from deskhand.errors import ConfigError, StoreError
from deskhand.interfaces import ChatMessage
from deskhand_agents.prompt_files import (
    BUILT_IN,
    diff_prompt,
    list_prompts,
    load_prompt,
    load_version,
    rollback_prompt,
)
from deskhand_agents.prompts import VARIABLES

OWN = "---\nname: resolve\ntier: small\nnotes: ours\n---\nLook it up.\n=== user ===\n{{ ticket }}\n"


@pytest.fixture
def folder(tmp_path) -> WorkspaceFolder:
    (tmp_path / "prompts").mkdir()
    return WorkspaceFolder(tmp_path)


def write(folder, text, name="resolve"):
    (folder.root / "prompts" / f"{name}.md").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_built_in_prompts_use_what_their_strategy_gives(name):
    prompt = load_prompt(None, name)
    assert (prompt.origin, prompt.name, len(prompt.hash)) == ("built-in", name, 16)
    assert prompt.variables <= VARIABLES[name]


def test_every_built_in_file_is_known():
    assert {path.stem for path in BUILT_IN.glob("*.md")} == set(VARIABLES)


def test_workspace_file_takes_the_place_of_the_built_in_one(folder):
    before = load_prompt(folder, "resolve")
    write(folder, OWN)
    after = load_prompt(folder, "resolve")
    assert (before.origin, after.origin, after.tier) == ("built-in", "workspace", "small")
    assert after.hash != before.hash
    assert after.render(ticket="T") == (ChatMessage("system", "Look it up."), ChatMessage("user", "T"))


def test_hash_depends_on_every_character(folder):
    write(folder, OWN)
    first = load_prompt(folder, "resolve").hash
    write(folder, OWN.replace("notes: ours", "notes: ours."))
    assert load_prompt(folder, "resolve").hash != first


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("No front matter.", "no front matter"),
        ("---\nname: resolve\n---\n{{ ticket }}", "tier"),
        ("---\nname: resolve\ntier: huge\n---\n{{ ticket }}", "tier"),
        ("---\nname: [\n---\n{{ ticket }}", "not YAML"),
        ("---\nname: other\ntier: small\n---\n{{ ticket }}", "its name is 'other'"),
        ("---\nname: resolve\ntier: small\n---\n{{ tiket }} {{ ticket }}", "'tiket' is not given"),
        ("---\nname: resolve\ntier: small\n---\nNo ticket.", "does not use {{ ticket }}"),
        ("---\nname: resolve\ntier: small\n---\n{% if %}", "cannot be rendered"),
    ],
)
def test_wrong_file_is_refused_with_its_place(folder, source, problem):
    write(folder, source)
    with pytest.raises(ConfigError) as caught:
        load_prompt(folder, "resolve")
    assert problem in str(caught.value)
    assert "resolve.md" in str(caught.value)


def test_file_that_is_no_text_is_refused(folder):
    (folder.root / "prompts" / "resolve.md").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_prompt(folder, "resolve")


@pytest.mark.parametrize("name", ["nothing", "../../etc/passwd", ""])
def test_unknown_name_is_refused(folder, name):
    with pytest.raises(ConfigError, match="prompt"):
        load_prompt(folder, name)


def test_versions_are_listed_newest_first_and_compared(folder):
    built_in = load_prompt(folder, "resolve")
    write(folder, OWN)
    first = load_prompt(folder, "resolve")
    write(folder, OWN.replace("Look it up.", "Look twice."))
    found = {entry.prompt.name: entry for entry in list_prompts(folder)}
    assert sorted(found) == sorted(VARIABLES)
    entry = found["resolve"]
    assert entry.versions[0] == entry.prompt.hash
    assert set(entry.versions[1:]) == {first.hash, built_in.hash}
    diff = diff_prompt(folder, "resolve", first.hash[:6])
    assert "-Look it up.\n+Look twice.\n" in diff
    assert diff_prompt(folder, "resolve", entry.prompt.hash) == ""


def test_rollback_brings_a_version_back_and_loses_nothing(folder):
    built_in = load_prompt(folder, "resolve")
    write(folder, OWN)
    unseen = "---\nbroken"
    first = load_prompt(folder, "resolve")
    write(folder, unseen)
    back = rollback_prompt(folder, "resolve", first.hash)
    assert (back.hash, back.origin) == (first.hash, "workspace")
    kept = [path.read_text() for path in (folder.state / "prompts" / "resolve").glob("*.md")]
    assert unseen in kept
    assert rollback_prompt(folder, "resolve", built_in.hash[:8]).source == built_in.source


def test_rollback_without_an_own_file_writes_one(folder):
    built_in = load_prompt(folder, "resolve")
    assert rollback_prompt(folder, "resolve", built_in.hash).origin == "workspace"


@pytest.mark.parametrize("version", ["abc", "zzzzzz", ""])
def test_unknown_version_is_refused_with_those_that_are_kept(folder, version):
    kept = load_prompt(folder, "resolve").hash
    with pytest.raises(ConfigError, match=kept):
        load_version(folder, "resolve", version)


def test_version_changed_on_disk_is_not_used(folder):
    prompt = load_prompt(folder, "resolve")
    path = folder.state / "prompts" / "resolve" / f"{prompt.hash}.md"
    path.write_text(OWN, encoding="utf-8")
    with pytest.raises(StoreError, match="was changed"):
        load_version(folder, "resolve", prompt.hash)
    path.write_bytes(b"\xff")
    with pytest.raises(StoreError, match="not UTF-8"):
        load_version(folder, "resolve", prompt.hash)
