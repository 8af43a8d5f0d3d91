"""Novelty, popularity and spread by hand, and novelty against a plain reading of Elliot's definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from slim_app.schema import Item
from training import beyond_accuracy as beyond
from training.dataset import Dataset
from training.recommender.sequences import Sequences

COUNTS = np.array([4, 2, 1, 1, 0])
"""Training interactions of five items: 8 in all."""


def sequences_of(*walks: str, items: str = "abcdef") -> Sequences:
    users = {f"u{n}": tuple(walk) for n, walk in enumerate(walks)}
    return Sequences.of(Dataset("toys", {item: Item(item, item) for item in items}, users))


def test_only_the_training_part_counts_and_a_second_purchase_does_not():
    # the two newest of each are targets; u2 has nothing before them, u3 bought “a” twice
    found = beyond.training_counts(sequences_of("abcde", "acdf", "ab", "aabef"))
    assert found.tolist() == [3, 2, 2, 0, 0, 0]
    assert beyond.training_counts(sequences_of("abcf", "acdf")).tolist() == [2, 1, 1, 0, 0, 0]


def test_novelty_by_hand():
    rank, target = np.array([1, 3, 11, 2]), np.array([0, 2, 1, 4])
    norm = sum(1 / math.log2(r + 1) for r in range(1, 11))
    # shares 4/8 and 1/8; the item without training counts like the rarest, 1/8
    bits = [1 * 1.0, 3 * 0.5, 0, 3 / math.log2(3)]
    np.testing.assert_allclose(beyond.free_discovery(rank, target, COUNTS, 10), np.array(bits) / norm)
    # of five users four, one and none have the item
    others = [0.2, 0.8 * 0.5, 0, 1 / math.log2(3)]
    np.testing.assert_allclose(beyond.popularity_complement(rank, target, COUNTS, 5, 10), np.array(others) / norm)


def test_novelty_is_what_elliot_sums_over_a_list():
    """Lists item by item, relevance 1 for the target: novelty/EFD and novelty/EPC, metric by metric."""
    generator = np.random.default_rng(0)
    n, users, k = 30, 40, 10
    counts = generator.integers(1, 20, n)
    lists = np.array([generator.permutation(n) for _ in range(users)])
    target = generator.integers(n, size=users)
    rank = (lists == target[:, None]).argmax(axis=1) + 1
    efd, epc = [], []
    for row, wanted in zip(lists, target, strict=True):
        discounts = [math.log(2) / math.log(place + 2) for place in range(k)]
        gain = [discount if item == wanted else 0 for item, discount in zip(row, discounts, strict=False)]
        bits = [-math.log(counts[item] / counts.sum()) / math.log(2) for item in row[:k]]
        rare = [1 - counts[item] / users for item in row[:k]]
        efd.append(sum(map(math.prod, zip(gain, bits, strict=True))) / sum(discounts))
        epc.append(sum(map(math.prod, zip(gain, rare, strict=True))) / sum(discounts))
    assert max(efd) > 0
    np.testing.assert_allclose(beyond.free_discovery(rank, target, counts, k), efd)
    np.testing.assert_allclose(beyond.popularity_complement(rank, target, counts, users, k), epc)
    seeds = np.stack([rank, rank], axis=1)  # candidate seeds are a second axis
    np.testing.assert_allclose(beyond.free_discovery(seeds, target, counts, k)[:, 1], efd)


def test_lists_by_hand():
    lists = np.array([[0, 1], [0, 2], [0, 4]])
    assert beyond.average_popularity(lists, COUNTS).tolist() == [3, 2.5, 2]
    assert beyond.long_tail(COUNTS).tolist() == [False, False, False, True, True]  # 4 + 2 < 6.4 <= 4 + 2 + 1
    assert beyond.long_tail(COUNTS, 0.5).tolist() == [False, True, True, True, True]
    assert beyond.long_tail_share(lists, beyond.long_tail(COUNTS)).tolist() == [0, 0, 0.5]
    assert beyond.coverage(lists, 5) == pytest.approx(4 / 5)
    # listed 3, 1, 1, 0, 1 times, ascending 0 1 1 1 3 with the weights -4 -2 0 2 4
    assert beyond.gini(lists, 5) == pytest.approx((-2 + 2 + 12) / (6 * 4))


def test_gini_is_zero_for_all_alike_and_one_for_a_single_item():
    assert beyond.gini(np.arange(6).reshape(3, 2), 6) == pytest.approx(0)
    assert beyond.gini(np.zeros((4, 1), int), 6) == pytest.approx(1)


def test_the_frequency_curve_by_hand():
    counts = np.array([1, 9, 5, 0, 3, 2])
    bins = beyond.popularity_bins(counts, 3)
    assert bins.tolist() == [2, 0, 0, 2, 1, 1]
    assert beyond.frequency_curve(np.array([[1, 2], [1, 0]]), bins).tolist() == [0.75, 0, 0.25]


def test_sparsity_groups_are_equal_and_sorted():
    lengths = np.array([9, 3, 7, 5, 5, 30, 4, 8, 5, 6])
    groups = beyond.sparsity_groups(lengths)
    assert np.bincount(groups).tolist() == [2] * 5
    assert groups.tolist() == [4, 0, 3, 1, 1, 4, 0, 3, 2, 2]
