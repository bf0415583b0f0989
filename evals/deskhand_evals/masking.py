"""Making a production ticket fit to be kept: other names, addresses and numbers, the same ones everywhere.

Surrogates look like what they stand for, so that an agent treats the case as it would treat the ticket. Postal
addresses and what a customer tells of themselves in free words are not recognised: a person reads every case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from deskhand.schema import Json
from deskhand.tickets import Role, Ticket
from deskhand.vault import PLACEHOLDER, PatternVault, map_strings
from deskhand_evals.addresses import FIELD, replace_addresses

_PEOPLE = (
    "Alex Miller", "Sam Taylor", "Kim Jordan", "Robin Hayes", "Jamie Brook", "Casey Lane", "Morgan Wells", "Dana Frost",
)  # fmt: skip
_LOWER_CHARS = 5
"""Names of fewer letters are words too (will, mark, rose): in lower case they stay."""

_MIN_DIGITS = 5
"""Record numbers of fewer digits are replaced only with the letters before them: 2026 may be a year."""


_LONG_NUMBER = re.compile(r"\d{6,}")
"""Whatever it is the number of, a tracking number of a carrier that nobody knows: it is somebody's."""


class CaseMask:
    """Replaces the personal data of one ticket in any text about it.

    Args:
        ticket: Whose people and record numbers are replaced.
        keep: Names that are nobody's, such as the brand's.
    """

    def __init__(self, ticket: Ticket, *, keep: Iterable[str] = ()) -> None:
        self._vault = PatternVault()
        kept = {name.casefold() for name in keep}
        names = dict.fromkeys(name for name in _names(ticket) if name.casefold() not in kept)
        self._names = [pair for number, name in enumerate(names) for pair in _name_parts(name, number)]
        self._numbers: dict[str, str] = {}
        self._addresses: dict[str, str] = {}
        texts: list[str] = []
        map_strings(ticket.model_dump(mode="json"), lambda text: texts.append(text) or text)  # type: ignore[func-returns-value]
        self._find_records(texts)

    def _find_records(self, texts: Sequence[str]) -> None:
        from deskhand_agents.entities import EntityKind, find_entities

        kinds = {EntityKind.order, EntityKind.return_, EntityKind.subscription, EntityKind.customer}
        kinds |= {EntityKind.serial, EntityKind.tracking}
        for text in texts:
            for entity in find_entities(text):
                if entity.kind in kinds:
                    self._remember(entity.text)
            for digits in _LONG_NUMBER.findall(self._vault.mask(text)):
                self._remember(digits)

    def _remember(self, text: str) -> None:
        digits = max(re.findall(r"\d+", text), key=len)
        if digits.startswith("0" * (len(digits) - 2)):
            return  # a surrogate of ours
        known = digits if len(digits) >= _MIN_DIGITS else text
        if known not in self._numbers:
            surrogate = f"{len(self._numbers) + 1:0{len(digits)}d}"
            self._numbers[known] = surrogate if known == digits else text.replace(digits, surrogate)

    def text(self, text: str) -> str:
        """Return ``text`` with surrogates: for names, e-mail and postal addresses, phone and card numbers, records."""
        self._find_records([text])  # a reply may name records that the ticket does not
        text = replace_addresses(text, self._address)
        masked = PLACEHOLDER.sub(lambda match: _surrogate(match[0]), self._vault.mask(text))
        for number in sorted(self._numbers, key=len, reverse=True):
            masked = re.sub(rf"(?<!\d){re.escape(number)}(?!\d)", self._numbers[number], masked)
        for name, other in self._names:
            masked = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", other, masked)
        return masked

    def _address(self, found: str) -> str:
        if "Sample Street" in found:
            return found  # ours already: masking twice changes nothing
        key = " ".join(found.casefold().replace(",", " ").split())
        return self._addresses.setdefault(key, f"{len(self._addresses) + 1} Sample Street, Sampletown")

    def json(self, value: Json) -> Json:
        """Return a JSON value with every text in it masked."""
        return map_strings(value, self.text)

    def _field(self, key: str, value: Json) -> Json:
        """Return a field's value; all of it is masked where its name says that it is an address."""
        return map_strings(value, self._address) if FIELD.search(key) else value

    def ticket(self, ticket: Ticket, ticket_id: str) -> Json:
        """Return the ticket as a case keeps it: masked, under another id, its requester without one."""
        value = ticket.model_dump(mode="json", exclude_defaults=True)
        value["id"] = ticket_id
        fields = value.get("fields", {})
        value["fields"] = {key: self._field(key, field) for key, field in fields.items()} if fields else fields
        value["requester"]["id"] = f"{ticket_id}-customer"
        for number, message in enumerate(value["messages"], start=1):
            message["id"] = f"{ticket_id}-{number}"
        return self.json(value)


def _names(ticket: Ticket) -> list[str]:
    people = [message.author for message in ticket.messages if message.role in (Role.customer, Role.agent)]
    found = [ticket.requester.name, *people, ticket.assignee or ""]
    return [" ".join(name.split()) for name in found if any(char.isalpha() for char in name) and "@" not in name]


def _name_parts(name: str, number: int) -> list[tuple[str, str]]:
    """Return what is replaced by what: the whole name first, then its parts, as written, in capitals, in lower case."""
    other = _PEOPLE[number % len(_PEOPLE)] + (f" {number}" if number >= len(_PEOPLE) else "")
    first, last = other.split()[:2]
    parts = [(name, other)]
    words = [word for word in name.split() if len(word.strip(".,")) > 1]
    parts += [(word, first if place == 0 else last) for place, word in enumerate(words) if word[0].isupper()]
    found = []
    for old, new in parts:
        found += [(old, new), (old.upper(), new.upper())]
        if len(old) >= _LOWER_CHARS:
            found.append((old.lower(), new.lower()))
    return found


def _surrogate(placeholder: str) -> str:
    """Return an address that reaches nobody; cards and accounts stay placeholders."""
    kind, number = placeholder.strip("[]").split("_")
    if kind == "EMAIL":
        return f"person{number}@example.com"  # RFC 2606
    return f"+44 20 7946 {int(number) % 1000:04d}" if kind == "PHONE" else placeholder  # kept free by Ofcom for drama
