"""The bump chart: the rank of each product before and after, joined by a line. Titles pass `esc`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from slim_app.ui import words_what_if as said
from slim_app.ui.escape import esc
from slim_app.ui.render_lens import DASHES, HUES, LINES, SHAPES, apart
from slim_app.ui.render_what_if import kind_of, rank_text
from slim_app.what_if import Bump, BumpLine

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST = 10
"""Of each list that the chart shows: more lines would be a knot."""
STYLES = {"": "", "came": "rescued", "left": "hurt"}
"""The lens's hues, shapes and dashes, which mean the same: up, down, as it was."""
TITLE_CHARS, MARGIN = 38, 312
"""Longest label of a line, and the pixels kept for it."""
NARROW_CHARS, NARROW_MARGIN = 16, 160
"""The same on a narrow page."""
ROW = 24
"""Pixels between two neighbours of the first k."""


def chart(bump: Bump, narrow: bool = False) -> Figure:
    """The first k stand evenly, the rest is squeezed, purchases lie at the bottom; every line is labelled.

    `narrow`: for a phone, where the labels must leave room for the lines.
    """
    import plotly.graph_objects as go  # 0.3 s: only when a chart is drawn

    k = min(bump.k, MOST)
    lines = [line for line in bump.lines if any(rank is not None and rank <= k for rank in line.ranks)]
    heights = [_heights(lines, side, k) for side in (0, 1)]
    figure = go.Figure()
    for line in sorted(lines, key=lambda line: kind_of(line, bump.k) != ""):  # what moved lies above
        kind = kind_of(line, bump.k)
        style = STYLES[kind]
        ranks = [rank_text(rank, bump.ranks_are_floors) for rank in line.ranks]
        figure.add_scatter(
            x=[0, 1], y=[side[line.id] for side in heights], mode="lines+markers", hoverinfo="text",
            hovertext=said.HOVER.format(title=esc(line.title), before=ranks[0], after=ranks[1]),
            line={"color": LINES[style], "width": 3 if kind else 1.5, "dash": DASHES[style]},
            marker={"color": HUES[style], "opacity": 1, "size": 11 if kind else 8,
                    "symbol": _symbols(line, style)},
        )  # fmt: skip
        for side, anchor in ((0, "right"), (1, "left")):
            figure.add_annotation(
                x=side, y=heights[side][line.id], text=_label(line, side, kind, narrow), showarrow=False,
                xanchor=anchor, xshift=-12 if side == 0 else 12, font={"size": 12 if narrow else 13}, align="left",
            )  # fmt: skip
    lowest = max((height for side in heights for height in side.values()), default=1)
    if lowest > k:
        figure.add_hline(y=k + 0.5, line={"color": "#8a94a0", "width": 1, "dash": "dot"})
    figure.update_xaxes(tickvals=[0, 1], ticktext=[said.BEFORE, said.AFTER], side="top", tickangle=0, fixedrange=True,
                        showgrid=False, zeroline=False, range=[-0.04, 1.04], tickfont={"size": 14})  # fmt: skip
    figure.update_yaxes(visible=False, fixedrange=True, range=[lowest + 0.6, 0.4])
    figure.update_layout(
        template="none", height=round(60 + ROW * (lowest + 0.5)),
        margin={"l": 62, "r": NARROW_MARGIN if narrow else MARGIN, "t": 34, "b": 8}, showlegend=False,
        dragmode=False, hovermode="closest", paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)", font={"family": "system-ui, sans-serif"},
        hoverlabel={"bgcolor": "#1b2430", "font": {"color": "#ffffff"}},
    )  # fmt: skip
    return figure


def _heights(lines: list[BumpLine], side: int, k: int) -> dict[str, float]:
    """Product → its height on one side, so far from its neighbours that the labels do not overlap."""
    deepest = max((rank for line in lines for rank in line.ranks if rank is not None), default=1)

    def place(rank: int) -> float:
        return rank if rank <= k else k + 0.6 * k * math.log(rank / k) / math.log(deepest / k)

    ranked = sorted((line.ranks[side], line.id) for line in lines if line.ranks[side] is not None)
    bought = [line.id for line in lines if line.ranks[side] is None]
    bottom = max([k, *(place(rank) for rank, _ in ranked)]) + 1.2
    places = apart([*(place(rank) for rank, _ in ranked), *(bottom for _ in bought)], 1.0)
    return dict(zip([*(id_ for _, id_ in ranked), *bought], places, strict=True))


def _symbols(line: BumpLine, style: str) -> list[str]:
    """Of both ends: a square where it was bought; the shape of its move where the move ends."""
    return [
        "square" if rank is None else shape for rank, shape in zip(line.ranks, ("circle", SHAPES[style]), strict=True)
    ]


def _label(line: BumpLine, side: int, kind: str, narrow: bool) -> str:
    rank = line.ranks[side]
    figure = said.BOUGHT if rank is None else f"{rank:,}"
    if side == 0:
        return figure
    most = NARROW_CHARS if narrow else TITLE_CHARS
    title = line.title if len(line.title) <= most else f"{line.title[: most - 1].rstrip()}…"
    sign = f"{said.SUMMARY[kind][0]} " if kind else ""
    return f"{figure} {sign}{esc(title)}"
