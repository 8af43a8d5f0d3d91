"""What a recommender trains on: no target twice, none too early, and input that cannot be used is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from conftest import FakeEncoder
from toy_world import ITEMS, USERS, flags, oracle_file, row, world, write

from slim_app.errors import SlimError
from training.dataset import read_dataset
from training.recommender import fit as fitting
from training.recommender import start
from training.recommender.evaluate import make_task, negatives
from training.recommender.rationales import read_table
from training.recommender.sequences import Sequences, Windows, check_upto
from training.recommender.start import main_axes, purchase_axes
from training.recommender.vectors import encode_once
from training.train_recommender import Prepared

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def data(tmp_path):
    world(tmp_path / "toys")
    return tmp_path / "toys"


@pytest.fixture
def oracle(data, tmp_path):
    return oracle_file(data, tmp_path / "oracle.jsonl")


# -- what is trained on -----------------------------------------------------------------------------------------------

def test_each_training_target_is_trained_on_once_and_none_is_held_out(data):
    dataset = read_dataset(data)
    sequences = Sequences.of(dataset)
    for width in (2, 3, 50):
        windows = Windows(sequences, width)
        pairs = [
            (items[t].item(), targets[t].item())
            for items, targets in zip(windows.items, windows.targets, strict=True)
            for t in range(width) if targets[t] != ITEMS
        ]  # fmt: skip
        rows = [[int(i[1:]) for i in s] for s in dataset.sequences.values()]
        assert sorted(pairs) == sorted((s[t], s[t + 1]) for s in rows for t in range(len(s) - 3))


def test_the_rationale_scores_the_target_that_follows_what_it_saw(data, oracle):
    sequences = Sequences.of(read_dataset(data))
    table = read_table(oracle, sequences, FakeEncoder(dimension=8), "late", (1, 2, 3))
    found, upto = table.newest(sequences, "train")
    for width in (2, 3, 50):
        windows = Windows(sequences, width, found, upto)
        fused = (windows.rows >= 0).nonzero()[:, 0]
        assert len(fused) == USERS
        users = table.user[windows.rows[fused].numpy()]
        assert (windows.targets[fused, windows.place[fused]].numpy() == sequences.at(users, upto[users])).all()
        assert (upto[users] == sequences.lengths[users] - 3).all()


def test_no_rationale_of_the_future_is_ever_chosen(data, oracle):
    sequences = Sequences.of(read_dataset(data))
    table = read_table(oracle, sequences, FakeEncoder(dimension=8), "pooled", (1, 2, 3))
    for position, saw in (("train", 3), ("valid", 3), ("test", 1)):
        _, upto = table.newest(sequences, position)
        assert (upto == sequences.lengths - saw).all()
        people = np.arange(USERS)
        task = make_task(sequences, position, people, 50, rationale=table.newest(sequences, position)[0], upto=upto)
        held = {"train": 3, "valid": 2, "test": 1}[position]
        assert (task.target.numpy() == sequences.at(task.users, sequences.lengths[task.users] - held)).all()


def test_leakage_is_an_error_that_names_the_user(data):
    sequences = Sequences.of(read_dataset(data))
    with pytest.raises(SlimError, match="Leakage: the rationale of user u1 saw 4 items and would score item 3"):
        check_upto(sequences, np.array([0, 1]), np.array([2, 4]), np.array([2, 3]))
    upto = sequences.lengths - 1  # what was written for the test
    with pytest.raises(SlimError, match="Leakage"):
        make_task(sequences, "valid", np.arange(USERS), 50, rationale=np.arange(USERS), upto=upto)
    assert (Windows(sequences, 50, np.arange(USERS), upto).rows == -1).all()  # its target is not trained on


def test_short_sequences_are_used_as_far_as_they_reach(tmp_path):
    world(tmp_path / "short", lengths=(2, 3, 4, 8))
    sequences = Sequences.of(read_dataset(tmp_path / "short"))
    assert [len(sequences.users_for(p)) for p in ("train", "valid", "test")] == [12, 18, 24]
    assert len(Windows(sequences, 50)) == 12
    world(tmp_path / "none", lengths=(2, 3))
    with pytest.raises(SlimError, match="at least 4 items are needed"):
        Windows(Sequences.of(read_dataset(tmp_path / "none")), 50)


def test_batches_hold_all_windows_and_little_padding(data):
    windows = Windows(Sequences.of(read_dataset(data)), 50)
    batches = list(windows.batches(7, torch.Generator().manual_seed(0)))
    assert sum(len(batch.items) for batch in batches) == len(windows)
    for batch in batches:
        assert (batch.items[:, -1] != ITEMS).any() and ((batch.items == ITEMS) == (batch.targets == ITEMS)).all()


# -- input that cannot be used ----------------------------------------------------------------------------------------

def test_a_missing_rationale_is_named_and_never_a_zero_vector(data, tmp_path, oracle):
    rows = [json.loads(line) for line in oracle.read_text("utf-8").splitlines()]
    write(oracle, [r for r in rows if r["user_id"] != "u3"])
    given = ("--variant", "fused", "--backbone", "gru4rec", "--rationales", str(oracle))
    with pytest.raises(SlimError, match=r"lacks a rationale for 1 of 24 users at the train .*, e\.g\. user u3") as why:
        Prepared(flags(data, tmp_path, *given), FakeEncoder(dimension=8))
    assert "training.generate_rationales --data" in str(why.value) and "--positions train" in str(why.value)
    run = Prepared(flags(data, tmp_path, *given, "--missing", "none"), FakeEncoder(dimension=8))
    assert len(run.valid.users) == USERS and (run.valid.rationale < 0).sum() == 1
    assert np.isfinite(fitting.fit(run.model, run.windows, run.valid, run.table, run.settings)["history"][0]["loss"])
    skipped = Prepared(flags(data, tmp_path, *given, "--missing", "skip"), FakeEncoder(dimension=8))
    assert len(skipped.valid.users) == USERS - 1 and (skipped.windows.rows >= 0).sum() == USERS - 1
    matching = ("--variant", "text", "--rationales", str(oracle), "--missing", "none")
    assert len(Prepared(flags(data, tmp_path, *matching), FakeEncoder(dimension=8)).valid.users) == USERS - 1


def test_rationales_of_the_test_alone_cannot_train(data, tmp_path, oracle):
    rows = [json.loads(line) for line in oracle.read_text("utf-8").splitlines()]
    write(oracle, rows[1::2])
    for missing, message in (("refuse", "lacks a rationale for 24 of 24"), ("none", "no rationale for the train")):
        args = flags(data, tmp_path, "--variant", "fused", "--backbone", "sasrec", "--rationales", str(oracle),
                     "--missing", missing)
        with pytest.raises(SlimError, match=message):
            Prepared(args, FakeEncoder(dimension=8))


@pytest.mark.parametrize("bad, message", [
    (row("u99", 2, ["A"]), "user “u99” is not in this dataset"),
    (row("u0", 77, ["A"]), "`upto` is 77, but must be from 1 to 5"),
    (row("u0", 2, ["A"], model="other"), "rationales by several models: m, other"),
    (row("u0", 2, ["A"], prompt_version="0"), "written for prompt version '0'"),
    ({"user_id": "u0"}, "not a rationale"),
])  # fmt: skip
def test_rationales_that_cannot_be_used(data, tmp_path, oracle, bad, message):
    with oracle.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(bad) + "\n")
    with pytest.raises(SlimError, match=message):
        read_table(oracle, Sequences.of(read_dataset(data)), FakeEncoder(dimension=8), "pooled", (1, 2, 3))


def test_a_rationale_without_a_word_is_a_missing_one(data, tmp_path):
    write(tmp_path / "r.jsonl", [row("u0", 2, []), row("u1", 3, ["A"])])
    sequences = Sequences.of(read_dataset(data))
    table = read_table(tmp_path / "r.jsonl", sequences, FakeEncoder(dimension=8), "late", (3,))
    assert table.newest(sequences, "train")[0].tolist()[:3] == [-1, 0, -1]
    write(tmp_path / "r.jsonl", [row("u0", 2, [])])
    with pytest.raises(SlimError, match="no rationale that says anything"):
        read_table(tmp_path / "r.jsonl", sequences, FakeEncoder(dimension=8), "late", (3,))


def test_items_without_text(data, tmp_path, oracle, caplog):
    text = (data / "items.tsv").read_text("utf-8").replace("Title 4\n", "\n", 1)
    (data / "items.tsv").write_text(text, "utf-8")
    run = Prepared(flags(data, tmp_path, "--variant", "plus", "--backbone", "sasrec"), FakeEncoder(dimension=8))
    assert "1 of 130 items have no title, e.g. i4: a learned vector stands" in caplog.text
    assert run.model.has_text.sum() == ITEMS - 1
    args = flags(data, tmp_path, "--variant", "text", "--rationales", str(oracle))
    with pytest.raises(SlimError, match=r"e\.g\. i4: they cannot be matched by text"):
        Prepared(args, FakeEncoder(dimension=8))


@pytest.mark.parametrize("more, message", [
    (("--variant", "fused", "--backbone", "sasrec"), "needs --rationales"),
    (("--variant", "id", "--backbone", "sasrec", "--start", "text"), "cannot start from it"),
    (("--variant", "id"), "has no backbone “none”"),
    (("--variant", "id", "--backbone", "sasrec", "--steps", "1,x"), "must list steps like 1,2,3"),
])  # fmt: skip
def test_flags_that_contradict_each_other(data, tmp_path, more, message):
    with pytest.raises(SlimError, match=message):
        Prepared(flags(data, tmp_path, *more), FakeEncoder(dimension=8))


def test_text_matching_has_no_ids_that_could_start_from_purchases(data, tmp_path, oracle):
    args = flags(data, tmp_path, "--variant", "text", "--rationales", str(oracle), "--start", "purchases")
    with pytest.raises(SlimError, match="no IDs that could start"):
        Prepared(args, FakeEncoder(dimension=8))


def test_an_item_that_is_not_in_the_catalogue_is_named(data):
    with (data / "sequences.tsv").open("a") as stream:
        stream.write("u99\ti1 i2 i777 i3\n")
    with pytest.raises(SlimError, match="lacks the item 'i777'"):
        Sequences.of(read_dataset(data))


def test_a_catalogue_too_small_for_the_protocol(data):
    text = (data / "items.tsv").read_text("utf-8").splitlines(keepends=True)
    (data / "items.tsv").write_text("".join(text[:61]), "utf-8")
    (data / "sequences.tsv").write_text("user_id\titem_ids\nu0\ti1 i2 i3 i4 i5\n", "utf-8")
    with pytest.raises(SlimError, match="Too few items for 100 candidates"):
        negatives(Sequences.of(read_dataset(data)), (0,))


# -- vectors ----------------------------------------------------------------------------------------------------------

def test_each_text_is_encoded_once_and_never_again(tmp_path):
    encoder = FakeEncoder(dimension=4)
    rows, vectors = encode_once(["bb", "a", "bb"], encoder, tmp_path)
    assert encoder.seen == ["a", "bb"] and rows.tolist() == [1, 0, 1] and vectors.shape == (2, 4)
    again = encode_once(["bb", "a", "bb"], encoder, tmp_path)[1]
    assert encoder.seen == ["a", "bb"] and (again == vectors).all()
    next(tmp_path.glob("*.npy")).write_bytes(b"cut")
    assert (encode_once(["bb", "a"], encoder, tmp_path)[1] == vectors).all() and len(encoder.seen) == 4


def test_main_axes_keep_what_is_there():
    vectors = torch.tensor([[3.0, 0, 0], [-3, 0, 0], [0, 1, 0]])
    axes = main_axes(vectors, 2)
    torch.testing.assert_close(axes, torch.tensor([[1.0, 0, 0], [0, 1, 0]]))
    assert main_axes(vectors, 5).shape == (5, 3) and main_axes(vectors, 5)[3:].abs().sum() == 0


def test_the_axes_of_the_purchases_are_those_of_the_training_part_alone():
    flat = np.array([0, 1, 4, 5, 0, 1, 5, 4, 2, 3, 2, 4, 5])  # the last two of each are held out
    sequences = Sequences(("a", "b", "c"), flat, np.array([0, 4, 8]), np.array([4, 4, 5]), 6)
    user, item = sequences.trained_pairs()
    assert (user * 10 + item).tolist() == [0, 1, 10, 11, 22, 23]
    matrix = np.zeros((3, 6))
    matrix[user, item] = 0.5  # each of these users and items has two purchases, but for 2 and 3
    matrix[2] *= 2**0.5
    axes = purchase_axes(sequences, 4)
    assert np.allclose(axes @ axes.T, matrix.T @ matrix, atol=1e-9)
    assert axes.shape == (6, 4) and np.allclose(axes[4:], 0) and (axes == purchase_axes(sequences, 4)).all()
    assert np.allclose(np.linalg.norm(purchase_axes(sequences, 1)), 1)


@pytest.mark.parametrize("n_items", [30, 60])
def test_the_first_axes_alone_are_those_of_all(monkeypatch, n_items):
    users, rng = 40, np.random.default_rng(0)
    flat = np.concatenate([rng.choice(n_items, 10, replace=False) for _ in range(users)])
    starts, lengths = np.arange(users) * 10, np.full(users, 10)
    sequences = Sequences(tuple(map(str, range(users))), flat, starts, lengths, n_items)
    exact = purchase_axes(sequences, 3)
    monkeypatch.setattr(start, "EXACT", 0)
    assert np.allclose(purchase_axes(sequences, 3), exact, atol=1e-9) and exact.any()


def test_ids_start_where_the_purchases_put_them(data, tmp_path):
    run = Prepared(flags(data, tmp_path, "--variant", "id", "--backbone", "gru4rec", "--start", "purchases"))
    ids, axes = run.model.id.weight.detach().numpy(), purchase_axes(run.sequences, run.config.hidden)
    assert np.allclose(ids[:-1], axes / np.linalg.norm(axes, axis=1).mean(), atol=1e-6) and not ids[-1].any()
    assert run.meta["start"] == "purchases"
