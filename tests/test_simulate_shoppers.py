"""Simulated shoppers: the same for the same seed, series in order, and rationales that saw nothing of the future."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT, FakeEncoder

from slim_app.catalog import head
from slim_app.errors import SlimError
from slim_app.rationale import parse
from slim_app.schema import Item
from training.dataset import read_dataset
from training.positions import POSITIONS
from training.recommender.rationales import read_table
from training.recommender.sequences import Sequences, Windows
from training.simulate_shoppers import main, read_items, simulate
from training.simulated_rationales import MODEL, write
from training.simulation import Parameters, World, series_of

GAMES = ROOT / "assets" / "domains" / "games"
FEW = Parameters(shoppers=60)


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return read_items(GAMES)


@pytest.fixture(scope="module")
def world(items) -> World:
    return World(items, FEW)


def test_the_number_of_a_series():
    assert series_of("Forza Horizon 4 - Xbox One") == ("forza horizon", 4)
    assert series_of("Sid Meier's Civilization VI - Nintendo Switch") == ("sid meier s civilization", 6)
    assert series_of("Resident Evil 7: Biohazard Gold Edition - PlayStation 4") == ("resident evil", 7)
    assert series_of("Street Fighter IX") == ("street fighter", 9)
    for title in ("Hades - Nintendo Switch", "Folgers Ground Coffee, 30.5 oz", "2048", "Super Mario 3D World"):
        assert series_of(title) is None


def test_a_lonely_number_is_no_series():
    series, part = World(saga("Xbox Series X", "Forza 4", "Forza 5", "Hades", "Hades 2"), Parameters(longest=4)).series
    assert (series[0], part[1:].tolist()) == (-1, [4, 5, 1, 2])
    assert series[1] == series[2] != series[3] == series[4], "a namesake without a number is part 1"


def saga(*names: str) -> list[Item]:
    return [Item(f"i{n}", name, "B", "C") for n, name in enumerate(names)]


def test_the_chances_by_hand():
    flat = Parameters(longest=3, shortest=2, popularity=0, brand_taste=0, stay=2, sequel=5)
    items = [*saga("Saga", "Saga 2", "Saga 3", "Other"), Item("i4", "Elsewhere", "B", "D")]
    shopper = World(items, flat).shopper(0)
    shopper = replace(shopper, categories=np.array([0.5, 0.5]), brands=np.ones(1), editions=np.ones(1))
    assert shopper.chances([]) == pytest.approx([0.2] * 5)
    # after “Saga”: part 2 is 5 times likelier, category C twice as likely as D, nothing comes twice
    assert shopper.chances([0]) == pytest.approx(np.array([0, 10, 2, 2, 1]) / 15)
    # after part 2 the first part never follows; after “Elsewhere” nothing of D is left
    assert shopper.chances([1]) == pytest.approx(np.array([0, 0, 10, 2, 1]) / 13)
    assert shopper.chances([1, 4]) == pytest.approx(np.array([0, 0, 5, 1, 0]) / 6)


def test_the_same_seed_gives_the_same_shoppers(items):
    few = Parameters(shoppers=6)
    assert simulate(items, few, 0.2) == simulate(items, few, 0.2)
    assert simulate(items, replace(few, seed=1), 0.2)[0] != simulate(items, few, 0.2)[0]
    more = simulate(items, replace(few, shoppers=8), 0.2)
    assert more[0][:6] == simulate(items, few, 0.2)[0], "further shoppers do not change the first ones"


def test_every_sequence_is_plausible(world):
    series, part = world.series
    assert len({name for name in series if name >= 0}) >= 8, "the games have series to keep in order"
    seen = 0
    for number in range(FEW.shoppers):
        bought = world.shopper(number).purchases()
        assert FEW.shortest <= len(bought) <= FEW.longest and len(set(bought)) == len(bought)
        for name in {series[row] for row in bought} - {-1}:
            parts = [part[row] for row in bought if series[row] == name]
            assert parts == sorted(set(parts))
            seen += len(parts) > 1
    assert seen > 1, "sequels were bought at all"


def test_people_have_tastes_and_the_world_has_favourites(world):
    def share(rows) -> float:
        _, counts = np.unique(world.category[rows], return_counts=True)
        return counts.max() / len(rows)

    bought = [world.shopper(number).purchases() for number in range(FEW.shoppers)]
    own = np.mean([share(rows) for rows in bought])
    everyone = share(np.concatenate(bought))
    assert own > 2 * everyone, "a person buys in few categories, the crowd in all"
    popular = np.argsort(-world.popularity)[:90]
    assert np.isin(np.concatenate(bought), popular).mean() > 0.3, "a quarter of the items, more than a quarter of sales"


# -- rationales -------------------------------------------------------------------------------------------------------

def test_a_rationale_depends_on_nothing_that_comes_later(world, items):
    sequences, rows = simulate(items, FEW, 0.2)
    for row in rows:
        number = int(row["user_id"][1:])
        shopper = world.shopper(number)
        step1, step2, step3 = write(shopper, sequences[number][: row["upto"]], 0.2)
        assert (row["step1"], row["step2"], row["step3"]) == (step1, step2, step3)
    assert {len(sequences[int(r["user_id"][1:])]) - r["upto"] for r in rows} == set(POSITIONS.values())


def test_the_next_purchase_is_named_as_often_as_chance_names_it(items):
    """Hidden knowledge would name it nearly always, avoiding it never; the writer's chances lie in between."""
    world = World(items, Parameters(shoppers=400))
    hits, expected = 0, 0.0
    for number in range(400):
        shopper = world.shopper(number)
        bought = shopper.purchases()
        before, target = bought[:-1], bought[-1]
        named = write(shopper, before, 0.0)[2]
        hits += items[target].title.startswith(tuple(named))
        chances = shopper.chances(before)
        expected += float(chances @ (1 - (1 - chances) ** 5))  # five draws that know no more than the chances
    assert 0.7 * expected < hits < 1.5 * expected, (hits, expected)


