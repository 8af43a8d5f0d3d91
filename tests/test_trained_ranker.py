"""A recommender in the app: online = offline, exact evidence, and what it cannot read is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_rankers import HISTORY, ITEMS, RATIONALE, ROWS, N, build, ranker_of, the_domain, the_fake  # noqa: F401 (fixtures)

from slim_app.errors import SlimError
from slim_app.pipeline import explain, rank_rationale
from slim_app.recommenders.rank import rank
from slim_app.recommenders.rationale_vectors import rationale_vectors
from slim_app.recommenders.sides import rank_all
from slim_app.schema import Item, Rationale

pytestmark = pytest.mark.usefixtures("one_thread")
FUSED = [("gated", "late", "id"), ("gated", "pooled", "id"), ("fused", "late", "id"), ("fused", "pooled", "items")]


# -- online = offline -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", FUSED)
def test_scores_are_the_trained_recommenders(domain, fake, how):
    ranker = ranker_of(domain, *how)
    vectors = rationale_vectors(RATIONALE, fake, how[1])
    expected = ranker.model.scores(ROWS, vectors)
    np.testing.assert_allclose(ranker.scores(HISTORY, RATIONALE, fake), expected, atol=2e-5)
    found = rank(HISTORY, RATIONALE, domain, fake, ranker, N)
    order = [row for row in np.argsort(-expected, kind="stable") if row not in ROWS]
    assert [rec.id for rec in found] == [f"i{row}" for row in order]
    assert [rec.score for rec in found] == pytest.approx(expected[order].tolist(), abs=2e-4)


@pytest.mark.parametrize("how", [*FUSED, ("id",), ("plus",)])
def test_the_sequence_alone_is_the_same_model_without_a_rationale(domain, fake, how):
    alone = ranker_of(domain, *how, name="sequence")
    assert not alone.uses_rationale
    expected = alone.model.scores(ROWS)
    np.testing.assert_allclose(alone.scores(HISTORY, RATIONALE, fake), expected, atol=2e-5)
    found = rank(HISTORY, Rationale(), domain, fake, alone, 5)
    assert {rec.evidence.step for rec in found} == {0} and found[0].rank_sequence is None
    if how[0] not in ("id", "plus"):
        sides = ranker_of(domain, *how).sides(HISTORY, RATIONALE, fake)
        np.testing.assert_allclose(sides.sequence, expected, atol=2e-5)


def test_only_the_shown_purchases_count(domain, fake):
    ranker = ranker_of(domain, "gated", "late")
    history = [ITEMS[n] for n in range(30)]
    expected = ranker.model.scores(list(range(10, 30)), rationale_vectors(RATIONALE, fake, "late"))
    np.testing.assert_allclose(ranker.scores(history, RATIONALE, fake), expected, atol=2e-5)


# -- evidence ---------------------------------------------------------------------------------------------------------


def without(rationale: Rationale, history, key: str):
    """Rationale and history as if the part with this key had never been there."""
    step, number = (int(part) for part in key.split("."))
    if step == 0:
        return rationale, [item for n, item in enumerate(history, 1) if n != number]
    name = f"step{step}"
    kept = tuple(text for n, text in enumerate(getattr(rationale, name), 1) if n != number)
    return replace(rationale, **{name: kept}), history


@pytest.mark.parametrize("weight", [None, 0.5, 0.95])
@pytest.mark.parametrize("how", FUSED)
def test_the_rank_without_a_part_is_an_exact_re_scoring(domain, fake, how, weight):
    ranker = ranker_of(domain, *how, weight=weight)
    sides = ranker.sides(HISTORY, RATIONALE, fake)
    factors = sides.factors(weight)
    steps = set()
    for rec in rank(HISTORY, RATIONALE, domain, fake, ranker, 12):
        steps.add(rec.evidence.step)
        rationale, history = without(RATIONALE, HISTORY, rec.evidence.key)
        left = ranker_of(domain, *how).sides(history, rationale, fake)
        scores = factors[0] * left.sequence + factors[1] * left.reasoning
        ranks = rank_all(scores, ~domain.catalog.mask(HISTORY))
        assert ranks[domain.catalog.row_of_id[rec.id]] == rec.evidence.rank_without
    if weight == 0.95:
        assert steps - {0}, "where the reasoning weighs most, it is the evidence of something"


def test_the_evidence_is_the_part_that_costs_most(domain, fake):
    """Two purchases and two segments, each taken out in turn: the largest fall in standard deviations."""
    ranker, history, rationale = ranker_of(domain, "gated", "late"), HISTORY[:2], Rationale(step3=("Ball", "Cube"))
    _, segments, scored = ranker.over(history, rationale, domain, fake)
    assert [segment.key for segment in segments] == ["3.1", "3.2", "0.1", "0.2"]
    full = ranker.scores(history, rationale, fake)
    falls = []
    for segment in segments:
        text, bought = without(rationale, history, segment.key)
        left = ranker.scores(bought, text, fake)
        falls.append((full - full.mean()) / full.std() - (left - left.mean()) / left.std())
    np.testing.assert_array_equal(scored.winner, np.argmax(falls, axis=0))


def test_both_sides_add_up_and_carry_their_ranks(domain, fake):
    for how in FUSED:
        ranker = ranker_of(domain, *how)
        sides = ranker.sides(HISTORY, RATIONALE, fake)
        np.testing.assert_allclose(sides.sequence + sides.reasoning, ranker.scores(HISTORY, RATIONALE, fake))
        allowed = ~domain.catalog.mask(HISTORY)
        for rec in rank(HISTORY, RATIONALE, domain, fake, ranker, 5):
            row = domain.catalog.row_of_id[rec.id]
            assert rec.rank_sequence == rank_all(sides.sequence, allowed)[row]
            assert rec.rank_reasoning == rank_all(sides.reasoning, allowed)[row]


def test_the_weight_moves_the_list_between_its_ends(domain, fake):
    def ids(ranker) -> list[str]:
        return [rec.id for rec in rank(HISTORY, RATIONALE, domain, fake, ranker, N)]

    fused = ranker_of(domain, "gated", "late")
    sides = fused.sides(HISTORY, RATIONALE, fake)
    assert ids(replace(fused, weight=sides.learned)) == ids(fused)
    assert ids(replace(fused, weight=0.0)) == ids(ranker_of(domain, "gated", "late", name="sequence"))
    order = [f"i{row}" for row in np.argsort(-sides.reasoning, kind="stable") if row not in ROWS]
    assert ids(replace(fused, weight=1.0)) == order != ids(fused)


# -- what it cannot read ----------------------------------------------------------------------------------------------

OWN = [Item("", "A thing of my own"), Item("", "Another")]


def test_purchases_without_an_id_are_counted_and_left_out(domain, fake):
    fused = ranker_of(domain, "gated", "late")
    mixed = [OWN[0], *HISTORY, OWN[1]]
    assert [segment.key for segment in fused.known(mixed)] == ["0.2", "0.3", "0.4", "0.5"]
    assert fused.notes(mixed)[1] == "SASRec knows 4 of your 6 purchases; the others have no place in it."
    assert fused.notes(HISTORY) == ("SASRec was trained on toys.",)
    np.testing.assert_array_equal(fused.scores(mixed, RATIONALE, fake), fused.scores(HISTORY, RATIONALE, fake))
    assert {rec.evidence.key for rec in rank(mixed, RATIONALE, domain, fake, fused, 30)} & {"0.1", "0.6"} == set()


@pytest.mark.parametrize("how", FUSED)
def test_nothing_known_leaves_the_reasoning_and_says_so(domain, fake, how):
    fused = ranker_of(domain, *how)
    assert "knows none of your purchases" in fused.notes(OWN)[1] and "reasoning alone ranks" in fused.notes(OWN)[1]
    found = rank(OWN, RATIONALE, domain, fake, fused, N)
    known = fused.sides(HISTORY, RATIONALE, fake)
    assert [rec.id for rec in found] == [f"i{row}" for row in np.argsort(-known.reasoning, kind="stable")]
    assert found[0].rank_sequence is None and {rec.evidence.step for rec in found} <= {1, 2, 3}
    alone = replace(fused, name="sequence")
    with pytest.raises(SlimError, match=r"knows none of your purchases.*Add one of them"):
        next(explain(OWN, domain, None, alone, fake, 5))
    with pytest.raises(SlimError, match="nothing to rank by"):
        rank(OWN, Rationale(), domain, fake, fused, 5)


def test_the_only_purchase_has_nothing_to_fall_back_on(domain, fake):
    alone = ranker_of(domain, "id", name="sequence")
    assert {rec.evidence.rank_without for rec in rank(HISTORY[:1], Rationale(), domain, fake, alone, 5)} == {None}


def test_a_text_of_the_callers_own_can_be_fused(domain, fake):
    state = rank_rationale("Step 3:\n1. Ball", HISTORY, domain, ranker_of(domain, "gated", "late"), fake, 5)
    assert state.ranker == "fused" and state.history == tuple(HISTORY) and "toys" in state.ranker_notes[0]
    assert state.as_dict()["ranker_notes"] == list(state.ranker_notes) and "history" not in state.as_dict()
    assert state.as_dict()["recommendations"][0]["rank_sequence"] == state.recommendations[0].rank_sequence
