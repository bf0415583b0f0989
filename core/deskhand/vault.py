"""Keeping personal data out of models, vectors, logs, traces and recordings.

A vault replaces what it recognises by placeholders such as ``[EMAIL_1]`` and can put it back. Placeholders
are stable within a run: the same value always gets the same one.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple, Protocol

from deskhand.schema import Json

PLACEHOLDER = re.compile(r"\[(?:EMAIL|PHONE|CARD|IBAN)_\d+\]")


class Vault(Protocol):
    """Masks personal data and puts it back."""

    def mask(self, text: str) -> str:
        """Return ``text`` with every recognised value replaced by its placeholder."""
        ...

    def unmask(self, text: str) -> str:
        """Return ``text`` with every known placeholder replaced by its value; unknown ones stay."""
        ...

    def export(self) -> dict[str, str]:
        """Return placeholder -> value, to be kept with the run's own private state."""
        ...

    def restore(self, entries: Mapping[str, str]) -> None:
        """Take in entries of an earlier export. Raises ValueError when one contradicts what is known."""
        ...


class _Kind(NamedTuple):
    """One kind of personal data.

    Every value has a ``sign`` in it: a text without one is not searched. ``length`` tells how much of a candidate is
    the value; 0 when it is none.
    """

    name: str
    sign: re.Pattern[str]
    pattern: re.Pattern[str]
    length: Callable[[str], int]
    identity: Callable[[str], str]


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
"""The sum of the digits of twice a digit."""


def passes_luhn(text: str) -> bool:
    """Tell whether the digits in ``text`` form a card number of 13 to 19 digits (ISO/IEC 7812-1, annex B)."""
    digits = _digits(text)
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    numbers = [int(digit) for digit in digits]
    return (sum(numbers[-1::-2]) + sum([_DOUBLED[number] for number in numbers[-2::-2]])) % 10 == 0


def passes_iban(text: str) -> bool:
    """Tell whether ``text`` is an IBAN: 15 to 34 characters with remainder 1 modulo 97 (ISO 13616)."""
    plain = re.sub(r"\s", "", text).upper()
    if not _IBAN_FORM.fullmatch(plain):
        return False
    return int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1


_SPACE = r"[ \u00a0\u2009\u202f]"
_GAP = r"[ \u00a0\u2009\u202f\u2010-\u2013-]"
_IBAN_FORM = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
# Length by country, from the IBAN registry (ISO 13616): text after an IBAN often looks like more of it.
_IBAN_LENGTHS = {
    country: int(length)
    for country, length in re.findall(
        r"([A-Z]{2})(\d{2})",
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
        "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
        "LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 "
        "PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 "
        "YE30",
    )
}
# Dates and opening hours that have the digits of a phone number.
_CALENDAR = re.compile(
    r"(?<!\d)(?:\d{1,2}([./-])\d{1,2}\1(?:19|20)\d{2}|(?:19|20)\d{2}-\d{2}-\d{2}"
    rf"|[012]\d\.[0-5]\d{_SPACE}?[\u2010-\u2013-]{_SPACE}?[012]\d\.[0-5]\d)(?!\d)"
)


def _iban_length(candidate: str) -> int:
    needed = _IBAN_LENGTHS.get(candidate[:2].upper())
    places = [place for place, char in enumerate(candidate) if char.isalnum()]
    if needed is None or len(places) < needed:
        return 0
    end = places[needed - 1] + 1
    is_whole = not candidate[end : end + 1].isalnum()
    return end if is_whole and passes_iban(re.sub(_GAP, "", candidate[:end])) else 0


def _card_length(candidate: str) -> int:
    return next((end for end in _number_ends(candidate, 13, 19) if passes_luhn(candidate[:end])), 0)


def _phone_length(candidate: str) -> int:
    calendar = _CALENDAR.search(candidate)
    return next(_number_ends(candidate[: calendar.start()] if calendar else candidate, 8, 15), 0)


def _number_ends(candidate: str, fewest: int, most: int) -> Iterator[int]:
    """Yield where a number of ``fewest`` to ``most`` digits may end, longest first; other numbers may follow it."""
    n_digits, ends = 0, []
    for group in re.finditer(r"\d+", candidate):
        n_digits += len(group[0])
        if n_digits > most:
            break
        if n_digits >= fewest:
            ends.append(group.end())
    yield from reversed(ends)


def _phone_identity(value: str) -> str:
    digits = _digits(value)
    return f"+{digits}" if value.startswith("+") else re.sub("^00", "+", digits)


