"""Invented shoppers over a real catalogue: what makes a simulated person buy one thing after another.

The chance of the next purchase is a product of plain factors (`Shopper.chances`): how popular the item is, how much
this person likes its category, brand and edition (the maker of its console, say), whether it stays in the category of
the purchase before, and whether it continues a numbered series. Nothing is bought twice, no series runs backwards.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from slim_app.catalog import head, normal
from slim_app.errors import SlimError
from slim_app.schema import Item

_NUMBERED = re.compile(r"^(.*?[^\W\d_].*?)\s+(\d{1,4}|[IVX]{1,5})$")
_EDITION = re.compile(r"\s[-–—]\s([^-–—]+)$")
_ROMAN = {"I": 1, "V": 5, "X": 10}


@dataclass(frozen=True)
class Parameters:
    """What the simulation is made of; all of it stands in the dataset's `meta.json`."""

    shoppers: int = 2_000
    seed: int = 0
    shortest: int = 5
    mean_length: float = 9.0
    longest: int = 20
    """As many purchases as the app reads of a history."""
    popularity: float = 0.4
    """Exponent of Zipf's law over a random order of the catalogue; 0 = all items alike."""
    category_focus: float = 0.3
    """Concentration of the Dirichlet distribution of a person's categories: small = few of them."""
    brand_taste: float = 1.0
    """Standard deviation of the logarithm of a person's liking of each brand."""
    edition_focus: float = 0.25
    """As `category_focus`, for editions."""
    stay: float = 2.0
    """How many times likelier an item is in the category of the purchase before."""
    sequel: float = 30.0
    """How many times likelier the next part of a series is that was begun."""
    common_edition: int = 5
    """So many titles must share an ending for its first word to be an edition that people have a taste in."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def series_of(title: str) -> tuple[str, int] | None:
    """Name and number of a numbered title ("Forza Horizon 4 - Xbox One" → "forza horizon", 4), None for others."""
    for name in (head(title), head(title).split(":")[0].strip()):
        found = _NUMBERED.match(name)
        if found:
            return normal(found[1]), int(found[2]) if found[2].isdecimal() else _roman(found[2])
    return None


def _roman(text: str) -> int:
    values = [_ROMAN[letter] for letter in text]
    return sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True))


class World:
    """A catalogue as the simulation sees it.

    Raises:
        SlimError: too few items to fill the longest history.
    """

    def __init__(self, items: Sequence[Item], parameters: Parameters) -> None:
        if len(items) <= parameters.longest:
            what = f"{len(items)} products are too few for histories of up to {parameters.longest}"
            raise SlimError(f"{what}. Give a larger catalogue, or a smaller --longest.")
        self.items, self.parameters = tuple(items), parameters
        self.category_names, self.category = _codes([item.category for item in items])
        self.brand_names, self.brand = _codes([item.brand for item in items])
        self.edition_names, self.edition = _codes(self._editions())
        order = np.random.default_rng([parameters.seed, 1]).permutation(len(items))
        self.popularity = (1.0 + np.argsort(order)) ** -parameters.popularity

    def _editions(self) -> list[str]:
        """Of each item the first word of a common ending ("… - Xbox One" → "Xbox"), or such a word in its name."""
        endings = [found[1].strip() if (found := _EDITION.search(item.title)) else "" for item in self.items]
        common = [e for e in dict.fromkeys(endings) if e and endings.count(e) >= self.parameters.common_edition]
        words = list(dict.fromkeys(ending.split()[0] for ending in common))

        def of(item: Item, ending: str) -> str:
            if ending in common:
                return ending.split()[0]
            return next((word for word in words if word in re.split(r"\W+", f"{item.title} {item.brand}")), "")

        return [of(item, ending) for item, ending in zip(self.items, endings, strict=True)]

    @cached_property
    def series(self) -> tuple[np.ndarray, np.ndarray]:
        """(n,) series of each item, -1 for none, and (n,) its number. An unnumbered namesake counts as part 1."""
        found = [series_of(item.title) for item in self.items]
        names = {name for name, _ in filter(None, found)}
        alone = [normal(head(item.title)) for item in self.items]
        found = [f or ((name, 1) if name in names else None) for f, name in zip(found, alone, strict=True)]
        parts: dict[str, set[int]] = {}
        for name, number in filter(None, found):
            parts.setdefault(name, set()).add(number)
        row_of = {name: row for row, name in enumerate(sorted(n for n, numbers in parts.items() if len(numbers) > 1))}
        series = np.array([row_of.get(f[0], -1) if f else -1 for f in found])
        return series, np.array([f[1] if f else 0 for f in found])

    def shopper(self, number: int) -> Shopper:
        """The person with this number: the same for the same seed."""
        draw, p = np.random.default_rng([self.parameters.seed, 2, number]), self.parameters
        categories = draw.dirichlet(np.full(len(self.category_names), p.category_focus))
        brands = np.exp(draw.normal(0, p.brand_taste, len(self.brand_names)))
        editions = draw.dirichlet(np.full(len(self.edition_names), p.edition_focus))
        if len(self.edition_names) > 1 and "" in self.edition_names:  # what comes in no edition fits everybody
            editions[self.edition_names.index("")] = editions.max()
        return Shopper(self, number, categories, brands, editions)


@dataclass(frozen=True)
class Shopper:
    """One simulated person: a liking of each category, brand and edition."""

    world: World
    number: int
    categories: np.ndarray
    brands: np.ndarray
    editions: np.ndarray

    @cached_property
    def taste(self) -> np.ndarray:
        """(n,) how much the person likes each item, popularity included."""
        world = self.world
        liking = self.categories[world.category] * self.brands[world.brand] * self.editions[world.edition]
        return liking * world.popularity + 1e-12  # so that nobody ever runs out of things to buy

    def chances(self, bought: Sequence[int]) -> np.ndarray:
        """(n,) probability of each item to be the next purchase after the rows `bought`."""
        world, p = self.world, self.world.parameters
        weights = self.taste.copy()
        series, part = world.series
        for name in {series[row] for row in bought} - {-1}:
            mine = series == name
            reached = max(part[row] for row in bought if series[row] == name)
            later = mine & (part > reached)
            weights[mine & ~later] = 0.0
            if later.any():
                weights[later & (part == part[later].min())] *= p.sequel
        if len(bought):
            weights[world.category == world.category[bought[-1]]] *= p.stay
            weights[list(bought)] = 0.0
        return weights / weights.sum()

    def purchases(self) -> list[int]:
        """Rows of the catalogue, oldest first."""
        draw, p = np.random.default_rng([self.world.parameters.seed, 3, self.number]), self.world.parameters
        length = p.shortest + draw.geometric(1 / (1 + max(0.0, p.mean_length - p.shortest))) - 1
        bought: list[int] = []
        for _ in range(min(int(length), p.longest)):
            bought.append(int(draw.choice(len(self.taste), p=self.chances(bought))))
        return bought


def _codes(names: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """The different names in order of appearance, and (n,) the number of each item's name."""
    different = list(dict.fromkeys(names))
    row_of = {name: row for row, name in enumerate(different)}
    return different, np.array([row_of[name] for name in names])
