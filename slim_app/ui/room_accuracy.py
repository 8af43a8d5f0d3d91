"""Figures of accuracy: all models beside the paper, the steps one by one, people with few purchases."""

from __future__ import annotations

from slim_app.result_schema import Evaluation, Group, PaperRun, Run, Spread
from slim_app.results import Result
from slim_app.ui import words_room as said
from slim_app.ui.room_bars import Bar, bars, kind_of, label_of, labels_of, ordered
from slim_app.ui.room_figure import (
    DASHES,
    GRID,
    LINE_SYMBOLS,
    LINES,
    Figure,
    Missing,
    Options,
    Subject,
    axis_title,
    between,
    layout,
    number,
    plain,
    value_axis,
    wrap,
)  # fmt: skip

RUN_COLUMNS = (
    "run", "label", "reasoning", "users", "training_runs", "candidate_seeds", "measure", "candidates", "mean", "sd",
    "sd_training", "paper_mean", "paper_sd",
)  # fmt: skip


def not_measured(figure: str, result: Result, what: str) -> Missing:
    """No file of this kind is there."""
    name = result.key
    command = said.COMMANDS[what].replace("{name}", name)
    return Missing(figure, said.MISSING[what].replace("{command}", command).replace("{name}", name))


def at(run: Run, where: str) -> dict[str, Spread]:
    return run.accuracy.full if where == "full" else run.accuracy.few


def _paper(evaluation: Evaluation, name: str, where: str) -> PaperRun | None:
    return evaluation.paper.runs.get(name) if evaluation.paper and where == "101" else None


def _row(evaluation: Evaluation, name: str, run: Run, label: str, options: Options, gap: bool) -> tuple[Bar, tuple]:
    own = at(run, options.where)[options.measure]
    paper = _paper(evaluation, name, options.where)
    theirs = paper.accuracy[options.measure] if paper else Spread.model_construct(mean=None, sd=None)
    bar = Bar(label, kind_of(run), own.mean, own.sd, theirs.mean, theirs.sd, gap)
    row = (name, label, kind_of(run), run.users, run.runs, run.candidate_seeds, options.measure, options.where,
           own.mean, own.sd, own.sd_training, theirs.mean, theirs.sd)  # fmt: skip
    return bar, row


def chosen(options: Options) -> dict[str, str]:
    """What is measured, and among which products, as an explanation says it."""
    return {"measure": said.MEASURES[options.measure], "where": said.WHERE_TERMS[options.where]}


def caption(evaluation: Evaluation, runs: list[Run], options: Options, paper: bool) -> tuple[str, ...]:
    """The protocol in words: people, candidates, seeds, what ± means, whose the diamonds are."""
    data = evaluation.dataset
    parts = [
        said.CAPTION_TEST.format(users=spanned([run.users for run in runs]), dataset=data.name, items=data.items),
        said.CAPTION_WHERE[options.where].format(items=data.items),
    ]
    trained = [run.runs for run in runs if run.variant != "baseline"] or [1]
    text = said.CAPTION_SEEDS if options.where == "101" else said.CAPTION_SEEDS_FULL
    parts += [text.format(runs=spanned(trained), seeds=spanned([run.candidate_seeds for run in runs])),
              said.CAPTION_NO_SD]  # fmt: skip
    if paper:
        parts.append(said.CAPTION_PAPER.format(title=evaluation.paper.title, same=same(evaluation)))
    elif options.where == "full" and evaluation.paper:
        parts.append(said.NO_FULL_PAPER)
    return (*parts, *remarks(evaluation, runs))


def same(evaluation: Evaluation) -> str:
    return said.SAME if evaluation.paper.same_users else said.OTHER


def remarks(evaluation: Evaluation, runs: list[Run]) -> list[str]:
    """What has to be said beside every figure: simulation, older texts, and the evaluator's own note."""
    simulated = [said.SIMULATED] * evaluation.dataset.simulated
    if any(run.rationales and run.rationales.model == "simulated" for run in runs):
        simulated.append(said.SIMULATED_TEXTS)
    older = {
        said.OLDER_TEXTS.format(writer=kind_of(run), older=f"{run.with_older_rationale:,}", users=f"{run.users:,}")
        for run in runs if run.with_older_rationale
    }  # fmt: skip
    return [*simulated, *sorted(older), *([evaluation.note] if evaluation.note else [])]


