"""No pattern of the detector takes long over a text that was made for that."""

from __future__ import annotations

import pytest
from growth import grows_linearly

from deskhand_agents import disguise, injection, links
from deskhand_agents.injection_parts import PARTS

LENGTH = 100_000
NAMED = {f"{number}_{signal.name}": signal.pattern for number, signal in enumerate(injection._SIGNS + injection._SPANS)}
PATTERNS = (
    NAMED
    | PARTS
    | {
        name: getattr(module, name)
        for module, names in (
            (disguise, ("_LEET_WORD", "_SPACED", "_BASE64", "_HEX", "_BASE32", "_QUOTED_PRINTABLE", "_JOINED")),
            (links, ("_LINK", "_MARKUP")),
        )
        for name in names
    }
)
PIECES = [
    "a", "a_", "a.b_", "a(", '"', "\u201c", "\u00ab", "<a ", "<a clip:", "[", "](", "\n", " ", "q: a\n", "ignore the ",
    "ignora tus ", "以前", "1-", "QUJD\n", "your reply ", "review ",
]  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_hundred_thousand_hostile_characters_take_a_moment(piece: str) -> None:
    hostile = piece * (LENGTH // len(piece)) + "\u00e9("
    assert [name for name, pattern in PATTERNS.items() if not grows_linearly(pattern.findall, hostile)] == []
