"""The table of reasons is complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import deskhand_agents
from deskhand_agents import REASONS, reason

SOURCE = Path(deskhand_agents.__file__).parent


def test_every_code_in_the_source_is_in_the_table_and_explained():
    used = {code for file in SOURCE.glob("*.py") for code in re.findall(r'\breason\(\s*"(\w+)"', file.read_text())}
    assert used <= set(REASONS)
    assert all(text.endswith(".") and "\n" not in text for text in REASONS.values())


def test_unknown_code_is_our_mistake():
    with pytest.raises(AssertionError, match="add it to the table"):
        reason("nonsense")
