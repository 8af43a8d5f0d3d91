"""What goes to and comes from a batch mode: the lines of its files, and whether an object is one of its own."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar

from slim_app.prompts import clean_title
from slim_app.reasoners.faults import Broken
from training.jobs import Job
from training.teacher.answers import Answer, read_answer

T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """What became of one request: an answer, or the reason why there is none."""

    job: Job
    answer: Answer | None = None
    refused: bool = False
    """True where the same request would be refused again."""
    reason: str = ""


def request_line(job: Job, params: dict[str, Any]) -> bytes:
    """One chat completion; `custom_id` brings the job back with the answer."""
    request = {"custom_id": f"{job.upto}:{job.user}", "method": "POST", "url": "/v1/chat/completions", "body": params}
    return json.dumps(request).encode() + b"\n"


def read_result(line: bytes | str) -> Result | None:
    """One line of an output or error file; None when it does not say which request it is about."""
    try:
        record = json.loads(line)
        upto, _, user = record["custom_id"].partition(":")
        job = Job(user, int(upto))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    response = record.get("response") if isinstance(record.get("response"), dict) else {}
    status, body = response.get("status_code"), response.get("body")
    if status == 200:
        try:
            return Result(job, read_answer(body))
        except Broken as error:
            return Result(job, reason=f"The server {error}")
    reason = _message(record.get("error")) or _message(body) or "no reason given"
    if not isinstance(status, int):
        return Result(job, reason=f"Not answered: {reason}")
    refused = 400 <= status < 500 and status not in {401, 402, 403, 408, 409, 425, 429}
    return Result(job, refused=refused, reason=f"The server refused the request (HTTP {status}). It said: “{reason}”")


def _message(error: Any) -> str:
    """The words in an error object, which may lie in another one."""
    while isinstance(error, dict):
        error = error.get("error") or error.get("message") or error.get("code")
    return clean_title(error[:2000], 160) if isinstance(error, str) else ""


async def sound(call: Awaitable[T]) -> T:
    """The object that a call brings.

    Raises:
        Broken: something without an id; the client passes on whatever came.
    """
    answer = await call
    if not isinstance(getattr(answer, "id", None), str):
        raise Broken("sent something that a server with a batch mode does not send.")
    return answer
