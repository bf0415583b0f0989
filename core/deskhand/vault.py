"""Keeping personal data out of models, vectors, logs, traces and recordings.

A vault replaces what it recognises by placeholders such as ``[EMAIL_1]`` and can put it back. Placeholders
are stable within a run: the same value always gets the same one.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
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
    name: str
    pattern: re.Pattern[str]
    is_real: Callable[[str], bool]


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def passes_luhn(text: str) -> bool:
    """Tell whether the digits in ``text`` form a card number of 13 to 19 digits (ISO/IEC 7812-1, annex B)."""
    digits = [int(char) for char in reversed(_digits(text))]
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[0::2]) + sum(doubled)) % 10 == 0


def passes_iban(text: str) -> bool:
    """Tell whether ``text`` is an IBAN: 15 to 34 characters with remainder 1 modulo 97 (ISO 13616)."""
    plain = re.sub(r"\s", "", text).upper()
    if not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1


def _is_phone(text: str) -> bool:
    has_shape = text.lstrip().startswith(("+", "00", "0", "("))
    return has_shape and 8 <= len(_digits(text)) <= 15


_KINDS = (
    _Kind("EMAIL", re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}\b"), lambda text: True),
    _Kind("IBAN", re.compile(r"\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{1,4}){3,8}\b"), passes_iban),
    _Kind("CARD", re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])"), passes_luhn),
    _Kind("PHONE", re.compile(r"(?<![\w-])(?:\+|\(?0)\(?\d[\d ()/.-]{5,20}\d(?![\w-])"), _is_phone),
)


class PatternVault:
    """A vault that knows e-mail addresses, IBANs, card numbers and phone numbers by their form.

    Checksums decide where there are some (IBAN, cards), so that order numbers stay readable. Safe to use
    from several threads.
    """

    def __init__(self, entries: Mapping[str, str] | None = None) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, str] = {}
        self._placeholders: dict[str, str] = {}
        self.restore(entries or {})

    def mask(self, text: str) -> str:
        """Return ``text`` with personal data replaced; values are compared without case and spacing."""
        for kind in _KINDS:
            text = kind.pattern.sub(lambda match, kind=kind: self._masked(kind, match[0]), text)  # type: ignore[misc]
        return text

    def _masked(self, kind: _Kind, value: str) -> str:
        if not kind.is_real(value):
            return value
        identity = f"{kind.name}:{re.sub(r'[^a-z0-9@.+_-]', '', value.lower())}"
        with self._lock:
            if identity not in self._placeholders:
                number = 1 + sum(1 for key in self._values if key.startswith(f"[{kind.name}_"))
                self._remember(f"[{kind.name}_{number}]", value, identity)
            return self._placeholders[identity]

    def _remember(self, placeholder: str, value: str, identity: str) -> None:
        self._values[placeholder] = value
        self._placeholders[identity] = placeholder

    def unmask(self, text: str) -> str:
        """Return ``text`` with known placeholders replaced by the first form in which each value appeared."""
        return PLACEHOLDER.sub(lambda match: self._values.get(match[0], match[0]), text)

    def export(self) -> dict[str, str]:
        """Return a copy of placeholder -> value."""
        with self._lock:
            return dict(self._values)

    def restore(self, entries: Mapping[str, str]) -> None:
        """Take in placeholder -> value. Raises ValueError when a placeholder has another value already."""
        with self._lock:
            for placeholder, value in entries.items():
                if self._values.get(placeholder, value) != value:
                    raise ValueError(f"the vault has another value for {placeholder}")
                kind = placeholder.strip("[").split("_")[0]
                self._remember(placeholder, value, f"{kind}:{re.sub(r'[^a-z0-9@.+_-]', '', value.lower())}")


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
    """Yield every value in ``text`` that a PatternVault would mask."""
    for kind in _KINDS:
        yield from (match[0] for match in kind.pattern.finditer(text) if kind.is_real(match[0]))
