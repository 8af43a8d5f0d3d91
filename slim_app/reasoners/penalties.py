"""Penalties on repetition for greedy decoding on a device, for many rows at once and without leaving it.

The paper decodes plainly (all off). Small students repeat themselves: llama.cpp's remedies, in its definitions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

BREAKERS = ("\n", ":", '"', "*")
"""llama.cpp's: a repeated run ends at a token that holds one of these."""
MAX_EXPONENT = 88.7
"""log of the largest float32."""


@dataclass(frozen=True)
class Penalties:
    """All off by default; DRY ("don't repeat yourself") is llama.cpp's."""

    repetition: float = 1.0
    """Scores of tokens that were there before are divided by it (negative ones multiplied)."""
    window: int = 0
    """How many of the newest tokens count as "before"; 0 = all, the prompt included (transformers' way)."""
    dry: float = 0.0
    """A token that would lengthen a repeated run of n ≥ `dry_allowed` tokens loses dry · base^(n - allowed)."""
    dry_base: float = 1.75
    dry_allowed: int = 2

    def __bool__(self) -> bool:
        return self.repetition != 1.0 or self.dry > 0.0


class Scorer:
    """The penalties with their state for `rows` texts of at most `length` tokens.

    Args:
        breakers: ids of the tokens at which DRY's runs end.
    """

    def __init__(self, penalties: Penalties, rows: int, length: int, breakers: list[int], device: torch.device) -> None:
        self.penalties, self._breaker_ids = penalties, breakers
        self._columns = torch.arange(length, device=device)
        self._runs = torch.zeros(rows, length if penalties.dry else 0, dtype=torch.long, device=device)
        """(rows, length): how many tokens up to this column equal as many up to the newest one."""
        self._breakers: torch.Tensor | None = None

    def start(self, row: int, ids: list[int]) -> None:
        """A new text in this row, up to its last but one token; `advance` takes the last."""
        if not self.penalties.dry:
            return
        tokens, runs = torch.tensor(ids), torch.zeros(self._runs.shape[1], dtype=torch.long)
        breakers = set(self._breaker_ids)
        for last in range(1, len(ids) - 1):
            before = runs[: last - 1].clone()
            runs[:last] = 0
            if ids[last] not in breakers:
                same = tokens[:last] == tokens[last]
                runs[0] = same[0]
                runs[1:last] = torch.where(same[1:], before + 1, 0)
        self._runs[row] = runs.to(self._runs.device)

    def advance(self, history: torch.Tensor, last: torch.Tensor, rows: slice, vocabulary: int) -> None:
        """Takes the newest token of each row into account. history (B, length), last (B,) = its column."""
        if not self.penalties.dry:
            return
        if self._breakers is None:
            self._breakers = torch.zeros(vocabulary, dtype=torch.bool, device=history.device)
            self._breakers[[n for n in self._breaker_ids if n < vocabulary]] = True
        newest = history.gather(1, last[:, None])
        same = (history == newest) & (self._columns < last[:, None]) & ~self._breakers[newest]
        runs = self._runs[rows]
        runs.copy_(torch.where(same, torch.nn.functional.pad(runs[:, :-1], (1, 0)) + 1, 0))

    def scores(self, logits: torch.Tensor, history: torch.Tensor, last: torch.Tensor, rows: slice) -> torch.Tensor:
        """(B, vocabulary) float32 → the same tensor, penalised in place: only tokens of the text are touched."""
        p = self.penalties
        if p.repetition != 1.0:
            seen = self._columns <= last[:, None]
            if p.window:
                seen &= self._columns > last[:, None] - p.window
            values = logits.gather(1, history)
            penalised = torch.where(values < 0, values * p.repetition, values / p.repetition)
            # a token may stand inside and outside the window: what is penalised wins
            wins = "amin" if p.repetition > 1 else "amax"
            logits.scatter_reduce_(1, history, torch.where(seen, penalised, values), wins)
        if p.dry:
            runs, following = self._runs[rows][:, :-1], history[:, 1:]
            exponent = (runs - p.dry_allowed).to(logits.dtype) * math.log(p.dry_base)
            loss = p.dry * exponent.clamp(max=MAX_EXPONENT).exp()
            loss = torch.where((runs >= p.dry_allowed) & ~self._breakers[following], loss, 0.0)
            logits.scatter_reduce_(1, following, logits.gather(1, following) - loss, "amin")  # the longest run counts
        return logits
