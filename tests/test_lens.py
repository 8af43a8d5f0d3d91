"""The fusion lens as HTML and chart, and the list that follows its slider; no browser."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import FakeEncoder, make_domain
from random_rankers import ITEMS, D, a_fused_run, the_domain, the_fake, the_services  # noqa: F401 (fixtures)

from slim_app.recommenders.sides import Sides, look
from slim_app.schema import Item
from slim_app.ui import render, render_lens, words
from slim_app.ui.explain_page import ranker_choices
from slim_app.ui.handlers import Handlers
from slim_app.ui.signs import StopSigns

pytestmark = pytest.mark.usefixtures("one_thread")
EVIL = '<img src=x onerror="alert(1)"><a href="javascript:alert(2)">{x}</a>'
SIDES = Sides(np.array([9.0, 8.0, 7.0, 6.0, 5.0, 0.0]), np.array([-30.0, 0.0, 0.0, 0.0, 0.0, 20.0]))
NAMES = [Item(f"i{n}", f"Item {n}") for n in range(5)] + [Item("i5", EVIL)]
LENS = look(SIDES, np.ones(6, bool), 2)


def test_the_lens_shows_what_moved():
    rows = [[row.row for row in group] for group in (LENS.top, LENS.rescued, LENS.hurt)]
    assert rows == [[5, 1], [5], [0]]
    moved = render_lens.moved(LENS, NAMES, "SASRec")
    assert words.RESCUED[1] in moved and words.HURT[1] in moved and "below 4 by SASRec alone" in moved
    assert "SASRec 6 → 1" in moved and "SASRec 1 → 6" in moved
    table = render_lens.table(LENS, NAMES, "SASRec")
    assert f"At {100 * LENS.learned:.0f} %" in table and "exactly the score that the model learned" in table
    assert "<td>1</td>" in table and "of 6" in table and words.RESCUED[0] in table
    nothing = look(SIDES, np.ones(6, bool), 2, 0.0)
    assert render_lens.moved(nothing, NAMES, "SASRec").count(words.NONE_MOVED) == 2


def test_the_way_back_is_offered_only_away_from_the_learned_weight():
    assert "data-act" not in render_lens.ends(LENS, "SASRec") and "learned" in render_lens.ends(LENS, "SASRec")
    away = render_lens.ends(look(SIDES, np.ones(6, bool), 2, 0.9), "SASRec")
    assert 'data-act="learned"' in away and f"{100 * LENS.learned:.0f} %" in away


def test_titles_are_escaped_wherever_they_stand():
    for html in (render_lens.moved(LENS, NAMES, EVIL), render_lens.table(LENS, NAMES, EVIL),
                 render_lens.ends(LENS, EVIL), render_lens.intro(EVIL, EVIL, False)):  # fmt: skip
        assert "<img" not in html and "<a href" not in html and "{x}" not in html and "&lt;img" in html
    chart = json.loads(render_lens.chart(LENS, NAMES, EVIL).to_json())
    assert "<img" not in json.dumps(chart) and "&lt;img" in json.dumps(chart)


def test_the_chart_by_hand():
    chart = json.loads(render_lens.chart(LENS, NAMES, "SASRec").to_json())
    lines = {tuple(line["text"]): line for line in chart["data"]}
    assert len(lines) == 3  # the two of the list, and the one that was hurt
    rescued, hurt, plain = lines["", "1", ""], lines["", "6", ""], lines["", "2", ""]
    assert rescued["y"][1] == 1 and plain["y"] == [2, 2, 2] and hurt["y"][0] == 1
    assert rescued["y"][0] == hurt["y"][1] == pytest.approx(2 + 0.6 * 2)  # the last of all: at the bottom
    # hue is never alone: shape and dash say the same
    assert rescued["marker"]["symbol"][0] == "triangle-up" and hurt["marker"]["symbol"][0] == "triangle-down"
    assert hurt["line"]["dash"] == "dash" and plain["marker"]["symbol"][0] == "circle"
    assert [n["text"] for n in chart["layout"]["annotations"]] == ["1", "2", "6", "1", "2", "6"]
    assert "font" in chart["layout"] and "http" not in json.dumps(chart)


def test_figures_beside_the_chart_do_not_overlap():
    placed = render_lens.apart([1, 1.1, 1.2, 5], render_lens.LABEL)
    assert np.all(np.diff(placed) >= render_lens.LABEL - 1e-9) and placed[0] == 1 and placed[3] == 5


# -- the list that follows --------------------------------------------------------------------------------------------


def test_the_list_follows_the_slider_and_finds_back(services, finished):
    handlers = Handlers(services, StopSigns())
    away = handlers.reweigh(finished, 1.0)
    assert [r.id for r in away["result"].recommendations] != [r.id for r in finished.recommendations]
    assert [r.rank_reasoning for r in away["result"].recommendations] == [1, 2, 3, 4, 5]
    assert "Weighed by hand: reasoning 100 %" in away["ranking"] and "simulated" in away["ranking"]
    back = handlers.reweigh(away["result"], None)
    assert back["result"] == finished and "Weighed by hand" not in back["ranking"]
    assert handlers.reweigh(replace(finished, ranker="reasoning"), 1.0) == {} == handlers.reweigh(None, 0.3)


def test_a_fused_row_shows_both_ranks_and_the_way_to_the_lens(finished):
    html = render.ranking(finished, render.downloads(finished))
    first = finished.recommendations[0]
    assert words.SIDES.format(sequence=first.rank_sequence, reasoning=first.rank_reasoning) in html
    assert 'data-open="lens"' in html and "2,000 simulated shoppers" in html
    plain = replace(finished, ranker="sequence", recommendations=tuple(
        replace(r, rank_sequence=None, rank_reasoning=None) for r in finished.recommendations))  # fmt: skip
    html = render.ranking(plain, render.downloads(plain))
    assert words.MODEL_SCORE_HELP in html and 'data-open="lens"' not in html


def test_the_choices_are_named_after_the_catalogues_own_model(services):
    labels = dict((name, label) for label, name in ranker_choices(services.domains["tiny"]))
    assert labels["fused"] == "Reasoning and SASRec, fused" and labels["sequence"] == "SASRec alone"
    assert labels.keys() == words.RANKER_HELP.keys() == words.RANKERS.keys()
    bare = dict((name, label) for label, name in ranker_choices(make_domain(ITEMS, FakeEncoder(dimension=D))))
    assert bare.keys() == words.RANKERS.keys() - {"fused", "sequence"}
    assert json.loads(html_data(render.ranker_help("fused", "SASRec")))["fused"].startswith("A trained model: SASRec")


def html_data(html: str) -> str:
    from html import unescape

    return unescape(html.partition('data-help="')[2].partition('"')[0])
