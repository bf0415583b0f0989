"""Vectors that were made at ingest are not made again."""

import numpy as np

from deskhand_memory import remembered


class Counting:
    def __init__(self, encoder) -> None:
        self._encoder, self.texts = encoder, []

    def __getattr__(self, name: str):
        return getattr(self._encoder, name)

    def encode(self, texts):
        self.texts += texts
        return self._encoder.encode(texts)


def test_stored_units_and_chunks_need_no_encoder(knowledge, encoder) -> None:
    counting = Counting(encoder)
    known = remembered.RememberedTexts(counting, knowledge._store)
    texts = ["Returns: You can return any product within 30 days of delivery.", "Error codes: E40, Pump blocked"]
    vectors = known.encode(texts)
    assert counting.texts == []
    assert np.allclose(vectors, encoder.encode(texts), atol=1e-5)


def test_other_text_is_encoded_once_and_kept(knowledge, encoder, monkeypatch) -> None:
    counting = Counting(encoder)
    known = remembered.RememberedTexts(counting, knowledge._store)
    first = known.encode(["how are you", "how are you", "well"])
    assert np.array_equal(known.encode(["well", "how are you"]), first[[2, 0]])
    assert counting.texts == ["how are you", "well"]
    monkeypatch.setattr(remembered, "MAX_RECENT", 1)
    known.encode(["a new one"])
    known.encode(["well"])
    assert counting.texts == ["how are you", "well", "a new one", "well"]


def test_nothing_to_encode_gives_no_rows(knowledge) -> None:
    assert knowledge.encoder.encode([]).shape == (0, 384)


def test_it_is_the_encoder_in_all_else(knowledge, encoder) -> None:
    known = knowledge.encoder
    assert (known.name, known.dim, known.max_tokens, known.languages) == (
        encoder.name,
        encoder.dim,
        encoder.max_tokens,
        encoder.languages,
    )
    assert known.count_tokens("two words") == encoder.count_tokens("two words")
    assert knowledge.encoder is known
