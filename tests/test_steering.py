"""Steering by hand: three-dimensional vectors whose weighted scores fit on paper; edits that can be undone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from conftest import FakeEncoder, make_domain
from hypothesis import given, settings
from hypothesis import strategies as st

from slim_app.errors import SlimError
from slim_app.permalink import edit_rows
from slim_app.rationale import format_rationale, parse
from slim_app.rationale_edits import MAX_UNDO, MAX_WEIGHTS, Edits, Part, as_rationale
from slim_app.recommenders.rank import rank
from slim_app.recommenders.text_match import RANKERS
from slim_app.schema import Item, Rationale
from slim_app.steering import Shift, steer, weighted

VECTORS = {"A": (1, 0, 0), "B": (0, 1, 0), "C": (0.6, 0.8, 0), "D": (0, 0, 1),
           "x": (1, 0, 0), "y": (0, 1, 0), "xy": (0.8, 0.6, 0), "z": (0, 0, 1)}  # fmt: skip
XYZ = Rationale(("x",), ("y",), ("xy",))
"""Cosines with A, B, C, D: x 1 0 .6 0 · y 0 1 .8 0 · xy .8 .6 .96 0."""
ABCD = tuple(Item(name, name) for name in "ABCD")


@pytest.fixture
def hand() -> FakeEncoder:
    return FakeEncoder(VECTORS)


@pytest.fixture
def steered(hand):
    domain = make_domain(ABCD, hand)

    def last(edits: Edits, ranker: str = "reasoning", k: int = 4, history=()):
        *_, end = steer(edits, list(history), domain, RANKERS[ranker], hand, k)
        assert end.done
        return end

    return last


def order(state) -> str:
    return "".join(r.id for r in state.recommendations)


def scores(state) -> list[float]:
    by_id = {r.id: r.score for r in state.recommendations}
    return [by_id[name] for name in "ABCD"]


EDITS = Edits.of(XYZ)


def test_as_written_it_is_the_list_as_it_was(steered):
    state = steered(EDITS)
    assert (order(state), scores(state)) == ("ABCD", [1, 1, 0.96, 0])
    assert {shift.delta for shift in state.shifts} == {0} and state.left == ()


def test_a_struck_segment_is_left_out_exactly(steered):
    state = steered(EDITS.strike("2.1"))
    assert (order(state), scores(state)) == ("ACBD", [1, 0.6, 0.96, 0])
    assert [(s.id, s.before, s.after, s.delta) for s in state.shifts] == [
        ("A", 1, 1, 0), ("C", 3, 2, 1), ("B", 2, 3, -1), ("D", 4, 4, 0),
    ]  # fmt: skip
    assert steered(EDITS.strike("2.1"), k=2).left == (Shift("B", "B", 2, 3),)


@pytest.mark.parametrize(("key", "weight", "expected"), [
    ("2.1", 1.0, [1, 1, 0.96, 0]),
    ("2.1", 0.5, [1, 0.8, 0.96, 0]),  # half way between with it (1) and without it (.6)
    ("2.1", 0.25, [1, 0.7, 0.96, 0]),
    ("2.1", 0.0, [1, 0.6, 0.96, 0]),
    ("3.1", 2.0, [0.9, 0.8, 0.96, 0]),  # mean of all (1 1 .96) and it alone (.8 .6 .96)
    ("1.1", 3.0, [1, 1 / 3, 0.72, 0]),  # a third all, two thirds x alone (1 0 .6)
])  # fmt: skip
def test_weights_of_late_interaction(steered, key, weight, expected):
    assert scores(steered(EDITS.weigh(key, weight))) == [round(score, 4) for score in expected]


def test_weights_of_late_interaction_are_a_weighted_mean_of_maxima(steered):
    state = steered(EDITS.weigh("1.1", 0.5).weigh("2.1", 0.25))
    # levels: xy alone to 1, with x to .5, with y to .25
    cosines = np.array([[1, 0, 0.6, 0], [0, 1, 0.8, 0], [0.8, 0.6, 0.96, 0]])
    expected = 0.5 * cosines[2] + 0.25 * cosines[[0, 2]].max(axis=0) + 0.25 * cosines.max(axis=0)
    np.testing.assert_allclose(scores(state), expected, atol=1e-4)


def test_weights_of_the_pooled_vector_are_a_weighted_mean_of_vectors(steered, hand):
    hand.vectors |= {
        format_rationale("x", ["y"], ["xy"]): (0.6, 0.8, 0),
        format_rationale("", ["y"], ["xy"]): (0, 1, 0),
    }
    edits = EDITS.weigh("1.1", 0.5)
    mean = 0.5 * np.array([0.6, 0.8, 0]) + 0.5 * np.array([0, 1, 0])
    expected = [float(mean @ VECTORS[name]) for name in "ABCD"]
    np.testing.assert_allclose(scores(steered(edits, "pooled")), expected, atol=1e-4)
    assert scores(steered(edits.weigh("1.1", 1), "pooled")) == [0.6, 0.8, 1, 0]
    assert scores(steered(edits.strike("1.1"), "pooled")) == [0, 1, 0.8, 0]


def test_purchases_take_part_at_every_level(steered):
    z = [Item("", "z")]
    everything_out = EDITS.strike("1.1").strike("2.1").strike("3.1")
    assert order(steered(everything_out, "reasoning+history", history=z)) == "DABC"
    half = EDITS.weigh("1.1", 0.5).weigh("2.1", 0.5).weigh("3.1", 0.5)
    # half the text's scores beside the purchase's own, which is 0 0 0 1
    assert scores(steered(half, "reasoning+history", history=z)) == [0.5, 0.5, 0.48, 1]
    double = EDITS.weigh("1.1", 2)
    assert scores(steered(double, "reasoning+history", history=z)) == [1, 0.5, 0.78, 1]


def test_what_a_segment_lifts_and_sinks(steered):
    by_key = {i.part.key: i for i in steered(EDITS, k=2).influences}
    assert by_key["2.1"].lifted == (Shift("B", "B", 3, 2),)
    assert by_key["2.1"].sank == (Shift("C", "C", 2, 3),)
    assert by_key["3.1"].lifted == by_key["3.1"].sank == ()
    # struck out: the same question, answered from the other side
    struck = {i.part.key: i for i in steered(EDITS.strike("2.1"), k=2).influences}["2.1"]
    assert (struck.lifted, struck.sank) == (by_key["2.1"].lifted, by_key["2.1"].sank)
    (only,) = [i for i in steered(EDITS.strike("2.1").strike("3.1")).influences if i.part.weight]
    assert only.alone and only.lifted == ()


def test_rewritten_and_added_segments_rank_and_are_evidence(steered):
    state = steered(EDITS.rewrite("1.1", "z").strike("3.1").add(3, " x\n"))
    assert order(state) == "ABDC"
    found = {r.id: (r.evidence.key, r.evidence.text, r.evidence.rank_without) for r in state.recommendations}
    assert found == {"A": ("+1", "x", 4), "B": ("2.1", "y", 4), "C": ("2.1", "y", 3), "D": ("1.1", "z", 4)}


def test_evidence_under_weights_is_the_segment_that_the_item_would_miss_most(steered):
    state = steered(EDITS.weigh("3.1", 2).add(2, "y"))
    found = {r.id: (r.evidence.key, r.evidence.similarity) for r in state.recommendations}
    assert found["A"] == ("1.1", 1.0), "all but it: (.8 + .8) / 2"
    assert found["C"] == ("3.1", 0.96)
    assert found["B"] == ("2.1", 1.0), "of two equal ones none is missed: then the most similar, the first of them"


@pytest.mark.parametrize("name", ["reasoning", "reasoning+history", "pooled"])
def test_unedited_it_equals_the_list_of_the_page(tiny_domain, fake_encoder, name):
    text = "Step 1: You like racing. And farms.\nStep 2:\n1. Racing\n2. Sony\nStep 3:\n1. F1 24\n2. Forza\n3. Minecraft"
    history, rationale = list(tiny_domain.catalog.items[:2]), parse(text)
    listed = rank(history, rationale, tiny_domain, fake_encoder, RANKERS[name], 5)
    first, last = steer(Edits.of(rationale), history, tiny_domain, RANKERS[name], fake_encoder, 5)
    assert last.recommendations == listed
    assert [replace(r, evidence=None) for r in listed] == list(first.recommendations)
    # struck out: as if the text had never held it, each segment under the key that the page knows it by
    edits = Edits.of(rationale).strike("3.1").strike("1.1")
    *_, last = steer(edits, history, tiny_domain, RANKERS[name], fake_encoder, 5)
    short = parse("Step 1: And farms.\nStep 2:\n1. Racing\n2. Sony\nStep 3:\n1. Forza\n2. Minecraft")
    again = rank(history, short, tiny_domain, fake_encoder, RANKERS[name], 5)
    new_keys = {"3.1": "3.2", "3.2": "3.3", "1.1": "1.2"}
    assert [(r.id, r.score, r.evidence.key) for r in last.recommendations] == [
        (r.id, r.score, new_keys.get(r.evidence.key, r.evidence.key)) for r in again
    ]


def test_a_trained_recommender_is_steered_by_the_same_contract(one_thread):
    import torch

    from slim_app.recommenders.checkpoint import trained
    from slim_app.recommenders.config import RecommenderConfig
    from slim_app.recommenders.fused import FusedRecommender
    from slim_app.recommenders.trained import TrainedRanker

    torch.manual_seed(0)
    encoder = FakeEncoder(VECTORS)
    domain = make_domain(ABCD, encoder)
    config = RecommenderConfig("sasrec", "gated", n_items=4, text_dim=3, ranker="late", hidden=8, layers=1)
    model = FusedRecommender(config, torch.as_tensor(domain.vectors))
    ranker = TrainedRanker("fused", trained(model, {}), domain.catalog.row_of_id, "SASRec", "toys")
    history = [ABCD[3]]
    *_, all_in = steer(EDITS, history, domain, ranker, encoder, 3)
    assert all_in.recommendations == rank(history, XYZ, domain, encoder, ranker, 3)
    *_, half = steer(EDITS.weigh("2.1", 0.5), history, domain, ranker, encoder, 3)
    *_, out = steer(EDITS.strike("2.1"), history, domain, ranker, encoder, 3)
    assert "D" not in order(half)
    one, zero, middle = ({r.id: r.score for r in state.recommendations} for state in (all_in, out, half))
    assert any(one[name] != zero[name] for name in "ABC")
    for name in "ABC":
        assert middle[name] == pytest.approx((one[name] + zero[name]) / 2, abs=2e-4)


@given(st.lists(st.sampled_from([0, 0.25, 0.5, 1, 2, 3]), min_size=3, max_size=3), st.sampled_from([0.5, 2]))
@settings(max_examples=60, deadline=None)
def test_only_ratios_count_and_zeros_are_subsets(weights, factor):
    encoder = FakeEncoder(VECTORS)
    items = make_domain(ABCD, encoder).vectors

    def score(parts):
        return RANKERS["reasoning"].scores([], as_rationale(parts), items, encoder)

    parts = [Part(f"{n}.1", n, text, weight) for n, (text, weight) in enumerate(zip("xyz", weights, strict=True), 1)]
    if not any(weights):
        with pytest.raises(SlimError, match="nothing is left to rank by"):
            weighted(parts, score)
        return
    found = weighted(parts, score)
    scaled = weighted([replace(part, weight=part.weight * factor) for part in parts], score)
    np.testing.assert_allclose(found, scaled, atol=1e-6)
    if len({weight for weight in weights if weight}) == 1:
        assert found.tolist() == score(tuple(part for part in parts if part.weight)).tolist()
    more = weighted([replace(parts[0], weight=parts[0].weight + 1e-6), *parts[1:]], score)
    np.testing.assert_allclose(found, more, atol=1e-4)  # no jumps, at 0 neither


def test_what_cannot_be_steered(steered):
    with pytest.raises(SlimError, match="Everything is struck out"):
        steered(EDITS.strike("1.1").strike("2.1").strike("3.1"))
    with pytest.raises(SlimError, match="does not read the reasoning"):
        steered(EDITS, "history", history=[ABCD[0]])
    with pytest.raises(SlimError, match="no reasoning to edit"):
        Edits.of(Rationale())
    for bad in (-0.1, 5.1, float("nan"), float("inf"), 10**400, True, "1", None):
        with pytest.raises(SlimError, match="A weight is a number from 0"):
            EDITS.weigh("1.1", bad)
    for bad in ("", " \n\t", "\u200b", None, 5):
        with pytest.raises(SlimError, match="needs words"):
            EDITS.rewrite("1.1", bad)
    for bad in (0, 4, "1", None, [1]):
        with pytest.raises(SlimError, match="belongs to step"):
            EDITS.add(bad, "z")
    with pytest.raises(SlimError, match=r"no segment “9\.9”"):
        EDITS.strike("9.9")


def test_a_text_takes_few_different_weights():
    """Each is a level on which every subset is scored again: 95 of them would hold everybody up for a minute."""
    edits = Edits.of(Rationale(tuple(f"s{n}" for n in range(20))))
    for n in range(MAX_WEIGHTS):
        edits = edits.weigh(f"1.{n + 1}", n / 10)  # 0 is no level, and 1 is one from the beginning
    edits = edits.weigh("1.20", 0.1).weigh("1.19", 0)
    for beyond in (0.05, 2):
        with pytest.raises(SlimError, match="at most 8 different weights"):
            edits.weigh("1.18", beyond)
    rows = [{"key": f"1.{n}", "weight": n / 5} for n in range(1, 20)]
    with pytest.raises(SlimError, match="Edit 9: A text takes at most"):
        Edits.from_rows(Rationale(tuple(f"s{n}" for n in range(20))), rows)


def test_undo_redo_and_reset_are_steps_of_their_own():
    one = EDITS.strike("1.1")
    two = one.rewrite("2.1", "new")
    three = two.add(3, "more")
    assert [p.marks for p in three.now] == [("struck",), ("rewritten",), (), ("added",)]
    assert three.undo() == replace(two, future=(three.now,))
    assert three.undo().undo().redo().redo() == three
    assert three.undo().add(1, "other").future == (), "a new edit forgets what was undone"
    assert three.reset().now == EDITS.now and not three.reset().edited
    assert three.reset().undo().now == three.now
    assert EDITS.undo() is EDITS and EDITS.redo() is EDITS and EDITS.weigh("1.1", 1) is EDITS
    many = EDITS
    for n in range(MAX_UNDO + 5):
        many = many.rewrite("1.1", f"text {n}")
    assert len(many.past) == MAX_UNDO


@given(st.lists(st.tuples(st.sampled_from(["strike", "weigh", "rewrite", "add"]), st.integers(0, 2)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_any_edits_can_all_be_undone_and_done_again(steps):
    edits = EDITS
    for kind, n in steps:
        key = edits.now[n].key
        arguments = {"strike": (key,), "weigh": (key, n + 0.5), "rewrite": (key, f"new {n}"), "add": (n + 1, "more")}
        edits = getattr(edits, kind)(*arguments[kind])
    assert len({part.key for part in edits.now}) == len(edits.now)
    rebuilt = Edits.from_rows(XYZ, edit_rows(edits))
    assert [replace(part, key="") for part in rebuilt.now] == [replace(part, key="") for part in edits.now]
    assert rebuilt.undo().now == EDITS.now
    back = edits
    for _ in edits.past:
        back = back.undo()
    assert back.now == EDITS.now
    for _ in edits.past:
        back = back.redo()
    assert back == edits


@pytest.mark.parametrize("rows", ["x", {}, [5], [{}], [{"key": "1.1", "weight": "heavy"}], [{"key": "+1"}],
                                  [{"key": "+1", "step": 7, "text": "z"}], [["key"]], [{"key": "1.1", "text": 5}],
                                  [{"key": "1.1"}] * 500])  # fmt: skip
def test_edits_from_elsewhere_are_checked(rows):
    with pytest.raises(SlimError, match=r"[Ee]dit"):
        Edits.from_rows(XYZ, rows)


def test_two_visitors_at_once_do_not_meet():
    encoder = FakeEncoder(VECTORS)
    domain = make_domain(ABCD, encoder)

    def visit(n: int) -> str:
        edits = EDITS.strike("2.1") if n % 2 else EDITS.weigh("3.1", 2)
        return order(list(steer(edits, [], domain, RANKERS["reasoning"], encoder, 4))[-1])

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(visit, range(40)))
    assert found == ["CABD", "ACBD"] * 20
    assert not EDITS.edited


def test_the_json_object(steered):
    card = steered(EDITS.strike("2.1")).as_dict()
    assert [(r["rank"], r["id"], r["before"], r["delta"]) for r in card["recommendations"][:2]] == [
        (1, "A", 1, 0), (2, "C", 3, 1),
    ]  # fmt: skip
    assert card["segments"][1]["marks"] == ["struck"]
    assert card["influences"][1]["lifted"] == [{"id": "B", "title": "B", "before": 3, "after": 2, "delta": 1}]
