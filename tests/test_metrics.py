"""Metrics against values worked out by hand, and the candidates' promises."""

from __future__ import annotations

import math

import ir_measures
import numpy as np
import pytest

from training.metrics import hit_rate, ndcg, paired_interval, paired_tests, ranks, sample_negatives


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


def test_ndcg_and_hit_rate_are_those_of_trec_eval():
    """ir-measures ranks the same candidates by itself, with trec_eval's code."""
    scores = np.random.default_rng(0).normal(size=(50, 101))
    qrels = [ir_measures.Qrel(f"u{u}", "i0", 1) for u in range(50)]
    run = [ir_measures.ScoredDoc(f"u{u}", f"i{i}", float(s)) for u, row in enumerate(scores) for i, s in enumerate(row)]
    rank = ranks(scores)
    assert {True, False} == set((rank <= 10).tolist())
    ours = {"nDCG@10": ndcg(rank, 10), "Success@10": hit_rate(rank, 10), "Success@20": hit_rate(rank, 20)}
    measures = [ir_measures.parse_measure(name) for name in ours]
    for metric in ir_measures.iter_calc(measures, qrels, run):
        assert ours[str(metric.measure)][int(metric.query_id[1:])] == pytest.approx(metric.value), metric


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


def test_paired_tests_by_hand():
    difference = np.array([1.0, 2.0, 3.0, 4.0, -1.0])
    found = paired_tests(np.arange(5) + difference, np.arange(5))
    assert found["difference"] == pytest.approx(1.8)
    # t = 1.8 / (sd / √5) with the variance 3.7 and 4 degrees of freedom; W⁻ = 1.5 of 15
    t = 1.8 / math.sqrt(3.7 / 5)
    cdf = 0.5 + (t / math.sqrt(4 + t**2)) * (1 + 2 / (4 + t**2)) / 2  # Student's t with 4 degrees of freedom
    assert found["p_t_test"] == pytest.approx(2 * (1 - cdf))
    assert 0.05 < found["p_wilcoxon"] < 0.2
    assert found["interval_95"][0] < 1.8 < found["interval_95"][1]


def test_paired_tests_of_the_same_ranking_find_nothing():
    found = paired_tests(np.ones(5), np.ones(5))
    assert found == {"difference": 0, "interval_95": [0, 0], "p_t_test": 1, "p_wilcoxon": 1}
