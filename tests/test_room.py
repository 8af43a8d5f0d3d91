"""The evaluation room: its figures have the values of the files, and what files may do to the page."""

from __future__ import annotations

import csv
import io
import json
import shutil

import plotly.graph_objects as go
import pytest
from room_toys import toy_results, write
from toy_world import USERS

from slim_app.results import load_results
from slim_app.ui import render_room, room, room_figure
from slim_app.ui import words_room as said
from slim_app.ui.room_figure import Figure, Missing, Options
from slim_app.ui.room_figures import BUILDERS, draw

pytestmark = pytest.mark.usefixtures("one_thread")
BAD = '<img src=x onerror=alert(1)>"\'{x}${y}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy_results(tmp_path_factory)


@pytest.fixture(scope="module")
def report(folder):
    return json.loads((folder / "recommenders_games.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def results(folder):
    found, errors = load_results(folder)
    assert errors == []
    return {result.key: result for result in found}


@pytest.fixture(scope="module")
def games(results):
    return results["games"]


def points(figure: Figure, axis: str = "x") -> dict[int, float]:
    """Row → what is drawn for it by bars; the paper's diamonds are left out."""
    bars = [trace for trace in figure.data if trace["type"] == "bar"]
    return {row: value for trace in bars for row, value in zip(trace["customdata"], trace[axis], strict=True)}


@pytest.mark.parametrize("where", ["101", "full"])
@pytest.mark.parametrize("measure", ["ndcg@10", "hr@20"])
def test_bars_whiskers_and_diamonds_are_those_of_the_file(games, report, measure, where):
    figure = draw("accuracy", games, Options(measure, where))
    names = [subject.name for subject in figure.subjects]
    assert set(names) == {name for name in report["runs"] if not name.startswith("text-step")}
    drawn = points(figure)
    sds = {row: sd for trace in figure.data if trace["type"] == "bar"
           for row, sd in zip(trace["customdata"], trace["error_x"]["array"], strict=True)}  # fmt: skip
    for row, name in enumerate(names):
        own = report["runs"][name]["accuracy"][where][measure]
        assert drawn[row] == own["mean"]
        assert sds[row] == (room_figure.NO_WHISKER if own["sd"] is None else own["sd"])
        assert figure.rows[row][8:11] == (own["mean"], own["sd"], own["sd_training"])
    diamonds = [trace for trace in figure.data if trace["type"] == "scatter"]
    theirs = {names[row]: value for t in diamonds for row, value in zip(t["customdata"], t["x"], strict=True)}
    paper = {name: run["accuracy"][measure]["mean"] for name, run in report["paper"]["runs"].items() if name in names}
    assert theirs == (paper if where == "101" else {})
    assert ("the paper" in " ".join(figure.caption).lower()) and f"{USERS} people" in figure.caption[0]
    if where == "101":
        assert "1–2 training runs × 5 draws" in " ".join(figure.caption)
        assert said.OTHER in " ".join(figure.caption)  # these are not the paper's people


def test_each_step_alone_stands_beside_all_of_them(games, report):
    figure = draw("steps", games, Options())
    assert [subject.name for subject in figure.subjects] == ["text-step1", "text-step2", "text-step3", "text"]
    drawn = points(figure)
    for row, subject in enumerate(figure.subjects):
        assert drawn[row] == report["runs"][subject.name]["accuracy"]["101"]["ndcg@10"]["mean"]
    assert "①" in figure.subjects[0].label and "③" in figure.subjects[2].label


def test_groups_have_their_means_and_intervals(games, report):
    figure = draw("sparsity", games, Options("hr@10", shown=("text", "nobody")))
    (line,) = figure.data
    groups = report["runs"]["text"]["sparsity"]["groups"]
    assert line["y"] == [group["101"]["hr@10"] for group in groups]
    ends = [group["interval_95"]["101"]["hr@10"] for group in groups]
    assert line["error_y"]["array"] == pytest.approx([end[1] - y for end, y in zip(ends, line["y"], strict=True)])
    assert line["error_y"]["arrayminus"] == pytest.approx([y - end[0] for end, y in zip(ends, line["y"], strict=True)])
    assert figure.layout["xaxis"]["ticktext"][0].startswith("G1")
    assert [row[3] for row in figure.rows] == [group["users"] for group in groups]


def test_the_popularity_curve_and_the_training_data(games, report):
    figure = draw("popularity", games, Options(shown=("popularity", "text")))
    assert [trace["y"] for trace in figure.data] == [
        [100 * share for share in shares]
        for shares in (report["runs"]["popularity"]["frequency"], report["runs"]["text"]["frequency"],
                       report["popularity"]["training"])
    ]  # fmt: skip


@pytest.mark.parametrize(("measure", "where", "key"), [
    ("efd@10", "101", "efd@10_101"), ("epc@10", "full", "epc@10"), ("aplt@10", "101", "aplt@10"),
])  # fmt: skip
def test_novelty_is_of_the_candidates_that_it_says(games, report, measure, where, key):
    figure = draw("novelty", games, Options(where=where, novelty=measure))
    for row, value in points(figure).items():
        name = figure.subjects[row].name
        assert value == report["runs"][name]["beyond_accuracy"][key]["mean"]
        paper = report["paper"]["runs"].get(name, {"beyond_accuracy": {}})["beyond_accuracy"].get(measure)
        assert figure.rows[row][-1] == (paper if where == "101" else None)


def test_costs_are_those_of_the_file_and_the_papers_seconds_stand_beside(games, report):
    figure = draw("cost", games, Options())
    rows = {row[0] if row[0] != "paper" else row[1]: row for row in figure.rows}
    for who in ("student", "teacher"):
        cost = report["cost"][who]
        assert rows[who][2:4] == (cost["seconds_per_1000_users"], cost["usd_per_1000_users"])
    assert rows["Paper: student, LLaMA2-7B on one A100"][2] == pytest.approx(6110)
    assert "e on CPU" in rows["student"][4] and said.ESTIMATED in rows["teacher"][4]


def test_texts_of_teacher_student_and_untuned_base(games, folder):
    found = json.loads((folder / "rationales_games.json").read_text("utf-8"))
    quality = draw("quality", games, Options())
    for name, _, measure, users, percent, *_ in quality.rows:
        assert percent == pytest.approx(100 * found["writers"][name]["quality"][measure]) and users == 200
    assert not [row for row in quality.rows if row[0] == "teacher" and row[2] in said.OF_TEACHER]
    assert "Untuned base" in {trace["name"] for trace in quality.data}
    assert said.UNTUNED in quality.caption
    ranked = draw("worth", games, Options("hr@10"))
    ranker = found["share_of_teacher_lead"]["ranker"]
    for row, subject in enumerate(ranked.subjects):
        where = found["writers"][subject.name]["ranking"][ranker] if subject.kind == "writer" else (
            found["baselines"][subject.name])  # fmt: skip
        assert points(ranked)[row] == where["101"]["hr@10"] and ranked.rows[row][-1] == where["101"]["hr@10_sd"]
    differences = draw("differences", games, Options())
    assert [(row[4], list(row[5:])) for row in differences.rows] == [
        (one["mean"], one["interval_95"]) for one in found["differences"]
    ]


@pytest.mark.parametrize("key", ["games", "toys"])
@pytest.mark.parametrize("name", BUILDERS)
def test_plotly_takes_every_figure_and_its_csv_parses_back(results, name, key):
    figure = draw(name, results[key], Options())
    if isinstance(figure, Missing):
        assert key == "toys" and name in ("cost", "quality", "worth", "differences")
        assert "training" in figure.text
        return
    drawn = figure.as_plotly()
    go.Figure(drawn["data"], drawn["layout"])  # raises for an attribute or a value that plotly does not know
    json.dumps(drawn, allow_nan=False)
    rows = list(csv.reader(io.StringIO(render_room.to_csv(figure))))
    assert tuple(rows[0]) == figure.columns and len(rows) == 1 + len(figure.rows) == 1 + len(figure.subjects)
    shown = {row for trace in figure.data for row in trace["customdata"] or ()}
    assert shown == set(range(len(figure.rows))), "every row is a bar or a point"
    assert figure.caption and set(drawn["layout"]["meta"]) == {"title", "note", "label", "height"}


def test_what_is_simulated_says_so_in_every_caption(results):
    for name in ("accuracy", "steps", "sparsity", "popularity", "novelty"):
        assert said.SIMULATED in draw(name, results["toys"], Options()).caption
        assert said.SIMULATED not in draw(name, results["games"], Options()).caption


# -- behind a bar ------------------------------------------------------------------------------------------------------

def behind(desk: room.Room, key: str, name: str, row: object, **options) -> str | None:
    return desk.look_behind(key, Options(**options), name, row)


def test_behind_a_bar_are_its_seeds_its_tests_and_single_people(folder, games, report):
    desk = room.Room(folder)
    figure = draw("accuracy", games, Options())
    row = [subject.name for subject in figure.subjects].index("text")
    html = behind(desk, "games", "accuracy", str(row))
    ranks = report["cases"]["ranks"]["text"]
    assert all(f"<td>{rank:,.1f}</td>" in html for rank in ranks["full"])
    assert html.count("(G1)") == 4 and "text against sasrec-id" in html.replace("popularity", "sasrec-id")
    group = draw("sparsity", games, Options(shown=("text",)))
    html = behind(desk, "games", "sparsity", 1, shown=("text",))
    assert "(G2)" in html and "(G1)" not in html and group.subjects[1].label in html
    curve = behind(desk, "games", "popularity", 0, shown=("text",))
    here = [user for user in report["cases"]["users"] if user["target_bin"] == 0]
    assert curve.count(" (G") == len(here)
    for name in BUILDERS:  # every kind has something to say
        assert 'class="room-case"' in behind(desk, "games", name, 0)


def test_a_row_that_is_not_there_changes_nothing_and_close_closes(folder):
    desk = room.Room(folder)
    assert behind(desk, "games", "accuracy", "999999") is None
    assert behind(desk, "toys", "cost", 0) is None  # nothing is drawn there
    for row in (None, "", "-1", "1e3", "²", BAD):
        assert "room-case" not in behind(desk, "games", "accuracy", row)
    assert behind(desk, "no such key", "accuracy", 0) == behind(desk, "games", "accuracy", 0)


def test_a_file_without_cases_says_so(folder):
    assert said.NO_CASES in behind(room.Room(folder), "toys", "accuracy", 0)
    assert "no single texts" in behind(room.Room(folder), "games", "quality", 0)


# -- what files may do -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("content", "what"), [
    ("{", "Invalid JSON"), ("[]", "is no evaluation"), ('{"made_by": "someone"}', "made_by"),
    (None, "runs.text.accuracy.101"), ("nan", "finite"),
])  # fmt: skip
def test_a_broken_file_is_named_and_hides_no_other(folder, report, tmp_path, content, what):
    shutil.copy(folder / "rationales_games.json", tmp_path)
    broken = json.loads(json.dumps(report))
    if content is None:
        del broken["runs"]["text"]["accuracy"]["101"]["hr@10"]
    elif content == "nan":
        broken["runs"]["text"]["frequency"][0] = float("nan")
    text = json.dumps(broken) if content in (None, "nan") else content
    (tmp_path / "recommenders_games.json").write_text(text, "utf-8")
    found, (error,) = load_results(tmp_path)
    assert [result.key for result in found] == ["games"] and found[0].evaluation is None
    assert "recommenders_games.json" in str(error) and what in str(error) and "training.evaluate" in str(error)
    assert render_room.message([error], found).count("<p") == 1
    missing = draw("accuracy", found[0], Options())
    assert isinstance(missing, Missing) and "training/runs/tables.sh games" in missing.text


