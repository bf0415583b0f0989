from datetime import date
from pathlib import Path

import pytest

from deskhand.errors import InputError
from deskhand_memory.articles import find_files, load_articles, parse_markdown

HERE = Path("knowledge/app/wifi-errors.md")


def test_front_matter_is_read_whole() -> None:
    text = (
        "---\nid: wifi\ntitle: 'Wi-Fi: errors'\nversion: 3\nvalid_from: 2026-01-01\nvalid_to: 2026-12-31\n"
        "language: no\naudience: internal\nproducts: [Nook, Shelf]\n---\n\nText.\n"
    )
    article = parse_markdown(text, HERE)
    assert article.key == "wifi@3"
    assert article.title == "Wi-Fi: errors"
    assert (article.valid_from, article.valid_to) == (date(2026, 1, 1), date(2026, 12, 31))
    assert article.language == "no"
    assert article.audience == "internal"
    assert article.products == ("Nook", "Shelf")
    assert article.text == "Text."


def test_text_without_front_matter_gets_defaults() -> None:
    article = parse_markdown("```\n# not this\n```\n\n# Errors with Wi-Fi #\n\nText.", HERE)
    assert (article.id, article.title, article.version) == ("wifi-errors", "Errors with Wi-Fi", 1)
    assert (article.language, article.audience, article.products, article.valid_to) == ("en", "public", (), None)


def test_text_without_heading_is_titled_by_its_file() -> None:
    assert parse_markdown("Text.", Path("a b_c-d.md")).title == "A b c d"
    assert parse_markdown("Text.", Path("a b_c-d.md")).id == "a-b_c-d"


def test_empty_values_and_empty_front_matter_mean_absent() -> None:
    assert parse_markdown("---\nvalid_to:\nvalid_from: null\nid: ~\n---\nText.", HERE).id == "wifi-errors"
    assert parse_markdown("---\n---\nText.", HERE).version == 1


def test_id_with_leading_zero_stays_text() -> None:
    assert parse_markdown("---\nid: 012\n---\nText.", HERE).id == "012"


def test_hidden_characters_and_windows_newlines_are_gone() -> None:
    article = parse_markdown("---\r\nid: a\r\n---\r\nOne\u200b line.\r\nTwo.", HERE)
    assert article.text == "One line.\nTwo."


@pytest.mark.parametrize(
    ("front", "message"),
    [
        ("version: two", "wifi-errors.md: version: input should be a valid integer.*got 'two'.*; correct it"),
        ("version: 0", "version: .*greater than or equal to 1"),
        ("colour: red", "colour: extra inputs are not permitted.*the keys are id, title"),
        ("audience: staff", "audience: .*'public' or 'internal'"),
        ("valid_from: soon", "valid_from: "),
        ("valid_from: 2026-02-01\nvalid_to: 2026-01-01", "valid_to 2026-01-01 is before valid_from 2026-02-01"),
        ("id: a@b", "id: "),
        ("products: Nook", "products: "),
        ("title: [a", "not valid YAML .*; correct it"),
        ("title: " + "[" * 1500, "not valid YAML .*; correct it"),
        ("- a list", "must be 'key: value' lines"),
        ("text: hello", "text: is not a key of front matter"),
    ],
)
def test_wrong_front_matter_names_file_and_key(front: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_markdown(f"---\n{front}\n---\nText.", HERE)


def test_unclosed_front_matter_is_refused() -> None:
    with pytest.raises(InputError, match=r"wifi-errors.md: the front matter has no end; close it"):
        parse_markdown("---\nid: a\nText.", HERE)


def test_article_without_text_is_refused() -> None:
    with pytest.raises(InputError, match="text: "):
        parse_markdown("---\nid: a\n---\n\n", HERE)


def test_jsonl_gives_an_article_a_line(tmp_path: Path) -> None:
    path = tmp_path / "faq.jsonl"
    path.write_text('{"id":"a","title":"A","text":"One."}\n\n{"id":"b","title":"B","text":"Two.","version":2}\n')
    assert [article.key for article in load_articles(path)] == ["a@1", "b@2"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id":"a","title":"A"}', r"faq.jsonl:1: text: field required"),
        ("[]", r"faq.jsonl:1: value: "),
        ("{", r"faq.jsonl:1: not valid JSON"),
        ('{"id":"a","title":"\\ud800","text":"x"}', r"faq.jsonl:1: .*; correct it"),
    ],
)
def test_wrong_jsonl_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "faq.jsonl"
    path.write_text(line)
    with pytest.raises(InputError, match=message):
        load_articles(path)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\xff", b"text\x00text"])
def test_binary_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image.md"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"image.md: .*text"):
        load_articles(path)


def test_find_files_skips_hidden_and_other_files(tmp_path: Path) -> None:
    for name in ("b.md", "sub/a.JSONL", ".git/c.md", "image.png", ".d.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [path.name for path in find_files([tmp_path, tmp_path / "b.md"])] == ["b.md", "a.JSONL"]


def test_find_files_refuses_what_is_no_article(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_text("x")
    with pytest.raises(InputError, match="not an article; name a"):
        find_files([tmp_path / "image.png"])
    with pytest.raises(InputError, match="no such file or folder; check"):
        find_files([tmp_path / "gone"])
