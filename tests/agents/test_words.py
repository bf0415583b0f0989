"""Words and letters against their definition."""

from __future__ import annotations

import numpy as np
import pytest

from deskhand_agents import words
from deskhand_agents.logistic import Logistic, fit_logistic
from deskhand_agents.words import count_ngrams, fit_vocabulary, fit_words, inner_products, word_logits

TEXTS = ["the pump hums", "the pump hums loudly", "refund my money", "where is my refund", "E21 on the pump"]


def test_order_numbers_are_alike_and_error_codes_are_not():
    assert np.array_equal(count_ngrams("order HF-204559").ids, count_ngrams("Order  hf-118").ids)
    assert not np.array_equal(count_ngrams("shows E21").ids, count_ngrams("shows E22").ids)


def test_repeated_words_weigh_more_but_less_than_twice():
    counted = count_ngrams("pump pump")
    assert counted.weights.max() == pytest.approx(1 + np.log(2))


def test_words_and_letters_each_have_norm_one_and_unknown_ones_none():
    vocabulary = fit_vocabulary([count_ngrams(text) for text in TEXTS])
    bag = vocabulary.weigh(count_ngrams("the pump"))
    is_letters = vocabulary.ids[bag.ids] & 1 == 1
    assert np.linalg.norm(bag.weights[is_letters]) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(bag.weights[~is_letters]) == pytest.approx(1, abs=1e-5)
    assert len(vocabulary.weigh(count_ngrams("zzz qqq")).ids) == 0


def test_rows_have_the_inner_products_of_the_ngrams():
    space = fit_words(TEXTS)
    bags = [space.vocabulary.weigh(count_ngrams(text)) for text in TEXTS]
    dense = np.zeros((len(TEXTS), len(space.vocabulary.ids)))
    for row, bag in zip(dense, bags, strict=True):
        row[bag.ids] = bag.weights
    assert np.allclose(inner_products(bags, bags, dense.shape[1]), dense @ dense.T, atol=1e-5)
    assert np.allclose(space.rows @ space.rows.T, dense @ dense.T, atol=1e-4)


def test_model_says_the_same_of_a_text_as_of_its_row():
    space = fit_words(TEXTS)
    model = fit_logistic(space.rows, np.array([0, 0, 1, 1, 0]), 2, c=10.0)
    logits = np.vstack([word_logits(space.vocabulary, space.unfold(model), text) for text in TEXTS])
    assert np.allclose(logits, model.logits(space.rows), atol=1e-3)
    assert word_logits(space.vocabulary, space.unfold(model), "it hums, loudly").argmax() == 0


def test_many_texts_are_spanned_by_some(monkeypatch):
    monkeypatch.setattr(words, "MAX_LANDMARKS", 3)
    space = fit_words(TEXTS)
    assert (len(space.landmarks), space.rows.shape[0]) == (3, len(TEXTS))


def test_empty_vocabulary_leaves_the_bias():
    vocabulary = fit_vocabulary([])
    assert word_logits(vocabulary, Logistic(np.zeros((0, 2)), np.array([0.5, 1.0])), "pump").tolist() == [[0.5, 1.0]]