def test_without_any_file_one_sentence_says_what_writes_them(tmp_path):
    desk = room.Room(tmp_path)
    assert desk.load() == ([], [])
    assert said.NO_RESULTS in render_room.message([], [])
    assert desk.figures(None, Options(), BUILDERS)["accuracy"] == {"head": "", "plot": None, "below": ""}


def test_a_new_file_is_seen_and_old_ones_are_read_once(folder, tmp_path):
    desk = room.Room(tmp_path)
    assert desk.result("games") is None
    shutil.copy(folder / "recommenders_games.json", tmp_path)
    first = desk.result("games")
    assert first.key == "games" and desk.result("games") is first


def test_names_from_files_stay_text(report, folder, tmp_path):
    hostile = json.loads(json.dumps(report))
    for part in (hostile["runs"], hostile["paper"]["runs"], hostile["cases"]["ranks"]):
        part[BAD] = part.pop("text")
    hostile["runs"][BAD]["variant"] = "other"
    hostile["runs"]["=1+1"] = hostile["runs"][BAD]
    hostile["significance"][0]["first"] = hostile["dataset"]["name"] = hostile["note"] = BAD
    hostile["cost"]["student"] |= {"model": BAD, "engine": BAD, "protocol": BAD}
    texts = json.loads((folder / "rationales_games.json").read_text("utf-8"))
    texts["protocol"] |= {"dataset": BAD, "note": BAD}
    texts["writers"][BAD] = texts["writers"].pop("base")
    write(tmp_path / "recommenders_games.json", hostile)
    write(tmp_path / "rationales_games.json", texts)
    desk = room.Room(tmp_path)
    assert len(desk.load()[0]) == 1
    options = Options(shown=(BAD,))
    for name, figure in desk.figures("games", options, BUILDERS).items():
        rows = range(len(draw(name, desk.result("games"), options).rows))
        html = figure["head"] + "".join(desk.look_behind("games", options, name, row) for row in rows)
        assert "<img" not in html + figure["plot"] and "${y}" not in html and "{x}" not in html
    accuracy = draw("accuracy", desk.result("games"), options)
    assert "'=1+1" in render_room.to_csv(accuracy) and "onerror" in json.dumps(accuracy.as_plotly())
    assert "<img" not in "".join(label for label, _ in desk.shown("games")[0]).replace(BAD, "")


