"""Where OpenAI-compatible servers differ in what they accept."""

from __future__ import annotations

from typing import Any


def without_refused(params: dict[str, Any], complaint: str) -> bool:
    """Drop or rename the one optional parameter that the server complains about; False when there is none.

    Older servers know no `stream_options`; OpenAI's reasoning models take `max_completion_tokens` and no temperature.
    """
    for name in ("stream_options", "max_tokens", "temperature"):
        if name in params and name in complaint:
            value = params.pop(name)
            if name == "max_tokens":
                params["max_completion_tokens"] = value
            return True
    return False
