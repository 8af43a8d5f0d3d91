"""A start from the text vectors: before the first step, an item is its text, and text matching already works."""

from __future__ import annotations

import math

import torch

from slim_app.recommenders.fused import FusedRecommender

SCALE = {"text": 20**0.5}
"""Length of g_t(text): scores are then cosines x 20, sharp enough for a cross-entropy over thousands of items."""
FUSED_SCALE, GATE = 2.0, 3.0


@torch.no_grad()
def start_from_text(model: FusedRecommender) -> None:
    """g_l and g_t become the projection that keeps most of the item texts (their first h singular vectors), g_f the
    sum of text and ID, the gate a constant. The form of Eq. 6 and 7 stays, only the start is another."""
    variant, hidden = model.config.variant, model.config.hidden
    axes = main_axes(model.item_text[:-1], hidden)
    linear = model.g_t if variant == "text" else model.g_l
    linear.weight.copy_(axes * SCALE.get(variant, FUSED_SCALE))
    linear.bias.zero_()
    if variant != "text":
        model.g_f.weight.copy_(torch.eye(hidden).repeat(1, 2))
        model.g_f.bias.zero_()
    if variant == "gated":
        model.gate.weight.zero_()
        model.gate.bias.fill_(math.log(math.expm1(GATE)))


def main_axes(vectors: torch.Tensor, count: int) -> torch.Tensor:
    """(n, d) vectors → (count, d) orthonormal rows that keep most of their length; zeros when count > d."""
    _, axes = torch.linalg.eigh((vectors.T @ vectors).double())
    axes = axes.T.flip(0)[:count]
    largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
    axes = axes * largest.sign()  # the sign of a singular vector is arbitrary: one rule on every machine
    return torch.nn.functional.pad(axes, (0, 0, 0, count - len(axes))).to(vectors.dtype)