def spanned(values: list[int]) -> str:
    """One number, or from the smallest to the largest."""
    low, high = min(values, default=0), max(values, default=0)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def accuracy(result: Result, options: Options) -> Figure | Missing:
    """Every run that reads all steps, beside the paper's row of its kind."""
    if result.evaluation is None:
        return not_measured("accuracy", result, "evaluation")
    evaluation, labels = result.evaluation, labels_of(result.evaluation)
    drawn, rows, runs = [], [], []
    for name, run, gap in ordered(evaluation):
        bar, row = _row(evaluation, name, run, labels[name], options, gap)
        drawn.append(bar), rows.append(row), runs.append(run)
    data, look = bars(drawn)
    return Figure(
        "accuracy", data, look, RUN_COLUMNS, rows, [Subject("run", row[0], row[1]) for row in rows],
        caption(evaluation, runs, options, any(bar.paper is not None for bar in drawn)), chosen(options),
    )  # fmt: skip


def steps(result: Result, options: Options) -> Figure | Missing:
    """Text matching by one step alone beside all of them, for each way to read the text."""
    if result.evaluation is None:
        return not_measured("steps", result, "evaluation")
    families: dict[tuple[str, ...], dict[tuple[int, ...], str]] = {}
    for name, run in result.evaluation.runs.items():
        if run.rationales:
            family = (run.variant, run.backbone, run.ranker, run.rationales.writer)
            families.setdefault(family, {})[run.steps] = name
    drawn, rows, subjects, runs = [], [], [], []
    for found in families.values():
        if not any(len(steps) == 1 for steps in found):
            continue
        gap = bool(drawn)
        for steps_, name in sorted(found.items(), key=lambda pair: (len(pair[0]), pair[0])):
            run = result.evaluation.runs[name]
            what = said.STEP.get(steps_[0], name) if len(steps_) == 1 else said.ALL_STEPS
            how = label_of(name, run)
            if run.variant == "text":
                how = said.READS_AS.get(run.ranker, run.ranker)
                how = said.BY_TEACHER.replace("{label}", how) if kind_of(run) == "teacher" else how
            bar, row = _row(result.evaluation, name, run, f"{what}, {how}", options, gap)
            gap = False
            drawn.append(bar), rows.append(row), runs.append(run), subjects.append(Subject("run", name, bar.label))
    if not drawn:
        return Missing("steps", said.MISSING["steps"])
    data, look = bars(drawn)
    paper = any(bar.paper is not None for bar in drawn)
    return Figure("steps", data, look, RUN_COLUMNS, rows, subjects, caption(result.evaluation, runs, options, paper),
                  chosen(options))  # fmt: skip


def headline(evaluation: Evaluation) -> list[str]:
    """Few enough runs for lines: what most buy, the strongest untrained, the strongest text, one backbone’s best
    of each variant."""
    runs = {name: run for name, run, _ in ordered(evaluation)}

    def best(names: list[str]) -> list[str]:
        return sorted(names, key=lambda name: -runs[name].accuracy.few["ndcg@10"].mean)[:1]

    chosen = [name for name in runs if name == "popularity"]
    chosen += best([n for n, run in runs.items() if run.variant == "baseline" and n != "popularity"])
    chosen += best([n for n, run in runs.items() if run.variant == "text" and kind_of(run) != "teacher"])
    trained = {name: run for name, run in runs.items() if run.variant not in ("baseline", "text")}
    backbones = [run.backbone for run in trained.values()]
    first = "sasrec" if "sasrec" in backbones else (backbones or [""])[0]
    own = {name: (run.variant, kind_of(run)) for name, run in trained.items() if run.backbone == first}
    for kind in list(dict.fromkeys(own.values()))[:5]:
        chosen += best([name for name, its in own.items() if its == kind])
    return chosen


