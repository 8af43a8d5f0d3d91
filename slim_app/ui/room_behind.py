"""What is behind a bar or point: its figures in full, the groups and tests it belongs to, single cases."""

from __future__ import annotations

from slim_app.result_schema import Cases, Evaluation, Run, Spread
from slim_app.results import Result
from slim_app.ui import words_compare
from slim_app.ui import words_room as said
from slim_app.ui.escape import bdi, esc
from slim_app.ui.room_accuracy import at
from slim_app.ui.room_figure import Figure, Options, Subject, number

Facts = list[tuple[str, str]]


def behind(result: Result, figure: Figure, row: int, options: Options) -> str:
    """HTML of the place below a figure, for one of its rows."""
    subject = figure.subjects[row]
    body = {
        "run": _run, "group": _group, "bin": _bin, "cost": _cost, "paper": _paper, "writer": _writer,
        "baseline": _writer, "difference": _difference,
    }[subject.kind](result, figure, row, options)  # fmt: skip
    close = f'<button type="button" class="link" data-act="close">{said.CLOSE}</button>'
    title = said.BEHIND.replace("{label}", bdi(subject.label))
    return f'<section class="room-case" tabindex="-1"><h4>{title}</h4>{body}{close}</section>'


def _facts(facts: Facts) -> str:
    rows = "".join(f"<dt>{name}</dt><dd>{esc(value)}</dd>" for name, value in facts if value)
    return f'<dl class="room-facts">{rows}</dl>'


def _people(run: Run) -> Facts:
    reads = ""
    if run.rationales:
        model = run.rationales.model or said.UNKNOWN
        reads = said.READS.replace("{model}", model).replace("{writer}", run.rationales.writer)
    text = said.SEEDS if run.variant != "baseline" else said.SEEDS_UNTRAINED
    return [
        (said.FACTS["users"], f"{run.users:,}"),
        (said.FACTS["with_rationale"], f"{run.with_rationale:,}" if run.rationales else ""),
        (said.FACTS["with_older_rationale"], f"{run.with_older_rationale:,}" if run.with_older_rationale else ""),
        (said.FACTS["seeds"], text.format(runs=run.runs, seeds=run.candidate_seeds)),
        (said.FACTS["reads"], reads),
    ]


def _run(result: Result, figure: Figure, row: int, options: Options) -> str:
    evaluation, subject = result.evaluation, figure.subjects[row]
    run = evaluation.runs[subject.name]
    values = dict(zip(figure.columns, figure.rows[row], strict=True))
    digits = 4 if figure.name == "novelty" else 2
    facts = [(said.FACTS["value"], number(values["mean"], values["sd"], digits)), *_people(run)]
    if figure.name != "novelty":
        own = at(run, options.where)[options.measure]
        facts.append((said.FACTS["training"], "" if own.sd_training is None else f"{own.sd_training:.2f}"))
        if values["paper_mean"] is not None:
            paper = evaluation.paper.runs[subject.name]
            value = number(values["paper_mean"], values["paper_sd"])
            facts.append((said.FACTS["paper"], said.PAPER_ROW.replace("{row}", paper.row).replace("{value}", value)))
    facts += [(said.TESTS, text) for text in _tests(evaluation, subject.name, options)]
    return _facts(facts) + _measures(run, subject) + _cases(evaluation, subject, range(10**6), said.CASES)


def _tests(evaluation: Evaluation, name: str, options: Options) -> list[str]:
    found = []
    for pair in evaluation.significance:
        one = (pair.full if options.where == "full" else pair.few).get(options.measure)
        if name in (pair.first, pair.second) and one:
            low, high = one.interval_95
            found.append(said.TEST.format(first=pair.first, second=pair.second, difference=one.difference, low=low,
                                          high=high, p=one.p_t_test, wilcoxon=one.p_wilcoxon))  # fmt: skip
    return found


def _measures(run: Run, subject: Subject) -> str:
    """All measures of a run at once."""
    rows = [(label, *(number(at(run, where)[key].mean, at(run, where)[key].sd) for where in ("101", "full")))
            for key, label in said.MEASURES.items()]  # fmt: skip
    for key, label in said.NOVELTY.items():
        few, full = (run.beyond_accuracy.get(name) for name in (f"{key}_101", key))
        cells = (number(one.mean, one.sd, 4) if isinstance(one, Spread) else "–" for one in (few, full))
        rows.append((label, *cells))
    title = said.OTHER_MEASURES.replace("{label}", esc(subject.label))
    return f"<details><summary>{title}</summary>{_table(said.MEASURE_COLUMNS, rows)}</details>"


