"""Figures of those who write: what their texts cost, how good they are, what they are worth for ranking."""

from __future__ import annotations

from slim_app.result_schema import Cost, RationaleReport
from slim_app.results import Result
from slim_app.ui import words_room as said
from slim_app.ui.room_accuracy import chosen, not_measured, remarks
from slim_app.ui.room_bars import Bar, bars
from slim_app.ui.room_figure import (
    HUES,
    ROW,
    SYMBOLS,
    WHISKER,
    Figure,
    Missing,
    Options,
    Subject,
    axis_title,
    between,
    filling,
    layout,
    number,
    plain,
    row_axis,
    value_axis,
    values_beside,
)  # fmt: skip


def kind_of_writer(name: str) -> str:
    """teacher, student or base, by how the evaluation names it."""
    first = name.split(",")[0].strip()
    return first if first in said.WRITERS else "other"


def writer_label(name: str) -> str:
    first, _, rest = name.partition(",")
    label = said.WRITERS.get(first.strip())
    if label is None:
        return said.BASELINES.get(name, name)
    return said.NO_GRAMMAR.replace("{label}", label) if rest.strip() == "no grammar" else label + name[len(first) :]


COST_ROW, COST_GAP = 46, 66
"""Pixels: labels of three lines, and the space between seconds and money."""


def cost(result: Result, options: Options) -> Figure | Missing:
    """Seconds and money for the rationales of 1,000 users, the paper's seconds beside."""
    if result.evaluation is None:
        return not_measured("cost", result, "evaluation")
    evaluation = result.evaluation
    if not evaluation.cost:
        return Missing("cost", said.MISSING["cost"])
    who = [(name, _who(name, one), one.seconds_per_1000_users, one.usd_per_1000_users, _source(name, one))
           for name, one in evaluation.cost.items()]  # fmt: skip
    subjects = [Subject("cost", name, label) for name, label, *_ in who]
    if evaluation.paper:
        for name, seconds in evaluation.paper.seconds_per_rationale.items():
            who.append(("paper", said.PAPER_COST.replace("{who}", name), 1000 * seconds, None, evaluation.paper.title))
            subjects.append(Subject("paper", name, who[-1][1]))
    money = sum(row[0] != "paper" for row in who)
    plot = COST_ROW * (len(who) + money) + COST_GAP
    data, look = [], layout(plot + 60, left=150, right=56, top=30, bottom=30)
    annotations = []
    for panel, (key, column) in enumerate((("seconds", 2), ("usd", 3))):
        shown = [n for n, row in enumerate(who) if key == "seconds" or row[0] != "paper"]
        axis = "" if panel == 0 else "2"
        kinds = [who[n][0] for n in shown]
        data.append({
            "type": "bar", "orientation": "h", "xaxis": f"x{axis}", "yaxis": f"y{axis}", "width": 0.66,
            "x": [who[n][column] for n in shown], "y": list(range(len(shown))), "customdata": shown,
            "marker": filling(kinds), "hoverinfo": "text",
            "hovertext": [f"{plain(who[n][1])}<br>{number(who[n][column])}<br>{plain(who[n][4])}" for n in shown],
        })  # fmt: skip
        domain = [1 - COST_ROW * len(who) / plot, 1] if panel == 0 else [0, COST_ROW * money / plot]
        look[f"xaxis{axis}"] = value_axis(anchor=f"y{axis}")
        labels = [who[n][1] for n in shown]
        look[f"yaxis{axis}"] = row_axis(labels, range(len(shown))) | {"domain": domain, "anchor": f"x{axis}"}
        values = [who[n][column] for n in shown]
        texts = ["–" if one is None else number(one, digits=0 if key == "seconds" else 2) for one in values]
        annotations += values_beside(texts, range(len(shown)), f"y{axis}")
        annotations.append({
            "text": said.COST_ROWS[key], "x": 0, "xref": "paper", "xanchor": "left", "xshift": -144, "y": domain[1],
            "yref": "paper", "yanchor": "bottom", "showarrow": False, "font": {"size": 13},
        })  # fmt: skip
    look["annotations"] = annotations
    caption = [one.protocol for one in evaluation.cost.values()]
    caption = [f"{said.WRITERS[name]}: {text}." for name, text in zip(evaluation.cost, caption, strict=True)]
    if evaluation.paper:
        caption.append(said.CAPTION_PAPER_3.format(title=evaluation.paper.title))
    columns = ("who", "label", "seconds_per_1000_users", "usd_per_1000_users", "source")
    return Figure("cost", data, look, columns, who, subjects,
                  (*caption, said.CAPTION_COST, *remarks(evaluation, list(evaluation.runs.values()))))  # fmt: skip


