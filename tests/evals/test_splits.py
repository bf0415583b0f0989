from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskhand_evals.splits import Fold, folds, slices, split, tune_and_gate

SHARES = {"train": 0.6, "dev": 0.2, "test": 0.2}


def names(parts: dict[str, list[int]], ids: list[str]) -> dict[str, set[str]]:
    return {part: {ids[place] for place in places} for part, places in parts.items()}


def test_shares_hold_on_average() -> None:
    parts = split([str(n) for n in range(3000)], SHARES)
    assert {name: round(len(places) / 3000, 1) for name, places in parts.items()} == SHARES


def test_rows_keep_their_part_whatever_comes_later_and_in_any_order() -> None:
    ids = [str(n) for n in range(200)]
    before = names(split(ids, SHARES), ids)
    more = [*ids, *(f"new {n}" for n in range(100))]
    random.Random(1).shuffle(more)
    after = names(split(more, SHARES), more)
    assert all(before[part] <= after[part] for part in SHARES)
    assert names(split(ids, SHARES, seed=2), ids) != before


def test_a_group_is_never_cut() -> None:
    ids = [str(n) for n in range(300)]
    groups = [f"c{n % 40}" for n in range(300)]
    parts = split(ids, SHARES, groups=groups)
    owners = [{groups[place] for place in places} for places in parts.values()]
    assert sum(map(len, owners)) == len(set().union(*owners)) == 40


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([None, "x", "y", "z"])), min_size=8, max_size=60),
    st.integers(2, 4),
    st.randoms(use_true_random=False),
)
def test_folds_hold_out_everything_once_and_no_group_twice(
    rows: list[tuple[str, str | None]], n: int, order: random.Random
) -> None:
    ids = [str(number) for number in range(len(rows))]
    strata: list[Hashable] = [label for label, _ in rows]
    groups: list[Hashable] = [group for _, group in rows]
    try:
        cut = folds(ids, n, strata=strata, groups=groups)
    except ValueError:
        assert len({g or f"row {i}" for i, g in zip(ids, groups, strict=True)}) < n
        return
    assert sorted(place for fold in cut for place in fold.held_out) == list(range(len(rows)))
    assert all(not set(fold.fit) & set(fold.held_out) for fold in cut)
    owners = [group for fold in cut for group in {groups[p] for p in fold.held_out} if group is not None]
    assert len(owners) == len(set(owners))
    shuffled = list(range(len(rows)))
    order.shuffle(shuffled)
    again = folds(
        [ids[p] for p in shuffled], n, strata=[strata[p] for p in shuffled], groups=[groups[p] for p in shuffled]
    )
    assert [{shuffled[p] for p in fold.held_out} for fold in again] == [set(fold.held_out) for fold in cut]


def test_strata_are_even() -> None:
    strata = ["rare"] * 10 + ["common"] * 90
    cut = folds([str(n) for n in range(100)], 5, strata=strata)
    assert [Counter(strata[place] for place in fold.held_out) for fold in cut] == [Counter(rare=2, common=18)] * 5


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: split(["a"], {"train": 0.5}), "sum 1"),
        (lambda: split(["a"], {"train": 0.0, "test": 1.0}), "above 0"),
        (lambda: split(["a", "a"], SHARES), "twice"),
        (lambda: folds(["a", "b"], 3), "3 folds of 2 groups"),
        (lambda: folds(["a", "b"], 1), "at least 2"),
        (lambda: folds([], 2), "0 groups"),
        (lambda: folds(["a", "b"], 2, strata=["x"]), "zip"),
        (lambda: tune_and_gate([], [1], lambda c, r: 1.0, [Fold((), (0,))]), "candidates"),
        (lambda: tune_and_gate([1], [1, 2], lambda c, r: 1.0, [Fold((1,), (0,))]), "exactly once"),
    ],
)
def test_what_cannot_be_cut_is_refused(call: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()  # type: ignore[operator]


def test_a_choice_is_measured_where_it_was_not_made() -> None:
    """Thresholds of pure noise: the best on the fit rows is no better than a coin on the others."""
    chance = random.Random(7)
    rows = list(range(200))
    luck = [[float(chance.random() < 0.5) for _ in rows] for _ in range(50)]
    tuned = tune_and_gate(range(50), rows, lambda c, row: luck[c][row], folds([str(r) for r in rows], 5))
    assert tuned.optimism > 0.05
    assert abs(tuned.mean - 0.5) < 0.1
    assert (len(tuned.chosen), len(tuned.held_out)) == (5, 200)


def test_the_first_of_equal_candidates_is_chosen() -> None:
    cut = folds(["a", "b", "c", "d"], 2)
    tuned = tune_and_gate(["x", "y"], [1, 2, 3, 4], lambda c, row: 1.0, cut)
    assert (tuned.chosen, tuned.mean, tuned.optimism) == (["x", "x"], 1.0, 0.0)


def test_slices_come_in_the_order_of_their_names() -> None:
    assert list(slices(["b1", "a1", "b2"], lambda row: row[0])) == [("a", [1]), ("b", [0, 2])]
