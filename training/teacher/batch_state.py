"""The note about a batch that is under way, in a file beside the rationales."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

from slim_app.errors import SlimError
from slim_app.prompts import PROMPT_VERSION


def new_state(model: str, requests: int) -> dict[str, Any]:
    """The note before anything is sent: the tag finds the batch at the provider where `batch_id` is not known yet."""
    return {
        "tag": uuid.uuid4().hex, "batch_id": "", "model": model, "prompt_version": PROMPT_VERSION,
        "requests": requests, "created": int(time.time()),
    }  # fmt: skip


def read_state(file: Path, model: str) -> dict[str, Any] | None:
    """The batch that is under way; None when there is none.

    Raises:
        SlimError: the note cannot be read, or belongs to another model or prompt version.
    """
    if not file.exists():
        return None
    try:
        state = json.loads(file.read_text("utf-8"))
        kinds = {"tag": str, "batch_id": str, "model": str, "prompt_version": str, "requests": int, "created": int}
        known = all(isinstance(state[name], kind) for name, kind in kinds.items())
    except (OSError, ValueError, TypeError, KeyError):
        known = False
    if not known:
        raise SlimError(f"{file} should describe a batch, but cannot be read. Look at the provider's list of batches "
                        "for one that still runs; then remove the file.")
    if (state["model"], state["prompt_version"]) != (model, PROMPT_VERSION):
        raise SlimError(f"{file} describes a batch of the model {state['model']} and prompt version "
                        f"{state['prompt_version']}. Finish it with the --model and release that began it, or give "
                        "another --out.")
    return state
