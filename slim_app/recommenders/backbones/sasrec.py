"""SASRec: causal self-attention over the sequence (Kang and McAuley, ICDM 2018, arXiv 1808.09781)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from slim_app.recommenders.config import RecommenderConfig


class SASRec(nn.Module):
    """Learned positions, then blocks of attention and a point-wise network, each g(x) = x + Dropout(g(LayerNorm(x))).

    As in RecBole, the sum of item and position is normalised first and all weights start small, so that a block begins
    as little more than the identity: with embeddings far shorter than what random layers add to them, the items could
    not be told apart and the model would learn popularity alone. Positions count from the oldest item, so that a state
    does not depend on how many items follow; the published code pads on the left and counts from the newest.
    """

    def __init__(self, config: RecommenderConfig) -> None:
        super().__init__()
        self.scale = config.hidden**0.5
        self.position = nn.Embedding(config.max_length, config.hidden)
        self.input_norm, self.norm = nn.LayerNorm(config.hidden), nn.LayerNorm(config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.normal_(weight, std=0.02)

    def forward(self, embedded: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """(B, T, h) item vectors, (B, T) item rows (not needed here) → (B, T, h) states; T up to `max_length`."""
        x = embedded * self.scale + self.position.weight[: embedded.shape[1]]
        x = self.dropout(self.input_norm(x))
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class Block(nn.Module):
    """One layer: attention to the items up to here, and a network of two layers of the same width."""

    def __init__(self, config: RecommenderConfig) -> None:
        super().__init__()
        hidden, self.heads, self.rate = config.hidden, config.heads, config.dropout
        self.attention_norm, self.network_norm = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.project, self.merge = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.network = nn.Sequential(
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(hidden, hidden)
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, h) → (B, T, h)."""
        shape = (*x.shape[:2], self.heads, -1)
        parts = self.project(self.attention_norm(x)).chunk(3, dim=-1)
        query, key, value = (part.reshape(shape).transpose(1, 2) for part in parts)
        rate = self.rate if self.training else 0.0
        found = scaled_dot_product_attention(query, key, value, dropout_p=rate, is_causal=True)
        x = x + self.dropout(self.merge(found.transpose(1, 2).reshape(x.shape)))
        return x + self.dropout(self.network(self.network_norm(x)))
