"""What rationales cost, in seconds and USD for 1,000 users: the measured student, the teacher by usage and price."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slim_app.errors import SlimError
from slim_app.prompts import teacher_prompt
from slim_app.rationale import format_rationale
from training.dataset import Dataset
from training.files import read_jsonl
from training.teacher.prices import BYTES_PER_TOKEN, Price

USERS = 1000
STUDENT_NOTE = (
    "seconds of the last run that generate_rationales recorded, model loading apart; parts that ran side by side on "
    "one machine: their rates add up; money = those seconds at the price of the machine"
)
TEACHER_NOTE = (
    "one request after the other; money = tokens at the price for a million prompt and answer tokens, of all requests, "
    f"for each usable rationale; where no usage was recorded, a token is {BYTES_PER_TOKEN:g} bytes of prompt and text"
)


def student_cost(files: Sequence[Path], usd_per_hour: float | None) -> dict[str, Any]:
    """From the meta files that generate_rationales wrote beside the parts of one generation.

    Raises:
        SlimError: a file without a finished run, or of another student than the first.
    """
    rate = rationales = tokens = 0.0
    who: dict[str, Any] = {}
    for file in files:
        try:
            meta = json.loads(file.read_text("utf-8"))
            run = meta["last_run"]
            this = {key: meta.get(key) for key in ("model", "engine", "dtype", "grammar", "device")}
            count, written, seconds = run["rationales"], run["tokens"], run["seconds"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SlimError(f"{file} holds no measured run ({error!r}). Give the PART.jsonl.meta.json files that "
                            "training.generate_rationales wrote; a merged file no longer has the times.") from None
        if not (count and seconds):
            raise SlimError(f"{file}: its last run wrote no rationale, so nothing was measured. Leave it out.")
        if who and this != who:
            raise SlimError(f"{file} was written by {this}, {files[0]} by {who}. Give parts of one generation.")
        who = this
        rate, rationales, tokens = rate + count / seconds, rationales + count, tokens + written
    seconds = USERS / rate
    return {
        **who, "parts_side_by_side": len(files), "measured_rationales": int(rationales),
        "tokens_per_rationale": round(tokens / rationales, 1), "seconds_per_1000_users": round(seconds, 1),
        "usd_per_hour_of_machine": usd_per_hour,
        "usd_per_1000_users": None if usd_per_hour is None else round(seconds / 3600 * usd_per_hour, 4),
        "protocol": STUDENT_NOTE,
    }  # fmt: skip


def teacher_cost(file: Path, dataset: Dataset, price: Price | None) -> dict[str, Any]:
    """From the rows of a teacher's rationales: their recorded usage, else the length of prompt and text, and which.

    Rows with a `problem` were paid for, too, so they count as cost but not as rationales.

    Raises:
        SlimError: no rationale, or a row that cannot be used.
    """
    rationales = measured = estimated = 0
    prompt = answer = 0.0
    times: list[float] = []
    for place, row in read_jsonl(file):
        rationales += not row.get("problem")
        usage = row.get("usage") or {}
        if usage.get("prompt_tokens") and usage.get("completion_tokens"):
            measured += 1
            prompt, answer = prompt + usage["prompt_tokens"], answer + usage["completion_tokens"]
        else:
            estimated += 1
            try:
                asked = teacher_prompt(dataset.history(str(row["user_id"]), int(row["upto"]), place))
                said = row.get("text") or format_rationale(row["step1"], row["step2"], row["step3"])
            except (KeyError, TypeError, ValueError) as error:
                raise SlimError(f"{place}: not a rationale ({error!r}). Repair or remove the line.") from None
            prompt, answer = prompt + _tokens(asked), answer + _tokens(said)
        if isinstance(row.get("seconds"), int | float):
            times.append(row["seconds"])
    if not rationales:
        raise SlimError(f"{file} holds no rationale. Check --teacher.")
    prompt, answer = prompt / rationales, answer / rationales
    return {
        "rationales": rationales, "requests_with_recorded_usage": measured, "requests_estimated": estimated,
        "prompt_tokens_per_rationale": round(prompt, 1), "answer_tokens_per_rationale": round(answer, 1),
        "requests_with_recorded_seconds": len(times),
        "seconds_per_1000_users": round(USERS * sum(times) / len(times), 1) if times else None,
        "usd_per_1000_users": None if price is None else round(price.of(USERS * prompt, USERS * answer), 4),
        "price_usd_per_million": price and {"prompt": price.prompt, "answer": price.answer, "source": price.source},
        "protocol": TEACHER_NOTE,
    }  # fmt: skip


def _tokens(text: str) -> float:
    return len(text.encode()) / BYTES_PER_TOKEN
