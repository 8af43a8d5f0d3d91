"""Votes as files: CSV for a spreadsheet, JSON with everything, and the format of LLM Comparator.

The format is that of https://github.com/PAIR-code/llm-comparator (README, "JSON Data Format", and the loader in
client/services/state_service.ts, types in client/lib/types.ts; read at commits 12d9424 and d519255): required are
`metadata` with `source_path` and `custom_fields_schema`, two `models` with a `name`, and `examples`, each with
`input_text`, `tags`, `output_text_a`, `output_text_b`, `score` (1.5 to -1.5, positive where A is better),
`individual_rater_scores` and `custom_fields`. A rating has `score`, `rating_label`, `is_flipped`, `rationale` and
`custom_fields`. A win is a score beyond ±0.25 (client/lib/constants.ts). Files whose scores are all 1.0 or more are
taken for a scale of 1 to 5, so the scores here are ±0.75.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from slim_app.errors import SlimError
from slim_app.export import safe_cell
from slim_app.vote_tally import add_up
from slim_app.votes import COLUMNS, SCHEMA_VERSION, Vote

WIN_SCORE = 0.75
NOT_KEPT = "(a visitor's own: not kept)"
FIELDS = {
    "verdict": "category", "comment": "text", "blind": "category", "time": "string", "status": "per_model_category",
}  # fmt: skip
"""Custom fields of each example and their types, of those that LLM Comparator knows."""


def votes_to_csv(votes: Sequence[Vote]) -> str:
    """One vote a row; cells that a spreadsheet would run as formulas are quoted."""
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(COLUMNS)
    for vote in votes:
        row = {**asdict(vote), "history": " | ".join(vote.history)}
        table.writerow([safe_cell(row[name]) for name in COLUMNS])
    return out.getvalue()


def votes_to_json(votes: Sequence[Vote]) -> str:
    """All votes and their tallies."""
    found = {
        "schema_version": SCHEMA_VERSION,
        "tallies": [tally.as_dict() for tally in add_up((*v.writers, v.blind, v.verdict, 1) for v in votes)],
        "votes": [asdict(vote) for vote in votes],
    }
    return json.dumps(found, ensure_ascii=False, indent=2)


def votes_to_llm_comparator(votes: Sequence[Vote], first: str, second: str) -> str:
    """All votes on one pair of writers (as in `Vote.writers`), `first` as A, as LLM Comparator reads them.

    Raises:
        SlimError: there is no vote on this pair.
    """
    pair = [vote for vote in votes if set(vote.writers) == {first, second}]
    if not pair:
        raise SlimError(f"There is no vote on {first} and {second} yet. Vote on a comparison of them first.")
    found = {
        "metadata": {
            "source_path": f"SLIM votes: {first} and {second}",
            "custom_fields_schema": [{"name": name, "type": kind} for name, kind in FIELDS.items()],
        },
        "models": [{"name": first}, {"name": second}],
        "examples": [_example(vote, flipped=vote.writers[0] != first) for vote in pair],
    }
    return json.dumps(found, ensure_ascii=False, indent=2)


def _example(vote: Vote, flipped: bool) -> dict[str, Any]:
    """`flipped`: the first writer was shown as B."""
    score = {"A": WIN_SCORE, "B": -WIN_SCORE}.get(vote.verdict, 0.0) * (-1 if flipped else 1)
    texts, status = [vote.a_text, vote.b_text], [vote.a_status, vote.b_status]
    if flipped:
        texts, status = texts[::-1], status[::-1]
    kept = bool(vote.history)
    return {
        "input_text": "\n".join(vote.history) if kept else NOT_KEPT,
        "tags": [vote.domain],
        "output_text_a": texts[0] if kept else NOT_KEPT,
        "output_text_b": texts[1] if kept else NOT_KEPT,
        "score": score + 0.0,  # no -0.0
        "individual_rater_scores": [
            {
                "score": score + 0.0,
                "rating_label": _label(vote.verdict, flipped),
                "is_flipped": flipped,
                "rationale": vote.comment,
                "custom_fields": {},
            }
        ],
        "rationale_list": [],
        "custom_fields": {
            "verdict": _label(vote.verdict, flipped), "comment": vote.comment,
            "blind": "blind" if vote.blind else "names shown", "time": vote.time, "status": status,
        },
    }  # fmt: skip


def _label(verdict: str, flipped: bool) -> str:
    """The verdict in terms of the file's A and B."""
    return {"A": "B", "B": "A"}.get(verdict, verdict) if flipped else verdict
