"""Losses over one target and N sampled negatives a position. Each takes the target's score and the negatives'."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn.functional import logsigmoid

LOSSES = {
    "bce": "binary cross-entropy (the paper's Eq. 3), the mean over the negatives weighing as much as the target",
    "softmax": "cross-entropy over the target and the negatives, or over the catalogue with --negatives 0",
    "gbce": "generalised binary cross-entropy, which undoes the overconfidence that sampling brings",
}
CALIBRATION = 0.75
"""t of gBCE, as its authors recommend."""
ROWS = 128
"""Positions whose scores of the whole catalogue `catalogue_softmax` holds at a time."""


def bce(target: torch.Tensor, others: torch.Tensor, kept: torch.Tensor, n_items: int) -> torch.Tensor:
    """Eq. 3 with sampled negatives: -log σ(s⁺) - mean log(1 - σ(s⁻)). One negative a target in expectation, as SASRec.

    Args:
        target: (P,) scores of the targets.
        others: (P, N) scores of the negatives.
        kept: (P, N) False where a negative is an item of the user.
        n_items: how many items there are to sample from.

    Returns:
        (P,) loss of each position.
    """
    negative = (logsigmoid(-others) * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1)
    return -logsigmoid(target) - negative


def gbce(target: torch.Tensor, others: torch.Tensor, kept: torch.Tensor, n_items: int) -> torch.Tensor:
    """gBCE (Petrov and Macdonald, RecSys 2023, arXiv 2308.07192): log σ(s⁺) is multiplied by β. Arguments as `bce`."""
    count = others.shape[1]
    rate = count / max(1, n_items - 1)
    beta = rate * (CALIBRATION * (1 - 1 / rate) + 1 / rate)
    negative = (logsigmoid(-others) * kept).sum(dim=1)
    return -(beta * logsigmoid(target) + negative) / (count + 1)


def softmax(target: torch.Tensor, others: torch.Tensor, kept: torch.Tensor, n_items: int) -> torch.Tensor:
    """-log of the target's share among itself and the negatives. Arguments as `bce`."""
    others = others.masked_fill(~kept, float("-inf"))
    return torch.logsumexp(torch.cat([target[:, None], others], dim=1), dim=1) - target


def catalogue_softmax(
    queries: torch.Tensor, items: torch.Tensor, targets: torch.Tensor, own: torch.Tensor
) -> torch.Tensor:
    """Sum of `softmax` over all positions, the whole catalogue being the negatives: the same value and gradient, but
    scores and their gradients are made and used up block by block, so that no (P, n) array goes through memory.

    Args:
        queries: (P, h), one for each position.
        items: (n, h) vectors of all items.
        targets: (P,) rows of the targets.
        own: (P, W) rows of the items of each position's user, which are no negatives; the target may fill up a line.
    """
    return _CatalogueSoftmax.apply(queries, items, targets, own)


class _CatalogueSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, queries: torch.Tensor, items: torch.Tensor, targets: torch.Tensor, own: torch.Tensor
    ) -> torch.Tensor:
        learns = any(ctx.needs_input_grad)
        loss = queries.new_zeros(())
        d_queries, d_items = torch.empty_like(queries), torch.zeros_like(items)
        block = queries.new_empty(min(ROWS, len(queries)), len(items))
        for start in range(0, len(queries), ROWS):
            part = slice(start, start + ROWS)
            query, target = queries[part], targets[part, None]
            scores = torch.mm(query, items.T, out=block[: len(query)])
            found = scores.gather(1, target)
            scores.scatter_(1, own[part], float("-inf")).scatter_(1, target, found)
            best = scores.amax(dim=1)
            torch.softmax(scores, dim=1, out=scores)
            # the best item's share never rounds to 0, unlike the target's
            loss += (best - scores.amax(dim=1).log() - found[:, 0]).sum()
            if learns:
                scores.scatter_add_(1, target, torch.full_like(found, -1.0))
                torch.mm(scores, items, out=d_queries[part])
                d_items.addmm_(scores.T, query)
        ctx.save_for_backward(d_queries, d_items)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        d_queries, d_items = ctx.saved_tensors
        return grad * d_queries, grad * d_items, None, None


FUNCTIONS = {"bce": bce, "softmax": softmax, "gbce": gbce}
