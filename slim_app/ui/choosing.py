"""What follows from the chosen catalogue and ranker: samples, rankers, what the search box and the button say."""

from __future__ import annotations

from typing import Any

import gradio as gr

from slim_app.domain import Domain
from slim_app.recommenders.rankers import default_for, rankers_of
from slim_app.services import Services
from slim_app.ui import render, words
from slim_app.ui.handlers import OWN


def ranker_choices(domain: Domain | None) -> list[tuple[str, str]]:
    """(label, name) of each ranker that a catalogue has."""
    return [(words.RANKERS[name].format(backbone=backbone(domain)), name) for name in rankers_of(domain)]


def backbone(domain: Domain | None) -> str:
    """The kind of a catalogue's trained recommender; empty without one."""
    return domain.recommender.backbone if domain and domain.recommender else ""


def sample_choices(services: Services, name: str) -> list[tuple[str, str]]:
    """(name, id) of a catalogue's sample shoppers."""
    return [(s.name, s.shopper_id) for s in services.samples(name)]


class Choices:
    """Bound to the parts of the explain tab, by name."""

    def __init__(self, services: Services, c: dict[str, Any]) -> None:
        self.services, self.c = services, c

    @property
    def parts(self) -> list[Any]:
        """What `follow` may change."""
        return [self.c[n] for n in ("own_panel", "more", "search", "ranker", "ranker_help", "run")]

    def follow(self, name: str, own: Domain | None, ranker: str) -> dict[Any, Any]:
        """Component → value after another catalogue was chosen; the ranker stays where the catalogue has it."""
        shoppers, domain = self.services.samples(name), self._domain(name, own)
        hint = words.SEARCH_HINT.format(count=len(domain.catalog)) if domain else words.SEARCH_LATER
        ranker = default_for(domain, ranker)
        return {
            self.c["own_panel"]: gr.update(visible=name == OWN),
            self.c["more"]: gr.update(
                choices=sample_choices(self.services, name), value=None, visible=len(shoppers) > 3,
                label=words.MORE_SAMPLES.format(count=len(shoppers)),
            ),
            self.c["search"]: gr.update(value="", placeholder=hint),
            self.c["ranker"]: gr.update(choices=ranker_choices(domain), value=ranker),
        } | self.described(ranker, name, own)  # fmt: skip

    def described(self, ranker: str, name: str, own: Domain | None) -> dict[Any, Any]:
        """What the chosen ranker does, and what the button will do."""
        alone = ranker in ("history", "sequence")
        return {
            self.c["ranker_help"]: render.ranker_help(ranker, backbone(self._domain(name, own))),
            self.c["run"]: gr.update(value=words.RUN_HISTORY if alone else words.RUN),
        }

    def _domain(self, name: str, own: Domain | None) -> Domain | None:
        return self.services.domain(name, own) if name in self.services.domains or own is not None else None
