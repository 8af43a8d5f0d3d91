"""The guided start: three things to do, one after the other, from landing to "I see why it recommends that"."""

from __future__ import annotations

from slim_app.ui import words

STEPS = ("run", "point", "change")
"""What `guide.js` waits for: a finished run, a product that is pointed at, a changed sentence."""


def guide() -> str:
    """A strip above the three beats; the page's script moves it on, and remembers that it was closed."""
    steps = "".join(
        f'<li data-step="{step}"><span class="dot" aria-hidden="true">{number}</span>'
        f"<span>{words.GUIDE[step]}</span></li>"
        for number, step in enumerate(STEPS, start=1)
    )
    return (
        f'<aside class="guide" aria-label="{words.GUIDE_LABEL}"><ol>{steps}</ol><p class="over">{words.GUIDE_OVER}</p>'
        f'<button type="button" class="link" data-guide="close">{words.GUIDE_CLOSE}</button></aside>'
    )
