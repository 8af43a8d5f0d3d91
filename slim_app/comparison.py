"""What two or three finished rationales for one history have in common, and what each is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from slim_app.catalog import normal
from slim_app.domain import Domain
from slim_app.encoder import TextEncoder
from slim_app.explain import ground
from slim_app.quality import canonical, form
from slim_app.recommenders.rank import rank
from slim_app.schema import Item, Mention, Recommendation, Segment

if TYPE_CHECKING:
    from slim_app.compare_state import SideState
    from slim_app.recommenders.text_match import Ranker
    from slim_app.recommenders.trained import TrainedRanker

USERS = 1_000
STATUSES = ("history", "catalogue", "near", "missing")


@dataclass(frozen=True)
class Overlap:
    """Entries of one step of two rationales, as they were written; of a shared one the first writer's words."""

    shared: tuple[str, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """One side. None stands for what is not known or does not apply, never 0."""

    key: str
    valid: bool | None
    """Three steps, five categories or brands, five products, not cut off; None where nothing was written."""
    repetition: float | None
    """Share of the text's runs of four words that had been there before."""
    repeated_products: float | None
    """Share of the products of Step 3 that `products` found in the history."""
    products: dict[str, int] | None
    """How many products of Step 3 are in the history, in the catalogue, near something there, or not found."""
    held_out_rank: int | None
    """Of the purchase that came next, 1 to `Comparison.ranked`; None also where an index did not reach it."""
    first_token_seconds: float | None
    tokens_per_second: float | None
    tokens: int | None
    seconds: float | None
    """These four are None for a replay: its pace is made up."""
    cost: float | None
    """USD of this run."""
    cost_per_1000: float | None
    """USD for 1,000 users at the cost of this run."""
    top: tuple[Recommendation, ...] = ()


@dataclass(frozen=True)
class Pair:
    """Two sides."""

    first: str
    second: str
    cosine: float | None
    """Of the encoded canonical texts (Eq. 5)."""
    top_shared: int | None
    """Items that both lists of the first k have."""
    categories: Overlap
    products: Overlap


@dataclass(frozen=True)
class Comparison:
    """The summary of a comparison; `held_out` is the title of the next purchase, empty without one."""

    sides: tuple[Summary, ...]
    pairs: tuple[Pair, ...]
    k: int
    held_out: str = ""
    ranked: int = 0
    """Products that are ranked: all of the catalogue that were not bought."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def summarise(
    sides: Sequence[SideState],
    history: Sequence[Item],
    domain: Domain,
    encoder: TextEncoder,
    ranker: Ranker | TrainedRanker,
    held_out: str = "",
    k: int = 10,
) -> Comparison:
    """Compare what was written; a side that failed or wrote nothing takes part with what it has.

    Args:
        held_out: id of the next purchase; empty without one.

    Raises:
        SlimError: k out of range, or the encoder is missing.
    """
    summaries, mentions = [], {}
    for side in sides:
        written = any(side.rationale.segments())
        mentions[side.key] = ground(side.rationale, history, domain, encoder) if written else ()
        top = rank(history, side.rationale, domain, encoder, ranker, k) if written else ()
        place = held_out_rank(side, history, domain, encoder, ranker, held_out) if written and held_out else None
        summaries.append(_summary(side, history, mentions[side.key], top, place))
    tops = {summary.key: {item.id for item in summary.top} for summary in summaries}
    pairs = []
    for first, second in combinations(sides, 2):
        both = [first.rationale, second.rationale]
        whole = all(any(rationale.segments()) for rationale in both)
        vectors = encoder.encode([canonical(rationale) for rationale in both]) if whole else None
        names = [[_names(side, step, mentions[side.key]) for side in (first, second)] for step in (2, 3)]
        pairs.append(Pair(
            first.key, second.key,
            cosine=None if vectors is None else round(float(vectors[0] @ vectors[1]), 4),
            top_shared=len(tops[first.key] & tops[second.key]) if whole else None,
            categories=_overlap(*names[0]), products=_overlap(*names[1]),
        ))  # fmt: skip
    title = domain.catalog.items[domain.catalog.row_of_id[held_out]].title if held_out else ""
    return Comparison(tuple(summaries), tuple(pairs), k, title, int((~domain.catalog.mask(history)).sum()))


def held_out_rank(
    side: SideState, history: Sequence[Item], domain: Domain, encoder: TextEncoder, ranker, held_out: str
) -> int | None:
    """1-based rank of one item among all that were not bought; ties go to the earlier one, as in the list shown."""
    rows, _, scored = ranker.over(history, side.rationale, domain, encoder)
    allowed = ~domain.catalog.mask(history)[rows]
    columns = np.flatnonzero(rows == domain.catalog.row_of_id[held_out])
    if not len(columns) or not allowed[columns[0]]:
        return None
    mine, before = scored.scores[columns[0]], rows < rows[columns[0]]
    return int((((scored.scores > mine) | ((scored.scores == mine) & before)) & allowed).sum()) + 1


def _summary(
    side: SideState, history: Sequence[Item], mentions: Sequence[Mention], top: tuple[Recommendation, ...],
    place: int | None,
) -> Summary:  # fmt: skip
    stats, written = side.stats, any(side.rationale.segments())
    measures = form(side.rationale, side.text, history) if written else None
    found = Counter(mention.status for mention in mentions if mention.key.startswith("3."))
    suggested = len(side.rationale.step3)
    measured = side.measured and stats.tokens > 0
    whole = side.status == "finished" and side.measured and side.price is not None
    cost = side.price.cost(stats) if whole and side.price else None
    return Summary(
        key=side.key,
        valid=bool(measures["valid"]) if measures else None,
        repetition=round(measures["repeated_ngrams"], 4) if measures else None,
        repeated_products=found["history"] / suggested if suggested else None,
        products={status: found[status] for status in STATUSES} if written else None,
        held_out_rank=place,
        first_token_seconds=round(stats.first_token_seconds, 3) if measured else None,
        tokens_per_second=round(stats.tokens_per_second, 1) or None if measured else None,
        tokens=stats.tokens if measured else None,
        seconds=round(stats.seconds, 3) if measured else None,
        cost=cost,
        cost_per_1000=None if cost is None else USERS * cost,
        top=top,
    )


def _names(side: SideState, step: int, mentions: Sequence[Mention]) -> dict[str, str]:
    """What each entry of a step is compared by → its words; an entry that is repeated counts once."""
    found = {mention.key: mention for mention in mentions if mention.kind == "product"}
    names: dict[str, str] = {}
    for entry in side.rationale.segments():
        if entry.step == step:
            names.setdefault(_name(entry, found.get(entry.key)), entry.text)
    return names


def _name(entry: Segment, mention: Mention | None) -> str:
    """Products that were found in history or catalogue are compared as those; all else by case-free words."""
    found = mention is not None and mention.status in ("history", "catalogue")
    return normal(mention.match if mention is not None and found else entry.text)


def _overlap(first: dict[str, str], second: dict[str, str]) -> Overlap:
    def words(names: dict[str, str], kept: set[str]) -> tuple[str, ...]:
        return tuple(text for name, text in names.items() if name in kept)

    both = first.keys() & second.keys()
    return Overlap(words(first, both), words(first, first.keys() - both), words(second, second.keys() - both))
