"""SR-GNN: a gated graph network over the graph of the sequence (Wu et al., AAAI 2019, arXiv 1811.00855)."""

from __future__ import annotations

import torch
from torch import nn

from slim_app.recommenders.config import RecommenderConfig


class SRGNN(nn.Module):
    """Items are nodes, steps from one to the next are edges; attention reads the nodes out (Eq. 1-7 there).

    The graph of a whole sequence knows its later items, so every prefix gets a graph of its own, as in the published
    code, where each prefix is an example. All prefixes of all users are one batch.
    """

    def __init__(self, config: RecommenderConfig) -> None:
        super().__init__()
        hidden, self.steps = config.hidden, config.layers
        self.arriving, self.leaving = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.message_gates, self.node_gates = nn.Linear(2 * hidden, 3 * hidden), nn.Linear(hidden, 3 * hidden)
        self.last, self.every = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.attention = nn.Linear(hidden, 1, bias=False)
        self.merge = nn.Linear(2 * hidden, hidden)
        self.dropout = nn.Dropout(config.dropout)
        for weight in self.parameters():
            nn.init.uniform_(weight, -(hidden**-0.5), hidden**-0.5)

    def forward(self, embedded: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """(B, T, h) item vectors, (B, T) item rows, which say where an item returns → (B, T, h) states."""
        length = items.shape[1]
        node = first_occurrence(items)  # (B, T): the node of each position
        arriving, leaving = adjacency(node)  # (B, P, T, T): one graph for each prefix
        nodes = self.dropout(embedded)[:, None]  # (B, 1, T, h): at the start the same for all prefixes
        for _ in range(self.steps):
            messages = torch.cat([arriving @ self.arriving(nodes), leaving @ self.leaving(nodes)], dim=-1)
            reset_m, update_m, new_m = self.message_gates(messages).chunk(3, dim=-1)
            reset_n, update_n, new_n = self.node_gates(nodes).chunk(3, dim=-1)
            new = torch.tanh(new_m + torch.sigmoid(reset_m + reset_n) * new_n)
            nodes = new + torch.sigmoid(update_m + update_n) * (nodes - new)  # (B, P, T, h)
        index = node[:, None, :, None].expand(nodes.shape)
        visits = nodes.gather(2, index)  # (B, P, T, h): the node of each visited position, in each prefix
        places = torch.arange(length, device=items.device)
        last = visits[:, places, places]  # (B, P, h): s_l, the newest item of each prefix
        weight = self.attention(torch.sigmoid(self.last(last)[:, :, None] + self.every(visits)))
        weight = weight * (places[None, :] <= places[:, None])[None, :, :, None]
        whole = (weight * visits).sum(dim=2)  # (B, P, h): s_g
        return self.merge(torch.cat([last, whole], dim=-1))


def first_occurrence(items: torch.Tensor) -> torch.Tensor:
    """(B, T) item rows → (B, T) position where the item of each position was met first: its node."""
    return (items[:, :, None] == items[:, None, :]).int().argmax(dim=-1)


def adjacency(node: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, T) nodes → two (B, P, T, T): edges that arrive at and that leave each node, in each of the T prefixes.

    An edge weighs how often it was walked, over all walks that arrive at (leave) its node.
    """
    batch, length = node.shape
    walked = torch.zeros(batch, length, length, length, device=node.device)
    rows = torch.arange(batch, device=node.device)[:, None]
    places = torch.arange(1, length, device=node.device)[None]
    walked[rows, places, node[:, :-1], node[:, 1:]] = 1.0  # step t belongs to prefix t and to all longer ones
    walked = walked.cumsum(dim=1)
    arriving = walked.transpose(2, 3)
    return tuple(edges / edges.sum(dim=-1, keepdim=True).clamp(min=1.0) for edges in (arriving, walked))