def _who(name: str, one: Cost) -> str:
    template = said.COST_STUDENT if name == "student" else said.COST_TEACHER
    return template.replace("{model}", one.model or one.priced_as or said.UNKNOWN)


def _source(name: str, one: Cost) -> str:
    if name == "student":
        return said.COST_SOURCE.format(engine=one.engine, device=one.device, parts=one.parts_side_by_side,
                                       count=one.measured_rationales or 0)  # fmt: skip
    source = one.price_usd_per_million.source if one.price_usd_per_million else said.UNKNOWN
    return said.COST_PRICED.format(
        source=source, estimated=said.ESTIMATED if one.requests_estimated else said.RECORDED
    )


def _second(name: str) -> str:
    """Who a writer is measured against: another one, or the ranking without any text."""
    return said.NO_TEXT if name in said.BASELINES else writer_label(name)


def _people(report: RationaleReport) -> str:
    protocol = report.protocol
    return said.CAPTION_WRITERS.format(users=protocol.users, dataset=protocol.dataset, items=protocol.catalogue)


def _remarks(report: RationaleReport) -> list[str]:
    untuned = any(kind_of_writer(name) == "base" for name in report.writers)
    return [said.UNTUNED] * untuned + ([report.protocol.note] if report.protocol.note else [])


def quality(result: Result, options: Options) -> Figure | Missing:
    """A row for each property of the texts, a mark for each writer."""
    if result.rationales is None:
        return not_measured("quality", result, "rationales")
    report, data, rows, subjects = result.rationales, [], [], []
    measures = [key for key in said.QUALITY if any(key in one.quality for one in report.writers.values())]
    count = len(report.writers)
    for n, (name, one) in enumerate(report.writers.items()):
        kind, label = kind_of_writer(name), writer_label(name)
        own = [key for key in measures
               if key in one.quality and not (kind == "teacher" and key in said.OF_TEACHER)]  # fmt: skip
        values = [100 * one.quality[key] for key in own]
        ends = [_percent(one.quality_interval_95.get(key)) for key in own]
        shift = 0.13 * (n - (count - 1) / 2)
        held = "," not in name
        data.append({
            "type": "scatter", "mode": "markers", "name": plain(label), "x": values,
            "y": [measures.index(key) + shift for key in own],
            "customdata": list(range(len(rows), len(rows) + len(own))), "error_x": between(values, ends),
            "marker": {"color": HUES[kind], "symbol": SYMBOLS[kind] if held else "x-thin-open", "size": 10,
                       "line": {"width": 2, "color": HUES[kind]}},
            "cliponaxis": False, "hoverinfo": "text",
            "hovertext": [f"{plain(label)}<br>{said.QUALITY[key][0]}: {number(value, digits=1)} %"
                          f"<br>{said.QUALITY[key][1]}" for key, value in zip(own, values, strict=True)],
        })  # fmt: skip
        for key, value, interval in zip(own, values, ends, strict=True):
            low, high = interval or (None, None)
            rows.append((name, label, key, report.protocol.users, round(value, 4), low, high))
            subjects.append(Subject("writer", name, f"{label}: {said.QUALITY[key][0]}"))
    look = layout(44 * len(measures) + 44 + 26 * count, left=150, right=28, top=8, bottom=36) | {"showlegend": True}
    look["yaxis"] = row_axis([said.QUALITY[key][0] for key in measures], range(len(measures)))
    look["yaxis"] |= {"showgrid": True, "gridcolor": "rgba(138,148,160,0.18)"}
    ticks = [0, 50, 100]
    look["xaxis"] = value_axis(range=[-3, 103], tickvals=ticks, ticktext=[f"{tick} %" for tick in ticks])
    look["margin"]["b"] += 26 * count
    look["legend"] |= {"y": -36 / (44 * len(measures)), "yanchor": "top", "orientation": "v", "xref": "container"}
    bare = not any(one.quality_interval_95 for one in report.writers.values())
    caption = (_people(report), said.CAPTION_QUALITY_BARE if bare else said.CAPTION_QUALITY, *_remarks(report))
    columns = ("writer", "label", "measure", "users", "percent", "interval_low", "interval_high")
    return Figure("quality", data, look, columns, rows, subjects, caption)


