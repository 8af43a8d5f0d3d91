"""A trained recommender in the app: online = offline, exact evidence, and what it cannot read is said."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import ROOT, FakeEncoder, make_domain
from toy_world import flags, oracle_file, world

from slim_app.domain import load_domain
from slim_app.errors import SlimError
from slim_app.pipeline import explain, rank_rationale
from slim_app.rationale import parse
from slim_app.recommenders.checkpoint import ids_digest, load_recommender, save_recommender, trained
from slim_app.recommenders.config import RecommenderConfig
from slim_app.recommenders.folder import RecommenderFolder
from slim_app.recommenders.fused import FusedRecommender
from slim_app.recommenders.rank import rank
from slim_app.recommenders.rankers import NAMES, choose_ranker, default_for, rankers_of
from slim_app.recommenders.rationale_vectors import rationale_vectors
from slim_app.recommenders.sides import rank_all
from slim_app.recommenders.trained import TrainedRanker
from slim_app.schema import Item, Rationale
from training.dataset import read_dataset
from training.recommender.evaluate import rank as rank_offline
from training.train_recommender import main as train_main
from training.train_recommender import train

pytestmark = pytest.mark.usefixtures("one_thread")
N, D, H = 40, 12, 8
ITEMS = [Item(f"i{n}", f"Thing {n}", f"Maker {n % 4}", f"Kind {n % 3}") for n in range(N)]
RATIONALE = parse(
    "Step 1: You like red things. You also like blue ones.\n"
    "Step 2:\n1. Red\n2. Blue\n3. Green\n4. Grey\n5. White\nStep 3:\n1. Ball\n2. Cube\n3. Cone\n4. Ring\n5. Rod"
)
FUSED = [("gated", "late", "id"), ("gated", "pooled", "id"), ("fused", "late", "id"), ("fused", "pooled", "items")]


@pytest.fixture(scope="module")
def fake() -> FakeEncoder:
    return FakeEncoder(dimension=D)


@pytest.fixture(scope="module")
def domain(fake):
    return make_domain(ITEMS, fake)


def build(domain, variant: str, how: str = "pooled", reads: str = "id", backbone: str = "sasrec", **values):
    """A recommender with random weights, large enough that every part of it matters."""
    torch.manual_seed(1)
    config = RecommenderConfig(backbone, variant, N, 0 if variant == "id" else D, ranker=how, reads=reads, hidden=H,
                               layers=1, max_length=20, **values)  # fmt: skip
    model = FusedRecommender(config, None if variant == "id" else torch.from_numpy(domain.vectors))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.4)
    return trained(model, {})


def ranker_of(domain, *how, name: str = "fused", weight=None, **values) -> TrainedRanker:
    return TrainedRanker(name, build(domain, *how, **values), domain.catalog.row_of_id, "SASRec", "toys", weight)


HISTORY = [ITEMS[n] for n in (3, 17, 8, 25)]
ROWS = [3, 17, 8, 25]


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


# -- from the training to a domain folder -----------------------------------------------------------------------------

@pytest.fixture(scope="module")
def shop(tmp_path_factory, fake):
    """A domain folder with a recommender of its own, trained on the toy world; and that training."""
    folder = tmp_path_factory.mktemp("toys")
    world(folder / "toys")
    oracle = oracle_file(folder / "toys", folder / "oracle.jsonl")
    args = flags(folder / "toys", folder, "--backbone", "sasrec", "--variant", "gated", "--rationales", str(oracle))
    run, meta = train(args, fake)
    shop = folder / "shop"
    save_recommender(shop / "recommender", run.model, meta)
    items = read_dataset(folder / "toys").items.values()
    lines = [json.dumps({"id": item.id, "title": item.title}) + "\n" for item in items]
    (shop / "items.jsonl").write_text("".join(lines), "utf-8")
    return shop, run


def test_what_was_trained_ranks_in_the_app_like_in_the_evaluation(shop, fake):
    folder, run = shop
    domain = load_domain(folder, fake)
    assert rankers_of(domain) == list(NAMES) and domain.recommender.backbone == "SASRec"
    ranker = choose_ranker("fused", domain)
    task = run.task("test")
    offline = rank_offline(run.model, task, run.table, top=5).top
    texts = {}
    for line in run.table.file.read_text("utf-8").splitlines():
        row = json.loads(line)
        texts[row["user_id"], row["upto"]] = Rationale((row["step1"],), tuple(row["step2"]), tuple(row["step3"]))
    for place, user in enumerate(task.users[:12]):
        name = run.sequences.users[user]
        upto = int(run.sequences.lengths[user]) - 1
        rows, _ = run.sequences.prefixes(np.array([user]), np.array([upto]), upto)
        history = [domain.catalog.items[row] for row in rows[0]]
        found = rank(history, texts[name, upto], domain, fake, ranker, 5)
        assert [domain.catalog.row_of_id[rec.id] for rec in found] == offline[place].tolist()


def test_a_user_of_ones_own_is_described_in_words(shop):
    folder, _ = shop
    about = RecommenderFolder(folder / "recommender", [], np.zeros((0, 1)), "")
    assert about.trained_on.startswith("24 people of “toys” with") and about.trained_on.endswith("rationales by m")
    shipped = RecommenderFolder(ROOT / "assets/domains/games/recommender", [], np.zeros((0, 1)), "")
    assert "2,000 simulated shoppers" in shipped.trained_on and "simulated rationales" in shipped.trained_on


def test_another_catalogue_or_encoder_is_refused_with_what_repairs_it(shop, fake):
    folder, _ = shop
    items = folder / "items.jsonl"
    text = items.read_text("utf-8")
    items.write_text(text + '{"id": "new", "title": "New"}\n', "utf-8")
    try:
        domain = load_domain(folder, fake)  # loads: text matching is as good as before
        for _ in range(2):  # and says the same each time
            with pytest.raises(SlimError, match=r"this catalogue of 131 is another one.*training\.train_recommender"):
                choose_ranker("fused", domain)
    finally:
        items.write_text(text, "utf-8")
    other = FakeEncoder(dimension=D)
    other.name = "another"
    with pytest.raises(SlimError, match="--encoder fake"):
        choose_ranker("sequence", load_domain(folder, other))


def test_what_a_catalogue_lacks_is_not_offered(domain, tmp_path, fake, caplog):
    assert "fused" not in rankers_of(domain) and default_for(domain, "fused") == "reasoning"
    assert default_for(None, "history") == "history"
    with pytest.raises(SlimError, match=r"has no trained recommender.*Choose one of: reasoning.*train_recommender"):
        choose_ranker("fused", domain)
    with pytest.raises(SlimError, match=r"Unknown ranker “magic”.*: reasoning, .*fused, sequence, history"):
        choose_ranker("magic", domain)
    meta = {"dataset": {"name": "toys", "items_sha256": ids_digest([i.id for i in ITEMS])}, "encoder": None}
    for variant, offered in (("id", ["sequence"]), ("text", [])):
        folder = tmp_path / variant
        backbone = "none" if variant == "text" else "sasrec"
        save_recommender(folder / "recommender", build(domain, variant, backbone=backbone).model, meta)
        lines = [json.dumps({"id": i.id, "title": i.title, "brand": i.brand, "category": i.category}) for i in ITEMS]
        (folder / "items.jsonl").write_text("\n".join(lines), "utf-8")
        with caplog.at_level(logging.WARNING):
            found = load_domain(folder, fake)
        assert [name for name in rankers_of(found) if name in ("fused", "sequence")] == offered
        if variant == "id":
            assert choose_ranker("sequence", found).scores(HISTORY, Rationale(), fake).shape == (N,)
            with pytest.raises(SlimError, match="no recommender that reads rationales"):
                choose_ranker("fused", found)
    assert "reads no purchases" in caplog.text


def test_a_damaged_recommender_says_so_when_it_is_chosen(domain, tmp_path, fake):
    (tmp_path / "shop" / "recommender").mkdir(parents=True)
    (tmp_path / "shop" / "recommender" / "meta.json").write_text("{", "utf-8")
    (tmp_path / "shop" / "items.jsonl").write_text('{"id": "a", "title": "A"}\n', "utf-8")
    found = load_domain(tmp_path / "shop", fake)
    with pytest.raises(SlimError, match=r"no readable recommender in .*training\.train_recommender"):
        choose_ranker("fused", found)


def test_the_shipped_recommenders_fit_their_catalogues(domains):
    for name, domain in domains.items():
        folder = ROOT / "assets/domains" / name / "recommender"
        assert (folder / "model.safetensors").stat().st_size < 1_000_000
        ids = [item.id for item in domain.catalog.items]
        model = load_recommender(folder, ids, domain.vectors, "all-MiniLM-L6-v2")
        assert model.config.variant == "gated" and model.config.max_length == 20
        assert model.meta["dataset"]["simulated"] is True and model.meta["rationales"]["model"] == "simulated"


def test_a_start_of_the_app_does_not_load_torch_for_it():
    code = (
        "import sys, pathlib; from slim_app.domain import load_domains; from slim_app.encoder import TextEncoder; "
        "from slim_app.recommenders.rankers import rankers_of; "
        "found = load_domains([pathlib.Path('assets/domains')], TextEncoder()); "
        "assert all('fused' in rankers_of(d) for d in found.values()); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_the_training_says_whether_it_was_simulated(tmp_path, fake, monkeypatch):
    world(tmp_path / "toys")
    (tmp_path / "toys" / "meta.json").write_text('{"simulated": true}', "utf-8")
    train_main(["--data", str(tmp_path / "toys"), "--backbone", "sasrec", "--variant", "id", "--hidden", "8",
                "--epochs", "1", "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")])  # fmt: skip
    assert json.loads((tmp_path / "out" / "meta.json").read_text("utf-8"))["dataset"]["simulated"] is True
