"""What the figures of the evaluation room are made of: plotly's JSON, the rows behind it, and their look.

Figures are plain dicts, which plotly.js draws: nothing of the Python package is needed, and building costs little.
Names from files pass `plain` before plotly, which reads a subset of HTML.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slim_app.ui import words_room as said

# The hues of the Compare tab in a tone that has 3:1 and more on the light and on the dark paper.
HUES = {"teacher": "#bd5a9c", "student": "#1f8b99", "base": "#947a58", "none": "#7d8794", "other": "#7d8794",
        "paper": "#a8761a"}  # fmt: skip
PATTERNS = {"teacher": "/", "base": "x", "student": "", "none": "", "other": ".", "paper": ""}
SYMBOLS = {"teacher": "diamond", "student": "circle", "base": "circle-open", "none": "square", "other": "square"}
LINES = ("#7d8794", "#947a58", "#2f86c2", "#d06b1e", "#1f8b99", "#bd5a9c", "#1f9a74", "#8b6fd0")
LINE_SYMBOLS = ("square", "diamond", "circle", "triangle-up", "circle-open", "diamond-open", "cross", "x")
DASHES = ("solid", "dot", "solid", "dash", "solid", "dash", "dot", "solid")
GRID, WHISKER = "rgba(138,148,160,0.32)", "#8a94a0"
NO_WHISKER = "none"
ROW, LABEL_WIDTH = 34, 20
CONFIG = {"displayModeBar": False, "displaylogo": False, "doubleClick": False, "showTips": False}


@dataclass(frozen=True)
class Options:
    """What the visitor chose to see."""

    measure: str = "ndcg@10"
    where: str = "101"
    novelty: str = "efd@10"
    shown: tuple[str, ...] = ()
    """Names of the runs in the line charts."""


@dataclass(frozen=True)
class Subject:
    """What a bar or point is about: of which `kind`, and the names that find it in the report."""

    kind: str
    name: str
    label: str
    place: int = 0


@dataclass(frozen=True)
class Figure:
    """One drawn figure."""

    name: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    """The data as the CSV and the table have them, a bar or point each."""
    subjects: list[Subject]
    """What each row is about."""
    caption: tuple[str, ...]
    words: Mapping[str, str] = field(default_factory=dict)
    """What stands in the placeholders of the explanation."""

    def as_plotly(self) -> dict[str, Any]:
        """For plotly.js; `meta` is what an exported picture says in addition."""
        title = said.FIGURES[self.name][0]
        meta = {"title": title, "note": wrap(" ".join(self.caption), 120), "label": said.CHART.format(title=title),
                "height": self.layout["height"]}  # fmt: skip
        return {"data": self.data, "layout": {**self.layout, "meta": meta}, "config": CONFIG}


@dataclass(frozen=True)
class Missing:
    """A figure whose data are not there, and what writes them."""

    name: str
    text: str


def plain(text: object) -> str:
    """Text that plotly shows as it is: its pseudo-HTML has entities and tags only."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def wrap(text: str, width: int = LABEL_WIDTH) -> str:
    """Broken into lines, each of them `plain`."""
    return "<br>".join(plain(line) for line in textwrap.wrap(text, width)[:12])


def number(value: float | None, sd: float | None = None, digits: int = 2) -> str:
    if value is None:
        return said.UNKNOWN
    return f"{value:,.{digits}f}" + ("" if sd is None else f" ± {sd:,.{digits}f}")


def layout(height: int, left: int = 150, right: int = 52, top: int = 8, bottom: int = 36) -> dict[str, Any]:
    """Transparent, so that the page's paper shows; its text takes the page's colour by style sheet."""
    return {
        "height": height, "margin": {"l": left, "r": right, "t": top, "b": bottom}, "showlegend": False,
        "dragmode": False, "hovermode": "closest", "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#1b2430"}, "bargap": 0.3,
        "hoverlabel": {"bgcolor": "#1b2430", "bordercolor": "#1b2430", "align": "left",
                       "font": {"color": "#ffffff", "size": 13}},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "font": {"size": 13},
                   "itemclick": False, "itemdoubleclick": False},
    }  # fmt: skip


def value_axis(**more: Any) -> dict[str, Any]:
    return {"fixedrange": True, "gridcolor": GRID, "zerolinecolor": WHISKER, "rangemode": "tozero",
            "tickangle": 0, "nticks": 6, **more}  # fmt: skip


def axis_title(text: str) -> dict[str, Any]:
    return {"text": text, "font": {"size": 13}, "standoff": 6}


def row_axis(labels: Sequence[str], places: Sequence[float]) -> dict[str, Any]:
    """Rows from top to bottom, each with its label on the left."""
    return {
        "fixedrange": True, "showgrid": False, "zeroline": False, "tickvals": list(places),
        "ticktext": [wrap(label) for label in labels], "range": [max(places, default=0) + 0.6, -0.6], "ticklen": 4,
        "tickcolor": "rgba(0,0,0,0)", "tickfont": {"size": 12},
    }  # fmt: skip


def values_beside(texts: Sequence[str], places: Sequence[float], axis: str = "y") -> list[dict[str, Any]]:
    """The figures of all rows at the right edge, aligned."""
    return [
        {"x": 1, "xref": "paper", "xanchor": "left", "xshift": 6, "y": place, "yref": axis, "text": plain(text),
         "showarrow": False, "font": {"size": 13}}
        for text, place in zip(texts, places, strict=True)
    ]  # fmt: skip


def filling(kinds: Sequence[str]) -> dict[str, Any]:
    """Marker of bars: hue and pattern of each kind, so that colour is never alone."""
    return {
        "color": [HUES[kind] for kind in kinds],
        "pattern": {"shape": [PATTERNS[kind] for kind in kinds], "fillmode": "overlay", "fgcolor": "#ffffff",
                    "fgopacity": 0.65, "size": 7, "solidity": 0.25},
    }  # fmt: skip


def whiskers(sds: Sequence[float | None]) -> dict[str, Any]:
    """Of plotly: null would be drawn as a whisker of no length, what is no number is not drawn."""
    array = [NO_WHISKER if sd is None else sd for sd in sds]
    return {"type": "data", "array": array, "color": WHISKER, "thickness": 1.5, "width": 4}


def between(means: Sequence[float], intervals: Sequence[tuple[float, float] | None]) -> dict[str, Any]:
    """Whiskers to the ends of intervals, which need not lie evenly around the means."""
    pairs = list(zip(means, intervals, strict=True))
    return {
        **whiskers([None if ends is None else ends[1] - mean for mean, ends in pairs]), "symmetric": False,
        "arrayminus": [NO_WHISKER if ends is None else mean - ends[0] for mean, ends in pairs],
    }  # fmt: skip
