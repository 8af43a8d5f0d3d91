"""Figures of what the lists hold besides hits: popularity, novelty, spread."""

from __future__ import annotations

from slim_app.result_schema import Evaluation, Run, Spread
from slim_app.results import Result
from slim_app.ui import words_room as said
from slim_app.ui.room_accuracy import legend_below, lines_of, not_measured, remarks, same, spanned
from slim_app.ui.room_bars import Bar, bars, kind_of, labels_of, ordered
from slim_app.ui.room_figure import HUES, Figure, Missing, Options, Subject, layout, number, plain, value_axis

OF_HITS = ("efd@10", "epc@10")
"""Measures of the hits, which both kinds of candidates have; the others are of the lists themselves."""


def popularity(result: Result, options: Options) -> Figure | Missing:
    """Which share of all lists goes to the products of each popularity bin (the paper's Figure 6)."""
    if result.evaluation is None:
        return not_measured("popularity", result, "evaluation")
    evaluation, data, rows, subjects = result.evaluation, [], [], []
    lines = lines_of(evaluation, options)
    training = evaluation.popularity.training
    for name, run, label, look in lines:
        data.append(_line(run.frequency, label, len(rows), look))
        for place, share in enumerate(run.frequency):
            trained = training[place] if place < len(training) else None
            rows.append((name, label, place + 1, share, trained))
            subjects.append(Subject("bin", name, f"{label}, {place + 1}", place))
    dashes = {"type": "scatter", "mode": "lines", "name": said.TRAINING,
              "line": {"color": HUES["none"], "dash": "dash", "width": 3}}  # fmt: skip
    data.append({**_line(training, said.TRAINING, 0, dashes), "customdata": None})
    look = layout(360, left=52, right=12, top=12, bottom=44)
    bins = len(training)
    look["xaxis"] = {"fixedrange": True, "showgrid": False, "zeroline": False, "range": [0.3, bins + 0.7],
                     "showticklabels": False}  # fmt: skip
    look["annotations"] = [
        {"text": text, "x": x, "xanchor": anchor, "y": 0, "xref": "paper", "yref": "paper", "yanchor": "top",
         "yshift": -8, "showarrow": False, "font": {"size": 13}}
        for text, x, anchor in zip(said.AXIS_BINS, (0, 1), ("left", "right"), strict=True)
    ]  # fmt: skip
    look["yaxis"] = value_axis(ticksuffix=" %")
    legend_below(look, len(data))
    runs = [run for _, run, _, _ in lines]
    columns = ("run", "label", "bin", "share_of_lists", "share_of_training_purchases")
    caption = (*_test(evaluation, runs), said.CAPTION_CURVE, *remarks(evaluation, runs))
    return Figure("popularity", data, look, columns, rows, subjects, caption, {"bins": str(bins)})


def _line(shares: list[float], label: str, first: int, look: dict) -> dict:
    return {
        **look, "x": list(range(1, len(shares) + 1)), "y": [100 * share for share in shares],
        "customdata": list(range(first, first + len(shares))), "hoverinfo": "text",
        "hovertext": [f"{plain(label)}<br>{place + 1}: {number(100 * share, digits=1)} %"
                      for place, share in enumerate(shares)],
    }  # fmt: skip


def _test(evaluation: Evaluation, runs: list[Run]) -> tuple[str, ...]:
    users, data = spanned([run.users for run in runs]), evaluation.dataset
    return (said.CAPTION_TEST.format(users=users, dataset=data.name, items=data.items),)


def novelty(result: Result, options: Options) -> Figure | Missing:
    """One measure beyond accuracy for every run, beside the paper's Table 8 where that has it."""
    if result.evaluation is None:
        return not_measured("novelty", result, "evaluation")
    evaluation, labels, measure = result.evaluation, labels_of(result.evaluation), options.novelty
    where = options.where if measure in OF_HITS else "full"
    key = f"{measure}_101" if where == "101" else measure
    drawn, rows, runs = [], [], []
    for name, run, gap in ordered(evaluation):
        own = run.beyond_accuracy.get(key)
        if not isinstance(own, Spread):
            continue
        paper = evaluation.paper.runs.get(name) if evaluation.paper and where == "101" else None
        theirs = paper.beyond_accuracy.get(measure) if paper else None
        drawn.append(Bar(labels[name], kind_of(run), own.mean, own.sd, theirs, None, gap))
        runs.append(run)
        rows.append((name, labels[name], kind_of(run), run.users, run.runs, measure, where, own.mean, own.sd, theirs))
    if not drawn:
        return Missing("novelty", said.NOT_THIS)
    digits = 1 if measure == "arp@10" else 4 if measure in ("epc@10", "coverage@10") else 3
    data, look = bars(drawn, digits)
    caption = [
        *_test(evaluation, runs), said.CAPTION_HITS[where] if measure in OF_HITS else said.CAPTION_LISTS,
        said.CAPTION_SEEDS_FULL.format(runs=spanned([run.runs for run in runs if run.variant != "baseline"] or [1])),
    ]  # fmt: skip
    if any(bar.paper is not None for bar in drawn):
        caption.append(said.CAPTION_PAPER_8.format(title=evaluation.paper.title, same=same(evaluation)))
    columns = ("run", "label", "reasoning", "users", "training_runs", "measure", "candidates", "mean", "sd", "paper")
    subjects = [Subject("run", row[0], row[1]) for row in rows]
    return Figure("novelty", data, look, columns, rows, subjects, (*caption, *remarks(evaluation, runs)),
                  {"novelty": said.NOVELTY[measure]})  # fmt: skip
