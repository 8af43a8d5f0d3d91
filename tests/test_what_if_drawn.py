"""What the what-if panel draws, by hand: purchases, studies, faithfulness, the bump chart, two texts side by side."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from conftest import TINY

from slim_app.faithfulness import Faithfulness
from slim_app.faithfulness import Tested as Case
from slim_app.history_studies import Effect, Study
from slim_app.ranks import Shift
from slim_app.rationale import parse
from slim_app.schema import Item, ModelInfo, Rationale, State
from slim_app.ui import render_bump, render_studies, render_what_if, words
from slim_app.ui import words_what_if as said
from slim_app.what_if import Bump, BumpLine, WhatIf

EVIL = '<img src=x onerror="alert(1)">{x}'
BOUGHT = (TINY[0], TINY[6], TINY[4])


def test_of_two_equal_purchases_the_newer_one_was_added():
    rows = render_what_if.purchases([TINY[0], TINY[1], TINY[0]], [TINY[0], TINY[1]])
    first, second, third = rows.split("<li ")[1:]
    assert said.ADDED_TAG in third and said.ADDED_TAG not in first + second
    assert render_what_if.changes([TINY[0], TINY[0]], [TINY[0]]) == f"without “<bdi>{TINY[0].title}</bdi>”"


def test_a_study_by_hand():
    shifts = (Shift("a", EVIL, 1, 9), Shift("b", "B", 2, 1))
    effect = Effect(EVIL, BOUGHT[:1], Rationale(step1=(EVIL,)), 1, 0.5, shifts, 0)
    going = Study("writing", 1, 4, BOUGHT, (effect,), label=EVIL, seconds=2.0)
    html = render_studies.study("purchases", going)
    assert "1 of 4 texts written" in html and "about 6 s left" in html and "width:25%" in html
    assert "1 of 2 products leaves the list" in html and "width:50%" in html and "<details" not in html
    done = render_studies.study("purchases", replace(going, status="done", label="", skipped=(EVIL,)))
    assert "<details>" in done and "rank 1 → 9" in done and "rank 2" not in done and "1.0 of 2" in done
    for text in (html, done, render_studies.study("order", replace(going, error=EVIL, status="failed"))):
        assert "<img" not in text and "{x}" not in text and "&lt;img" in text
    assert said.PROGRESS.format(done=1, total=4) in render_studies.study("purchases", going, writes=False)


def test_faithfulness_in_plain_sentences():
    items = (Case("a", EVIL, "1.1", 1, None, 1), Case("b", "B", "3.2", 2, 2, 1_234))
    html = render_studies.faith(Faithfulness(2, items, ranks_are_floors=True), {"1.1": EVIL, "3.2": "Forza"})
    assert "1 of 2 products leave the first 2" in html and "1 of 2 products stay among the first 2" in html
    assert "0.50 on a scale" in html and said.NOT_RANKED in html and "1,234" in html and said.AT_LEAST in html
    assert words.NUMERALS[3] in html and "<img" not in html and "{x}" not in html


LINES = (
    BumpLine("a", "A", (2, 1)), BumpLine("b", EVIL, (500, 2)), BumpLine("c", "C" * 60, (None, 3)),
    BumpLine("d", "D", (1, 40)), BumpLine("e", "E", (3, None)),
)  # fmt: skip
BUMP = Bump(("before", "after"), 3, LINES)


def test_the_bump_chart_by_hand():
    chart = json.loads(render_bump.chart(BUMP).to_json())
    by_title = {line["hovertext"].split(":")[0]: line for line in chart["data"]}
    assert by_title["A"]["y"] == [2, 1]
    assert by_title["D"]["y"][0] == 1 and 3 < by_title["D"]["y"][1] < by_title["E"]["y"][1], "bought lies lowest"
    assert by_title["C" * 60]["y"][0] > 3 and by_title["C" * 60]["hovertext"].endswith(
        "among the purchases before, rank 3 after"
    )
    # hue is never alone: shape and dash say the same
    assert by_title["D"]["line"]["dash"] == "dash" and by_title["D"]["marker"]["symbol"] == ["circle", "triangle-down"]
    assert by_title["A"]["line"]["dash"] == "solid" and by_title["A"]["marker"]["symbol"] == ["circle", "circle"]
    assert by_title["C" * 60]["marker"]["symbol"] == ["square", "triangle-up"]
    labels = [n["text"] for n in chart["layout"]["annotations"]]
    assert {"2", "1 A", "500", said.BOUGHT, "40 ▼ D", f"{said.BOUGHT} ▼ E"} <= set(labels) and len(labels) == 10
    assert f"3 ▲ {'C' * (render_bump.TITLE_CHARS - 1)}…" in labels
    narrow = json.loads(render_bump.chart(BUMP, narrow=True).to_json())["layout"]
    assert f"3 ▲ {'C' * (render_bump.NARROW_CHARS - 1)}…" in [n["text"] for n in narrow["annotations"]]
    assert narrow["margin"]["r"] < chart["layout"]["margin"]["r"]
    assert "<img" not in json.dumps(chart) and "{x}" not in json.dumps(chart) and "http" not in json.dumps(chart)
    for side in (0, 1):
        heights = sorted(line["y"][side] for line in chart["data"])
        assert all(b - a > 0.99 for a, b in pairwise(heights)), "no label on another"


def test_a_long_chart_shows_the_first_ten_and_the_table_all():
    lines = tuple(BumpLine(str(n), f"T{n}", (n, n)) for n in range(1, 31))
    bump = Bump(("before", "after"), 30, lines)
    assert len(json.loads(render_bump.chart(bump).to_json())["data"]) == render_bump.MOST
    assert "30" in render_what_if.outcome(bump, render_bump.MOST) and "T30" in render_what_if.table(bump)


def test_the_table_holds_the_ranks_of_the_chart():
    html = render_what_if.table(BUMP)
    assert (
        "<td>2</td><td>1</td>" in html
        and "<td>500</td><td>2</td>" in html
        and f"<td>{said.BOUGHT}</td><td>3</td>" in html
    )
    assert "<img" not in html and "{x}" not in html
    assert "≥ 500" in render_what_if.table(replace(BUMP, ranks_are_floors=True))
    legend = render_what_if.outcome(BUMP, render_bump.MOST)
    assert "2 new among the first 3" in legend and "2 no longer among them" in legend and "1 on both lists" in legend


@pytest.mark.parametrize("diff", [False, True])
def test_texts_are_escaped_plain_and_word_by_word(diff):
    old, new = parse(f"Step 1: {EVIL}\nStep 2:\n1. {EVIL}"), parse(f"Step 1: other {EVIL}\nStep 3:\n1. {EVIL}")
    state = State("done", new, model=ModelInfo(EVIL), history=(Item("", EVIL),), error=EVIL)
    html = render_what_if.texts(WhatIf(state, old), BOUGHT, diff)
    assert "<img" not in html and "{x}" not in html and "&lt;img" in html
    assert ("<ins>" in html) is diff and said.NOTHING_WRITTEN in html
