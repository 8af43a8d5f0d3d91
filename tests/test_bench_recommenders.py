"""The benchmark of the recommenders on toy sizes: what it generates, what it compares, and how it ends."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_world import ITEMS, USERS, world

from benchmarks import made_sequences, online_scoring, recommenders
from benchmarks.sasrec_race import Process, lines, race
from benchmarks.sasrec_sides import Setup, Worker, write_atomic_file
from slim_app.errors import SlimError
from training.dataset import read_dataset
from training.metrics import ndcg
from training.recommender.evaluate import make_task, rank
from training.recommender.sequences import Sequences

pytestmark = pytest.mark.usefixtures("one_thread")
RECBOLE = os.environ.get("SLIM_RECBOLE_VENV")


@pytest.fixture
def data(tmp_path):
    world(tmp_path / "toys")
    return tmp_path / "toys"


def setup(data: Path, side: str = "slim", loss: str = "ce", **values) -> Setup:
    return Setup(side, str(data), loss, batch=8, threads=1, hidden=16, **values)


# -- generated data ---------------------------------------------------------------------------------------------------

def test_the_same_seed_gives_the_same_files(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        facts = made_sequences.generate(tmp_path / name, 3_000, seed)
        assert 2_950 < facts["interactions"] <= 3_000
    a, b, c = ((tmp_path / name / "sequences.tsv").read_bytes() for name in "abc")
    assert a == b != c


def test_the_generated_data_has_the_shape_that_it_claims(tmp_path):
    facts = made_sequences.generate(tmp_path / "made", 60_000, 0)
    sequences = Sequences.of(read_dataset(tmp_path / "made"))
    assert (len(sequences.users), sequences.n_items) == (facts["users"], facts["items"])
    assert sequences.lengths.min() == 5 and sequences.lengths.max() <= 50 and np.median(sequences.lengths) == 7
    assert facts["share_of_top_tenth"] > 0.4
    inside = np.ones(len(sequences.flat), bool)
    inside[sequences.starts] = False  # an item after another one of the same user
    before, after = np.roll(sequences.flat, 1)[inside], sequences.flat[inside]
    other = np.random.default_rng(0).permutation(after)
    assert predictable(before, after) > predictable(before, other) + 0.2


def predictable(before: np.ndarray, after: np.ndarray) -> float:
    """Share of the steps that go to one of the eight most frequent followers of their item."""
    pairs, counts = np.unique(np.stack([before, after]), axis=1, return_counts=True)
    order = np.lexsort((-counts, pairs[0]))
    item, counts = pairs[0][order], counts[order]
    place = np.arange(len(item)) - np.searchsorted(item, item)
    return counts[place < 8].sum() / counts.sum()


def test_recbole_reads_places_as_times(data, tmp_path):
    sequences = Sequences.of(read_dataset(data))
    write_atomic_file(sequences, tmp_path)
    head, *rows = (tmp_path / "bench/bench.inter").read_text().splitlines()
    assert head == "user_id:token\titem_id:token\ttimestamp:float" and len(rows) == len(sequences.flat)
    assert rows[:6] == ["0\t0\t0", "0\t1\t1", "0\t2\t2", "0\t3\t3", "0\t4\t4", "1\t7\t0"]


# -- training ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("loss", ["ce", "bpr"])
def test_it_counts_what_it_trains_and_ranks_like_the_evaluation(data, loss):
    worker = Worker(setup(data, loss=loss))
    facts, done = worker.describe(), worker.train(0.2)
    assert facts["sequences_in_epoch"] == facts["users_evaluated"] == USERS
    assert facts["targets_in_epoch"] == int((worker.sequences.lengths - 3).sum())
    assert done["sequences"] == 8 * done["steps"] and done["epochs"] == done["sequences"] / USERS
    assert done["targets"] > done["sequences"] and np.isfinite(done["loss"])
    found, sequences = worker.evaluate(), worker.sequences
    for position in ("valid", "test"):
        task = make_task(sequences, position, sequences.users_for(position), 50)
        expected = ndcg(rank(worker.side.model, task).full, 10).mean() * 100
        assert found[position] == pytest.approx(expected)


def test_of_many_users_a_fixed_sample_is_evaluated(data):
    first, second = (Worker(setup(data, users=7)).people for _ in range(2))
    assert len(first) == 7 and (first == second).all()


def test_two_sides_take_turns(data):
    """The other side is this project's, too: RecBole has an environment of its own (see below)."""
    sides = {name: (Path(sys.executable), setup(data, seed=seed)) for name, seed in (("slim", 0), ("recbole", 1))}
    found = race(sides, 0.4)
    for name in sides:
        side = found[name]
        assert side["threads"] == 1 and side["trace"][-1]["seconds"] >= 0.4
        assert side["best_valid_ndcg@10"] == max(point["valid"] for point in side["trace"])
        assert side["epoch_s"] == pytest.approx(side["targets_in_epoch"] / side["targets_per_s"], abs=0.01)
    ratio = found["slim"]["targets_per_s"] / found["recbole"]["targets_per_s"]
    low, high = found["test_ndcg@10_difference_95%"]
    assert low <= found["test_ndcg@10_difference"] <= high
    assert found["times_targets_per_s"] == pytest.approx(ratio, abs=0.01)
    assert found["seconds_to_the_best_validation_of_recbole"]["recbole"] <= found["recbole"]["trace"][-1]["seconds"] + 1
    assert len(lines(found)) == 4


