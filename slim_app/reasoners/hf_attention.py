"""Attention of one new token a row, for CPUs: query heads that share keys are the rows of one product.

PyTorch's own kernel handles grouped heads one by one when there is a single query: 4 to 8 times slower for 64 rows.
"""

from __future__ import annotations

from typing import Any

import torch

NAME = "slim_grouped"


def grouped(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """transformers' attention interface: query (B, H, T, D), key and value (B, G, S, D) → (B, T, H, D)."""
    batch, heads, length, width = query.shape
    if length > 1 or attention_mask is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    rows = query.reshape(batch, key.shape[1], -1, width)  # no mask tells the heads of a group apart
    scores = torch.matmul(rows, key.transpose(-1, -2)) * options.get("scaling", width**-0.5) + attention_mask
    out = torch.matmul(scores.softmax(-1, dtype=torch.float32).to(value.dtype), value)
    return out.reshape(batch, 1, heads, width), None


def use_grouped(model: Any) -> bool:
    """Lets `model` attend this way where it would use PyTorch's kernel; False where it does not."""
    if getattr(model.config, "_attn_implementation", "") not in ("sdpa", NAME):
        return False
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    AttentionInterface.register(NAME, grouped)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
    return True