def lines_of(evaluation: Evaluation, options: Options) -> list[tuple[str, Run, str, dict]]:
    """(name, run, label, look) of the runs that the line charts show."""
    labels = labels_of(evaluation)
    names = [name for name in options.shown if name in evaluation.runs] or headline(evaluation)
    found = []
    for n, name in enumerate(names):
        at_ = n % len(LINES)
        look = {
            "type": "scatter", "mode": "lines+markers", "name": wrap(labels[name], 40),
            "line": {"color": LINES[at_], "dash": DASHES[at_], "width": 2},
            "marker": {"color": LINES[at_], "symbol": LINE_SYMBOLS[at_], "size": 8},
        }  # fmt: skip
        found.append((name, evaluation.runs[name], labels[name], look))
    return found


def legend_below(look: dict, lines: int) -> None:
    """A legend of its own lines under the plot, with room for it."""
    axis = look["margin"]["b"]
    plot = look["height"] - look["margin"]["t"] - axis
    look["showlegend"] = True
    look["height"] += 24 * lines
    look["margin"]["b"] += 24 * lines
    look["legend"] |= {"y": -axis / plot, "yanchor": "top", "orientation": "v"}


def sparsity(result: Result, options: Options) -> Figure | Missing:
    """The fifths of the users by number of purchases, a line for each run."""
    if result.evaluation is None:
        return not_measured("sparsity", result, "evaluation")
    evaluation, data, rows, subjects, bare = result.evaluation, [], [], [], False
    lines = lines_of(evaluation, options)
    for n, (name, run, label, look) in enumerate(lines):
        shift = 0.07 * (n - (len(lines) - 1) / 2)  # so that whiskers do not cover each other
        groups = run.sparsity.groups
        values = [_of(group, options) for group in groups]
        ends = [group.interval_95.get(options.where, {}).get(options.measure) for group in groups]
        bare = bare or not any(ends)
        data.append({
            **look, "x": [place + shift for place in range(len(groups))], "y": values,
            "customdata": list(range(len(rows), len(rows) + len(groups))), "error_y": between(values, ends),
            "hoverinfo": "text",
            "hovertext": [f"{plain(label)}<br>{plain(group.group)}: {number(value)} {_ends(interval)}"
                          for group, value, interval in zip(groups, values, ends, strict=True)],
        })  # fmt: skip
        for place, (group, value, interval) in enumerate(zip(groups, values, ends, strict=True)):
            low, high = interval or (None, None)
            rows.append((name, label, group.group, group.users, *group.interactions, options.measure, options.where,
                         value, low, high))  # fmt: skip
            subjects.append(Subject("group", name, f"{label}, {group.group}", place))
    groups = lines[0][1].sparsity.groups if lines else []
    look = layout(372, left=40, right=12, top=12, bottom=68)
    look["xaxis"] = {"fixedrange": True, "showgrid": False, "zeroline": False, "range": [-0.5, len(groups) - 0.5],
                     "tickvals": list(range(len(groups))), "ticktext": [_group(group) for group in groups],
                     "tickfont": {"size": 12}, "tickangle": 0, "title": axis_title(said.AXIS_PURCHASES)}  # fmt: skip
    look["yaxis"] = value_axis(gridcolor=GRID)
    legend_below(look, len(lines))
    runs = [run for _, run, _, _ in lines]
    said_ = caption(evaluation, runs, options, False)
    text = (said_[0], said_[1], said.CAPTION_GROUPS_BARE if bare else said.CAPTION_GROUPS, said.CAPTION_TRAINED,
            *remarks(evaluation, runs))  # fmt: skip
    columns = ("run", "label", "group", "users", "fewest_purchases", "most_purchases", "measure", "candidates", "mean",
               "interval_low", "interval_high")  # fmt: skip
    return Figure("sparsity", data, look, columns, rows, subjects, text, chosen(options))


def _of(group: Group, options: Options) -> float:
    return (group.full if options.where == "full" else group.few)[options.measure]


def _ends(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else "(" + said.RANGE.format(low=number(interval[0]), high=number(interval[1])) + ")"


def _group(group: Group) -> str:
    low, high = group.interactions
    text = said.AXIS_GROUP_ONE if low == high else said.AXIS_GROUP
    return text.format(group=plain(group.group), low=low, high=high)
