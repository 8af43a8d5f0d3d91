"""The recommenders of the paper in one module: a backbone alone, with item text, with a rationale (Eq. 6), text alone.

Users are (m, h) query vectors, items are (h,) vectors z_i, and score_i = max_j q_j · z_i. With one query (m = 1, the
paper's pooled rationale) that is the dot product; with a query for each segment of the rationale it is late
interaction, and the segment that wins is the item's evidence.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import softplus

from slim_app.recommenders.backbones import make_backbone
from slim_app.recommenders.config import RecommenderConfig


class FusedRecommender(nn.Module):
    """
    `fused` is Eq. 6: z_i = g_f([g_l(z_i^text); z_i^id]), s_u = g_f([g_l(s_u^text); s_u^SeqEnc]); its backbone reads the
    z_i^id of the history, or the z_i (Eq. 1-2), as `reads` says. `plus` has the same z_i, which its backbone reads, and
    s_u = s_u^SeqEnc. `gated` is `plus` with s_u = s_u^SeqEnc + softplus(w · s_u^SeqEnc + b) g_f([g_l(s_u^text); 0]), so
    that the two differ by the rationale alone. `id` has z_i = z_i^id. `text` is Eq. 7: z_i = g_t(z_i^text),
    s_u = g_t(s_u^text).

    Without a rationale a learned vector stands in the place of g_l(s_u^text) in `fused`, and `gated` is `plus`; for an
    item without text a learned vector stands in the place of g_l(z_i^text).

    Args:
        config: sizes and variant.
        item_text: (n, d) vectors of the item texts (Eq. 5), a row of zeros for an item without text; None for `id`.
            They belong to the catalogue, not to the weights, and are not saved.
    """

    def __init__(self, config: RecommenderConfig, item_text: torch.Tensor | None = None) -> None:
        super().__init__()
        self.config = config
        hidden, n_items, variant = config.hidden, config.n_items, config.variant
        self.padding = n_items
        """The row that fills up shorter sequences."""
        text = torch.zeros(n_items + 1, config.text_dim)
        if item_text is not None:
            text[:n_items] = item_text
        self.register_buffer("item_text", text, persistent=False)
        self.register_buffer("has_text", (text != 0).any(dim=1), persistent=False)
        if variant == "text":
            self.g_t = nn.Linear(config.text_dim, hidden)
            return
        self.id = nn.Embedding(n_items + 1, hidden, padding_idx=n_items)
        nn.init.normal_(self.id.weight[:n_items], std=0.02)
        self.backbone = make_backbone(config)
        if config.uses_text:
            self.g_l, self.g_f = nn.Linear(config.text_dim, hidden), nn.Linear(2 * hidden, hidden)
            self.no_text = nn.Parameter(torch.zeros(hidden))
        if config.uses_rationale:
            self.dropout = nn.Dropout(config.dropout)
        if variant == "fused":
            self.no_rationale = nn.Parameter(torch.zeros(hidden))
        if variant == "gated":
            self.gate = nn.Linear(hidden, 1)

    def items(self, rows: torch.Tensor) -> torch.Tensor:
        """(...) rows of items → (..., h) z_i (Eq. 1)."""
        if self.config.variant == "id":
            return self.id(rows)
        text = self.item_text[rows]
        if self.config.variant == "text":
            return self.g_t(text)
        linear = torch.where(self.has_text[rows][..., None], self.g_l(text), self.no_text)
        return self.g_f(torch.cat([linear, self.id(rows)], dim=-1))

    def states(self, items: torch.Tensor) -> torch.Tensor:
        """(B, T) rows of the history, padded on the right → (B, T, h) s^SeqEnc after each item (Eq. 2)."""
        original = self.config.variant == "fused" and self.config.reads == "id"
        return self.backbone(self.id(items) if original else self.items(items), items)

    def queries(self, states: torch.Tensor | None, rationale: torch.Tensor | None = None) -> torch.Tensor:
        """Users as query vectors (Eq. 6, Eq. 7).

        Args:
            states: (P, h) s^SeqEnc; None for the variant `text`.
            rationale: (P, m, d) vectors of the rationale, m = 1 for a pooled one; None where there is no rationale.

        Returns:
            (P, m, h), or (P, 1, h) without a rationale.
        """
        if self.config.variant == "text":
            return self.g_t(rationale)
        states = states[:, None]
        if not self.config.uses_rationale or (rationale is None and self.config.variant == "gated"):
            return states
        linear = self.no_rationale.expand(states.shape) if rationale is None else self.dropout(self.g_l(rationale))
        if self.config.variant == "fused":
            return self.g_f(torch.cat([linear, states.expand(linear.shape)], dim=-1))
        written = self.g_f(torch.cat([linear, torch.zeros_like(linear)], dim=-1))
        return states + softplus(self.gate(states)) * written


def segment_scores(queries: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
    """(P, m, h) queries and (N, h) items for all, or (P, C, h) for each → (P, m, N or C) score of each segment."""
    return queries @ items.transpose(-1, -2)


def scores(queries: torch.Tensor, items: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """(P, N or C): the best of the segments that `mask` (P, m) leaves, all when it is None."""
    found = segment_scores(queries, items)
    if found.shape[1] == 1:
        return found[:, 0]
    if mask is not None:
        found = found.masked_fill(~mask[..., None], float("-inf"))
    return found.amax(dim=1)
