"""What makes a training step fast changes nothing: the softmax made block by block, the states made by length."""

from __future__ import annotations

import pytest
import torch
from toy_world import flags, world

from training.recommender import fit as fitting
from training.recommender import losses
from training.recommender.losses import catalogue_softmax, softmax
from training.recommender.sequences import WIDTHS, by_length
from training.train_recommender import Prepared

pytestmark = pytest.mark.usefixtures("one_thread")


def plain(queries, items, targets, own):
    """Sum of `softmax` with all items but those of the user as negatives."""
    kept = torch.ones(len(queries), len(items), dtype=torch.bool).scatter_(1, own, False)
    found = queries @ items.T
    return softmax(found.gather(1, targets[:, None])[:, 0], found, kept, len(items)).sum()


@pytest.mark.parametrize("rows", [1, 4, 128])
def test_value_and_gradient_are_those_of_the_plain_softmax(monkeypatch, rows):
    monkeypatch.setattr(losses, "ROWS", rows)
    draw = torch.Generator().manual_seed(0)
    queries, items = (torch.randn(n, 6, generator=draw, dtype=torch.float64, requires_grad=True) for n in (9, 20))
    targets = torch.randint(20, (9,), generator=draw)
    own = torch.cat([torch.randint(20, (9, 3), generator=draw), targets[:, None].expand(9, 2)], dim=1)
    expected = torch.autograd.grad(3 * plain(queries, items, targets, own), (queries, items))
    found = catalogue_softmax(queries, items, targets, own)
    torch.testing.assert_close(found, plain(queries, items, targets, own))
    torch.testing.assert_close(torch.autograd.grad(3 * found, (queries, items)), expected)


def test_a_target_whose_share_rounds_to_zero_costs_its_distance():
    queries, items = torch.tensor([[1.0]]), torch.tensor([[300.0], [0.0], [100.0]])
    assert catalogue_softmax(queries, items, torch.tensor([1]), torch.tensor([[1, 1]])).item() == 300
    assert catalogue_softmax(queries, items, torch.tensor([1]), torch.tensor([[1, 0]])).item() == 100


def test_a_score_that_is_no_number_is_not_hidden():
    queries, items = torch.tensor([[float("nan")]]), torch.ones(3, 1)
    assert catalogue_softmax(queries, items, torch.tensor([1]), torch.tensor([[1]])).isnan()


def test_a_batch_costs_the_same_as_with_every_score_at_once(tmp_path, monkeypatch):
    """Batches with padding: no item of the user is a negative on either way."""
    world(tmp_path / "toys")
    args = flags(tmp_path / "toys", tmp_path, "--backbone", "sasrec", "--variant", "id", "--negatives", "0", "--loss",
                 "softmax", "--dropout", "0", "--max-length", "4")  # fmt: skip
    run = Prepared(args)
    monkeypatch.setitem(fitting.FUNCTIONS, "general", softmax)  # the way of the other losses, with masks of its own
    general = fitting.Settings(**{**vars(run.settings), "loss": "general"})
    for batch in run.windows.batches(16, torch.Generator().manual_seed(0)):
        costs = [fitting.batch_loss(run.model, batch, None, s, torch.Generator()) for s in (run.settings, general)]
        torch.testing.assert_close(*costs)


# -- batches ----------------------------------------------------------------------------------------------------------

def test_rows_of_like_length_go_together():
    lengths = torch.tensor([1, 40, 4, 5, 8, 9, 33, 2, 32])
    groups = [(rows.tolist(), width) for rows, width in by_length(lengths)]
    assert groups == [([0, 2, 7], 4), ([3, 4], 8), ([5], 9), ([8], 32), ([1, 6], 40)]
    assert WIDTHS == (4, 8, 16, 32)


@pytest.mark.parametrize("backbone", ["sasrec", "gru4rec", "srgnn"])
def test_states_are_those_of_the_batch_as_a_whole(tmp_path, backbone):
    world(tmp_path / "toys", lengths=(4, 6, 9, 15, 23))
    args = flags(tmp_path / "toys", tmp_path, "--backbone", backbone, "--variant", "id", "--dropout", "0")
    run = Prepared(args)
    for batch in run.windows.batches(10, torch.Generator().manual_seed(0)):
        user, place, states = fitting.states_of(run.model, batch)
        every = (batch.targets != run.model.padding).nonzero()
        assert sorted(torch.stack([user, place], dim=1).tolist()) == every.tolist()
        torch.testing.assert_close(states, run.model.states(batch.items)[user, place])


def test_long_and_short_sequences_share_a_batch_in_an_order_that_the_seed_decides(tmp_path):
    world(tmp_path / "toys", lengths=(4, 6, 9, 15))
    windows = Prepared(flags(tmp_path / "toys", tmp_path, "--backbone", "gru4rec", "--variant", "id")).windows
    first, again, other = (list(windows.batches(12, torch.Generator().manual_seed(seed))) for seed in (0, 0, 1))
    for batch in first:
        assert len((batch.items != windows.items.max()).sum(dim=1).unique()) > 1
    assert all(torch.equal(a.items, b.items) for a, b in zip(first, again, strict=True))
    assert first[0].items.tolist() != other[0].items.tolist()
