"""The words that a person wrote in a mail: without the quoted thread, the signature and the HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_BLOCKS = frozenset(
    [
        "address",
        "blockquote",
        "br",
        "dd",
        "div",
        "dl",
        "dt",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "li",
        "ol",
        "p",
        "pre",
        "table",
        "tr",
        "ul",
    ]
)
_UNSEEN = frozenset(["head", "script", "style", "title", "template"])
_QUOTE_ATTRIBUTES = ("gmail_quote", "yahoo_quoted", "moz-cite-prefix", "divrplyfwdmsg")
_MAX_LINE = 1_000  # longer lines are no headers of a quotation, and patterns stay linear on them

# "On Friday, Ann wrote:" in the languages that mail programs speak; the line may be folded once
_WROTE = re.compile(
    r"(on|am|le|el|il|op|em|den|dnia|dne) [^\n]{3,300}?"
    r"(wrote|schrieb[^\n]{0,80}|a écrit|escribió|ha scritto|schreef[^\n]{0,80}|escreveu|skrev[^\n]{0,80}"
    r"|napisał\(?a?\)?|napsal\(a\))"
    r"\s?:",
    re.IGNORECASE,
)
_DIVIDER = re.compile(
    r"(-{2,}\s*(original message|forwarded message|ursprüngliche nachricht|weitergeleitete nachricht|message d'origine"
    r"|mensaje original|messaggio originale|oorspronkelijk bericht|mensagem original)\s*-{2,}|_{20,})",
    re.IGNORECASE,
)
_OUTLOOK = re.compile(r"\*?(from|von|de|da|van|od|från)\s?:\*? .{1,200}", re.IGNORECASE)
_OUTLOOK_NEXT = re.compile(
    r"\*?(sent|date|to|gesendet|an|datum|envoyé|date|enviado|inviato|verzonden|wysłano|skickat)\s?:", re.IGNORECASE
)
_PHONE = re.compile(
    r"(sent from my|sent from outlook|get outlook for|von meinem .{1,40} gesendet|gesendet mit|envoyé de mon"
    r"|enviado desde mi|inviato da|verzonden vanaf)\b.{0,80}",
    re.IGNORECASE,
)


def own_words(text: str) -> str:
    """Return what the sender wrote now: no quoted mail, no signature. The whole text when nothing would be left."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    lines = _unquoted(text.split("\n"))
    kept = "\n".join(_unsigned(lines)).strip()
    return re.sub(r"\n{3,}", "\n\n", kept) or text


def _unquoted(lines: list[str]) -> list[str]:
    kept: list[str] = []
    for number, line in enumerate(lines):
        if _begins_quote(lines, number):
            rest = lines[number:]
            # an answer below or between quoted lines is the sender's own; one above them is what usually is
            below = [one for one in rest if not one.lstrip().startswith(">")]
            return kept if any(one.strip() for one in kept) else below[1:]
        if not line.lstrip().startswith(">"):
            kept.append(line)
    return kept


def _begins_quote(lines: list[str], number: int) -> bool:
    line = lines[number].strip()[:_MAX_LINE]
    if not line:
        return False
    following = lines[number + 1].strip()[:_MAX_LINE] if number + 1 < len(lines) else ""
    if _DIVIDER.fullmatch(line) or _WROTE.fullmatch(line) or _WROTE.fullmatch(f"{line} {following}"):
        return True
    return bool(_OUTLOOK.fullmatch(line) and _OUTLOOK_NEXT.match(following))


def _unsigned(lines: list[str]) -> list[str]:
    for number, line in enumerate(lines):
        if line in ("-- ", "--") or _PHONE.fullmatch(line.strip()[:_MAX_LINE]):
            if any(one.strip() for one in lines[:number]):
                return lines[:number]
            break
    return lines


def html_to_text(html: str) -> str:
    """Return the visible text of an HTML mail; what mail programs mark as quoted is left out."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = (re.sub(r"[ \t\u00a0]+", " ", line).strip() for line in "".join(reader.pieces).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Reader(HTMLParser):
    """Collects text. ``_hidden`` counts how deep inside an unseen element the parser is."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._unseen: str = ""
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._unseen:
            self._depth += tag == self._unseen
            return
        marks = " ".join(value or "" for name, value in attrs if name in ("class", "id", "style")).lower()
        is_quote = any(mark in marks for mark in _QUOTE_ATTRIBUTES) and any(piece.strip() for piece in self.pieces)
        if tag in _UNSEEN or (is_quote and tag in ("div", "blockquote")):
            self._unseen, self._depth = tag, 1
        elif tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if self._unseen:
            self._depth -= tag == self._unseen
            if self._depth <= 0:
                self._unseen = ""
        elif tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.pieces.append(data.replace("\n", " "))