def test_a_side_that_ends_says_why(tmp_path):
    process = Process(Path(sys.executable), setup(tmp_path / "nowhere"))
    with pytest.raises(SlimError, match=r"(?s)The side slim ended in the middle.*nowhere"):
        process.begin()
    process.close()


@pytest.mark.skipif(not RECBOLE, reason="SLIM_RECBOLE_VENV names no environment with RecBole")
@pytest.mark.parametrize("loss", ["ce", "bpr"])
def test_recbole_has_the_same_sizes_and_targets(data, loss):
    pythons = {"slim": Path(sys.executable), "recbole": Path(RECBOLE).resolve() / "bin/python"}
    found = race({side: (python, setup(data, side, loss)) for side, python in pythons.items()}, 0.4)
    ours, theirs = found["slim"], found["recbole"]
    unknown = ITEMS - len(np.unique(Sequences.of(read_dataset(data)).flat))
    assert ours["weights"] - theirs["weights"] == (2 + unknown) * 16  # 2: one more normalisation, after the last block
    assert theirs["sequences_in_epoch"] == ours["targets_in_epoch"] == theirs["targets_in_epoch"]
    assert ours["items"] == theirs["items"] == ITEMS


# -- scoring and the command ------------------------------------------------------------------------------------------

def test_online_scoring_finds_the_exact_top():
    found = online_scoring.measure(300, 4, 0)  # fewer than FAISS is asked for: it finds all
    for ranker in online_scoring.SEGMENTS:
        assert found[ranker]["recall@10"] == found[ranker]["recall@10_min"] == 1
        assert 0 < found[ranker]["exact_ms"]["median"] <= found[ranker]["exact_ms"]["p95"]
    vectors, cluster = online_scoring.texts(np.random.default_rng(0), 500)
    cosines = vectors @ vectors.T
    assert np.diag(cosines) == pytest.approx(1, abs=1e-5)
    same = cluster[:, None] == cluster
    assert cosines[same].mean() > cosines[~same].mean() + 0.4


def test_the_command_keeps_what_it_does_not_measure_again(data, tmp_path, capsys):
    out = tmp_path / "results/found.json"
    given = ["--data", str(data), "--items", "300", "--users", "2", "--threads", "1", "--out", str(out), "--only"]
    first = recommenders.main([*given, "online,evaluation"])
    assert first["evaluation"]["users"] == USERS and set(recommenders.EVALUATED) <= set(first["evaluation"])
    recommenders.main([*given, "online"])
    kept = json.loads(out.read_text("utf-8"))
    assert kept["evaluation"] == first["evaluation"] and f"PyTorch {torch.__version__}" in kept["online"]["machine"]
    printed = capsys.readouterr().out
    assert printed.count("300 items, pooled") == 2 and f"evaluation of {USERS} users" in printed


@pytest.mark.parametrize("flags, message", [
    (["--only", "speed"], "Choose some of: sasrec, large, online, evaluation"),
    (["--losses", "mse", "--data", "x"], "Choose some of: ce, bpr"),
    (["--only", "evaluation"], "give --data FOLDER"),
])  # fmt: skip
def test_flags_that_cannot_be_used(tmp_path, flags, message):
    with pytest.raises(SlimError, match=message):
        recommenders.main([*flags, "--out", str(tmp_path / "out.json")])
    assert not (tmp_path / "out.json").exists()
