"""Finding items: what a person types while searching, and what a pasted line means."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest

from slim_app.catalog import Catalog, head, normal
from slim_app.schema import Item


def ids(catalog: Catalog, query: str, limit: int = 20) -> list[str]:
    return [catalog.items[hit.row].id for hit in catalog.search(query, limit)]


@pytest.fixture(scope="module")
def large() -> Catalog:
    """20,000 titles of made-up words, each with its own number."""
    dice = random.Random(7)
    words = ["".join(dice.choices("abcdefghijklmnoprstuvw", k=dice.randint(4, 9))) for _ in range(3000)]
    names = [" ".join(dice.choices(words, k=dice.randint(2, 7))).title() for _ in range(20_000)]
    return Catalog("large", [Item(f"L{n}", f"{name} {n}", dice.choice(words)) for n, name in enumerate(names)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("F1® 23 - PS5", "f1 23 ps5"), ("  Ben & Jerry's ", "ben jerry s"), ("C++", "c++"), ("🎮", "🎮"), ("", "")],
)
def test_normal_form(text, expected):
    assert normal(text) == expected


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Gran Turismo 7 - PlayStation 5", "Gran Turismo 7"), ("Tea, 20 Bags", "Tea"), ("Lamp (2 pack)", "Lamp"),
        ("Spider-Man 2", "Spider-Man 2"), ("- odd", "- odd"), ("Halo | Xbox", "Halo"),
    ],
)  # fmt: skip
def test_head_of_a_title(title, expected):
    assert head(title) == expected


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("gran turismo 7 - playstation 5", "G1"),
        ("Gran Tur", "G1"),
        ("playstation turismo", "G1"),
        ("switch stardew", "G4"),
        ("stardw vallei", "G4"),
        ("Concerned", "G4"),
        ("farming sims", "G4"),
        ("mojang xbox", "G6"),
        ("G7", "G7"),
    ],
)
def test_search_finds(tiny_catalog, query, best):
    assert ids(tiny_catalog, query)[0] == best


def test_search_order_and_limit(tiny_catalog):
    assert ids(tiny_catalog, "minecraft") == ["G6", "G5"], "the shorter title of two prefix hits comes first"
    assert ids(tiny_catalog, "minecraft", 1) == ["G6"]
    scores = [hit.score for hit in tiny_catalog.search("playstation 5")]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == 90.0
    assert ids(tiny_catalog, "sandbox")[:2] == ["G6", "G5"]


@pytest.mark.parametrize("query", ["", "   ", "\u202e\u200b", "\x00"])
def test_search_for_nothing(tiny_catalog, query):
    assert tiny_catalog.search(query) == []


@pytest.mark.parametrize("limit", [0, -3])
def test_search_without_limit(tiny_catalog, limit):
    assert tiny_catalog.search("minecraft", limit) == []


def test_search_with_odd_queries(tiny_catalog):
    assert ids(tiny_catalog, "🎮🎮") == []
    assert ids(tiny_catalog, "zzzzqqqq") == []
    assert ids(tiny_catalog, "<script>.*[") == []
    assert ids(tiny_catalog, "minecraft " * 500) == ids(tiny_catalog, "minecraft " * 20)
    catalog = Catalog("odd", [Item("1", "🎮"), Item("2", "任天堂 Switch"), Item("3", "Ice Cream", "Ben & Jerry's")])
    assert ids(catalog, "🎮") == ["1"]
    assert ids(catalog, "任天") == ["2"]
    assert ids(catalog, "ben & jerry's")[0] == "3"


def test_search_in_twenty_thousand_titles(large):
    dice = random.Random(1)
    queries = []
    for row in dice.sample(range(len(large)), 5):
        words = large.items[row].title.split()
        queries += [(" ".join(reversed(words)), row), (large.items[row].title[:-1], row), (f"L{row}", row)]
        typing_error = large.items[row].title[0] + large.items[row].title[2:]
        queries.append((typing_error, row))
    slowest = 0.0
    for query, row in queries:
        start = time.perf_counter()
        rows = [hit.row for hit in large.search(query, 10)]
        slowest = max(slowest, time.perf_counter() - start)
        assert row in rows, query
    large.search("x" * 5000)
    assert slowest < 1.0


def test_search_agrees_with_a_plain_scan(large):
    word = large.items[5].title.split()[0].lower()
    expected = {n for n, item in enumerate(large.items) if f" {word}" in f" {item.title.lower()} {item.brand}"}
    assert {hit.row for hit in large.search(word, len(expected))} == expected


@pytest.mark.parametrize(
    ("line", "item_id"),
    [
        ("G3", "G3"),
        ("Gran Turismo 7 - PlayStation 5", "G1"),
        ("  gran turismo 7 – PLAYSTATION 5! ", "G1"),
        ("Gran Turismo 7", "G1"),
        ("Wired Stereo Headset", "G8"),
        ("Stardew Vally - Nintendo Swich", "G4"),
        ("EA Sports F1 23 Playstation5", "G2"),
        ("Logitech G29 Drivng Force", "G7"),
    ],
)
def test_match_finds_the_item(tiny_catalog, line, item_id):
    assert tiny_catalog.match(line).id == item_id


@pytest.mark.parametrize("line", [
    "EA Sports F1 22 - PlayStation 5", "Gran Turismo 6 - PlayStation 5", "Forza Horizon 4 - Xbox Series X", "Minecraft",
    "g3", "A book about bees", "F1", "<b>Lamp</b>",
])  # fmt: skip
def test_match_leaves_free_text(tiny_catalog, line):
    assert tiny_catalog.match(line) == Item("", line)


def test_match_knows_roman_numerals():
    catalog = Catalog("ff", [Item("1", "Final Fantasy XVI - PlayStation 5"), Item("2", "Something Else")])
    assert catalog.match("Final Fantasy XV - PlayStation 5").id == ""
    assert catalog.match("Final Fantsy XVI - PlayStation 5").id == "1"


def test_match_without_fuzzy(tiny_catalog):
    assert tiny_catalog.match("Stardew Vally - Nintendo Swich", fuzzy=False).id == ""
    assert tiny_catalog.match("gran turismo 7", fuzzy=False).id == "G1"


def test_match_cleans_free_text(tiny_catalog):
    assert tiny_catalog.match("my\x00 own\u202e\nlamp") == Item("", "my own lamp")
    assert len(tiny_catalog.match("x" * 5000).title) == 301


def test_every_item_is_matched_with_itself(domains):
    for domain in domains.values():
        for item in domain.catalog.items:
            assert domain.catalog.match(item.id) == item
            assert domain.catalog.match(item.title) == item


def test_mask(tiny_catalog):
    bought = [tiny_catalog.items[1], Item("", "own words"), tiny_catalog.items[6], Item("G99", "elsewhere")]
    assert np.flatnonzero(tiny_catalog.mask(bought)).tolist() == [1, 6]
    assert not tiny_catalog.mask([]).any()


def test_groups(tiny_catalog):
    assert tiny_catalog.categories["racing games"] == "Racing Games"
    assert tiny_catalog.brands["ea sports"] == "EA Sports"
    assert len(tiny_catalog.groups) == len(tiny_catalog.brands) + len(tiny_catalog.categories) == 12
    both = Catalog("both", [Item("1", "A", "Lego", "Toys"), Item("2", "B", "Hasbro", "LEGO")])
    assert both.groups == {"lego": "LEGO", "hasbro": "Hasbro", "toys": "Toys"}
