"""Which rankers a catalogue has: text matching everywhere, the trained ones where its folder holds a recommender."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from slim_app.domain import Domain
from slim_app.errors import SlimError
from slim_app.recommenders.text_match import DEFAULT_RANKER, RANKERS, Ranker

if TYPE_CHECKING:
    from slim_app.recommenders.trained import TrainedRanker

TRAINED = ("fused", "sequence")
NAMES = (*[name for name in RANKERS if name != "history"], *TRAINED, "history")
"""All of them, in the order in which a person is offered them."""


def rankers_of(domain: Domain | None) -> list[str]:
    """The names that `choose_ranker` knows for a catalogue (None: one that is not there yet)."""
    folder = domain.recommender if domain else None
    offered = {*RANKERS, *(TRAINED if folder and folder.fuses else TRAINED[1:] if folder else ())}
    return [name for name in NAMES if name in offered]


def check_name(name: str) -> str:
    """Raises SlimError for a name that no catalogue has."""
    if not isinstance(name, str) or name not in NAMES:
        raise SlimError(f"Unknown ranker “{str(name)[:40]}”. Choose one of: {', '.join(NAMES)}.")
    return name


def choose_ranker(name: str, domain: Domain, weight: float | None = None) -> Ranker | TrainedRanker:
    """The ranker for a catalogue; `weight` moves a fused one (see `Sides`).

    Raises:
        SlimError: an unknown name, a catalogue without such a recommender, or one that cannot be loaded.
    """
    check_name(name)
    if name in RANKERS:
        return RANKERS[name]
    folder = domain.recommender
    if name not in rankers_of(domain) or folder is None:
        what = "has no recommender that reads rationales" if folder else "has no trained recommender"
        others = ", ".join(rankers_of(domain))
        raise SlimError(
            f"The catalogue “{domain.label}” {what}, so “{name}” cannot rank it. Choose one of: {others}; or train one "
            "on your own data: python -m training.train_recommender --variant gated --out DOMAIN_FOLDER/recommender."
        )
    from slim_app.recommenders.trained import TrainedRanker  # torch: only where it ranks

    ranker = TrainedRanker(name, folder.load(), domain.catalog.row_of_id, folder.backbone, folder.trained_on)
    return replace(ranker, weight=weight) if name == "fused" else ranker


def default_for(domain: Domain | None, wanted: str = DEFAULT_RANKER) -> str:
    """`wanted` where the catalogue has it, else plain text matching."""
    return wanted if wanted in rankers_of(domain) else DEFAULT_RANKER
