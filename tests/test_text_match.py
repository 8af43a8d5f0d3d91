"""Text matching by hand: three-dimensional vectors whose scores fit on paper."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import FakeEncoder

from slim_app.errors import SlimError
from slim_app.rationale import format_rationale, parse
from slim_app.recommenders.text_match import (
    RANKERS,
    get_ranker,
    history_mean,
    late_interaction,
    pooled,
    purchases,
)
from slim_app.schema import Item, Rationale, Segment

ITEMS = np.array([[1, 0, 0], [0, 1, 0], [0.6, 0.8, 0], [0, 0, 1]], np.float32)
X, Y, XY = Segment(1, 0, "x"), Segment(2, 0, "y"), Segment(3, 0, "xy")
VECTORS = {"x": (1, 0, 0), "y": (0, 1, 0), "xy": (0.8, 0.6, 0), "-x": (-1, 0, 0)}
EMPTY = -np.inf


@pytest.fixture
def hand() -> FakeEncoder:
    return FakeEncoder(VECTORS)


def close(found: np.ndarray, expected: list) -> None:
    np.testing.assert_allclose(found, np.array(expected, float), atol=1e-6)


def texts(segments: list[Segment]) -> list[str]:
    return [segment.text for segment in segments]


def test_late_interaction_takes_the_nearest_segment(hand):
    scored = late_interaction([X, Y, XY], texts([X, Y, XY]), ITEMS, hand)
    close(scored.similarity, [[1, 0, 0.6, 0], [0, 1, 0.8, 0], [0.8, 0.6, 0.96, 0]])
    close(scored.scores, [1, 1, 0.96, 0])
    assert scored.winner[:3].tolist() == [0, 1, 2]
    # without its winner an item falls back on its second best segment; without another one nothing changes
    close(scored.without[:, :3], [[0.8, 1, 0.96], [1, 0.6, 0.96], [1, 1, 0.8]])
    close(scored.without[:, 3], [0, 0, 0])


def test_late_interaction_ties_go_to_the_earlier_segment(hand):
    again = Segment(3, 1, "x")
    scored = late_interaction([X, again], ["x", "x"], ITEMS, hand)
    assert scored.winner.tolist() == [0, 0, 0, 0]
    close(scored.without, [[1, 0, 0.6, 0]] * 2)


@pytest.mark.parametrize("scorer", [late_interaction, pooled, history_mean])
def test_with_one_segment_nothing_is_left_without_it(hand, scorer):
    scored = scorer([X], ["x"], ITEMS, hand)
    assert scored.without.tolist() == [[EMPTY] * 4]
    assert scored.winner.tolist() == [0, 0, 0, 0]


def test_pooled_encodes_the_whole_text_and_again_without_each_segment(hand):
    whole = format_rationale("x", ["y"], ["xy"])
    hand.vectors |= {
        whole: (0.6, 0.8, 0),
        format_rationale("", ["y"], ["xy"]): (0, 1, 0),
        format_rationale("x", [], ["xy"]): (1, 0, 0),
        format_rationale("x", ["y"], []): (0, 0, 1),
    }
    scored = pooled([X, Y, XY], texts([X, Y, XY]), ITEMS, hand)
    close(scored.scores, [0.6, 0.8, 1, 0])
    close(scored.without, [[0, 1, 0.8, 0], [1, 0, 0.6, 0], [0, 0, 0, 1]])
    close(scored.similarity, [[1, 0, 0.6, 0], [0, 1, 0.8, 0], [0.8, 0.6, 0.96, 0]])
    # the winner is the segment without which the item's score is lowest
    assert scored.winner.tolist() == [0, 1, 2, 0]
    assert whole in hand.seen


def test_history_mean(hand):
    scored = history_mean([X, Y], ["x", "y"], ITEMS, hand)
    half = np.sqrt(0.5)
    close(scored.scores, [half, half, 1.4 * half, 0])
    close(scored.without, [[0, 1, 0.8, 0], [1, 0, 0.6, 0]])
    assert scored.winner[:2].tolist() == [0, 1]


def test_history_mean_of_opposites_is_zero_not_nan(hand):
    scored = history_mean([X, Y], ["x", "-x"], ITEMS, hand)
    assert scored.scores.tolist() == [0, 0, 0, 0]
    close(scored.without, [[-1, 0, -0.6, 0], [1, 0, 0.6, 0]])


def test_the_newest_twenty_purchases_are_segments_of_step_zero():
    history = [Item(str(n), f"Thing {n}") for n in range(25)]
    found = purchases(history)
    assert [segment.text for segment in found] == [f"Thing {n}" for n in range(5, 25)]
    assert (found[0].key, found[-1].key) == ("0.1", "0.20")


def test_which_segments_rank():
    history = [Item("1", "Lamp", "Ikea", "Light")]
    rationale = parse("Step 1: You like light.\nStep 2:\n1. Lamps\nStep 3:\n1. Bulb")
    written = [("1.1", "You like light."), ("2.1", "Lamps"), ("3.1", "Bulb")]
    bought = [("0.1", "Lamp (Light, Ikea)")]
    expected = {"reasoning": written, "pooled": written, "history": bought, "reasoning+history": written + bought}
    assert set(RANKERS) == set(expected)
    for name, pairs in expected.items():
        segments, read = RANKERS[name].segments(history, rationale)
        assert [(segment.key, text) for segment, text in zip(segments, read, strict=True)] == pairs, name
        assert RANKERS[name].uses_rationale == (name != "history")


@pytest.mark.parametrize("name", list(RANKERS))
def test_nothing_to_rank_by(name, hand):
    with pytest.raises(SlimError, match="nothing to rank by"):
        get_ranker(name).score([], Rationale(), ITEMS, hand)


def test_an_unknown_ranker_lists_the_known_ones():
    with pytest.raises(SlimError, match=r"Unknown ranker “bm25”.*reasoning, reasoning\+history"):
        get_ranker("bm25")
    assert get_ranker("pooled").scorer is pooled


@pytest.mark.parametrize("name", list(RANKERS))
def test_scores_alone_are_the_scores_with_the_evidence(name, hand):
    rationale = parse("Step 1: x\nStep 2:\n1. y\nStep 3:\n1. xy", finished=True)
    whole = ["Step 1: x\nStep 2:\n1. y\nStep 3:\n1. xy", "Step 1: x\nStep 2:\n1. y\nStep 3:", "xy", "y", "x"]
    encoder = FakeEncoder(VECTORS | {text: (0.6, 0, 0.8) for text in whole if "Step" in text})
    history = [Item("", "x"), Item("", "-x"), Item("", "y")]
    scored = RANKERS[name].score(history, rationale, ITEMS, encoder)
    close(RANKERS[name].scores(history, rationale, ITEMS, encoder), scored.scores)