def _percent(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return interval and (100 * interval[0], 100 * interval[1])


def worth(result: Result, options: Options) -> Figure | Missing:
    """How well each writer's texts rank with nothing trained, beside rankings without any text."""
    if result.rationales is None:
        return not_measured("worth", result, "rationales")
    report, (measure, where) = result.rationales, (options.measure, options.where)
    ranker = report.share_of_teacher_lead.ranker
    drawn, rows, subjects = [], [], []
    found = [(name, one.ranking.get(ranker, {}).get(where), "writer") for name, one in report.writers.items()]
    found += [(name, one.get(where), "baseline") for name, one in report.baselines.items()]
    for name, means, kind in found:
        if means is None:
            continue
        label = writer_label(name)
        bar_kind = kind_of_writer(name) if kind == "writer" else "none"
        first = kind == "baseline" and not any(subject.kind == "baseline" for subject in subjects)
        sd = means.get(f"{measure}_sd")
        drawn.append(Bar(label, bar_kind, means[measure], sd, gap=first and bool(drawn)))
        rows.append((name, label, kind, report.protocol.users, len(report.protocol.seeds), measure, where,
                     means[measure], sd))  # fmt: skip
        subjects.append(Subject(kind, name, label))
    data, look = bars(drawn)
    for trace, kind in zip(data, dict.fromkeys(bar.kind for bar in drawn), strict=True):
        trace["name"] = said.WRITERS.get(kind, said.KINDS[kind])
    caption = (_people(report), said.CAPTION_WHERE[where].format(items=report.protocol.catalogue),
               said.CAPTION_DRAWS.format(seeds=len(report.protocol.seeds)) if where == "101" else said.CAPTION_ONCE,
               *_remarks(report))  # fmt: skip
    columns = ("name", "label", "kind", "users", "candidate_seeds", "measure", "candidates", "mean", "sd")
    return Figure("worth", data, look, columns, rows, subjects, caption, chosen(options))


def differences(result: Result, options: Options) -> Figure | Missing:
    """Paired differences with their 95 % intervals."""
    if result.rationales is None:
        return not_measured("differences", result, "rationales")
    report, rows, subjects = result.rationales, [], []
    for place, one in enumerate(report.differences):
        label = said.AGAINST.replace("{first}", writer_label(one.first)).replace("{second}", _second(one.second))
        rows.append((one.first, one.second, label, report.protocol.users, one.mean, *one.interval_95))
        subjects.append(Subject("difference", one.first, label, place))
    height = ROW + 6
    look = layout(height * len(rows) + 52, left=160, right=52, top=8, bottom=44)
    places = list(range(len(rows)))
    look["yaxis"] = row_axis([row[2] for row in rows], places)
    look["xaxis"] = value_axis(title=axis_title(said.AXIS_POINTS), zerolinewidth=2)
    look["annotations"] = values_beside([f"{row[4]:+.1f}" for row in rows], places)
    clear = [row[5] > 0 or row[6] < 0 for row in rows]
    data = [{
        "type": "scatter", "mode": "markers", "x": [row[4] for row in rows], "y": places, "customdata": places,
        "error_x": between([row[4] for row in rows], [(row[5], row[6]) for row in rows]) | {"color": WHISKER},
        "marker": {"size": 11, "color": [HUES[kind_of_writer(row[0])] for row in rows],
                   "symbol": ["circle" if yes else "circle-open" for yes in clear], "line": {"width": 2}},
        "hoverinfo": "text",
        "hovertext": [f"{plain(row[2])}<br>{row[4]:+.2f} ({row[5]:.2f} – {row[6]:.2f})" for row in rows],
    }]  # fmt: skip
    caption = (_people(report), said.CAPTION_PAIRED.format(ranker=report.share_of_teacher_lead.ranker),
               *_remarks(report))  # fmt: skip
    columns = ("first", "second", "label", "users", "difference", "interval_low", "interval_high")
    return Figure("differences", data, look, columns, rows, subjects, caption)