def test_choices_that_are_not_offered_fall_back_to_the_first():
    assert room.options_of(BAD, BAD, BAD, None) == Options()


def test_every_term_is_explained_and_every_figure_has_words():
    for name, (_, text) in said.FIGURES.items():
        assert name in BUILDERS
        filled = text.format(measure="HR@20", where="the whole catalogue", novelty="Gini", bins="20")
        assert render_room.explained(filled).count('role="tooltip"') == filled.count("[[")
    assert set(said.NOVELTY.values()) | set(said.MEASURES.values()) <= set(said.TERMS)


@pytest.mark.parametrize("hue", sorted({*room_figure.HUES.values(), *room_figure.LINES}))
def test_hues_are_seen_on_light_and_dark_paper(hue):
    def luminance(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        light = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2]

    for paper in ("#ffffff", "#171c23"):
        low, high = sorted((luminance(hue), luminance(paper)))
        assert (high + 0.05) / (low + 0.05) >= 3, "WCAG 1.4.11: graphics need 3:1"


def test_an_evaluation_that_fills_every_figure_comes_first(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    shutil.copy(tmp_path / "recommenders_toys.json", tmp_path / "recommenders_a.json")  # first by name, without texts
    found, _ = load_results(tmp_path)
    assert [result.key for result in found] == ["games", "a", "toys"]
    assert found[0].rationales is not None
