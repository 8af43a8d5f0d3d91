"""From the training to a domain folder: what the app offers there, what it refuses, what is shipped."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, FakeEncoder
from random_rankers import HISTORY, ITEMS, D, N, build, the_domain, the_fake  # noqa: F401 (fixtures)
from toy_world import flags, oracle_file, world

from slim_app.domain import load_domain
from slim_app.errors import SlimError
from slim_app.recommenders.checkpoint import ids_digest, load_recommender, save_recommender
from slim_app.recommenders.folder import RecommenderFolder
from slim_app.recommenders.rank import rank
from slim_app.recommenders.rankers import NAMES, choose_ranker, default_for, rankers_of
from slim_app.schema import Rationale
from training.dataset import read_dataset
from training.recommender.evaluate import rank as rank_offline
from training.train_recommender import main as train_main
from training.train_recommender import train

pytestmark = pytest.mark.usefixtures("one_thread")


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
