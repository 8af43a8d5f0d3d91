"""Training a recommender on a toy world: losses by hand, runs whose answer is known, and a checkpoint that loads."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from conftest import FakeEncoder
from toy_world import ITEMS, USERS, flags, oracle_file, row, world

from slim_app.errors import SlimError
from slim_app.prompts import PROMPT_VERSION
from slim_app.rationale import parse
from slim_app.recommenders.checkpoint import load_recommender, trained
from slim_app.recommenders.rationale_vectors import rationale_vectors
from training import train_recommender
from training.dataset import read_dataset
from training.next_item import make_case, rank_targets
from training.recommender import fit as fitting
from training.recommender.evaluate import negatives, rank
from training.recommender.losses import FUNCTIONS, bce, gbce, softmax
from training.recommender.sequences import Sequences
from training.train_recommender import Prepared, train

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def data(tmp_path):
    world(tmp_path / "toys")
    return tmp_path / "toys"


@pytest.fixture
def oracle(data, tmp_path):
    return oracle_file(data, tmp_path / "oracle.jsonl")


# -- losses -----------------------------------------------------------------------------------------------------------

def test_losses_by_hand():
    target, others = torch.tensor([1.0]), torch.tensor([[0.0, 2.0]])
    every, first = torch.tensor([[True, True]]), torch.tensor([[True, False]])
    sigmoid = torch.sigmoid
    low, high = torch.log(1 - sigmoid(torch.tensor(0.0))), torch.log(1 - sigmoid(torch.tensor(2.0)))
    positive = torch.log(sigmoid(target))
    torch.testing.assert_close(bce(target, others, every, 11), -positive - (low + high) / 2)
    torch.testing.assert_close(bce(target, others, first, 11), -positive - low)
    rate = 2 / 10
    beta = rate * (0.75 * (1 - 1 / rate) + 1 / rate)
    torch.testing.assert_close(gbce(target, others, every, 11), -(beta * positive + low + high) / 3)
    e = np.e
    assert softmax(target, others, every, 11).item() == pytest.approx(-np.log(e / (e + 1 + e**2)))
    assert softmax(target, others, first, 11).item() == pytest.approx(-np.log(e / (e + 1)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_better_target_costs_less(name):
    others, kept = torch.zeros(1, 5), torch.ones(1, 5, dtype=torch.bool)
    low, high = (FUNCTIONS[name](torch.tensor([x]), others, kept, 100).item() for x in (0.0, 3.0))
    assert high < low


# -- runs -------------------------------------------------------------------------------------------------------------

BACKBONES = ("sasrec", "gru4rec", "srgnn")


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_same_seed_gives_the_same_weights(data, tmp_path, backbone):
    args = flags(data, tmp_path, "--backbone", backbone, "--variant", "id", "--epochs", "2")
    (first, meta), (second, _) = train(args), train(args)
    for name, weight in first.model.state_dict().items():
        assert torch.equal(weight, second.model.state_dict()[name]), name
    args.seed = 1
    assert not torch.equal(train(args)[0].model.id.weight, first.model.id.weight)
    assert meta["validation"]["users"] == USERS and meta["epochs"] == 2 and meta["settings"]["seed"] == 0


@pytest.mark.parametrize("variant, backbone, loss", [
    ("fused", "gru4rec", "softmax"), ("fused", "srgnn", "bce"), ("gated", "sasrec", "bce"), ("text", "none", "bce"),
])  # fmt: skip
def test_what_a_rationale_says_is_used(data, tmp_path, oracle, variant, backbone, loss):
    """The oracle names the target: a model that reads it finds it far more often than the same model without it."""
    dataset = read_dataset(data)
    with oracle.open("a", encoding="utf-8") as stream:  # for the validation, too: it chooses the epoch
        for user, items in dataset.sequences.items():
            stream.write(json.dumps(row(user, len(items) - 2, [dataset.items[items[-2]].title])) + "\n")
    args = flags(data, tmp_path, "--variant", variant, "--backbone", backbone, "--rationales", str(oracle), "--loss",
                 loss, "--epochs", "25", "--lr", "0.01", "--dropout", "0", "--ranker", "late", "--start", "text")
    run, meta = train(args, FakeEncoder(dimension=24))
    task = run.task("test")
    found = rank(run.model, task, run.table).as_dict()["101"]["ndcg@10"]
    assert found > 30  # by chance: 4.5
    assert meta["rationales"]["train_positions"] == USERS and meta["validation"]["with_rationale"] == USERS
    if variant != "text":
        assert rank(run.model, task).as_dict()["101"]["ndcg@10"] < found / 2


def test_offline_ranks_are_those_of_the_app(data, tmp_path, oracle):
    """Batched ranks = the scores that a loaded checkpoint gives for each history, ranked one by one."""
    encoder, dataset = FakeEncoder(dimension=8), read_dataset(data)
    args = flags(data, tmp_path, "--variant", "fused", "--backbone", "sasrec", "--rationales", str(oracle),
                 "--ranker", "late", "--epochs", "1", "--max-length", "3")
    run, meta = train(args, encoder)
    ready, task = trained(run.model, meta), run.task("test")
    rows = {item: n for n, item in enumerate(dataset.items)}
    cases, scores = [], []
    for n, r in zip(task.users, task.rationale, strict=True):
        user = run.sequences.users[n]
        sequence = [rows[item] for item in dataset.sequences[user]]
        cases.append(make_case(user, sequence, len(sequence) - 1, ITEMS))
        vectors, mask = run.table.gather(r[None])
        scores.append(ready.scores(sequence[:-1], vectors[0][mask[0]].numpy()))
    expected, found = rank_targets(cases, scores), rank(run.model, task, run.table)
    np.testing.assert_array_equal(found.sampled, expected.sampled)
    np.testing.assert_array_equal(found.full, expected.full)
    np.testing.assert_array_equal(rank(run.model, task, run.table, full=False).sampled, expected.sampled)


def test_candidates_are_those_of_the_protocol_and_come_from_the_cache(data, tmp_path):
    sequences = Sequences.of(read_dataset(data))
    drawn = negatives(sequences, (0, 1), tmp_path)
    case = make_case("u3", sequences.flat[sequences.starts[3] :][:9].tolist(), 8, ITEMS, (0, 1))
    assert drawn[3].tolist() == case.candidates[:, 1:].tolist()
    assert (negatives(sequences, (0, 1), tmp_path) == drawn).all()
    next(tmp_path.glob("candidates-*.npy")).write_bytes(b"cut")
    assert (negatives(sequences, (0, 1), tmp_path) == drawn).all()


@pytest.mark.parametrize("more", [("--each", "--negatives", "1"), ("--negatives", "0", "--loss", "softmax")])
def test_other_ways_to_draw_negatives(data, tmp_path, more):
    args = flags(data, tmp_path, "--backbone", "sasrec", "--variant", "id", "--epochs", "1", *more)
    assert np.isfinite(train(args)[1]["history"][0]["loss"])


def test_no_own_item_is_a_negative(data, tmp_path, monkeypatch):
    run = Prepared(flags(data, tmp_path, "--backbone", "gru4rec", "--variant", "id", "--negatives", "0"))
    batch = next(run.windows.batches(1, torch.Generator().manual_seed(0)))
    seen = []
    monkeypatch.setitem(fitting.FUNCTIONS, "bce", lambda t, o, kept, n: seen.append(kept) or t)
    fitting.batch_loss(run.model, batch, None, run.settings, torch.Generator())
    own = set(batch.items[0].tolist()) | set(batch.targets[0].tolist())
    assert all(set((~line).nonzero()[:, 0].tolist()) == own for line in seen[0])


def test_a_loss_that_is_no_number_stops_with_step_and_rate(data, tmp_path):
    args = flags(data, tmp_path, "--backbone", "sasrec", "--variant", "id", "--lr", "0.5")
    run = Prepared(args)
    with torch.no_grad():
        run.model.id.weight[3] = float("nan")
    with pytest.raises(SlimError, match=r"no longer a number at step \d+ \(learning rate 5\.0e-01\)"):
        fitting.fit(run.model, run.windows, run.valid, None, run.settings)


def test_main_writes_a_checkpoint_that_loads(data, tmp_path, oracle, monkeypatch, capsys):
    encoder, out = FakeEncoder(dimension=8), tmp_path / "out"
    monkeypatch.setattr(train_recommender, "TextEncoder", lambda *_: encoder)
    given = ["--data", str(data), "--backbone", "gru4rec", "--variant", "fused", "--rationales", str(oracle), "--out",
             str(out), "--hidden", "8", "--epochs", "1", "--cache", str(tmp_path / "cache"), "--test", "--threads", "1"]
    train_recommender.main(given)
    meta = json.loads((out / "meta.json").read_text("utf-8"))
    assert meta["dataset"]["items"] == ITEMS and meta["encoder"] == {"name": "fake", "dimension": 8}
    assert meta["rationales"]["model"] == "m" and meta["rationales"]["prompt_version"] == PROMPT_VERSION
    assert meta["best_epoch"] == 1 and meta["settings"]["loss"] == "bce" and meta["test"]["users"] == USERS
    assert sorted(np.load(out / "test_ranks.npz")["users"]) == sorted(f"u{n}" for n in range(USERS))
    assert "test: NDCG@10" in capsys.readouterr().out
    items = read_dataset(data).items
    ready = load_recommender(out, list(items), encoder.encode([i.text for i in items.values()]), "fake")
    assert ready.scores([1, 2, 3], rationale_vectors_of(encoder)).shape == (ITEMS,)
    with pytest.raises(SystemExit) as ended:
        train_recommender.main([*given, "--variant", "id"])
    assert "does not read --rationales" in str(ended.value.code)


def rationale_vectors_of(encoder) -> np.ndarray:
    return rationale_vectors(parse("Step 1: Hm.\nStep 2:\n1. A\nStep 3:\n1. Title 4"), encoder, "pooled")
