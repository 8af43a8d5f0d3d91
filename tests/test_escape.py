"""Texts of strangers as HTML and as labels of charts."""

from __future__ import annotations

import re

from slim_app.schema import Recommendation, State
from slim_app.ui import render
from slim_app.ui.escape import esc
from slim_app.ui.render_bump import chart
from slim_app.what_if import Bump, BumpLine

EVIL = """24" <b>Lamp</b> & 'co' {{x}} ${y} `z` <a href="javascript:alert(1)">"""
PLOTLY = {"mu", "amp", "lt", "gt", "nbsp", "times", "plusmn", "deg"}
"""The named entities that plotly.js turns back into characters; it shows any other as it is written."""


def test_a_label_holds_no_markup_and_only_entities_that_plotly_knows():
    figure = chart(Bump(("before", "after"), 2, (BumpLine("1", EVIL, (1, 2)), BumpLine("2", "A", (None, 1)))))
    texts = [note.text for note in figure.layout.annotations] + [trace.hovertext for trace in figure.data]
    assert sum("Lamp" in text for text in texts) == 2
    for text in texts:
        assert not re.search("[<>\"'`${}]", text)
        assert set(re.findall(r"&([a-z]+);", text)) <= PLOTLY, text


def test_one_door_for_text_and_attributes():
    assert esc("a\"b'c<d>&{$}`\0") == "a&#34;b&#x27;c&lt;d&gt;&amp;&#123;&#36;&#125;&#96;"
    rec = Recommendation(1, "1", "A", 0.5)
    page = render.downloads(State("done", recommendations=(rec,), domain='x" onclick="alert(1)'))
    assert "onclick=&#34;" in page and 'onclick="' not in page
