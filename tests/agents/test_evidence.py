"""Texts read in parts, and compared with references."""

from __future__ import annotations

import numpy as np

from deskhand_agents.evidence import Reading, Reference, build_references, encode_all, parts_of, read, text_hash

X, Y, Z = np.eye(3, dtype=np.float32)


def test_text_is_read_whole_and_by_its_first_sentences():
    assert parts_of("One. Two! Three? Four.") == ["One. Two! Three? Four.", "One.", "Two!", "Three?"]
    assert parts_of("Only one") == ["Only one"]


def test_reading_of_one_sentence_is_that_sentence_everywhere(encoder):
    reading = read("the pump hums", encoder)
    assert reading.parts.shape == (1, 384)
    assert np.allclose(reading.mean, reading.whole, atol=1e-6)


def test_parts_are_encoded_as_they_are_alone(encoder):
    reading = read("The pump hums. I want my money back.", encoder)
    assert reading.sentences.shape == (2, 384)
    assert np.allclose(reading.sentences[1], encoder.encode(["I want my money back."])[0], atol=0.02)


def test_features_have_the_best_sentence_and_the_whole_per_group():
    vectors = {"x": X, "y": Y, "z": Z}
    references = build_references([Reference("b", "z"), Reference("a", "x"), Reference("a", "y")], vectors)
    reading = Reading(np.stack([X, Y, Z]))
    features = references.features(reading)
    assert features[6:].tolist() == [2.0, 2.0, 2.0, 0.0]
    assert np.allclose(features[3:6], (Y + Z) / np.sqrt(2))
    assert references.nearest(reading) == 1.0


def test_without_references_there_are_only_vectors():
    references = build_references([], {})
    reading = Reading(np.stack([X, Y]))
    assert references.features(reading).shape == (6,)
    assert references.nearest(reading) == 0.0


def test_known_texts_are_not_encoded_again_and_progress_is_told(encoder):
    seen: list[tuple[int, int]] = []
    made = encode_all(["a", "b", "a"], encoder, {text_hash("a"): X}, lambda done, total: seen.append((done, total)))
    assert list(made) == ["a", "b"]
    assert made["a"] is X
    assert seen == [(1, 2), (2, 2)]