_DIGIT = re.compile(r"\d")
# Every pattern has one way to match, so that the time grows with the length of the text and no faster.
_KINDS = (
    _Kind(
        "EMAIL",
        re.compile("@"),
        re.compile(
            r"(?<![\w.+-])(?:[\w.+-]{1,32}')?[\w.+-]{1,64}@(?:[^\W_](?:[\w-]{0,62})\.){1,8}(?:xn--[\w-]{1,59}|[^\W\d_]{2,24})\b"
        ),
        len,
        str.casefold,
    ),
    _Kind(
        "IBAN",
        _DIGIT,
        re.compile(rf"\b[A-Za-z]{{2}}{_SPACE}?[0-9]{{2}}(?:{_GAP}?[A-Za-z0-9]){{11,30}}"),
        _iban_length,
        lambda value: re.sub(_GAP, "", value).upper(),
    ),
    _Kind("CARD", _DIGIT, re.compile(rf"(?<![\w-])\d{{4,19}}(?:{_GAP}\d{{3,19}}){{0,4}}(?!\w)"), _card_length, _digits),
    _Kind(
        "PHONE",
        _DIGIT,
        re.compile(
            rf"(?<![\w#-])(?<!\d[.,/])(?:(?:\+|\(?0)\(?\d(?:{_GAP}|[\d()/.]){{5,22}}\d"
            rf"|\(\d{{3}}\){_SPACE}?\d{{3}}[ .-]\d{{4}}|\d{{3}}(?P<dash>[.-])\d{{3}}(?P=dash)\d{{4}})(?![\w-])"
        ),
        _phone_length,
        _phone_identity,
    ),
)
_IDENTITIES = {kind.name: kind.identity for kind in _KINDS}


def _substitute(kind: _Kind, text: str, replacement: Callable[[str], str]) -> str:
    if not kind.sign.search(text):
        return text
    pieces, done, start = [], 0, 0
    while match := kind.pattern.search(text, start):
        end = match.start() + kind.length(match[0])
        if end == match.start():
            start = match.start() + 1
            continue
        pieces += [text[done : match.start()], replacement(text[match.start() : end])]
        start = done = end
    return "".join([*pieces, text[done:]])


class PatternVault:
    """A vault that knows e-mail addresses, IBANs, card numbers and phone numbers by their form.

    Checksums decide where there are some (IBAN, cards), so that order numbers stay readable. Safe to use
    from several threads.
    """

    def __init__(self, entries: Mapping[str, str] | None = None) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, str] = {}
        self._placeholders: dict[tuple[str, str], str] = {}
        self._last: Counter[str] = Counter()
        self.restore(entries or {})

    def mask(self, text: str) -> str:
        """Return ``text`` with personal data replaced; values are compared without case and spacing."""
        for kind in _KINDS:
            text = _substitute(kind, text, partial(self._placeholder, kind))
        return text

    def _placeholder(self, kind: _Kind, value: str) -> str:
        identity = (kind.name, kind.identity(value))
        with self._lock:
            if identity not in self._placeholders:
                self._remember(f"[{kind.name}_{self._last[kind.name] + 1}]", value)
            return self._placeholders[identity]

    def _remember(self, placeholder: str, value: str) -> None:
        name, number = placeholder.strip("[]").split("_")
        self._values[placeholder] = value
        self._placeholders.setdefault((name, _IDENTITIES[name](value)), placeholder)
        self._last[name] = max(self._last[name], int(number))

    def unmask(self, text: str) -> str:
        """Return ``text`` with known placeholders replaced by the first form in which each value appeared."""
        return PLACEHOLDER.sub(lambda match: self._values.get(match[0], match[0]), text)

    def export(self) -> dict[str, str]:
        """Return a copy of placeholder -> value."""
        with self._lock:
            return dict(self._values)

    def restore(self, entries: Mapping[str, str]) -> None:
        """Take in placeholder -> value, all or none.

        Raises:
            ValueError: A key is not a placeholder, or has another value already.
        """
        with self._lock:
            for placeholder, value in entries.items():
                if not PLACEHOLDER.fullmatch(placeholder):
                    raise ValueError(f"{placeholder!r} is not a placeholder; restore only what export returned")
                if self._values.get(placeholder, value) != value:
                    raise ValueError(f"the vault has another value for {placeholder}; restore into a new vault")
            for placeholder, value in entries.items():
                self._remember(placeholder, value)


def map_strings(value: Json, change: Callable[[str], str]) -> Json:
    """Return a JSON value with ``change`` applied to every string in it; keys stay as they are."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [map_strings(item, change) for item in value]
    if isinstance(value, dict):
        return {key: map_strings(item, change) for key, item in value.items()}
    return value


def find_personal_data(text: str) -> Iterator[str]:
    """Yield every value in ``text`` that a PatternVault would mask, kind by kind, as often as it stands there."""
    found: list[str] = []

    def keep(value: str) -> str:
        found.append(value)
        return "[]"

    for kind in _KINDS:
        text = _substitute(kind, text, keep)
    yield from found
