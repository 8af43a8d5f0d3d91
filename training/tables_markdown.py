"""The report of `training.evaluate` as Markdown tables, beside the figures of the paper.

    python -m training.tables_markdown assets/results/recommenders_games.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from slim_app.errors import SlimError
from training import paper

SHOWN = {"ndcg@10": "NDCG@10", "hr@10": "HR@10", "hr@20": "HR@20"}
NONE = "–"


def tables(report: Mapping[str, Any]) -> str:
    """All tables of a report."""
    parts = [_head(report), _accuracy(report), _beyond(report), _sparsity(report), _significance(report), _cost(report)]
    return "\n\n".join(part for part in parts if part)


def _head(report: Mapping[str, Any]) -> str:
    data, runs = report["dataset"], report["runs"].values()
    seeds = sorted({run["runs"] for run in runs if run["training_seeds"]})
    text = f"{data['name']}: {data['users']:,} users, {data['items']:,} items, {data['interactions']:,} interactions; "
    text += f"test position; {len(report['candidate_seeds'])} candidate seeds"
    if seeds:
        text += f" x {' or '.join(map(str, seeds))} training seeds"
    if report["common_users"]:
        text += f"; the {next(iter(runs))['users']:,} users whom all runs can rank for"
    if data["name"] in paper.DATASETS:
        text += ". The paper's users" if paper.same_users(data) and not report["common_users"] else (
            ". Other users than the paper's: compare differences, not values")
    if data["simulated"]:
        text += ". Simulated purchases: nothing can be concluded about people"
    return text + "."


def _accuracy(report: Mapping[str, Any]) -> str:
    dataset, rows = report["dataset"]["name"], []
    beside = dataset in paper.DATASETS
    for name, run in report["runs"].items():
        found = paper.accuracy(run.get("backbone", ""), paper.row_of(run) or "", dataset)
        theirs = [_mean_sd(*found[metric]) if found else NONE for metric in SHOWN] if beside else []
        ours = [_spread(run["accuracy"][where][metric]) for where in ("101", "full") for metric in SHOWN]
        rows.append([name, f"{run['users']:,}", *ours[:3], *theirs, *ours[3:]])
    heads = ["", "users", *SHOWN.values(), *(f"paper {text}" for text in SHOWN.values() if beside),
             *(f"full {text}" for text in SHOWN.values())]  # fmt: skip
    theirs = f", as in the paper ({paper.TITLE}, Tables 1 and 2)" if beside else ""
    return _table(heads, rows) + f"\n\nx 100, mean ± sd; among 101 candidates{theirs}; full: the whole catalogue."


def _beyond(report: Mapping[str, Any]) -> str:
    dataset, rows = report["dataset"]["name"], []
    beside = dataset in paper.DATASETS
    for name, run in report["runs"].items():
        block = run["beyond_accuracy"]
        found = paper.TABLE_8.get((run.get("backbone", ""), paper.row_of(run)), {}).get(dataset)
        theirs = [f"{value:.4f}" for value in found] if found else [NONE, NONE]
        few, full = ([f"{block[f'{metric}@10{where}']['mean']:.4f}" for metric in ("efd", "epc")]
                     for where in ("_101", ""))  # fmt: skip
        lists = [f"{block[f'{metric}@10']['mean']:.3f}" for metric in ("arp", "aplt", "coverage", "gini")]
        rows.append([name, *few, *(theirs if beside else []), *full, *lists])
    heads = ["", "EFD@10", "EPC@10", *(["paper EFD@10", "paper EPC@10"] if beside else []), "full EFD@10",
             "full EPC@10", "ARP@10", "APLT@10", "coverage@10", "Gini@10"]  # fmt: skip
    theirs = f", as the paper's Table 8 ({paper.TITLE})" if beside else ""
    return _table(heads, rows) + f"\n\nEFD, EPC: 101 candidates{theirs}; the rest: lists of the whole catalogue."


def _sparsity(report: Mapping[str, Any]) -> str:
    rows, heads = [], []
    for name, run in report["runs"].items():
        groups = run["sparsity"]["groups"]
        heads = heads or ["NDCG@10", *(f"{g['group']} ({g['interactions'][0]}-{g['interactions'][1]})" for g in groups)]
        rows.append([name, *(f"{group['101']['ndcg@10']:.2f}" for group in groups)])
    return _table(heads, rows) + "\n\nx 100, 101 candidates; users by number of interactions, five equal groups."


def _significance(report: Mapping[str, Any]) -> str:
    rows = []
    for pair in report["significance"]:
        for where, words in (("101", "101 candidates"), ("full", "full catalogue")):
            for metric in ("ndcg@10", "hr@10"):
                one, text = pair[where][metric], SHOWN[metric]
                better = one["improvement_percent"]
                rows.append([
                    f"{pair['first']} against {pair['second']}", f"{text}, {words}", f"{one['difference']:+.2f}",
                    NONE if better is None else f"{better:+.1f} %", "{:.2f} to {:.2f}".format(*one["interval_95"]),
                    f"{one['p_t_test']:.2g}", f"{one['p_wilcoxon']:.2g}",
                ])  # fmt: skip
    heads = ["", "metric", "difference", "relative", "95 % interval", "p (t-test)", "p (Wilcoxon)"]
    return _table(heads, rows) if rows else ""


def _cost(report: Mapping[str, Any]) -> str:
    rows = []
    for who, found in report["cost"].items():
        seconds, usd = found["seconds_per_1000_users"], found["usd_per_1000_users"]
        if who == "student":
            what = f"{found['model']}, {found['engine']}, {found['device']}, {found['parts_side_by_side']} processes"
        else:
            source = (found["price_usd_per_million"] or {}).get("source", "unknown")
            tokens = "tokens estimated, no usage recorded" if found["requests_estimated"] else "recorded usage"
            what = f"price of {found['priced_as'] or 'the teacher'} ({source}), {tokens}"
        rows.append([who, what, NONE if seconds is None else f"{seconds:,.0f}", NONE if usd is None else f"{usd:.2f}"])
    if not rows:
        return ""
    rows += [[f"paper: {who}", f"{paper.TITLE}, Table 3", f"{1000 * value:,.0f}", NONE]
             for who, value in paper.TABLE_3.items()]  # fmt: skip
    return _table(["1,000 users", "", "seconds", "USD"], rows)


def _spread(value: Mapping[str, float | None]) -> str:
    return _mean_sd(value["mean"], value["sd"])


def _mean_sd(mean: float, sd: float | None) -> str:
    return f"{mean:.2f}" if sd is None else f"{mean:.2f} ± {sd:.2f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    def lines() -> Iterator[str]:
        yield line(heads)
        yield "|" + "---|" * len(heads)
        yield from map(line, rows)

    return "\n".join(lines())


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.tables_markdown", description=__doc__.split("\n")[0])
    parser.add_argument("report", type=Path, help="JSON of training.evaluate")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = make_parser().parse_args(argv)
    try:
        try:
            report = json.loads(args.report.read_text("utf-8"))
            text = tables(report)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SlimError(f"{args.report} is no report of training.evaluate ({error!r}). Evaluate again.") from None
        print(text)
    except SlimError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
