"""Metrics against values worked out by hand, and the candidates' promises."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training.metrics import hit_rate, ndcg, paired_interval, ranks, sample_negatives


def test_ranks_count_ties_against_the_target():
    scores = np.array([[0.9, 0.1, 0.2], [0.5, 0.7, 0.1], [0.3, 0.3, 0.3], [-1.0, 2.0, 3.0]])
    assert ranks(scores).tolist() == [1, 2, 3, 3]


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="not a number"):
        ranks(np.array([[0.1, np.nan]]))


def test_ndcg_and_hit_rate_by_hand():
    rank = np.array([1, 2, 3, 10, 11])
    np.testing.assert_allclose(ndcg(rank, 10), [1, 1 / math.log2(3), 0.5, 1 / math.log2(11), 0])
    assert hit_rate(rank, 10).tolist() == [1, 1, 1, 1, 0]
    assert hit_rate(rank, 2).tolist() == [1, 1, 0, 0, 0]


def test_negatives_are_untouched_distinct_and_fixed_by_seed_and_user():
    touched = {3, 5, 8}
    first = sample_negatives("u1", touched, 150, seed=0)
    assert len(first) == len(set(first.tolist())) == 100
    assert not touched & set(first.tolist())
    assert first.tolist() == sample_negatives("u1", touched, 150, seed=0).tolist()
    assert first.tolist() != sample_negatives("u1", touched, 150, seed=1).tolist()
    assert first.tolist() != sample_negatives("u2", touched, 150, seed=0).tolist()


def test_negatives_are_uniform():
    counts = np.zeros(120)
    for seed in range(200):
        counts[sample_negatives("u", {0}, 120, seed)] += 1
    assert counts[0] == 0
    expected, sd = 200 * 100 / 119, math.sqrt(200 * (100 / 119) * (19 / 119))
    assert np.abs(counts[1:] - expected).max() < 5 * sd


def test_too_few_untouched_items_are_refused():
    with pytest.raises(ValueError, match="user u has fewer than 100"):
        sample_negatives("u", {1, 2}, 101, seed=0)


def test_the_interval_of_a_constant_difference_is_that_difference():
    low, high = paired_interval(np.full(50, 0.7), np.full(50, 0.5))
    assert low == pytest.approx(0.2) and high == pytest.approx(0.2)


def test_the_interval_covers_zero_for_noise_and_not_for_a_clear_gain():
    generator = np.random.default_rng(1)
    noise = generator.normal(0, 1, 400)
    low, high = paired_interval(noise, generator.permutation(noise))
    assert low < 0 < high
    assert paired_interval(noise + 1, noise)[0] > 0.99
