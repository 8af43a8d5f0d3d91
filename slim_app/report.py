"""The report card: one case as a JSON object, and the same as one HTML file that needs nothing else.

The file opens from disk, asks no network (its own policy forbids it), holds no script, and follows the reader's light
or dark setting; printed, it is black on white. Everything in it is escaped by the template engine.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from slim_app.domain import Domain
from slim_app.faithfulness import Faithfulness
from slim_app.schema import MAX_HISTORY, Item, State
from slim_app.steering import Steered
from slim_app.versions import Digests, programs

SCHEMA = "slim-report/1"
"""Changes when a field changes its name or its meaning."""
HERE = Path(__file__).parent
STATUSES = {
    "history": ("↺", "in the history"),
    "catalogue": ("✓", "in the catalogue"),
    "near": ("≈", "near match"),
    "missing": ("✕", "not found"),
}
"""Marks of what a rationale names: icon and words."""
FIGURES = {
    "valid": ("three full steps", "{}"),
    "repetition": ("words said before", "{:.0%}"),
    "repeated_products": ("products bought before", "{:.0%}"),
    "held_out_rank": ("rank of the next purchase", "{:,}"),
    "first_token_seconds": ("first word after", "{:.2f} s"),
    "tokens_per_second": ("speed", "{:.1f} tokens/s"),
    "tokens": ("length", "{:,} tokens"),
    "seconds": ("time", "{:.1f} s"),
    "cost": ("cost", "{:.6f} USD"),
    "cost_per_1000": ("cost for 1,000 users", "{:.2f} USD"),
}
"""Figures of one side of a comparison: name and form."""


def report(
    state: State,
    history: Sequence[Item],
    domain: Domain,
    k: int,
    *,
    digests: Digests,
    seed: int | None = None,
    steered: Steered | None = None,
    faithful: Faithfulness | None = None,
    comparison: Mapping[str, Any] | None = None,
    link: str = "",
    made: datetime | None = None,
) -> dict[str, Any]:
    """Everything about one case; JSON values only, without characters that no page may hold.

    Args:
        state: the finished run.
        seed: of what was drawn for it; None where nothing was drawn (greedy decoding).
        steered: the list under an edited rationale.
        faithful: PN, PS and F of this list.
        comparison: `CompareState.as_dict()` of the same history; of a blind one before the vote, the masked state's.
        link: the permalink.
        made: when; default: now.
    """
    newest = len(history) - MAX_HISTORY
    return _clean(
        {
            "schema": SCHEMA,
            "made": (made or datetime.now(timezone.utc)).isoformat(timespec="seconds"),
            "link": link,
            "domain": {
                "name": domain.name, "label": domain.label, "note": domain.note, "items": len(domain.catalog),
            },
            "history": [
                {"id": i.id, "title": i.title, "brand": i.brand, "category": i.category, "read": n >= newest}
                for n, i in enumerate(history)
            ],
            "k": k,
            "result": state.as_dict(),
            "segments": [asdict(s) | {"key": s.key} for s in state.rationale.segments()],
            "steering": steered.as_dict() if steered else None,
            "faithfulness": faithful.as_dict() if faithful else None,
            "comparison": comparison,
            "versions": {"programs": programs(), "digests": digests.as_dict()},
            "seed": seed,
        }
    )  # fmt: skip


def to_json(card: Mapping[str, Any]) -> str:
    """The report as JSON; `SCHEMA` names its form."""
    return json.dumps(card, ensure_ascii=False, indent=2, allow_nan=False)


def to_html(card: Mapping[str, Any]) -> str:
    """The report as one HTML file, UTF-8."""
    by_key: dict[str, list[dict[str, Any]]] = {}
    for mention in card["result"]["grounding"]["mentions"]:
        by_key.setdefault(mention["key"], []).append(mention)
    compared = card["comparison"] and card["comparison"]["comparison"]
    figures = {side["key"]: _figures(side) for side in compared["sides"]} if compared else {}
    return _template().render(card=card, mentions=by_key, statuses=STATUSES, style=_style(), figures=figures)


def file_name(card: Mapping[str, Any], ending: str) -> str:
    """A name for the download: letters and digits of the domain, and the time."""
    domain = "".join(ch for ch in card["domain"]["name"] if ch.isascii() and (ch.isalnum() or ch in "-_"))[:40]
    time = "".join(ch for ch in card["made"][:19] if ch.isdigit())
    return f"slim-{domain or 'report'}-{time}.{ending}"


def _figures(side: Mapping[str, Any]) -> dict[str, str]:
    """Rows of one side's table; what is not known says so."""
    rows = {}
    for name, (label, form) in FIGURES.items():
        value = side[name]
        yes_or_no = {True: "yes", False: "no"}
        known = "unknown" if value is None else yes_or_no[value] if isinstance(value, bool) else form.format(value)
        rows[label] = known
    counts = side["products"] or {}
    rows["products named"] = ", ".join(f"{counts[s]} {STATUSES[s][1]}" for s in STATUSES if counts.get(s)) or "none"
    return rows


@cache
def _template():
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    places = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return places.get_template("report.html")


@cache
def _style() -> str:
    return (HERE / "report.css").read_text("utf-8")


def _clean(value: Any) -> Any:
    """JSON values without control characters, unpaired surrogates and non-characters: HTML may hold none of them."""
    if isinstance(value, str):
        return "".join(ch for ch in value if ch in "\n\t" or not _forbidden(ch))
    if isinstance(value, dict):
        return {_clean(str(key)): _clean(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(entry) for entry in value]
    if isinstance(value, float) and value - value != 0:  # NaN and infinity are no JSON
        return None
    return value


def _forbidden(ch: str) -> bool:
    code = ord(ch)
    return unicodedata.category(ch) in ("Cc", "Cs") or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