def test_the_form_is_the_students(world):
    for number in range(20):
        shopper = world.shopper(number)
        bought = shopper.purchases()[:4]
        step1, step2, step3 = write(shopper, bought)
        lines = [f"Step 1: {step1}", "Step 2:", *(f"{n}. {x}" for n, x in enumerate(step2, 1)), "Step 3:",
                 *(f"{n}. {x}" for n, x in enumerate(step3, 1))]  # fmt: skip
        read = parse("\n".join(lines))
        assert read.complete and read.problems == () and len(read.step2) == len(read.step3) == 5
        for name in step3:
            rows = {row for row, item in enumerate(world.items) if head(item.title) == name}
            assert rows - set(bought), "it is in the catalogue, and not all of its editions were bought"


# -- the dataset folder -----------------------------------------------------------------------------------------------

def test_the_folder_is_read_by_the_training(tmp_path):
    main(["--domain", str(GAMES), "--out", str(tmp_path / "toys"), "--shoppers", "12"])
    meta = json.loads((tmp_path / "toys" / "meta.json").read_text("utf-8"))
    assert meta["simulated"] is True and meta["parameters"]["seed"] == 0 and meta["users"] == 12
    dataset = read_dataset(tmp_path / "toys")
    assert dataset.simulated and len(dataset.items) == 360 and len(dataset.sequences) == 12
    assert dataset.items["G311"].brand == "Microsoft" and dataset.items["G311"].category
    sequences = Sequences.of(dataset)
    table = read_table(tmp_path / "toys" / "rationales.jsonl", sequences, FakeEncoder(), "late", (1, 2, 3))
    assert table.model == MODEL and len(table.user) == 36
    windows = Windows(sequences, 20, *table.newest(sequences, "train"))  # raises where a rationale saw its target
    assert (windows.rows >= 0).all()


def test_bad_input_is_refused(tmp_path, items):
    with pytest.raises(SlimError, match="20 products are too few"):
        World(items[:20], FEW)
    with pytest.raises(SystemExit, match="--longest not below --shortest"):
        main(["--domain", str(GAMES), "--out", str(tmp_path / "x"), "--shortest", "9", "--longest", "8"])
    with pytest.raises(SystemExit, match="a share from 0 to 1"):
        main(["--domain", str(GAMES), "--out", str(tmp_path / "x"), "--noise", "2"])
    (tmp_path / "items.jsonl").write_text('{"id": "a b", "title": "Lamp"}\n', "utf-8")
    with pytest.raises(SlimError, match="holds a space"):
        read_items(tmp_path)
    assert not (tmp_path / "x").exists()


def test_a_damaged_description_is_named(tmp_path):
    main(["--domain", str(GAMES), "--out", str(tmp_path / "toys"), "--shoppers", "3"])
    (tmp_path / "toys" / "meta.json").write_text("{", "utf-8")
    with pytest.raises(SlimError, match=r"meta.json is not a readable description"):
        read_dataset(tmp_path / "toys")
