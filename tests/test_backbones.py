"""Backbones: no state knows what comes after it, padding changes nothing, and each does what its paper says."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from slim_app.recommenders.backbones import BACKBONES, make_backbone
from slim_app.recommenders.backbones.srgnn import adjacency, first_occurrence
from slim_app.recommenders.config import BACKBONE_NAMES, RecommenderConfig

N, H = 12, 8
every = pytest.mark.parametrize("name", BACKBONE_NAMES)
SEQUENCES = torch.tensor([[3, 5, 3, 7, 5, 3], [1, 2, 4, 6, 8, 9], [2, 2, 2, 1, 0, 0]])


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def build(name: str, **sizes) -> tuple:
    """A backbone without dropout, with weights that are no longer near zero, and vectors of all items and padding."""
    torch.manual_seed(1)
    config = RecommenderConfig(name, "id", N, hidden=H, layers=sizes.pop("layers", 2), max_length=10, **sizes)
    backbone = make_backbone(config).eval()
    with torch.no_grad():
        for weight in backbone.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    table = torch.randn(N + 1, H)
    return backbone, table


def test_every_name_has_a_backbone():
    assert tuple(BACKBONES) == BACKBONE_NAMES


@every
def test_a_state_is_that_of_its_prefix_alone(name):
    backbone, table = build(name, heads=2)
    whole = backbone(table[SEQUENCES], SEQUENCES)
    assert whole.shape == (3, 6, H)
    for length in range(1, 7):
        prefix = SEQUENCES[:, :length]
        torch.testing.assert_close(backbone(table[prefix], prefix)[:, -1], whole[:, length - 1], atol=1e-5, rtol=1e-4)


@every
def test_later_items_change_no_earlier_state(name):
    backbone, table = build(name)
    other = SEQUENCES.clone()
    other[:, 4:] = torch.tensor([[11, 10], [3, 1], [7, 7]])
    before, after = backbone(table[SEQUENCES], SEQUENCES), backbone(table[other], other)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert (before[:, 4:] - after[:, 4:]).abs().amax(dim=2).min() > 1e-4


@every
def test_padding_changes_no_state_and_no_gradient(name):
    backbone, table = build(name)
    padded = torch.cat([SEQUENCES, torch.full((3, 3), N)], dim=1)
    table[N] = 1e3
    torch.testing.assert_close(backbone(table[padded], padded)[:, :6], backbone(table[SEQUENCES], SEQUENCES))
    vectors = table.clone().requires_grad_()
    backbone(vectors[padded], padded)[:, :6].square().sum().backward()
    assert vectors.grad[N].abs().sum() == 0


@every
def test_a_history_of_one_item(name):
    backbone, table = build(name)
    one = SEQUENCES[:, :1]
    assert torch.isfinite(backbone(table[one], one)).all()


@every
def test_the_order_of_the_items_matters(name):
    backbone, table = build(name)
    first, second = torch.tensor([[1, 2, 3, 4]]), torch.tensor([[2, 1, 3, 4]])
    change = backbone(table[first], first)[:, -1] - backbone(table[second], second)[:, -1]
    assert change.abs().max() > 1e-4


@every
def test_the_loss_reaches_every_weight_and_every_item_read(name):
    backbone, table = build(name, layers=1)
    vectors = table.clone().requires_grad_()
    backbone.train()
    backbone(vectors[SEQUENCES], SEQUENCES)[:, -1].square().sum().backward()
    for weight in backbone.parameters():
        assert weight.grad is not None and torch.isfinite(weight.grad).all()
    assert (vectors.grad[[1, 3, 5, 9]].abs().sum(dim=1) > 0).all()


def test_sasrec_reads_positions_from_the_oldest_item():
    backbone, _ = build("sasrec")
    same = torch.ones(1, 3, H)
    states = backbone(same, torch.zeros(1, 3, dtype=torch.long))
    assert (states[0, 0] - states[0, 1]).abs().max() > 1e-4


def test_gru4rec_is_a_gru_with_a_dense_layer():
    backbone, table = build("gru4rec", layers=1)
    state = torch.zeros(3, 2 * H)
    w_in, w_state = backbone.gru.weight_ih_l0, backbone.gru.weight_hh_l0
    for t in range(6):
        reset, update, new = (table[SEQUENCES[:, t]] @ w_in.T).chunk(3, dim=1)
        reset_h, update_h, new_h = (state @ w_state.T).chunk(3, dim=1)
        new = torch.tanh(new + torch.sigmoid(reset + reset_h) * new_h)
        share = torch.sigmoid(update + update_h)
        state = (1 - share) * new + share * state
    expected = backbone.dense(state)
    torch.testing.assert_close(backbone(table[SEQUENCES], SEQUENCES)[:, -1], expected, atol=1e-5, rtol=1e-4)


def test_srgnn_graph_by_hand():
    node = first_occurrence(torch.tensor([[5, 7, 5, 9]]))  # 5 → 7 → 5 → 9
    assert node.tolist() == [[0, 1, 0, 3]]
    arriving, leaving = adjacency(node)
    assert arriving.shape == (1, 4, 4, 4)
    assert leaving[0, 0].sum() == 0  # the first prefix has one item and no step
    assert leaving[0, 1].nonzero().tolist() == [[0, 1]]
    assert leaving[0, 3, 0].tolist() == [0, 0.5, 0, 0.5]  # 5 was left twice
    assert leaving[0, 3, 1].tolist() == [1, 0, 0, 0]
    assert arriving[0, 3, 0].tolist() == [0, 1, 0, 0] and arriving[0, 3, 3].tolist() == [1, 0, 0, 0]


def test_srgnn_counts_steps_that_are_walked_twice():
    node = first_occurrence(torch.tensor([[1, 2, 1, 2, 1, 3]]))
    _, leaving = adjacency(node)
    assert leaving[0, 5, 0].tolist() == pytest.approx([0, 2 / 3, 0, 0, 0, 1 / 3])


@pytest.mark.parametrize("layers", [1, 2])
def test_srgnn_equals_one_graph_at_a_time(layers):
    """The published procedure: for each prefix the list of its distinct items, two matrices, a cell, a read-out."""
    backbone, table = build("srgnn", layers=layers)
    found = backbone(table[SEQUENCES], SEQUENCES)
    for sequence, states in zip(SEQUENCES.tolist(), found, strict=True):
        for length in range(1, len(sequence) + 1):
            prefix = sequence[:length]
            nodes = sorted(set(prefix))
            at = [nodes.index(item) for item in prefix]
            walked = torch.zeros(len(nodes), len(nodes))
            for a, b in pairwise(at):
                walked[a, b] += 1
            leaving = walked / walked.sum(1, keepdim=True).clamp(min=1)
            arriving = walked.T / walked.T.sum(1, keepdim=True).clamp(min=1)
            v = table[nodes]
            for _ in range(layers):
                message = torch.cat([arriving @ backbone.arriving(v), leaving @ backbone.leaving(v)], 1)
                mr, mz, mn = backbone.message_gates(message).chunk(3, 1)
                nr, nz, nn_ = backbone.node_gates(v).chunk(3, 1)
                new = torch.tanh(mn + torch.sigmoid(mr + nr) * nn_)
                share = torch.sigmoid(mz + nz)
                v = (1 - share) * new + share * v
            visits = v[at]
            weight = backbone.attention(torch.sigmoid(backbone.last(visits[-1:]) + backbone.every(visits)))
            expected = backbone.merge(torch.cat([visits[-1], (weight * visits).sum(0)]))
            torch.testing.assert_close(states[length - 1], expected, atol=1e-5, rtol=1e-4)
