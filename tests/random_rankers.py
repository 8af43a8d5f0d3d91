"""Recommenders with random weights over forty things, and the fixtures of tests that rank with them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from conftest import FakeEncoder, make_domain

from slim_app.rationale import parse
from slim_app.recommenders.checkpoint import trained
from slim_app.recommenders.config import RecommenderConfig
from slim_app.recommenders.fused import FusedRecommender
from slim_app.recommenders.rank import rank
from slim_app.recommenders.rankers import choose_ranker
from slim_app.recommenders.trained import TrainedRanker
from slim_app.schema import Item, State
from slim_app.services import Services

N, D, H = 40, 12, 8
ITEMS = [Item(f"i{n}", f"Thing {n}", f"Maker {n % 4}", f"Kind {n % 3}") for n in range(N)]
RATIONALE = parse(
    "Step 1: You like red things. You also like blue ones.\n"
    "Step 2:\n1. Red\n2. Blue\n3. Green\n4. Grey\n5. White\nStep 3:\n1. Ball\n2. Cube\n3. Cone\n4. Ring\n5. Rod"
)
HISTORY = [ITEMS[n] for n in (3, 17, 8, 25)]
ROWS = [3, 17, 8, 25]


@pytest.fixture(scope="module", name="fake")
def the_fake() -> FakeEncoder:
    return FakeEncoder(dimension=D)


@pytest.fixture(scope="module", name="domain")
def the_domain(fake):
    return make_domain(ITEMS, fake)


def build(domain, variant: str, how: str = "pooled", reads: str = "id", backbone: str = "sasrec", **values):
    """A recommender with random weights, large enough that every part of it matters."""
    torch.manual_seed(1)
    config = RecommenderConfig(backbone, variant, N, 0 if variant == "id" else D, ranker=how, reads=reads, hidden=H,
                               layers=1, max_length=20, **values)  # fmt: skip
    model = FusedRecommender(config, None if variant == "id" else torch.from_numpy(domain.vectors))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.4)
    return trained(model, {})


def ranker_of(domain, *how, name: str = "fused", weight=None, **values) -> TrainedRanker:
    return TrainedRanker(name, build(domain, *how, **values), domain.catalog.row_of_id, "SASRec", "toys", weight)


class Folder:
    """What a domain's `recommender` must offer, around a model in memory."""

    backbone, trained_on, fuses = "SASRec", "2,000 simulated shoppers", True
    weights_digest = "of the toys"

    def __init__(self, model) -> None:
        self.load = lambda: model


@pytest.fixture(name="services")
def the_services(domain, fake):
    return Services({"tiny": replace(domain, recommender=Folder(build(domain, "gated", "late")))}, fake)


@pytest.fixture(name="finished")
def a_fused_run(services, fake) -> State:
    """A fused run that has ended."""
    domain, history = services.domains["tiny"], tuple(ITEMS[n] for n in (3, 17, 8))
    ranker = choose_ranker("fused", domain)
    found = rank(history, RATIONALE, domain, fake, ranker, 5)
    return State("done", RATIONALE, recommendations=found, domain="tiny", ranker="fused", history=history,
                 ranker_notes=ranker.notes(history))  # fmt: skip
