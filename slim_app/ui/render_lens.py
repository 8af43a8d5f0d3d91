"""The fusion lens → HTML and a plotly chart. Pure functions; titles of products pass `esc`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from slim_app.recommenders.sides import FAR, Lens, LensRow
from slim_app.schema import Item
from slim_app.ui import words
from slim_app.ui.escape import bdi, esc

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Legible on the light and on the dark paper; shape and dash say the same as the hue.
HUES = {"": "#66717d", "rescued": "#17805f", "hurt": "#c0530a"}
LINES = HUES | {"": "#8a94a0"}
SHAPES = {"": "circle", "rescued": "triangle-up", "hurt": "triangle-down"}
DASHES = {"": "solid", "rescued": "solid", "hurt": "dash"}
CHART_HEIGHT = 420
LABEL = 0.72
"""Height of a figure on the axis, where two neighbours of the first k are 1 apart."""


def ends(lens: Lens, backbone: str) -> str:
    """What the two ends of the slider mean, and the way back to the learned weight."""
    first, last = (text.format(backbone=esc(backbone)) for text in words.LENS_ENDS)
    learned = 100 * lens.learned
    if lens.weight == lens.learned:
        back = f'<p class="fine">{words.LENS_AT_LEARNED.format(learned=learned)}</p>'
    else:
        text = words.LENS_LEARNED.format(learned=learned)
        back = f'<button type="button" class="link" data-act="learned">{text}</button>'
    return f'<div class="lens-ends"><span>{first}</span><span>{last}</span></div><div class="lens-back">{back}</div>'


def intro(backbone: str, trained_on: str, fused_above: bool) -> str:
    """What is seen here, and what it was trained on."""
    name = esc(backbone)
    other = "" if fused_above else f" {words.LENS_OTHER}"
    label = words.TRAINED_ON.format(backbone=name, what=esc(trained_on))
    return f'<p class="fine">{words.LENS_INTRO.format(backbone=name)}{other}</p><p class="fine trained">{label}</p>'


def moved(lens: Lens, items: Sequence[Item], backbone: str) -> str:
    """What the reasoning brought up, and what it pushed down."""
    k, name = len(lens.top), esc(backbone)
    return "".join(
        f'<section class="lens-group"><h3><span aria-hidden="true">{sign}</span> {title}</h3>'
        f'<p class="fine">{rule.format(k=k, far=FAR * k, backbone=name)}</p>{_names(rows, items, backbone)}</section>'
        for rows, (sign, title, rule) in ((lens.rescued, words.RESCUED), (lens.hurt, words.HURT))
    )


def table(lens: Lens, items: Sequence[Item], backbone: str) -> str:
    """The list at this weight with the three ranks of each product, and how the slider counts."""
    heads = "".join(
        f'<th scope="col">{head}</th>'
        for head in (words.LENS_HERE, words.LENS_PRODUCT, esc(backbone), words.LENS_REASONING)
    )
    rescued = {row.row for row in lens.rescued}
    body = "".join(
        f"<tr><td>{row.here:,}</td><td>{bdi(items[row.row].title)}{_sign(row.row in rescued)}</td>"
        f"<td>{row.sequence:,}</td><td>{row.reasoning:,}</td></tr>"
        for row in lens.top
    )
    caption = words.LENS_TABLE.format(total=lens.total)
    return (
        f'<table class="lens-table"><caption>{caption}</caption><thead><tr>{heads}</tr></thead>'
        f'<tbody>{body}</tbody></table><p class="fine">{words.LENS_RULE.format(learned=100 * lens.learned)}</p>'
    )


def _sign(rescued: bool) -> str:
    sign, title, _ = words.RESCUED
    return f' <span class="mark rescued" title="{title}"><i role="img" aria-label="{title}">{sign}</i></span>' * rescued


def _names(rows: Sequence[LensRow], items: Sequence[Item], backbone: str) -> str:
    if not rows:
        return f'<p class="empty">{words.NONE_MOVED}</p>'
    lines = "".join(
        f"<li>{bdi(items[row.row].title)} "
        f'<span class="fine">{esc(backbone)} {row.sequence:,} → {row.here:,}</span></li>'
        for row in rows
    )
    return f"<ul>{lines}</ul>"


def chart(lens: Lens, items: Sequence[Item], backbone: str) -> Figure:
    """Slopes: rank by the purchases → rank here → rank by the reasoning; the first k evenly, the rest squeezed."""
    import plotly.graph_objects as go  # 0.3 s: only when a lens is drawn

    k = max(1, len(lens.top))

    rows = sorted({*lens.top, *lens.hurt}, key=lambda r: (r in lens.rescued or r in lens.hurt, r.here))
    deepest = max((rank for r in rows for rank in (r.here, r.sequence, r.reasoning)), default=1)

    def place(rank: int) -> float:
        return rank if rank <= k else k + 0.6 * k * math.log(rank / k) / math.log(deepest / k)

    kinds = {row.row: "rescued" for row in lens.rescued} | {row.row: "hurt" for row in lens.hurt}
    figure = go.Figure()

    def heights(ranks: Iterable[int], gap: float) -> dict[int, float]:
        """Rank → where its dot and its figure stand, so far apart that all figures can be read."""
        ordered = sorted(set(ranks))
        return dict(zip(ordered, apart([place(rank) for rank in ordered], gap), strict=True))

    middle = heights((row.here for row in rows), 1.0)
    left, right = (heights((getattr(row, side) for row in rows), LABEL) for side in ("sequence", "reasoning"))
    for row in rows:
        kind = kinds.get(row.row, "")
        figure.add_scatter(
            x=[0, 1, 2], y=[left[row.sequence], middle[row.here], right[row.reasoning]],
            mode="lines+markers+text", text=["", f"{row.here:,}", ""], textposition="middle center",
            hoverinfo="text", hovertext=words.LENS_ROW.format(
                title=esc(items[row.row].title), here=row.here, sequence=row.sequence, reasoning=row.reasoning,
                backbone=esc(backbone),
            ),
            line={"color": LINES[kind], "width": 3 if kind else 1.5, "dash": DASHES[kind]},
            textfont={"color": "#ffffff", "size": 12},
            marker={"color": HUES[kind], "opacity": 1, "line": {"width": 0},
                    "symbol": [SHAPES[kind], "circle", SHAPES[kind]],
                    "size": [12 if kind else 7, 24, 12 if kind else 7]},
        )  # fmt: skip
    for x, anchor, column in ((0, "right", left), (2, "left", right)):
        for rank, height in column.items():
            figure.add_annotation(x=x, y=height, text=f"{rank:,}", showarrow=False, xanchor=anchor,
                                  xshift=-12 if x == 0 else 12, font={"size": 12})  # fmt: skip
    if deepest > k:
        figure.add_hline(y=k + 0.5, line={"color": "#8a94a0", "width": 1, "dash": "dot"})
    names = [esc(backbone), words.LENS_HERE, words.LENS_REASONING]
    figure.update_xaxes(tickvals=[0, 1, 2], ticktext=names, side="top", fixedrange=True, showgrid=False,
                        zeroline=False, range=[-0.3, 2.3], tickfont={"size": 14})  # fmt: skip
    lowest = max(1, *left.values(), *middle.values(), *right.values())
    figure.update_yaxes(visible=False, fixedrange=True, range=[lowest + 1.2, 0.2])
    figure.update_layout(
        template="none", height=CHART_HEIGHT, margin={"l": 8, "r": 8, "t": 34, "b": 8}, showlegend=False,
        dragmode=False, hovermode="closest", paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif"},
    )  # fmt: skip
    return figure


def apart(heights: Sequence[float], gap: float) -> list[float]:
    """Ascending heights, pushed down so far that what stands there does not overlap."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + gap) if placed else height)
    return placed
