"""Every way in which a text may be meant to be read: look-alike letters, spaced letters, codes."""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

from deskhand.fencing import fold

_LOOKALIKE = str.maketrans(
    "аеорсухіјѕԁһӏкмтвнгпиαεορτυικνхηωѵʟɪᴏꜱℓı",
    "aeopcyxijsdhlkmtbhrnuaeoptuiknxnwvliosli",
)
_LEET = (str.maketrans("0134578@$", "oieastbas"), str.maketrans("0134578@$", "oleastbas"))
_LEET_WORD = re.compile(r"(?<![\w-])(?=\w*[a-z])(?=\w*[0134578@$])[a-z0134578@$]{5,}(?![\w-])")
_SPACED = re.compile(r"(?<!\w)(?:\w[ .\-_*]){4,}\w(?!\w)")
_BASE64 = re.compile(r"(?<![\w+/])[A-Za-z0-9+/]{24,}(?:\n[A-Za-z0-9+/]{4,})*={0,2}(?![\w+/])")
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{2}[ :]?){12,}(?![0-9A-Za-z])")
_ROT13 = re.compile(r"\b(?:vtaber|qvfertneq|sbetrg|bireevqr|vafgehpgvbaf?|ershaq|nccebir|cebzcg|nffvfgnag|flfgrz)\b")
_REVERSED = re.compile(r"\b(?:erongi|dragersid|tegrof|edirrevo|s?noitcurtsni|dnufer|evorppa|tpmorp|tnatsissa)\b")
_JOINED = re.compile(r"(?<=[^\W_])[_-](?=[^\W_])")


def readings(text: str) -> list[str]:
    """Return ``text`` folded, and folded in every way in which it may be disguised; each once, the plain one first."""
    plain = fold(text)
    bare = "".join(char for char in unicodedata.normalize("NFD", plain) if not unicodedata.combining(char))
    undisguised = bare.translate(_LOOKALIKE)
    undisguised = _SPACED.sub(lambda match: re.sub(r"[ .\-_*]", "", match[0]), undisguised)
    unleeted = (_without_leet(undisguised, table) for table in _LEET)
    return list(dict.fromkeys([plain, bare, undisguised, *unleeted, *_spelled_otherwise(text, plain), *decoded(text)]))


def decoded(text: str) -> Iterator[str]:
    """Yield what base64 and hexadecimal stretches of ``text`` say, folded; codes that are no text are passed over."""
    for match in _BASE64.finditer(text):
        plain = re.sub(r"\s", "", match[0]).rstrip("=")
        yield from _as_text(plain + "=" * (-len(plain) % 4), base64.b64decode)
    for match in _HEX.finditer(text):
        yield from _as_text(re.sub(r"[ :]", "", match[0]), binascii.unhexlify)


def _as_text(code: str, decode: object) -> Iterator[str]:
    assert callable(decode)
    try:
        found = decode(code).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return  # a tracking code or a key, not hidden text
    yield fold(found)


def _spelled_otherwise(text: str, plain: str) -> Iterator[str]:
    if "&" in text:
        yield fold(html.unescape(text))
    if "%" in text:
        yield fold(unquote(text))
    if _JOINED.search(plain):
        yield _JOINED.sub(" ", plain)
    if _ROT13.search(plain):
        yield codecs.encode(plain, "rot13")
    if _REVERSED.search(plain):
        yield plain[::-1]


def _without_leet(text: str, table: dict[int, int]) -> str:
    return _LEET_WORD.sub(lambda match: match[0].translate(table), text)
