from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskhand_evals.calibration import calibration_error, confusion, reliability
from deskhand_evals.text_scores import chrf, rouge_l

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=25)


def longest_common(a: list[str], b: list[str]) -> int:
    table = np.zeros((len(a) + 1, len(b) + 1), dtype=int)
    for i, x in enumerate(a, start=1):
        for j, y in enumerate(b, start=1):
            table[i, j] = table[i - 1, j - 1] + 1 if x == y else max(table[i - 1, j], table[i, j - 1])
    return int(table[-1, -1])


@given(WORDS, WORDS)
def test_rouge_l_is_the_f_measure_of_the_longest_common_subsequence(a: list[str], b: list[str]) -> None:
    expected = 2 * longest_common(a, b) / (len(a) + len(b)) if a and b else 0.0
    assert rouge_l(" ".join(a), " ".join(b)) == pytest.approx(expected)


def test_chrf_equals_a_count_by_hand() -> None:
    # 1-grams a b c | a b d: 2 of 3; 2-grams ab bc | ab bd: 1 of 2; 3-grams: 0 of 1; no longer ones in either
    assert chrf("a bc", "ab d") == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert chrf("same text", "same text") == pytest.approx(1.0)
    assert chrf("abc", "") == chrf("abc", "xyz") == 0.0
    longer = chrf("abc", "abcabcabc")
    assert chrf("abcabcabc", "abc") < longer  # recall weighs more


def test_calibration_error_is_zero_for_confidences_that_are_true() -> None:
    assert calibration_error([0.75] * 4, [True, True, True, False]) == pytest.approx(0.0)
    assert calibration_error([0.95, 0.95, 0.05], [False, False, False]) == pytest.approx((2 * 0.95 + 0.05) / 3)
    assert [found.n for found in reliability([0.0, 0.1, 1.0], [True, False, True])] == [2, 1]
    for wrong in (([], []), ([0.5], []), ([1.5], [True])):
        with pytest.raises(ValueError, match=r"confidence"):
            calibration_error(*wrong)


def test_confusion_counts_rows_by_their_truth() -> None:
    assert confusion(["a", "a", "b"], ["a", "b", "b"]) == (["a", "b"], [[1, 1], [0, 1]])
