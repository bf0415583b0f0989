"""Cutting an article into chunks that the encoder reads whole."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deskhand.interfaces import Encoder
from deskhand_memory.articles import Article
from deskhand_memory.markdown import Atom, split_sections
from deskhand_memory.units import last_header

CUT = 2
"""The number of this way of cutting. Raise it with every change to it, so that stored chunks are made again."""

_SENTENCE_END = re.compile(r"[.!?]+[\"'\u201d\u2019)\]*_]*\s+|[\u3002\uff01\uff1f]+[\u300d\u300f\uff09]*")
_SPACE = re.compile(r"\s+")
_MAX_CHARS_PER_TOKEN = 64
"""Longer spans are not even counted, so that one endless paragraph costs no quadratic time."""


@dataclass(frozen=True)
class Chunk:
    """Piece number ``n`` of an article, from 1. ``text`` stands there word for word.

    ``embed_text`` is what the encoder reads: the article's title and the section's heading, then the text. ``header``
    is the header row of the table in whose middle the text begins, else "".
    """

    n: int
    text: str
    embed_text: str
    header: str = ""


def cut_article(article: Article, encoder: Encoder) -> list[Chunk]:
    """Return the chunks of ``article`` in order; together they hold every word of it.

    A chunk ends with a section, paragraph, list item or table row. One of these is cut only when it alone is too long:
    after a sentence, else at a space, else inside a word. ``embed_text`` never has more than ``encoder.max_tokens``
    tokens, so no encoder cuts anything off it.
    """
    title = _shorten(article.title, encoder)
    chunks: list[Chunk] = []
    for section in split_sections(article.text):
        header = ""
        packer = _Packer(article.text, (title, _shorten(section.heading, encoder)), encoder)
        for start, end in packer.pack(section.atoms):
            if text := article.text[start:end].strip():
                chunks.append(Chunk(len(chunks) + 1, text, packer.embed_text(start, end), header))
                header = last_header(text, header)
    return chunks


def _shorten(text: str, encoder: Encoder) -> str:
    """Return the beginning of ``text`` that takes at most a quarter of what the encoder reads."""
    words = text.split()
    while words and encoder.count_tokens(" ".join(words)) > encoder.max_tokens // 4:
        words.pop()
    return " ".join(words)


@dataclass(frozen=True)
class _Packer:
    """Packs the atoms of one section. ``context`` is embedded before each chunk."""

    text: str
    context: tuple[str, ...]
    encoder: Encoder

    def embed_text(self, start: int, end: int) -> str:
        piece = self.text[start:end].strip()
        # What the piece itself begins with is not said twice.
        first_line = piece.split("\n", 1)[0]
        return "\n".join([*(part for part in self.context if part and part not in first_line), piece])

    def pack(self, atoms: Sequence[Atom]) -> Iterator[tuple[int, int]]:
        """Yield spans that fit, each as long as it can be without cutting an atom."""
        start = end = atoms[0].start
        for atom in atoms:
            if end > start and self._fits(start, atom.end):
                end = atom.end
                continue
            if end > start:
                yield start, end
            start, head, end = atom
            while not self._fits(start, end):
                place = self._place_to_cut(start, head, end)
                yield start, place
                start = head = place
        yield start, end

    def _fits(self, start: int, end: int) -> bool:
        if end - start > _MAX_CHARS_PER_TOKEN * self.encoder.max_tokens:
            return False
        return self.encoder.count_tokens(self.embed_text(start, end)) <= self.encoder.max_tokens

    def _place_to_cut(self, start: int, head: int, end: int) -> int:
        """Return where to cut what begins at ``start``: after some of what follows ``head``, if that can fit."""
        end = min(end, start + _MAX_CHARS_PER_TOKEN * self.encoder.max_tokens)
        for floor in (head, start):
            sentences = [match.end() for match in _SENTENCE_END.finditer(self.text, floor, end)]
            spaces = [match.end() for match in _SPACE.finditer(self.text, floor, end)]
            for places in (sentences, spaces, range(floor + 1, end)):
                place = self._last_that_fits(start, [place for place in places if floor < place < end])
                if place is not None:
                    return place
        return start + 1

    def _last_that_fits(self, start: int, places: Sequence[int]) -> int | None:
        # A longer text can have fewer tokens, half a word being more pieces than the whole one. So this may not be the
        # very last place, but it is one that was tried and fits.
        index = bisect_right(places, False, key=lambda place: not self._fits(start, place))
        return places[index - 1] if index > 0 else None
