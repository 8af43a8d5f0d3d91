"""Where the weights begin: items as their texts, so that text matching works before the first step, or items as the
company of who bought them, so that neighbours by purchases are neighbours from the start."""

from __future__ import annotations

import math

import numpy as np
import torch

from slim_app.recommenders.fused import FusedRecommender
from training.recommender.sequences import Sequences

STARTS = {
    "text": "text layers from the main axes of the item texts",
    "purchases": "IDs from the main axes of who bought what in the training part",
}
SCALE = {"text": 20**0.5}
"""Length of g_t(text): scores are then cosines x 20, sharp enough for a cross-entropy over thousands of items."""
FUSED_SCALE, GATE = 2.0, 3.0
ID_LENGTH = 1.0
"""Mean length of z_i^id that starts from the purchases."""
EXACT = 4096
"""Users or items, the fewer of the two, up to which all axes are computed; for more, the first ones by Lanczos."""


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


@torch.no_grad()
def start_from_purchases(model: FusedRecommender, sequences: Sequences) -> None:
    """z_i^id becomes the item's place on the first h axes of the purchases of the training part.

    Few items of a sparse catalogue are bought often enough to find their neighbours by gradient steps alone.
    """
    places = torch.from_numpy(purchase_axes(sequences, model.config.hidden)).float()
    model.id.weight[: len(places)] = places * (ID_LENGTH / places.norm(dim=1).mean())


def purchase_axes(sequences: Sequences, count: int) -> np.ndarray:
    """(n, count) right singular vectors times singular values of R_ui = 1 / sqrt(d_u d_i) where user u bought item i,
    d the numbers of purchases: the spectrum of the user-item graph (as in GF-CF, Shen et al., CIKM 2021, arXiv
    2108.07567). Only the training part is read. Zeros for an item without purchases and for axes that there are not.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.linalg import eigsh

    user, item = sequences.trained_pairs()
    weights = 1 / np.sqrt(np.bincount(user)[user] * np.bincount(item)[item])
    matrix = csr_matrix((weights, (user, item)), (len(sequences.users), sequences.n_items))
    by_user = matrix.shape[0] <= matrix.shape[1]
    products = matrix @ matrix.T if by_user else matrix.T @ matrix
    if products.shape[0] <= max(EXACT, count + 1):
        values, vectors = np.linalg.eigh(products.toarray())
    else:
        values, vectors = eigsh(products, count, v0=np.ones(products.shape[0]))
    values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
    axes = matrix.T @ vectors if by_user else vectors * np.sqrt(values.clip(min=0))
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0)
    axes = axes * np.sign(largest)  # the sign of a singular vector is arbitrary: one rule on every machine
    return np.pad(axes, ((0, 0), (0, count - axes.shape[1])))


def main_axes(vectors: torch.Tensor, count: int) -> torch.Tensor:
    """(n, d) vectors → (count, d) orthonormal rows that keep most of their length; zeros when count > d."""
    _, axes = torch.linalg.eigh((vectors.T @ vectors).double())
    axes = axes.T.flip(0)[:count]
    largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
    axes = axes * largest.sign()  # the sign of a singular vector is arbitrary: one rule on every machine
    return torch.nn.functional.pad(axes, (0, 0, 0, count - len(axes))).to(vectors.dtype)
