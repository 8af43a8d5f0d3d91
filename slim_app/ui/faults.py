"""Faults of an endpoint: a SlimError's words reach the client as they are; nothing else about a fault does."""

from __future__ import annotations

import gradio as gr

from slim_app.errors import SlimError
from slim_app.permalink import MAX_RATIONALE


class as_gradio_errors:
    """Around the body of every endpoint: `with as_gradio_errors(): …`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind, error, traceback) -> None:
        if isinstance(error, SlimError):
            raise gr.Error(str(error), print_exception=False) from None


def check_rationale(text: object) -> None:
    """Raises SlimError unless it is text of a length that a link can hold, too."""
    if not isinstance(text, str) or len(text) > MAX_RATIONALE:
        raise SlimError(f"The rationale must be text of at most {MAX_RATIONALE:,} characters.")
