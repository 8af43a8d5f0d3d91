"""Rows as token ids, and the order and shape in which the trainer reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from slim_app.reasoners.hf_text import prompt_ids
from training.data import Row

IGNORED = -100
GROUP = 16
"""Batches sorted by length together: enough to cut most padding, few enough to keep the order random."""


@dataclass(frozen=True)
class Example:
    """Token ids of one row; the target ends with the end-of-turn token."""

    prompt: list[int]
    target: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.target)


def encode(row: Row, tokenizer) -> Example:
    """The prompt as the app's engine renders it (T_s in the model's own chat template), and the rationale.

    The two are tokenised apart, because the app's model continues after a prompt that is already tokens.
    """
    ids = prompt_ids(row.history, tokenizer)
    return Example(ids, [*tokenizer(row.text, add_special_tokens=False).input_ids, tokenizer.eos_token_id])


def batch_order(lengths: Sequence[int], batch: int, seed: int, epoch: int) -> list[list[int]]:
    """Row numbers of each batch of an epoch: a pure function of its arguments, so a resumed run needs no state.

    Rows are shuffled, sorted by length within groups of `GROUP` batches, and the batches shuffled again.
    """
    generator = torch.Generator().manual_seed(seed * 10_007 + epoch)
    rows = torch.randperm(len(lengths), generator=generator).tolist()
    size = batch * GROUP
    batches = []
    for start in range(0, len(rows), size):
        group = sorted(rows[start : start + size], key=lambda i: lengths[i])
        batches += [group[i : i + batch] for i in range(0, len(group), batch)]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


def collate(
    examples: Sequence[Example], pad: int, prompt_weight: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token ids (B, T), padded on the right; labels (B, T); weight of each label in the loss (B, T).

    Label t is token t+1, so the loss needs no shift; it is `IGNORED` for padding, and for the prompt unless
    `prompt_weight` > 0. Causal attention hides the padding from the tokens before it, so no mask is needed, and
    attention takes its fastest path.
    """
    width = max(len(e) for e in examples)
    ids = torch.full((len(examples), width), pad)
    labels = torch.full((len(examples), width), IGNORED)
    weights = torch.ones(len(examples), width)
    for n, e in enumerate(examples):
        start = len(e.prompt) - 1
        ids[n, : len(e)] = torch.tensor(e.prompt + e.target)
        if prompt_weight:
            labels[n, :start] = ids[n, 1 : start + 1]
            weights[n, :start] = prompt_weight
        labels[n, start : len(e) - 1] = torch.tensor(e.target)
    return ids, labels, weights
