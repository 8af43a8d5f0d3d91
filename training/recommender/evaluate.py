"""Ranks of all users' targets at once: the 101 candidates of METHOD's protocol, and the full catalogue."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from slim_app.errors import SlimError
from slim_app.recommenders.fused import FusedRecommender, scores
from training.metrics import NEGATIVES, sample_negatives
from training.next_item import SEEDS, Ranks
from training.positions import upto_of
from training.recommender.rationales import RationaleTable
from training.recommender.sequences import Sequences, check_upto

log = logging.getLogger("recommend")
CHUNK = 256


@dataclass(frozen=True)
class Task:
    """One position (valid or test) of p users, those with short histories first."""

    position: str
    users: np.ndarray
    """(p,) numbers of the users in the sequences; ranks come in this order."""
    target: torch.Tensor
    items: torch.Tensor
    """(p, T) the newest items before the target, padded right."""
    lengths: torch.Tensor
    seen: torch.Tensor
    """(p, S) all items before the target, padded right: no rivals in the full catalogue."""
    candidates: torch.Tensor
    """(p, seeds, 101): the target first."""
    rationale: torch.Tensor
    """(p,) rationale rows, -1 without one."""


def make_task(
    sequences: Sequences, position: str, users: np.ndarray, width: int, cache: Path | None = None,
    seeds: Sequence[int] = SEEDS, rationale: np.ndarray | None = None, upto: np.ndarray | None = None,
) -> Task:  # fmt: skip
    """What `rank` ranks. `rationale` and `upto` (u,) are those of `RationaleTable.newest`.

    Raises:
        SlimError: a rationale that saw its target, or fewer than 101 candidates.
    """
    users = users[np.argsort(sequences.lengths[users], kind="stable")]
    shown = upto_of(position, sequences.lengths[users])
    rows = np.full(len(users), -1) if rationale is None else rationale[users]
    if rationale is not None and upto is not None:
        check_upto(sequences, users[rows >= 0], upto[users[rows >= 0]], shown[rows >= 0])
    target = sequences.at(users, shown)
    items, lengths = sequences.prefixes(users, shown, width)
    seen, _ = sequences.prefixes(users, shown, int(shown.max()))
    drawn = negatives(sequences, seeds, cache)[users]
    first = np.broadcast_to(target[:, None, None], (*drawn.shape[:2], 1))
    candidates = np.concatenate([first, drawn], axis=2)
    arrays = (target, items, lengths, seen, candidates, rows)
    return Task(position, users, *(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))


def negatives(sequences: Sequences, seeds: Sequence[int], cache: Path | None = None) -> np.ndarray:
    """(u, seeds, 100) items that each user never touched, later purchases included; kept in `cache`.

    Raises:
        SlimError: a catalogue too small for that.
    """
    print_of = hashlib.sha256(repr((sequences.users, sequences.n_items, tuple(seeds), NEGATIVES)).encode())
    print_of.update(sequences.flat.tobytes() + sequences.lengths.tobytes())
    file = cache / f"candidates-{print_of.hexdigest()[:24]}.npy" if cache else None
    shape = (len(sequences.users), len(seeds), NEGATIVES)
    if file and file.is_file():
        try:
            found = np.load(file, allow_pickle=False)
            if found.shape == shape:
                return found.astype(np.int64)
        except (OSError, ValueError, EOFError):
            log.warning("%s is broken and is made again", file)
    touched = np.split(sequences.flat, sequences.starts[1:])
    try:
        drawn = [
            [sample_negatives(user, items, sequences.n_items, seed) for seed in seeds]
            for user, items in zip(sequences.users, touched, strict=True)
        ]
    except ValueError as error:
        raise SlimError(f"Too few items for {NEGATIVES} candidates: {error}. Give a larger catalogue.") from None
    found = np.array(drawn, np.int64).reshape(shape)
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, found.astype(np.int32))
    return found


def queries_of(
    model: FusedRecommender, states: torch.Tensor | None, rows: torch.Tensor, table: RationaleTable | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(P, m, h) queries of users some of whom have a rationale (rows >= 0), and their (P, m) mask."""
    has = rows >= 0
    if table is None or not model.config.uses_rationale or not has.any():
        return model.queries(states), None
    vectors, mask = table.gather(rows.clamp(min=0))
    queries = model.queries(states, vectors)
    if not has.all():  # all segments of a user without a rationale are the one query that stands for that
        queries = torch.where(has[:, None, None], queries, model.queries(states))
    return queries, mask


