"""Grounding: each name in a rationale is looked up in the history and the catalogue."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conftest import TINY, FakeEncoder, make_domain

from slim_app.explain import ground
from slim_app.rationale import parse
from slim_app.schema import Item, Mention, Rationale

GT7, F1, FORZA, STARDEW, _, _, G29, HEADSET = TINY


def only(mentions: tuple[Mention, ...]) -> tuple[str, str, str, float]:
    (mention,) = mentions
    return mention.kind, mention.status, mention.match, mention.similarity


@pytest.fixture
def product(tiny_domain, fake_encoder):
    """Ground one product of Step 3."""
    return lambda text, *history: only(ground(Rationale(step3=(text,)), history, tiny_domain, fake_encoder))


@pytest.fixture
def interest(tiny_domain, fake_encoder):
    """Ground one entry of Step 2."""
    return lambda text, *history: only(ground(Rationale(step2=(text,)), history, tiny_domain, fake_encoder))


@pytest.mark.parametrize(
    "text", ["Gran Turismo 7 - PlayStation 5", "gran turismo 7", "Gran Turismo® 7 (PlayStation 5)"]
)
def test_a_product_of_the_catalogue_or_the_history(product, text):
    assert product(text) == ("product", "catalogue", GT7.title, 1.0)
    assert product(text, F1, GT7) == ("product", "history", GT7.title, 1.0)


def test_another_edition_of_a_purchase_is_not_a_purchase(product):
    assert product("Minecraft - Xbox One", TINY[4]) == ("product", "catalogue", "Minecraft - Xbox One", 1.0)
    assert product("Minecraft", TINY[4]) == ("product", "history", "Minecraft - Nintendo Switch", 1.0)


def test_a_purchase_in_own_words_counts_as_history(product):
    own = Item("", "My grandmother's teapot, blue")
    assert product("my grandmother's teapot", own) == ("product", "history", own.title, 1.0)


def test_a_product_near_by_spelling(product):
    kind, status, match, similarity = product("Stardew Vally - Nintendo Switch")
    assert (kind, status, match) == ("product", "near", STARDEW.title)
    assert 0.88 <= similarity < 1


def test_a_product_near_by_meaning():
    near, far = "A racing game with cars", "Something else"
    encoder = FakeEncoder({GT7.text: (1, 0, 0), FORZA.text: (0, 1, 0), near: (0.81, 0, 0.5864), far: (0.79, 0, 0.6131)})
    domain = make_domain([GT7, FORZA], encoder)
    assert only(ground(Rationale(step3=(near,)), [], domain, encoder)) == ("product", "near", GT7.title, 0.81)
    assert only(ground(Rationale(step3=(far,)), [], domain, encoder)) == ("product", "missing", "", 0.0)


@pytest.mark.parametrize(("text", "kind", "match"), [
    ("Racing Games", "category", "Racing Games"),
    ("racing games", "category", "Racing Games"),
    ("Logitech", "brand", "Logitech"),
    ("Wheels by Logitech for PC", "brand", "Logitech"),
    ("Fast racing games by EA Sports", "category", "Racing Games"),
])  # fmt: skip
def test_an_interest_of_the_catalogue(interest, text, kind, match):
    assert interest(text) == (kind, "catalogue", match, 1.0)


def test_an_interest_of_the_history(interest):
    assert interest("racing games", GT7) == ("category", "history", "Racing Games", 1.0)
    assert interest("Sony", GT7) == ("brand", "history", "Sony", 1.0)
    assert interest("More from Sony", GT7) == ("brand", "history", "Sony", 1.0)
    assert interest("Logitech", GT7) == ("brand", "catalogue", "Logitech", 1.0)


def test_a_series_lives_in_titles(interest):
    assert interest("Forza series") == ("series", "catalogue", FORZA.title, 1.0)
    assert interest("Gran Turismo franchise", GT7) == ("series", "history", GT7.title, 1.0)
    assert interest("Stardew Valley items", GT7)[:2] == ("series", "catalogue")
    assert interest("Red")[1] != "catalogue", "too short to name a series (“WiRED”)"


def test_an_interest_near_a_category():
    text = "Driving fast"
    vectors = {text: (0.7, 0.7141, 0), "Racing Games": (1, 0, 0), "Sony": (0, 0, 1), GT7.text: (0, 0, 1)}
    encoder = FakeEncoder(vectors)
    domain = make_domain([GT7], encoder)
    assert only(ground(Rationale(step2=(text,)), [], domain, encoder)) == ("category", "near", "Racing Games", 0.7)
    encoder.vectors |= {"Racing Games": (0, 0, 1), GT7.text: (1, 0, 0)}
    domain = make_domain([GT7], encoder)
    found = only(ground(Rationale(step2=(text,)), [], domain, encoder))
    assert found == ("category or brand", "near", GT7.title, 0.7)
    encoder.vectors |= {text: (0, 1, 0)}
    assert only(ground(Rationale(step2=(text,)), [], domain, encoder)) == ("category or brand", "missing", "", 0.0)


def test_names_inside_step_one(tiny_domain, fake_encoder):
    sentence = "You own a Logitech G29 driving force, play gran turismo 7 and like Racing Games by Mojang, not Sony's."
    found = ground(Rationale(step1=(sentence,)), [G29, GT7], tiny_domain, fake_encoder)
    assert [(m.text, m.kind, m.status, m.match) for m in found] == [
        ("Logitech G29 driving force", "product", "history", G29.title),  # the longest name wins over "Logitech"
        ("gran turismo 7", "product", "history", GT7.title),
        ("Racing Games", "category", "history", "Racing Games"),
        ("Mojang", "brand", "catalogue", "Mojang"),
        ("Sony", "brand", "history", "Sony"),
    ]
    assert {m.key for m in found} == {"1.1"}
    assert all(m.text in sentence for m in found)


def test_a_brand_that_is_also_a_word(tiny_domain, fake_encoder):
    def names(sentence: str) -> list[str]:
        return [m.text for m in ground(Rationale(step1=(sentence,)), [HEADSET], tiny_domain, fake_encoder)]

    assert names("You want simple things, simply put; Simpler is better.") == []
    assert names("You trust Simple and no one else.") == ["Simple"]


def test_a_segment_still_being_written_is_left_out(tiny_domain, fake_encoder):
    growing = Rationale(step2=("Racing Games", "Log"), step3=(), open="2.2")
    assert [m.key for m in ground(growing, [], tiny_domain, fake_encoder)] == ["2.1"]
    assert [m.key for m in ground(replace(growing, open=""), [], tiny_domain, fake_encoder)] == ["2.1", "2.2"]


def test_every_entry_of_steps_two_and_three_has_one_mention(tiny_domain, fake_encoder):
    rationale = parse("Step 1: Hi.\nStep 2:\n1. 🎮\n2. ???a\n3. (\nStep 3:\n1. .*[\n2. \\\n3. a\n4. Ω≈ç")
    wanted = [s.key for s in rationale.segments() if s.step > 1]
    found = ground(rationale, [Item("", "("), Item("", ".*")], tiny_domain, fake_encoder)
    assert [m.key for m in found if m.key[0] != "1"] == wanted
    assert all(m.status in {"history", "catalogue", "near", "missing"} for m in found)


def test_with_the_real_encoder(domains, encoder):
    games = domains["games"]
    history = [games.catalog.match(title) for title in ("Gran Turismo 7", "F1 23 - PlayStation 5")]
    assert all(item.id for item in history), "the sample titles are in the catalogue"
    rationale = Rationale(
        step1=("You drive Gran Turismo 7 with a Thrustmaster.",),
        step2=("Thrustmaster", "Game pads and steering wheels", "Antique porcelain dolls"),
        step3=(games.catalog.items[0].title, "Forza Horizon 5 (Xbox Series S)", "Quilted winter horse blanket"),
    )
    found = {(m.key, m.text): (m.kind, m.status) for m in ground(rationale, history, games, encoder)}
    assert found["1.1", "Gran Turismo 7"] == ("product", "history")
    assert found["1.1", "Thrustmaster"] == ("brand", "catalogue")
    assert found["2.1", "Thrustmaster"] == ("brand", "catalogue")
    assert found["2.2", "Game pads and steering wheels"] == ("category", "near")
    assert found["2.3", "Antique porcelain dolls"][1] == "missing"
    assert found["3.1", games.catalog.items[0].title] == ("product", "catalogue")
    assert found["3.2", "Forza Horizon 5 (Xbox Series S)"] == ("product", "near")
    assert found["3.3", "Quilted winter horse blanket"] == ("product", "missing")
