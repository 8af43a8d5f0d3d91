"""What `collect_rationales` says: the estimate before anything is sent, and the meta file beside its rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slim_app.errors import SlimError
from slim_app.prompts import PROMPT_VERSION
from training.files import read_jsonl
from training.jobs import Job
from training.store import beside
from training.teacher.collection import Collection
from training.teacher.prices import Budget


def estimate(collection: Collection, jobs: Sequence[Job], max_tokens: int) -> str:
    """Requests, tokens and USD of `jobs`, with the basis of each figure, in one paragraph."""
    forecast, price = collection.forecast, collection.price
    sizes = [forecast.prompt_tokens(collection.size(job)) for job in jobs]
    prompt, answers = sum(sizes), len(jobs) * forecast.answer_tokens(max_tokens)
    text = f"{len(jobs)} requests to {collection.model}: about {prompt:,.0f} prompt tokens and {answers:,.0f} answer "
    text += f"tokens ({forecast.basis}). "
    if not price:
        return text + "Cost: unknown, no price for this model (--price-in, --price-out: USD for a million tokens)."
    budget = Budget(None, price)
    most = sum(budget.most(size, max_tokens) for size in sizes)
    cost = price.of(prompt, answers)
    return text + (
        f"Cost: about {cost:.4f} USD, at most {most:.4f} if every answer takes all {max_tokens} tokens; retries come "
        f"on top ({price.prompt:g} + {price.answer:g} USD for a million tokens, {price.source})."
    )


def fingerprint(folder: Path) -> str:
    """Of the dataset's files: another one must not be mixed into the same rows."""
    digest = hashlib.sha256()
    for name in ("items.tsv", "sequences.tsv"):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def check_meta(out: Path, data: str, sha256: str) -> None:
    """Refuses to continue rows that were collected from another dataset.

    Raises:
        SlimError: that is so, or the meta file cannot be read.
    """
    file = beside(out, "meta")
    if not file.exists():
        return
    try:
        before = json.loads(file.read_text("utf-8"))["data"]
        same, name = before["sha256"] == sha256, before["name"]
    except (OSError, ValueError, TypeError, KeyError):
        raise SlimError(f"{file} cannot be read. Remove it; it is written again.") from None
    if not same:
        what = "an earlier edition of it" if name == data else f"the dataset {name}"
        raise SlimError(f"{out} was collected from {what}, not from this {data}: see {file}. Give another --out.")


def totals(out: Path, model: str) -> dict[str, Any]:
    """Rows, usage and cost of a model over all runs; a row that was replaced by a later one was paid for, too."""
    newest: dict[tuple[str, int], bool] = {}
    prompt = answer = rows = unknown = 0
    cost = 0.0
    for _, row in read_jsonl(out):
        if row["model"] != model:
            continue
        rows += 1
        newest[str(row["user_id"]), row["upto"]] = not row.get("problem")
        usage = row.get("usage") or {}
        prompt, answer = prompt + (usage.get("prompt_tokens") or 0), answer + (usage.get("completion_tokens") or 0)
        if isinstance(row.get("cost_usd"), int | float):
            cost += row["cost_usd"]
        elif row.get("finish_reason") != "refused":
            unknown += 1
    return {
        "rows": rows, "rationales": sum(newest.values()), "problems": len(newest) - sum(newest.values()),
        "usage": {"prompt_tokens": prompt, "completion_tokens": answer},
        "cost_usd": None if unknown else round(cost, 6), "rows_of_unknown_cost": unknown,
    }  # fmt: skip


def describe(collection: Collection, out: Path, **facts: Any) -> dict[str, Any]:
    """The content of the meta file."""
    price = collection.price
    return {
        "made_by": "collect_rationales", "prompt_version": PROMPT_VERSION, "model": collection.model, **facts,
        "price_usd_per_million": price and {"prompt": price.prompt, "answer": price.answer, "source": price.source},
        **totals(out, collection.model),
    }  # fmt: skip
