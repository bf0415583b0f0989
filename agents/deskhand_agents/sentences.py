"""Mail as sentences: what the customer says, without quoted mail, greetings and signatures."""

from __future__ import annotations

import re
import unicodedata

from deskhand.fencing import fold
from deskhand.remembering import remembering
from deskhand.vault import PLACEHOLDER
from deskhand_memory.units import cut_sentences

_QUOTE_LINE = re.compile(r"^\s*(?:>|\|\s)")
_QUOTE_START = re.compile(
    r"^\s*(?:-{2,}\s*(?:original message|forwarded message|ursprüngliche nachricht|message d'origine|"
    r"mensaje original|oorspronkelijk bericht)\b"
    r"|on\b.{5,120}\bwrote:\s*$|am\b.{5,120}\bschrieb\b.{0,60}:\s*$|le\b.{5,120}\ba écrit\s*:\s*$"
    r"|el\b.{5,120}\bescribió:\s*$|op\b.{5,120}\bschreef\b.{0,60}:\s*$|il\b.{5,120}\bha scritto:\s*$"
    r"|##-? ?please type your reply above)",
    re.IGNORECASE,
)
_SIGN_OFF = re.compile(
    r"^\W*(?:-- ?$|(?:(?:best|kind|warm|many|with|kindest|warmest)\s+)*(?:regards|wishes|thanks)\b|cheers\b|sincerely"
    r"|yours\s+(?:sincerely|truly|faithfully)|all the best|take care|thank(?:s| you)(?: (?:so much|very much|a lot|"
    r"in advance|again|all|for your (?:help|time)))*[\s,.!]*$|sent from my\b|get outlook for"
    r"|mit freundlichen grüßen|(?:viele|liebe|beste|freundliche) grüße|mfg|von meinem \w+ gesendet"
    r"|cordialement|bien à vous|saludos|atentamente|un saludo|met vriendelijke groet|groet(?:en|jes)?|mvg"
    r"|cordiali saluti|distinti saluti|envoyé de mon)",
    re.IGNORECASE,
)
_GREETING = re.compile(
    r"^\W*(?:hi|hello|hey|hiya|dear|good (?:morning|afternoon|evening|day)|greetings|to whom it may concern"
    r"|hallo|guten (?:tag|morgen|abend)|sehr geehrte\w*|liebe[rs]?|moin|bonjour|bonsoir|salut|hola"
    r"|buen[oa]s (?:días|tardes)"
    r"|estimad[oa]s?|ciao|buongiorno|salve|goedemiddag|goedemorgen|beste"
    r"|geachte)\b(?:[ ,]+[^\s,.!?]+){0,4}\s*[,.!:]*\s*$",
    re.IGNORECASE,
)
_INLINE_GREETING = re.compile(
    r"^(?:hi|hello|hey|hiya|good (?:morning|afternoon|evening))(?: (?:there|all|team|everyone))?\s*[,!.]\s+(?=\S)",
    re.IGNORECASE,
)
_POSTSCRIPT = re.compile(r"^\s*p\.?\s?s\.?[\s:,]", re.IGNORECASE)
_BULLET = re.compile(r"^\s*(?:[-*•\u2013]|\d{1,2}[.)])\s+")
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)?")
_STOP = frozenset(
    [
        "a",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "been",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "for",
        "from",
        "get",
        "got",
        "had",
        "has",
        "have",
        "hello",
        "hi",
        "how",
        "i",
        "if",
        "in",
        "is",
        "it",
        "its",
        "just",
        "me",
        "my",
        "no",
        "not",
        "of",
        "on",
        "or",
        "our",
        "please",
        "so",
        "some",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "they",
        "this",
        "to",
        "up",
        "us",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
        "im",
        "ive",
        "also",
        "am",
        "about",
        "after",
        "been",
        "being",
        "than",
        "too",
        "thanks",
        "thank",
    ]
)


def strip_quoted(text: str) -> str:
    """Return a mail without the older mail quoted in it; all of it when nothing else would be left."""
    kept: list[str] = []
    for line in text.split("\n"):
        if _QUOTE_START.match(line):
            break
        if not _QUOTE_LINE.match(line):
            kept.append(line)
    return "\n".join(kept).strip() or text.strip()


def strip_courtesies(text: str) -> str:
    """Return a mail without its greeting and signature; a postscript stays."""
    lines = text.split("\n")
    while lines and (not lines[0].strip() or _GREETING.match(lines[0])):
        lines.pop(0)
    end = next((i for i, line in enumerate(lines) if i and _is_sign_off(line)), len(lines))
    kept = [*lines[:end], *(line for line in lines[end:] if _POSTSCRIPT.match(line))]
    return _INLINE_GREETING.sub("", "\n".join(kept).strip())


def _is_sign_off(line: str) -> bool:
    return len(line) <= 60 and bool(_SIGN_OFF.match(line))


def split_sentences(text: str) -> list[str]:
    """Return the sentences of ``text`` as they stand, in order; a line end before a blank line or a bullet ends one."""
    return [sentence for block in _blocks(text) for sentence in cut_sentences(block)]


def _blocks(text: str) -> list[str]:
    """Join wrapped lines: a line that neither ends a sentence nor stands before a bullet goes on in the next."""
    blocks: list[str] = []
    is_open = False
    for line in text.split("\n"):
        stripped = _BULLET.sub("", line).strip()
        if not stripped:
            is_open = False
        elif is_open and not _BULLET.match(line) and not line.lstrip().startswith("#"):
            blocks[-1] = f"{blocks[-1]} {stripped}"
        else:
            blocks.append(stripped)
        is_open = bool(stripped) and not line.lstrip().startswith(("#", "|")) and len(stripped) > 40
    return blocks


def body_sentences(text: str) -> list[str]:
    """Return what a mail says: its sentences without quoted mail, greeting and signature."""
    return split_sentences(strip_courtesies(strip_quoted(text)))


@remembering()
def content_words(text: str) -> frozenset[str]:
    """Return the folded words that carry meaning (English), cut to their first six letters as a crude stem."""
    return frozenset(word[:6] for word in _WORD.findall(fold(text)) if word not in _STOP and len(word) > 1)


def count_words(text: str) -> int:
    """Return how many words ``text`` has."""
    return len(text.split())


def compact(text: str) -> str:
    """Return ``text`` for comparing quotes: NFC, every run of white space one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def nameless(text: str) -> str:
    """Return masked text with placeholders reduced to their kind, ``[EMAIL]``: alike everywhere, never unmasked."""
    return PLACEHOLDER.sub(lambda match: f"{match[0].split('_')[0]}]", text)
