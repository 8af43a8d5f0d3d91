"""The only door by which a person's text enters HTML."""

from __future__ import annotations

import html

# Gradio renders gr.HTML values next to JavaScript and Handlebars templates: their marks become entities, too.
_TEMPLATE_MARKS = str.maketrans({"{": "&#123;", "}": "&#125;", "$": "&#36;", "`": "&#96;", "\0": ""})


def esc(text: object) -> str:
    """Text safe inside an element, a quoted attribute or a plotly label (which does not know `&quot;`)."""
    return html.escape(str(text), quote=True).translate(_TEMPLATE_MARKS).replace("&quot;", "&#34;")


def bdi(text: object) -> str:
    """Escaped text whose writing direction cannot leak into its surroundings."""
    return f"<bdi>{esc(text)}</bdi>"
