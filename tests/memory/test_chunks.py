import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from deskhand_memory import Article, MiniLmEncoder
from deskhand_memory.articles import find_files, load_articles
from deskhand_memory.chunks import Chunk, cut_article

LONG = {
    "table": "## Codes\n\n| Code | Meaning |\n|---|---|\n"
    + "".join(f"| E{i} | The pump number {i} is blocked and needs cleaning |\n" for i in range(60)),
    "paragraph": "## Long\n\n" + "The parcel is on its way and will be there soon. " * 80,
    "one sentence": "word " * 900,
    "no spaces": "## Key\n\n" + "x7Kq" * 1250,
    "chinese": "## 退货\n\n" + "我想退货。请问怎么办\uff1f" * 120,
    "hangul": "가나다라마바사" * 200,
    "code": "```\n" + "deskhand run --ticket T-1 --json\n" * 60 + "```",
    "emoji": "🌱" * 400,
    "long heading": "## " + "very " * 200 + "long\n\nText.",
    "spaces": "a" + " " * 20_000 + "b",
}


def build(text: str, title: str = "An article") -> Article:
    return Article(id="a", title=title, text=text.strip())


def squeezed(texts: list[str]) -> str:
    return re.sub(r"\s+", "", "".join(texts))


def assert_whole(article: Article, chunks: list[Chunk], encoder: MiniLmEncoder) -> None:
    assert max(encoder.count_tokens(chunk.embed_text) for chunk in chunks) <= encoder.max_tokens
    assert all(chunk.text in article.text for chunk in chunks)
    assert all(chunk.embed_text.endswith(chunk.text) for chunk in chunks)
    assert squeezed([chunk.text for chunk in chunks]) == squeezed([article.text])
    assert [chunk.n for chunk in chunks] == list(range(1, len(chunks) + 1))


@pytest.mark.parametrize("kind", LONG)
def test_long_text_is_cut_without_loss(kind: str, encoder: MiniLmEncoder) -> None:
    article = build(LONG[kind])
    assert_whole(article, cut_article(article, encoder), encoder)


def test_example_articles_are_cut_without_loss(example: Path, encoder: MiniLmEncoder) -> None:
    for path in find_files([example / "knowledge"]):
        for article in load_articles(path):
            assert_whole(article, cut_article(article, encoder), encoder)


def test_table_is_cut_between_rows(encoder: MiniLmEncoder) -> None:
    chunks = cut_article(build(LONG["table"]), encoder)
    assert len(chunks) > 5
    assert all(line.startswith("| ") and line.endswith(" |") for chunk in chunks[1:] for line in chunk.text.split("\n"))


def test_paragraph_is_cut_between_sentences(encoder: MiniLmEncoder) -> None:
    assert all(chunk.text.endswith("soon.") for chunk in cut_article(build(LONG["paragraph"]), encoder))


def test_sentence_is_cut_between_words(encoder: MiniLmEncoder) -> None:
    assert {word for chunk in cut_article(build(LONG["one sentence"]), encoder) for word in chunk.text.split()} == {
        "word"
    }


@pytest.mark.parametrize("kind", ["table", "paragraph", "no spaces", "chinese"])
def test_heading_is_never_alone(kind: str, encoder: MiniLmEncoder) -> None:
    first = cut_article(build(LONG[kind]), encoder)[0].text
    assert first.startswith("## ")
    assert len(first.split("\n\n", 1)[1]) > 20


def test_later_chunks_are_embedded_with_title_and_heading(encoder: MiniLmEncoder) -> None:
    chunks = cut_article(build(LONG["paragraph"], title="Delivery"), encoder)
    assert chunks[0].embed_text.startswith("Delivery\n## Long\n")
    assert chunks[1].embed_text.startswith("Delivery\nLong\nThe parcel")


def test_title_that_the_text_begins_with_is_not_said_twice(encoder: MiniLmEncoder) -> None:
    assert cut_article(build("# Delivery\n\nText.", title="Delivery"), encoder)[0].embed_text == "# Delivery\n\nText."


def test_sections_are_not_mixed(encoder: MiniLmEncoder) -> None:
    texts = [chunk.text for chunk in cut_article(build("Intro.\n\n## A\nOne.\n\n## B\nTwo."), encoder)]
    assert texts == ["Intro.", "## A\nOne.", "## B\nTwo."]


def test_endless_title_leaves_room_for_the_text(encoder: MiniLmEncoder) -> None:
    article = build("Short text.", title="long title " * 40)
    chunks = cut_article(article, encoder)
    assert_whole(article, chunks, encoder)
    assert len(chunks) == 1


@dataclass
class LetterEncoder:
    """Counts letters, and ten more for a text that ends in the middle of ``xyz``."""

    max_tokens: int
    name: str = "letters"
    dim: int = 1
    languages: frozenset[str] = frozenset({"en"})

    def count_tokens(self, text: str) -> int:
        return len(text) + 10 * text.endswith(("x", "xy"))

    def encode(self, texts):
        raise AssertionError


def test_tiny_limit_still_ends() -> None:
    assert [chunk.text for chunk in cut_article(build("abc", title="t"), LetterEncoder(0))] == ["a", "b", "c"]


def test_half_word_with_more_tokens_than_the_whole_is_not_trusted() -> None:
    encoder = LetterEncoder(8)
    chunks = cut_article(build("aaxyzaaxyzaaxyz", title="t"), encoder)
    assert all(encoder.count_tokens(chunk.embed_text) <= 8 for chunk in chunks)
    assert "".join(chunk.text for chunk in chunks) == "aaxyzaaxyzaaxyz"
