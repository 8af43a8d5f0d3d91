"""The switch that binds products to a catalogue: built once, refused in words, and it really binds."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from conftest import FakeEncoder, make_domain

from slim_app.catalog import Catalog
from slim_app.errors import SlimError
from slim_app.reasoners import binding
from slim_app.reasoners.binding import MOST_TITLES, Bindings, can_bind
from slim_app.reasoners.catalogue_grammar import CatalogueGrammar
from slim_app.reasoners.llama_cpp import BOUND_NOTE, LlamaCppReasoner
from slim_app.schema import Item, ModelInfo
from slim_app.services import Services
from slim_app.ui.bound import measured
from slim_app.ui.handlers import Handlers
from slim_app.ui.signs import StopSigns

TITLES = "Copper Kettle|Cast Iron Pan|Oak Spoon|Paring Knife|Salt Mill|Tea Towel|Bread Bin|Milk Jug".split("|")
ITEMS = [Item(str(n), title) for n, title in enumerate(TITLES)]


def test_a_grammar_is_built_once_and_forgotten_with_its_catalogue(monkeypatch):
    built = []
    whole = CatalogueGrammar.of
    monkeypatch.setattr(
        binding, "CatalogueGrammar", SimpleNamespace(of=lambda catalog: built.append(1) or whole(catalog))
    )
    bindings, catalog = Bindings(), Catalog("toys", ITEMS)
    assert bindings.grammar(catalog) is bindings.grammar(catalog) and len(built) == 1
    assert bindings.grammar(Catalog("toys", ITEMS)) is not bindings.grammar(catalog), "of another visitor"
    assert len(bindings._grammars) == 1


def test_what_cannot_be_bound_is_refused_in_words(engine):
    large = Catalog("large", [Item(str(n), f"Lamp {n}") for n in range(MOST_TITLES + 1)])
    with pytest.raises(SlimError, match="has 20,001 products; a writer can be bound to at most 20,000"):
        Bindings().grammar(large)
    base, free = LlamaCppReasoner(engine, tuned=False), LlamaCppReasoner(engine, tuned=False, grammar=False)
    stranger = SimpleNamespace(info=ModelInfo("Teacher"))
    assert can_bind(base) and not any(map(can_bind, (free, stranger, None)))
    for reasoner in (free, stranger):
        with pytest.raises(SlimError, match="cannot be bound to a catalogue"):
            Bindings().bind(reasoner, Catalog("toys", ITEMS))


def test_a_bound_run_of_the_page_names_products_of_a_visitors_catalogue_only(engine):
    encoder = FakeEncoder(dimension=16)
    own = make_domain(ITEMS, encoder, "own")
    reasoners = {"base": LlamaCppReasoner(engine, tuned=False), "free": LlamaCppReasoner(engine, False, grammar=False)}
    services = Services({"toys": make_domain(ITEMS[:2], encoder, "toys")}, encoder, reasoners=reasoners)
    handlers = Handlers(services, StopSigns())

    def run(writer: str, bound: bool) -> dict:
        *_, last = handlers.run([ITEMS[0]], "own", own, writer, "reasoning", 5, "me", bound)
        return last

    last = run("base", True)
    state = last["result"]
    assert set(state.rationale.step3) <= set(TITLES[1:]) and len(state.rationale.step3) == 5
    answer = state.as_dict()
    assert [m["status"] for m in answer["grounding"]["mentions"] if m["key"].startswith("3.")] == ["catalogue"] * 5
    assert answer["model"]["bound"] and answer["model"]["note"] == BOUND_NOTE and state.writer == "base"
    assert BOUND_NOTE in last["reasoning"]
    assert "cannot be bound to a catalogue" in run("free", True)["reasoning"]


def test_the_measured_effect_is_shown_where_it_was_measured(tmp_path, caplog):
    file = tmp_path / "bound.json"
    assert measured(file) == ""
    rows = {
        "free": {"tokens_per_second": 70.4, "ood": 0.525, "hr10_101": 0.25, "hr10_full": 0.125},
        "bound": {"tokens_per_second": 60.6, "ood": 0.0, "hr10_101": 0.5, "hr10_full": 0.2},
    }
    file.write_text(json.dumps({"shoppers": 360, "all": rows}), "utf-8")
    text = measured(file)
    assert "360 sample shoppers" in text and "70 → 61 tokens/s" in text and "52 → 0 %" in text
    assert "25 → 50 %" in text and "12 → 20 %" in text
    for broken in ("{", "[]", '{"all": {}}', json.dumps({"shoppers": 1, "all": {**rows, "free": {"ood": "x"}}})):
        file.write_text(broken, "utf-8")
        assert measured(file) == ""
    assert "holds no figures" in caplog.text
