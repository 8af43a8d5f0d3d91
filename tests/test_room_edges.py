"""Charts at their edges: figures that crowd, files that are not there, measures in which less is better."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from slim_app.recommenders.sides import Sides, look
from slim_app.results import load_results
from slim_app.schema import Item
from slim_app.ui import render_lens
from slim_app.ui import words_room as said
from slim_app.ui.room import Room
from slim_app.ui.room_accuracy import headline, remarks
from slim_app.ui.room_bars import labels_of
from slim_app.ui.room_figure import Options

RESULTS = Path(__file__).resolve().parent.parent / "assets/results"


@pytest.mark.parametrize("count", [12, 40, 400])
def test_every_rank_of_the_lens_stands_at_its_own_dot(count: int) -> None:
    order = np.arange(count, dtype=float)
    lens = look(Sides(-order, order), np.ones(count, bool), 10, 0.01)  # the reasoning has them upside down
    chart = json.loads(render_lens.chart(lens, [Item(f"i{n}", f"Item {n}") for n in range(count)], "SASRec").to_json())
    dots = {(x, y) for line in chart["data"] for x, y in zip(line["x"], line["y"], strict=True) if x != 1}
    figures = {(note["x"], note["y"]) for note in chart["layout"]["annotations"]}
    assert dots == figures and len(figures) == 20
    bottom, top = chart["layout"]["yaxis"]["range"]
    assert all(top < y < bottom for _, y in figures)
    ranks = [int(note["text"].replace(",", "")) for note in chart["layout"]["annotations"] if note["x"] == 2]
    assert ranks == list(range(count - 9, count + 1))


def test_a_link_to_nowhere_is_named_and_hides_no_evaluation(tmp_path: Path) -> None:
    (tmp_path / "rationales_games.json").symlink_to(RESULTS / "rationales_games.json")
    (tmp_path / "recommenders_gone.json").symlink_to(tmp_path / "nowhere.json")
    results, errors = Room(tmp_path).load()
    assert [one.key for one in results] == ["games"]
    assert [str(error)[:37] for error in errors] == ["recommenders_gone.json cannot be read"]


def test_rows_in_which_less_is_better_say_so_and_every_row_says_what_is_counted() -> None:
    room = Room(RESULTS)
    head, plot, _ = room.figures("games", Options(), ["quality"])["quality"].values()
    less = {"products_missing", "repeats_history", "repeated_ngrams"}
    assert {key for key, (name, _) in said.QUALITY.items() if "↓" in name} == less and "↓ marks the rows" in head
    names = json.loads(plot)["layout"]["yaxis"]["ticktext"]
    assert sum("↓" in name for name in names) == 3
    hovers = [text for trace in json.loads(plot)["data"] for text in trace["hovertext"]]
    assert all(any(what in hover for _, what in said.QUALITY.values()) for hover in hovers)
    behind = room.look_behind("games", Options(), "quality", 0)
    assert said.QUALITY["repeats_history"][1] in behind


def test_ids_that_start_from_purchases_are_named_apart() -> None:
    found, _ = load_results(RESULTS)
    labels = next(labels_of(result.evaluation) for result in found if result.key == "games")
    assert labels["sasrec-id"] == "SASRec alone" and labels["sasrec-spectral"] == "SASRec alone, IDs from purchases"


def test_line_charts_begin_with_few_lines_the_strongest_of_each_kind() -> None:
    found, _ = load_results(RESULTS)
    names = headline(next(result.evaluation for result in found if result.key == "games"))
    assert names == ["popularity", "nearest history item", "text-late", "sasrec-spectral", "sasrec-plus",
                     "sasrec-fused", "sasrec-gated"]  # fmt: skip


def test_texts_that_saw_fewer_purchases_are_told_beside_the_figure() -> None:
    found, _ = load_results(RESULTS)
    evaluation = next(result.evaluation for result in found if result.key == "games_teacher")
    told = remarks(evaluation, list(evaluation.runs.values()))
    assert told == [said.OLDER_TEXTS.format(writer="teacher", older="1,600", users="1,800")]
