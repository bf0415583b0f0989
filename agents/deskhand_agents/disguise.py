"""Every way in which a text may be meant to be read: look-alike letters, spaced letters, codes."""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from urllib.parse import unquote

from deskhand.fencing import fold

_LOOKALIKE = str.maketrans(
    "аеорсухіјѕԁһӏкмтвнгпиαεορτυικνхηωѵʟɪᴏꜱℓı",
    "aeopcyxijsdhlkmtbhrnuaeoptuiknxnwvliosli",
) | {start + n: 97 + n for start in (0x1F150, 0x1F170, 0x1F1E6) for n in range(26)}
"""Letters that look like Latin ones; black circled and squared letters and flags' letters too."""

_LEET = (str.maketrans("0134578@$", "oieastbas"), str.maketrans("0134578@$", "oleastbas"))
_LEET_WORD = re.compile(r"(?<![\w-])(?=\w*[a-z])(?=\w*[0134578@$])[a-z0134578@$]{5,}(?![\w-])")
_SPACED = re.compile(r"(?<!\w)(?:\w[ .\-_*]){4,}\w(?!\w)")
_BASE64 = re.compile(r"(?<![\w+/-])[A-Za-z0-9+/_-]{24,}(?:\n[A-Za-z0-9+/_-]{4,})*={0,2}(?![\w+/-])")
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{2}[ :]?){12,}(?![0-9A-Za-z])")
_BASE32 = re.compile(r"(?<![A-Za-z0-9])[A-Z2-7]{24,}={0,6}(?![A-Za-z0-9])")
_QUOTED_PRINTABLE = re.compile(r"(?:=[0-9A-Fa-f]{2}){12,}")
_WORD = re.compile(r"\w+")
_LATIN = re.compile(r"[a-z]")
_NOT_LATIN = re.compile(r"[\u0370-\u03ff\u0400-\u052f\u0531-\u058f\u13a0-\u13ff\uab70-\uabbf]")
_UNIT = re.compile(r"\d*\w{0,2}[\u03bc\u03c9\u03c0]\w{0,2}")
_COMMON = frozenset(
    ["the", "and", "you", "your", "to", "of", "for", "is", "all", "customer", "refund", "this", "ignore"]
)
_JOINED = re.compile(r"(?<=[^\W_])[_-](?=[^\W_])")


def readings(text: str) -> list[str]:
    """Return ``text`` folded, and folded in every way in which it may be disguised; each once, the plain one first."""
    plain = fold(text)
    bare = "".join(char for char in unicodedata.normalize("NFD", plain) if not unicodedata.combining(char))
    undisguised = bare.translate(_LOOKALIKE)
    undisguised = _SPACED.sub(lambda match: re.sub(r"[ .\-_*]", "", match[0]), undisguised)
    unleeted = (_without_leet(undisguised, table) for table in _LEET)
    return list(dict.fromkeys([plain, bare, undisguised, *unleeted, *_spelled_otherwise(text, plain), *decoded(text)]))


def has_mixed_letters(text: str) -> bool:
    """Tell whether two words are written in letters of two alphabets each, which look alike; units are no words."""
    words = _WORD.findall(fold(text))
    mixed = [word for word in words if _LATIN.search(word) and _NOT_LATIN.search(word)]
    return len([word for word in mixed if not _UNIT.fullmatch(word)]) >= 2


def decoded(text: str) -> Iterator[str]:
    """Yield what codes in ``text`` say, folded: base64, base32, hexadecimal, quoted-printable, rot13, backwards.

    Codes that are no text, such as tracking numbers, are passed over.
    """
    for match in _BASE64.finditer(text):
        plain = re.sub(r"\s", "", match[0]).rstrip("=").replace("-", "+").replace("_", "/")
        yield from _as_text(plain + "=" * (-len(plain) % 4), base64.b64decode)
    for match in _BASE32.finditer(text):
        plain = match[0].rstrip("=")
        yield from _as_text(plain + "=" * (-len(plain) % 8), base64.b32decode)
    for match in _HEX.finditer(text):
        yield from _as_text(re.sub(r"[ :]", "", match[0]), binascii.unhexlify)
    for match in _QUOTED_PRINTABLE.finditer(text):
        yield from _as_text(match[0].replace("=", ""), binascii.unhexlify)
    yield from _turned(fold(text))


def _as_text(code: str, decode: Callable[[str], bytes]) -> Iterator[str]:
    try:
        found = decode(code).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return  # a tracking code or a key, not hidden text
    yield fold(found)


def _turned(plain: str) -> Iterator[str]:
    """Yield text that is English by rot13 or backwards, more than as it stands."""
    n_plain = _n_common(plain)
    for turned in (codecs.encode(plain, "rot13"), plain[::-1]):
        if _n_common(turned) >= max(2, n_plain + 1):
            yield turned


def _n_common(text: str) -> int:
    return len(_COMMON.intersection(re.findall(r"[a-z]+", text)))


def _spelled_otherwise(text: str, plain: str) -> Iterator[str]:
    if "&" in text:
        yield fold(html.unescape(text))
    if "%" in text:
        yield fold(unquote(text))
    if _JOINED.search(plain):
        yield _JOINED.sub(" ", plain)


def _without_leet(text: str, table: dict[int, int]) -> str:
    return _LEET_WORD.sub(lambda match: match[0].translate(table), text)
