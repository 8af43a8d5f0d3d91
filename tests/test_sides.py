"""The two sides of a fused score, mixed and looked at through the lens: figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slim_app.recommenders.sides import FAR, Sides, look, rank_all

EVERYTHING = np.ones(4, bool)
# standard deviations: of (4, 0, 0, 0) sqrt(3), of (0, 0, 2, 2) 1
HAND = Sides(np.array([4.0, 0.0, 0.0, 0.0]), np.array([0.0, 0.0, 2.0, 2.0]))


def test_ranks_by_hand():
    scores, allowed = np.array([1.0, 5.0, 5.0, 9.0]), np.array([True, True, True, False])
    assert rank_all(scores, allowed).tolist() == [3, 1, 2, 0]  # of equal ones the earlier first; the last was bought


def test_the_learned_weight_by_hand():
    assert HAND.spreads == pytest.approx((3**0.5, 1))
    assert HAND.learned == pytest.approx(1 / (1 + 3**0.5))  # 0.366
    assert HAND.mix(None).tolist() == [4, 0, 2, 2]
    assert HAND.mix(HAND.learned) == pytest.approx([4, 0, 2, 2])


def test_a_mix_by_hand():
    total = 1 + 3**0.5
    # half and half of both in their own standard deviations, scaled by the sum of these
    assert HAND.mix(0.5) == pytest.approx([0.5 * 4 / 3**0.5 * total, 0, 0.5 * 2 * total, 0.5 * 2 * total])
    assert HAND.mix(0.0) == pytest.approx([4 / 3**0.5 * total, 0, 0, 0])
    assert HAND.mix(1.0) == pytest.approx([0, 0, 2 * total, 2 * total])


def test_weights_next_to_the_learned_one_are_that_one():
    assert [HAND.nearly_learned(weight) for weight in (None, 0.37, 0.362)] == [None] * 3
    assert [HAND.nearly_learned(weight) for weight in (0.38, 0.0)] == [0.38, 0.0]


def test_one_side_without_a_word_leaves_the_other():
    silent = Sides(np.zeros(3), np.array([1.0, 2.0, 3.0]))
    assert silent.learned == 1.0 and silent.mix(None).tolist() == [1, 2, 3]
    assert rank_all(silent.mix(1.0), np.ones(3, bool)).tolist() == [3, 2, 1]
    assert Sides(np.zeros(3), np.zeros(3)).learned == 0.5


def test_the_lens_by_hand():
    sides = Sides(np.array([9.0, 8.0, 7.0, 6.0, 5.0, 0.0]), np.array([0.0, 0.0, 0.0, 0.0, 0.0, 20.0]))
    allowed = np.array([True, True, False, True, True, True])
    lens = look(sides, allowed, 1)
    rows = [(row.row, row.here, row.sequence, row.reasoning) for row in lens.top]
    assert rows == [(5, 1, 5, 1)] and lens.total == 5 and lens.weight == lens.learned
    assert lens.rescued == lens.top, "first here, but fifth by the purchases, and 5 > FAR * 1"
    assert lens.hurt == (), "the first by the purchases is second here, and 2 is not far"
    at_the_end = look(sides, allowed, 2, 1.0)  # by the reasoning alone: row 5, then all others as they stand
    assert [row.row for row in at_the_end.top] == [5, 0] and [row.row for row in at_the_end.rescued] == [5]
    plain = look(sides, allowed, 2, 0.0)
    assert [row.row for row in plain.top] == [0, 1] and plain.rescued == plain.hurt == ()


def test_what_the_reasoning_pushes_down_is_hurt():
    sides = Sides(np.array([3.0, 2.0, 1.0, 0.0]), np.array([-50.0, 0.0, 0.0, 0.0]))
    lens = look(sides, EVERYTHING, 1)
    assert [(row.row, row.here, row.sequence) for row in lens.hurt] == [(0, 4, 1)] and FAR == 2


values = st.lists(st.floats(-50, 50, width=32), min_size=5, max_size=5)


@settings(max_examples=60, deadline=None)
@given(values, values, st.floats(0, 1), st.integers(1, 5))
def test_whatever_the_scores(sequence, reasoning, weight, k):
    sides = Sides(np.array(sequence), np.array(reasoning))
    allowed = np.array([True, True, True, True, False])
    assert 0 <= sides.learned <= 1 and np.isfinite(sides.mix(weight)).all()
    lens = look(sides, allowed, k, weight)
    assert [row.here for row in lens.top] == list(range(1, min(k, 4) + 1))
    assert set(lens.rescued) <= set(lens.top) and not set(lens.hurt) & set(lens.top)
    assert all(row.sequence > FAR * k for row in lens.rescued) and all(row.here > FAR * k for row in lens.hurt)
