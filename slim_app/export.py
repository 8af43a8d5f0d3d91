"""A result as files: CSV for a spreadsheet, JSON with everything."""

from __future__ import annotations

import csv
import io
import json

from slim_app.schema import State

COLUMNS = (
    "rank", "id", "title", "brand", "category", "score",
    "evidence_step", "evidence", "evidence_similarity", "rank_without_evidence", "rank_sequence", "rank_reasoning",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""First characters that make a cell a formula (OWASP, CSV Injection), their full-width forms included."""


def to_json(state: State) -> str:
    """The same object that `/recommend` returns, indented."""
    return json.dumps(state.as_dict(), ensure_ascii=False, indent=2)


def to_csv(state: State) -> str:
    """One recommended product a row, with its evidence; cells that a spreadsheet would run as formulas are quoted."""
    out = io.StringIO()
    table = csv.writer(out)  # its standard line end, \r\n, also makes it quote cells that hold either of them
    table.writerow(COLUMNS)
    for rec in state.recommendations:
        evidence = rec.evidence
        because = ("", "", "", "")
        if evidence:
            without = "" if evidence.rank_without is None else evidence.rank_without
            because = (evidence.step, evidence.text, evidence.similarity, without)
        sides = ("" if rank is None else rank for rank in (rec.rank_sequence, rec.rank_reasoning))
        row = (rec.rank, rec.id, rec.title, rec.brand, rec.category, rec.score, *because, *sides)
        table.writerow([safe_cell(value) for value in row])
    return out.getvalue()


def safe_cell(value: object) -> object:
    """A CSV cell; text that a spreadsheet would run as a formula gets an apostrophe in front."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
