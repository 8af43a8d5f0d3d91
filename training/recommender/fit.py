"""The training loop: all positions at once, early stop on the validation NDCG@10, the same result for the same seed."""

from __future__ import annotations

import copy
import logging
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch

from slim_app.errors import SlimError
from slim_app.recommenders.fused import FusedRecommender, scores
from training.recommender.evaluate import Task, queries_of, rank
from training.recommender.losses import FUNCTIONS, catalogue_softmax
from training.recommender.rationales import RationaleTable
from training.recommender.sequences import Batch, Windows, by_length

log = logging.getLogger("recommend")


@dataclass(frozen=True)
class Settings:
    """How a recommender is trained; all of it stands in its `meta.json`."""

    loss: str = "bce"
    negatives: int = 512
    """Items drawn for each batch, shared by its positions; 0 = the whole catalogue."""
    each: bool = False
    """Draw that many for each position instead: with 1 and `bce`, SASRec's own training."""
    lr: float = 1e-3
    weight_decay: float = 0.0
    batch: int = 128
    epochs: int = 200
    patience: int = 15
    """Epochs without a better validation before it stops."""
    rationale_weight: float = 1.0
    """Weight in the loss of the positions that have a rationale; validation and test consist of such alone."""
    clip: float = 5.0
    seed: int = 0


def states_of(model: FusedRecommender, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """(P,) user and (P,) place of each target of a batch, and the (P, h) state before it; None without a backbone."""
    real = batch.targets != model.padding
    if model.config.backbone == "none":
        return *real.nonzero(as_tuple=True), None
    parts = []
    for rows, width in by_length(real.sum(dim=1)):
        user, place = real[rows, :width].nonzero(as_tuple=True)
        parts.append((rows[user], place, model.states(batch.items[rows, :width])[user, place]))
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def batch_loss(
    model: FusedRecommender, batch: Batch, table: RationaleTable | None, settings: Settings, generator: torch.Generator
) -> torch.Tensor | None:
    """Mean loss of a batch; None when none of its positions can be scored.

    Two groups of positions share one loss: those that a rationale may score, with it; and all earlier ones without,
    which train backbone, IDs and item text (see `FusedRecommender`). Text matching has the first group only.
    """
    config, device = model.config, batch.items.device
    user, place, states = states_of(model, batch)
    rows = torch.where(place == batch.fused_at[user], batch.rationale[user], -1)
    targets = batch.targets[user, place]
    # of the user's own items none is a negative, nor is it a rival when ranks are counted
    own = torch.cat([batch.items, batch.targets], dim=1)
    if settings.negatives:
        shape = (len(user), settings.negatives) if settings.each else (settings.negatives,)
        drawn = torch.randint(config.n_items, shape, generator=generator).to(device)
    else:
        drawn = torch.arange(config.n_items, device=device)
    others = model.items(drawn)  # (N, h), or (P, N, h) of each position its own
    is_own = torch.zeros(len(own), config.n_items + 1, dtype=torch.bool, device=device).scatter_(1, own, True)
    losses, weights = [], []
    groups = [(rows >= 0, settings.rationale_weight)]
    if config.backbone != "none":
        groups.append((rows < 0, 1.0))
    for chosen, weight in groups:
        group = chosen.nonzero()[:, 0]
        if not len(group):
            continue
        queries, mask = queries_of(model, None if states is None else states[group], rows[group], table)
        wanted, people = targets[group], user[group]
        weights.append(len(group) * weight)
        if settings.loss == "softmax" and not settings.negatives and queries.shape[1] == 1:
            bought = torch.where(own[people] == model.padding, wanted[:, None], own[people])
            losses.append(catalogue_softmax(queries[:, 0], others, wanted, bought) * weight)
            continue
        target = scores(queries, model.items(wanted)[:, None], mask)[:, 0]
        single = drawn.dim() == 2
        kept = ~(is_own[people[:, None], drawn[group]] if single else is_own[:, drawn][people])
        rivals = scores(queries, others[group] if single else others, mask)
        losses.append(FUNCTIONS[settings.loss](target, rivals, kept, config.n_items).sum() * weight)
    return sum(losses) / sum(weights) if losses else None


def make_optimizer(model: FusedRecommender, settings: Settings) -> torch.optim.Optimizer:
    """AdamW over all weights."""
    return torch.optim.AdamW(model.parameters(), settings.lr, weight_decay=settings.weight_decay, fused=True)


def train_step(
    model: FusedRecommender, batch: Batch, table: RationaleTable | None, settings: Settings,
    optimizer: torch.optim.Optimizer, generator: torch.Generator,
) -> float | None:  # fmt: skip
    """One step; the loss before it, or None when there was nothing to learn from.

    Raises:
        FloatingPointError: the loss or its gradient is no longer a number; the weights are left as they were.
    """
    loss = batch_loss(model, batch, table, settings, generator)
    if loss is None:
        return None
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
    if not (torch.isfinite(loss) and torch.isfinite(norm)):
        raise FloatingPointError
    optimizer.step()
    return loss.item()


def fit(
    model: FusedRecommender, windows: Windows, valid: Task, table: RationaleTable | None, settings: Settings
) -> dict[str, Any]:
    """Trains in place and leaves the weights of the best epoch; returns what belongs in `meta.json`.

    Raises:
        SlimError: the loss is no longer a number, with the step and the learning rate.
    """
    device = model.item_text.device
    optimizer = make_optimizer(model, settings)
    generator = torch.Generator().manual_seed(settings.seed)
    torch.manual_seed(settings.seed)  # dropout
    begun, step = time.perf_counter(), 0
    best: dict[str, Any] = {"epoch": 0, "ndcg": -1.0, "weights": copy.deepcopy(model.state_dict())}
    history: list[dict[str, float]] = []
    for epoch in range(1, settings.epochs + 1):
        model.train()
        total = count = 0
        for batch in windows.batches(settings.batch, generator, device):
            try:
                loss = train_step(model, batch, table, settings, optimizer, generator)
            except FloatingPointError:
                raise SlimError(
                    f"The loss is no longer a number at step {step + 1} (learning rate {settings.lr:.1e}). Train again "
                    "with a lower --lr."
                ) from None
            if loss is not None:
                total, count, step = total + loss, count + 1, step + 1
        if not count:
            raise SlimError("No training position has a rationale. Generate some for the train position.")
        ndcg = float(rank(model, valid, table, full=False).per_user().mean() * 100)
        history.append({"epoch": epoch, "loss": round(total / count, 4), "ndcg@10": round(ndcg, 2)})
        better = ndcg > best["ndcg"]
        if better:
            best = {"epoch": epoch, "ndcg": ndcg, "weights": copy.deepcopy(model.state_dict())}
        seconds = time.perf_counter() - begun
        log.info("epoch %d: loss %.4f, validation NDCG@10 %.2f (101 candidates)%s, %.0f s", epoch, total / count, ndcg,
                 ", the best so far" if better else "", seconds)
        if epoch - best["epoch"] >= settings.patience:
            break
    model.load_state_dict(best["weights"])
    return {
        "settings": asdict(settings), "best_epoch": best["epoch"], "epochs": len(history), "steps": step,
        "seconds": round(time.perf_counter() - begun, 1), "history": history,
    }  # fmt: skip
