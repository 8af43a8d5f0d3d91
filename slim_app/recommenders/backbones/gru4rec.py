"""GRU4Rec: a recurrent network over the sequence (Hidasi et al., ICLR 2016, arXiv 1511.06939)."""

from __future__ import annotations

import torch
from torch import nn

from slim_app.recommenders.config import RecommenderConfig


class GRU4Rec(nn.Module):
    """Embedding → GRU layers → dense layer, which returns to the width of the item vectors that it is multiplied with.

    The GRU is twice as wide as an item vector and has no bias, as in RecBole, which the paper uses.
    """

    def __init__(self, config: RecommenderConfig) -> None:
        super().__init__()
        wide = 2 * config.hidden
        self.dropout = nn.Dropout(config.dropout)
        self.gru = nn.GRU(config.hidden, wide, config.layers, bias=False, batch_first=True)
        self.dense = nn.Linear(wide, config.hidden)
        for name, weight in self.gru.named_parameters():
            (nn.init.orthogonal_ if "weight_hh" in name else nn.init.xavier_uniform_)(weight)

    def forward(self, embedded: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """(B, T, h) item vectors, (B, T) item rows (not needed here) → (B, T, h) states."""
        return self.dense(self.gru(self.dropout(embedded))[0])