@torch.inference_mode()
def rank(
    model: FusedRecommender, task: Task, table: RationaleTable | None = None, full: bool = True, top: int = 0
) -> Ranks:
    """Ranks of all targets, and the first `top` items; `full=False` leaves out the full catalogue, which costs most.

    Raises:
        SlimError: a score that is not a number.
    """
    model.eval()
    device = model.item_text.device
    items = model.items(torch.arange(model.config.n_items, device=device))

    def queries(part: slice) -> tuple[torch.Tensor, torch.Tensor | None]:
        states = None
        if model.config.backbone != "none":
            lengths = task.lengths[part]
            history = task.items[part, : int(lengths.max())].to(device)
            states = model.states(history)[torch.arange(len(history), device=device), lengths.to(device) - 1]
        return queries_of(model, states, task.rationale[part].to(device), table)

    if full:
        def score(part: slice) -> torch.Tensor:
            users, mask = queries(part)
            return scores(users, items, mask)

        return rank_scores(score, task, top, device)
    sampled = []
    for part in _parts(task):
        users, mask = queries(part)
        candidates = task.candidates[part].to(device)
        few = scores(users, items[candidates.flatten(1)], mask).view(candidates.shape)
        sampled.append(_places(few))
    return Ranks(torch.cat(sampled).cpu().numpy(), np.zeros(len(task.users), int))


@torch.inference_mode()
def rank_scores(
    score: Callable[[slice], torch.Tensor], task: Task, top: int = 0, device: torch.device | str = "cpu"
) -> Ranks:
    """Ranks of all targets, and the first `top` items that were not bought before (of equal ones the earlier row).

    Args:
        score: (P, n) scores of all items for a part of the task's users.

    Raises:
        SlimError: a score that is not a number.
    """
    sampled, whole, first = [], [], []
    for part in _parts(task):
        found, target = score(part), task.target[part].to(device)
        candidates, seen = task.candidates[part].to(device), task.seen[part].to(device)
        sampled.append(_places(found.gather(1, candidates.flatten(1)).view(candidates.shape)))
        own = found.gather(1, target[:, None])
        unseen = torch.nn.functional.pad(found, (0, 1)).scatter(1, seen, float("-inf"))[:, :-1]
        rivals = unseen.scatter(1, target[:, None], own)  # bought again: a rival to nobody but itself
        whole.append((rivals >= own).sum(dim=1))
        if top:
            later = torch.arange(unseen.shape[1], device=device, dtype=torch.double) * 1e-12  # topk orders ties freely
            first.append((unseen.double() - later).topk(top, dim=1).indices)
    sampled, whole = torch.cat(sampled).cpu().numpy(), torch.cat(whole).cpu().numpy()
    return Ranks(sampled, whole, torch.cat(first).cpu().numpy() if top else None)


def _parts(task: Task) -> Iterator[slice]:
    yield from (slice(start, start + CHUNK) for start in range(0, len(task.users), CHUNK))


def _places(few: torch.Tensor) -> torch.Tensor:
    """(P, seeds, 101) scores, the target's first → (P, seeds) its rank; ties count against it."""
    if few.isnan().any():
        raise SlimError("A score is not a number. Train again with a lower --lr.")
    return (few >= few[..., :1]).sum(dim=2)
