"""Losses over one target and N sampled negatives a position. Each takes the target's score and the negatives'."""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid

LOSSES = {
    "bce": "binary cross-entropy (the paper's Eq. 3), the mean over the negatives weighing as much as the target",
    "softmax": "cross-entropy over the target and the negatives, or over the catalogue with --negatives 0",
    "gbce": "generalised binary cross-entropy, which undoes the overconfidence that sampling brings",
}
CALIBRATION = 0.75
"""t of gBCE, as its authors recommend."""


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


FUNCTIONS = {"bce": bce, "softmax": softmax, "gbce": gbce}
