"""Web addresses, and what a mail program would turn into a link, an image or a layout."""

from __future__ import annotations

import re

_ENDINGS = "com|net|org|info|biz|app|dev|shop|site|online|xyz|click|de|uk|eu|nl|fr|ru|cn"
_LINK = re.compile(
    r"(?:\b[a-z][a-z0-9+.-]{1,20}:)?//[^\s<>\])]+|\bwww\.[^\s<>\])]+|\]\([^)\s]{0,300}\)?|<(?:a|img)\b",
    re.IGNORECASE,
)
_MARKUP = re.compile(
    rf"<[/!?]?[a-z]|&(?:lt|gt|#\d{{2,6}}|#x[0-9a-f]{{2,5}});|```|\*\*\w|\bjavascript:"
    rf"|(?<![\w@.-])[a-z0-9-]{{1,63}}(?:\.[a-z0-9-]{{1,63}}){{0,3}}\.(?:{_ENDINGS})\b",
    re.IGNORECASE,
)


def find_links(text: str) -> list[str]:
    """Return every web address in ``text``, and what a mail program would turn into a link or an image."""
    return [match[0] for match in _LINK.finditer(text)]


def has_markup(text: str) -> bool:
    """Tell whether a short text, such as a product's name, holds a link, a bare host name or markup."""
    return bool(_LINK.search(text) or _MARKUP.search(text))
