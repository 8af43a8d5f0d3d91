"""From scores to the list: filtering, ties, k, and evidence that is an exact re-scoring for every ranker."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import FakeEncoder, make_domain

from slim_app.catalog import Catalog
from slim_app.domain import Domain
from slim_app.errors import SlimError
from slim_app.rationale import parse
from slim_app.recommenders.index import EXACT_BELOW, ExactIndex, FaissIndex, build_index
from slim_app.recommenders.rank import check_k, rank
from slim_app.recommenders.text_match import RANKERS
from slim_app.schema import Item, Rationale

STEPS = ("step1", "step2", "step3")


def ids(found) -> list[str]:
    return [rec.id for rec in found]


@pytest.fixture(scope="module")
def random_encoder() -> FakeEncoder:
    return FakeEncoder(dimension=12)


@pytest.fixture(scope="module")
def random_domain(random_encoder):
    return make_domain([Item(f"R{n}", f"Thing {n}") for n in range(200)], random_encoder)


RATIONALE = parse(
    "Step 1: You like red things. You also like blue ones.\n"
    "Step 2:\n1. Red\n2. Blue\n3. Green\n4. Grey\n5. White\nStep 3:\n1. Ball\n2. Cube\n3. Cone\n4. Ring\n5. Rod"
)


@pytest.fixture
def hand():
    """Four items on paper; "a" is bought, "xx" is a twin of "x"."""
    vectors = {"a": (1, 0, 0), "x": (0.8, 0.6, 0), "xx": (0.8, 0.6, 0), "y": (0, 1, 0),
               "like a": (1, 0, 0), "like y": (0, 0.6, 0.8)}  # fmt: skip
    encoder = FakeEncoder(vectors)
    return make_domain([Item(name, name) for name in ("a", "x", "xx", "y")], encoder), encoder


def test_a_list_by_hand(hand):
    domain, encoder = hand
    rationale = Rationale(step2=("like a",), step3=("like y",))
    found = rank([domain.catalog.items[0]], rationale, domain, encoder, RANKERS["reasoning"], 10)
    assert [(rec.rank, rec.id, rec.score) for rec in found] == [(1, "x", 0.8), (2, "xx", 0.8), (3, "y", 0.6)]
    first, twin, last = (rec.evidence for rec in found)
    assert (first.key, first.step, first.text, first.similarity) == ("2.1", 2, "like a", 0.8)
    # without "like a": x and xx score 0.36, y keeps 0.6
    assert (first.rank_without, twin.rank_without) == (2, 3)
    # without "like y": y scores 0 and stays last
    assert (last.key, last.similarity, last.rank_without) == ("3.1", 0.6, 3)
    assert not any(evidence.rank_without_is_floor for evidence in (first, twin, last))


def test_one_segment_leaves_no_rank_without_it(hand):
    domain, encoder = hand
    found = rank([], Rationale(step3=("like y",)), domain, encoder, RANKERS["reasoning"], 2)
    assert ids(found) == ["y", "x"]
    assert [rec.evidence.rank_without for rec in found] == [None, None]


def test_evidence_may_be_a_purchase(hand):
    domain, encoder = hand
    found = rank([domain.catalog.items[0]], Rationale(step3=("like y",)), domain, encoder,
                 RANKERS["reasoning+history"], 3)  # fmt: skip
    assert [(rec.id, rec.evidence.key, rec.evidence.text) for rec in found] == [
        ("x", "0.1", "a"), ("xx", "0.1", "a"), ("y", "3.1", "like y"),
    ]  # fmt: skip
    assert found[0].evidence.step == 0


def test_bought_items_are_never_in_the_list(random_domain, random_encoder):
    history = [*random_domain.catalog.items[:150], Item("", "own words")]
    for ranker in RANKERS.values():
        found = rank(history, RATIONALE, random_domain, random_encoder, ranker, 100)
        assert set(ids(found)) == {f"R{n}" for n in range(150, 200)}, ranker.name
    assert rank(random_domain.catalog.items, RATIONALE, random_domain, random_encoder, RANKERS["reasoning"], 5) == ()


@pytest.mark.parametrize("name", list(RANKERS))
def test_scores_fall_and_the_list_repeats(name, random_domain, random_encoder):
    history = random_domain.catalog.items[5:9]
    found = rank(history, RATIONALE, random_domain, random_encoder, RANKERS[name], 100)
    assert found == rank(history, RATIONALE, random_domain, random_encoder, RANKERS[name], 100)
    scores = [rec.score for rec in found]
    assert scores == sorted(scores, reverse=True)
    assert [rec.rank for rec in found] == list(range(1, 101))
    shorter = rank(history, RATIONALE, random_domain, random_encoder, RANKERS[name], 7)
    assert shorter == found[:7]


@pytest.mark.parametrize("name", list(RANKERS))
def test_rank_without_is_what_ranking_without_the_segment_gives(name, random_domain, random_encoder):
    """Brute force: take the segment out of the rationale (or the history), rank again, look the item up."""
    ranker, history = RANKERS[name], list(random_domain.catalog.items[10:16])
    moved = set()
    found = rank(history, RATIONALE, random_domain, random_encoder, ranker, 25)
    for rec in found:
        step, number = (int(part) for part in rec.evidence.key.split("."))
        rest, rationale = list(history), RATIONALE
        if step == 0:
            assert rest.pop(number - 1).title == rec.evidence.text
        else:
            kept = list(getattr(RATIONALE, STEPS[step - 1]))
            assert kept.pop(number - 1) == rec.evidence.text
            rationale = replace(RATIONALE, **{STEPS[step - 1]: tuple(kept)})
        scores = ranker.score(rest, rationale, random_domain.vectors, random_encoder).scores.copy()
        scores[random_domain.catalog.mask(history)] = -np.inf  # what was bought stays bought
        row = random_domain.catalog.row_of_id[rec.id]
        order = np.lexsort((np.arange(len(scores)), -scores))
        assert rec.evidence.rank_without == int(np.flatnonzero(order == row)[0]) + 1, rec
        moved.add(rec.evidence.rank_without - rec.rank)
    assert len(moved) > 1, "dropping evidence must change ranks somewhere"


@pytest.mark.parametrize("k", [0, -1, 1.5, "3", True, None, float("nan"), float("inf"), 101, [5], 10**400])
def test_a_bad_k_gets_words(k):
    with pytest.raises(SlimError, match="whole number from 1 to 100"):
        check_k(k)


def test_a_good_k(hand):
    assert [check_k(k) for k in (1, 100, 7.0)] == [1, 100, 7]
    assert isinstance(check_k(7.0), int)
    domain, encoder = hand
    assert len(rank([], Rationale(step3=("like y",)), domain, encoder, RANKERS["reasoning"], 100)) == 4


@pytest.fixture(scope="module")
def clustered() -> np.ndarray:
    """60,000 unit vectors around 300 centres, as product texts gather around kinds of products."""
    dice = np.random.default_rng(0)
    centres = dice.normal(size=(300, 32))
    vectors = centres[dice.integers(300, size=60_000)] + 0.6 * dice.normal(size=(60_000, 32))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_exact_below_fifty_thousand(clustered):
    assert EXACT_BELOW == 50_000
    assert isinstance(build_index(clustered[: EXACT_BELOW - 1]), ExactIndex)
    assert isinstance(build_index(clustered[:100], exact_below=100), FaissIndex)
    assert isinstance(build_index(clustered[:99], exact_below=100), ExactIndex)


def test_faiss_finds_the_largest_product_whatever_the_lengths():
    dice = np.random.default_rng(2)
    vectors = (dice.normal(size=(6_000, 16)) * dice.uniform(0.2, 3, size=(6_000, 1))).astype(np.float32)
    index, found = FaissIndex(vectors), 0
    for query in dice.normal(size=(20, 16)).astype(np.float32):
        best = np.argsort(-(vectors @ query))[:10]
        rows = index.candidates(query[None])
        assert len(rows) == 1_000 and (np.diff(rows) > 0).all()
        found += len(np.intersect1d(best, rows))
    assert found >= 199


def test_faiss_finds_what_exact_search_finds(clustered):
    index = build_index(clustered)
    assert isinstance(index, FaissIndex)
    catalog = Catalog("clustered", [Item(f"C{n}", f"C{n}") for n in range(len(clustered))])
    exact = Domain("clustered", "Clustered", catalog, clustered, clustered[:0], ExactIndex(clustered))
    approximate = replace(exact, index=index)
    encoder, dice = FakeEncoder(dimension=32), np.random.default_rng(1)
    hits = {name: 0 for name in RANKERS}
    for trial in range(5):
        near = clustered[dice.integers(len(clustered), size=8)]
        segments = [f"segment {trial}.{n}" for n in range(8)]
        encoder.vectors |= dict(zip(segments, near, strict=True))
        rationale = Rationale(step2=tuple(segments[:4]), step3=tuple(segments[4:]))
        history = [Item("", text) for text in segments[:4]]
        for name, ranker in RANKERS.items():
            wanted = rank(history, rationale, exact, encoder, ranker, 10)
            found = rank(history, rationale, approximate, encoder, ranker, 10)
            hits[name] += len(set(ids(wanted)) & set(ids(found)))
            assert all(rec.evidence.rank_without_is_floor for rec in found)
    assert min(hits.values()) >= 48, hits