def _table(heads: tuple[str, ...], rows: list[tuple]) -> str:
    first = "".join(f'<th scope="col">{head}</th>' for head in heads)
    body = "".join(
        f'<tr><th scope="row">{esc(row[0])}</th>{"".join(f"<td>{esc(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    table = f"<table><thead><tr>{first}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="room-scroll" tabindex="0">{table}</div>'


def _cases(evaluation: Evaluation, subject: Subject, wanted: range | list[int], title: str) -> str:
    """The single users of the file that are meant, with their ranks by this run."""
    cases: Cases | None = evaluation.cases
    if cases is None or subject.name not in cases.ranks:
        return f'<p class="fine">{said.NO_CASES}</p>'
    ranks = cases.ranks[subject.name]
    rows = []
    for place, (user, few, full) in enumerate(zip(cases.users, ranks.few, ranks.full, strict=False)):
        if place in wanted:
            who = said.CASES_WHO.replace("{number}", str(place + 1)).replace("{group}", user.group)
            rows.append((who, user.purchases, user.target_interactions, f"{few:,.1f}", f"{full:,.1f}"))
    if not rows:
        return f'<p class="fine">{said.NO_CASE_HERE.format(count=len(cases.users))}</p>'
    note = said.CASES_NOTE.format(count=len(cases.users))
    return f'<h5>{title}</h5>{_table(said.CASES_COLUMNS, rows)}<p class="fine">{note}</p>'


def _group(result: Result, figure: Figure, row: int, options: Options) -> str:
    evaluation, subject = result.evaluation, figure.subjects[row]
    run = evaluation.runs[subject.name]
    group = run.sparsity.groups[subject.place]
    values = dict(zip(figure.columns, figure.rows[row], strict=True))
    low, high = values["interval_low"], values["interval_high"]
    interval = "" if low is None else said.RANGE.format(low=number(low), high=number(high))
    facts = [
        (said.FACTS["group"], number(values["mean"])), (said.FACTS["interval"], interval),
        (said.FACTS["users"], f"{group.users:,}"),
        (said.FACTS["purchases"], said.RANGE.format(low=group.interactions[0], high=group.interactions[1])),
        *_people(run)[2:],
    ]  # fmt: skip
    users = evaluation.cases.users if evaluation.cases else ()
    wanted = [n for n, user in enumerate(users) if user.group == group.group]
    return _facts(facts) + _cases(evaluation, subject, wanted, said.CASES_GROUP)


def _bin(result: Result, figure: Figure, row: int, options: Options) -> str:
    evaluation, subject = result.evaluation, figure.subjects[row]
    _, _, place, share, trained = figure.rows[row]
    facts = [
        (said.FACTS["bin"], f"{place} / {len(evaluation.popularity.training)}"),
        (said.FACTS["share"], f"{100 * share:.2f} %"),
        (said.FACTS["trained"], "" if trained is None else f"{100 * trained:.2f} %"),
        *_people(evaluation.runs[subject.name]),
    ]
    users = evaluation.cases.users if evaluation.cases else ()
    wanted = [n for n, user in enumerate(users) if user.target_bin == subject.place]
    return _facts(facts) + _cases(evaluation, subject, wanted, said.CASES_BIN)


def _cost(result: Result, figure: Figure, row: int, options: Options) -> str:
    values = dict(zip(figure.columns, figure.rows[row], strict=True))
    one = result.evaluation.cost[figure.subjects[row].name]
    return _facts([
        (said.COST_ROWS["seconds"], number(values["seconds_per_1000_users"], digits=0)),
        (said.COST_ROWS["usd"], number(values["usd_per_1000_users"], digits=4)),
        (said.FACTS["source"], values["source"]), (said.FACTS["protocol"], one.protocol),
    ])  # fmt: skip


def _paper(result: Result, figure: Figure, row: int, options: Options) -> str:
    values = dict(zip(figure.columns, figure.rows[row], strict=True))
    seconds = number(values["seconds_per_1000_users"], digits=0)
    return _facts([(said.COST_ROWS["seconds"], seconds), (said.FACTS["source"], values["source"])])


def _writer(result: Result, figure: Figure, row: int, options: Options) -> str:
    """A writer's, or a ranking's without one: all rankings and measures; the file has no single texts."""
    report, subject = result.rationales, figure.subjects[row]
    ranked = report.writers[subject.name].ranking if subject.kind == "writer" else {"": report.baselines[subject.name]}
    rows = []
    for ranker, found in ranked.items():
        for key, label in said.MEASURES.items():
            cells = (number(found[w][key], found[w].get(f"{key}_sd")) if w in found else "–" for w in ("101", "full"))
            rows.append((f"{ranker} {label}".strip(), *cells))
    facts = [(said.FACTS["users"], f"{report.protocol.users:,}")]
    if subject.kind == "writer":
        known = {key: value for key, value in report.writers[subject.name].quality.items() if key in said.QUALITY}
        facts += [(said.QUALITY[key][0], f"{100 * value:.1f} % · {said.QUALITY[key][1]}")
                  for key, value in known.items()]  # fmt: skip
    return _facts(facts) + _table(said.MEASURE_COLUMNS, rows) + _no_texts(result)


def _difference(result: Result, figure: Figure, row: int, options: Options) -> str:
    one = result.rationales.differences[figure.subjects[row].place]
    low, high = one.interval_95
    facts = [(said.FACTS["value"], f"{one.mean:+.2f} {said.AXIS_POINTS}"),
             (said.FACTS["interval"], said.RANGE.format(low=number(low), high=number(high))),
             (said.FACTS["users"], f"{result.rationales.protocol.users:,}")]  # fmt: skip
    return _facts(facts) + _no_texts(result)


def _no_texts(result: Result) -> str:
    users = result.rationales.protocol.users
    return f'<p class="fine">{said.NO_CASES_TEXTS.format(users=users, compare=words_compare.TAB)}</p>'
