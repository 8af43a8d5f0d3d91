"""Grounding: which of the things that a rationale names exist, in the history or in the catalogue."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from rapidfuzz import fuzz

from slim_app.catalog import head, normal
from slim_app.domain import Domain
from slim_app.encoder import TextEncoder
from slim_app.schema import Item, Mention, Rationale, Segment

NEAR_PRODUCT = 0.8
"""Cosine from which the nearest title counts as a near match of a product (0.74 still pairs two sports games)."""
NEAR_GROUP = 0.65
"""The same for an interest of Step 2 against categories, brands and titles: broader by nature."""
GENERIC = frozenset("series franchise games game titles products items accessories collection brand".split())
"""Words that an interest may carry beside its name: "Forza series"."""
NEAR_FUZZY = 88.0
"""The same for spelling (rapidfuzz ratio of names, 0-100)."""
NEIGHBOURS = 20
"""How many nearest items by meaning are compared by spelling."""


def ground(rationale: Rationale, history: Sequence[Item], domain: Domain, encoder: TextEncoder) -> tuple[Mention, ...]:
    """Every product of Step 3, every entry of Step 2 and every known name in Step 1, each with its status.

    `history`: it is a purchase, or the brand or category of one · `catalogue`: it exists there · `near`: something
    like it does (which, and how like) · `missing`: nothing like it was found. The segment still being written
    is left out: half a name would be judged.
    """
    lookup = _Lookup(history, domain, encoder)
    mentions: list[Mention] = []
    for segment in rationale.segments():
        if segment.key == rationale.open:
            continue
        if segment.step == 1:
            mentions += lookup.names_in(segment)
        elif segment.step == 2:
            mentions.append(lookup.interest(segment))
        else:
            mentions.append(lookup.product(segment))
    return tuple(mentions)


class _Lookup:
    """Name tables of one history and one domain."""

    def __init__(self, history: Sequence[Item], domain: Domain, encoder: TextEncoder) -> None:
        self.domain, self.encoder = domain, encoder
        self.bought = {normal(name): item.title for item in history for name in (head(item.title), item.title)}
        self.own_groups = {normal(name): name for item in history for name in (item.brand, item.category) if name}

    def product(self, segment: Segment) -> Mention:
        """A product of Step 3."""
        name = normal(segment.text)
        if name in self.bought:
            return Mention(segment.key, segment.text, "product", "history", self.bought[name], 1.0)
        row = self.domain.catalog.row_by_name(segment.text)
        if row is not None:
            title = self.domain.catalog.items[row].title
            status = "history" if normal(title) in self.bought else "catalogue"
            return Mention(segment.key, segment.text, "product", status, title, 1.0)
        title, similarity = self._nearest_item(segment.text, NEAR_PRODUCT)
        status = "near" if title else "missing"
        return Mention(segment.key, segment.text, "product", status, title, similarity)

    def interest(self, segment: Segment) -> Mention:
        """A category or brand of Step 2: the whole entry, or a brand or category named inside it, or one near it."""
        name = normal(segment.text)
        for table, status in ((self.own_groups, "history"), (self.domain.catalog.groups, "catalogue")):
            if name in table:
                return Mention(segment.key, segment.text, self._kind(table[name]), status, table[name], 1.0)
        inside = _longest_inside(segment.text, self.domain.catalog.groups)
        if inside:
            status = "history" if normal(inside) in self.own_groups else "catalogue"
            return Mention(segment.key, segment.text, self._kind(inside), status, inside, 1.0)
        title, status = self._series(name)
        if title:
            return Mention(segment.key, segment.text, "series", status, title, 1.0)
        names = list(self.domain.catalog.groups.values())
        if names:
            similarity = self.domain.group_vectors @ self.encoder.encode([segment.text])[0]
            best = int(similarity.argmax())
            if similarity[best] >= NEAR_GROUP:
                near, cosine = names[best], round(float(similarity[best]), 2)
                return Mention(segment.key, segment.text, self._kind(near), "near", near, cosine)
        title, similarity = self._nearest_item(segment.text, NEAR_GROUP)
        if title:
            return Mention(segment.key, segment.text, "category or brand", "near", title, similarity)
        return Mention(segment.key, segment.text, "category or brand", "missing")

    def _series(self, name: str) -> tuple[str, str]:
        """A series ("Forza series") lives in titles only: the first title that holds its words, and its status."""
        core = " ".join(word for word in name.split() if word not in GENERIC)
        if len(core) < 4:
            return "", ""
        for titles, status in ((self.bought.values(), "history"), (self.domain.catalog.titles_with(core), "catalogue")):
            for title in titles:
                if f" {core} " in f" {normal(title)} ":
                    return title, status
        return "", ""

    def names_in(self, segment: Segment) -> list[Mention]:
        """Products, brands and categories that a sentence of Step 1 names, left to right, longest first."""
        tables = [("product", {head(t): t for t in self.bought.values()}, "history", re.IGNORECASE)]
        # brands as written only: "Simple" is a brand, "simple" is a word
        tables += [("group", {v: v for v in self.own_groups.values()}, "history", 0)]
        tables += [("group", {v: v for v in self.domain.catalog.brands.values()}, "catalogue", 0)]
        padded = f" {normal(segment.text)} "
        found: list[tuple[int, int, Mention]] = []
        for kind, names, status, flags in tables:
            likely = [name for name in names if len(name) > 2 and f" {normal(name)} " in padded]
            for name in sorted(likely, key=len, reverse=True):
                match = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", segment.text, flags)
                if match and not any(match.start() < end and start < match.end() for start, end, _ in found):
                    label = self._kind(names[name]) if kind == "group" else "product"
                    mention = Mention(segment.key, match.group(), label, status, names[name], 1.0)
                    found.append((match.start(), match.end(), mention))
        return [mention for _, _, mention in sorted(found, key=lambda f: f[0])]

    def _kind(self, name: str) -> str:
        return "category" if normal(name) in self.domain.catalog.categories else "brand"

    def _nearest_item(self, text: str, near: float) -> tuple[str, float]:
        """Title and similarity of the item nearest in meaning or spelling, or ("", 0) when none is near."""
        vector = self.encoder.encode([text])[0]
        rows = self.domain.index.candidates(vector[None])
        everything = len(rows) == len(self.domain.vectors)  # then a copy of all vectors is spared
        cosine = (self.domain.vectors if everything else self.domain.vectors[rows]) @ vector
        top = np.argpartition(-cosine, min(NEIGHBOURS, len(cosine)) - 1)[:NEIGHBOURS]
        best, best_score = "", 0.0
        for column in top:
            title = self.domain.catalog.items[rows[column]].title
            spelling = max(fuzz.ratio(normal(text), normal(title)), fuzz.ratio(normal(text), normal(head(title))))
            score = float(cosine[column]) if cosine[column] >= near else 0.0
            if spelling >= NEAR_FUZZY:
                score = max(score, spelling / 100)
            if score > best_score:
                best, best_score = title, score
        return best, round(min(best_score, 0.99), 2)


def _longest_inside(text: str, names: dict[str, str]) -> str:
    """The longest of the names that stands as whole words inside a text, or ''."""
    padded = f" {normal(text)} "
    inside = [name for key, name in names.items() if len(key) > 2 and f" {key} " in padded]
    return max(inside, key=len, default="")

