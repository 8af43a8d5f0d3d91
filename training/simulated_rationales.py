"""Rationales of simulated shoppers: what a writer who knows the person's tastes would say at some moment.

The writer sees the person's tastes (as a language model knows more of the world than IDs do), the catalogue and the
purchases made so far; never a purchase that comes later. What is said is drawn by chance: Step 3 names products that
this person may well buy next, and a share of all entries is plain popular taste, since no real writer is always right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from slim_app.catalog import head
from training.simulation import Shopper

MODEL = "simulated"
"""Stands in the place of a model's name in every row."""
NOISE = 0.2
"""Share of the entries that follow the crowd instead of the person."""
ENTRIES = 5
_OPENINGS = (
    "You like {categories}, and {brands} above all.",
    "Your purchases point to {categories}; you come back to {brands}.",
    "You keep buying {categories}, often from {brands}. {last} fits that picture.",
    "{categories} are what you look for, with a liking for {brands}. The newest sign of it is {last}.",
)


def write(shopper: Shopper, bought: Sequence[int], noise: float = NOISE) -> tuple[str, list[str], list[str]]:
    """(Step 1, entries of Step 2, entries of Step 3) after the rows `bought`, oldest first.

    The dice depend on the seed, the person and how much was bought: the same moment always gets the same text.
    """
    world = shopper.world
    draw = np.random.default_rng([world.parameters.seed, 4, shopper.number, len(bought)])
    liked = shopper.taste / shopper.taste.sum()
    crowd = world.popularity / world.popularity.sum()
    categories = _weights(liked, world.category, len(world.category_names))
    brands = _weights(liked, world.brand, len(world.brand_names))
    names = [*_best(categories, world.category_names, 3), *_best(brands, world.brand_names, 3)]
    step1 = draw.choice(_OPENINGS).format(
        categories=" and ".join(_best(categories, world.category_names, 2)) or "many things",
        brands=" and ".join(_best(brands, world.brand_names, 2)) or "no brand",
        last=head(world.items[bought[-1]].title),
    )
    popular = [*_best(_weights(crowd, world.category, len(categories)), world.category_names, 6),
               *_best(_weights(crowd, world.brand, len(brands)), world.brand_names, 6)]  # fmt: skip
    step2: list[str] = []
    for name in draw.permutation(names):
        step2.append(str(draw.choice(popular)) if popular and draw.random() < noise else str(name))
    step3: list[str] = []
    for row in _products(shopper, bought, crowd, draw, noise):
        step3.append(head(world.items[row].title))
    return step1[:1].upper() + step1[1:], list(dict.fromkeys(step2))[:ENTRIES], list(dict.fromkeys(step3))[:ENTRIES]


def _products(
    shopper: Shopper, bought: Sequence[int], crowd: np.ndarray, draw: np.random.Generator, noise: float
) -> Iterator[int]:
    """Different products that were not bought, a few more than are named: two editions of a game are one name."""
    chances, taken = shopper.chances(bought), np.zeros(len(crowd), bool)
    taken[list(bought)] = True
    for _ in range(min(2 * ENTRIES, int((~taken).sum()))):
        weights = np.where(taken, 0.0, crowd if draw.random() < noise else chances)
        if not weights.sum():
            weights = np.where(taken, 0.0, crowd)
        row = int(draw.choice(len(crowd), p=weights / weights.sum()))
        taken[row] = True
        yield row


def _weights(of_items: np.ndarray, code: np.ndarray, count: int) -> np.ndarray:
    return np.bincount(code, of_items, count)


def _best(weights: np.ndarray, names: Sequence[str], count: int) -> list[str]:
    return [names[row] for row in np.argsort(-weights, kind="stable") if names[row]][:count]
