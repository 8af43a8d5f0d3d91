"""Theme, style sheet and the little script of the page. System fonts only: nothing is fetched from elsewhere."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

HERE = Path(__file__).parent
SHEETS = ("style.css", "compare.css", "guide.css", "steer.css", "what_if.css", "links.css", "room.css")
SCRIPTS = ("page.js", "guide.js", "room.js")
SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "DejaVu Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "DejaVu Sans Mono", "monospace")


def theme() -> gr.themes.Base:
    """Calm greys, one accent; colours that carry meaning live in style.css."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.slate,
        neutral_hue=gr.themes.colors.slate,
        font=list(SANS),
        font_mono=list(MONO),
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_md,
    ).set(
        body_background_fill="#f7f8fa",
        body_background_fill_dark="#0f1318",
        block_border_width="0px",
        block_shadow="none",
        block_label_background_fill="transparent",
        block_info_text_size="14px",
        block_info_text_color="#56616f",
        block_info_text_color_dark="#a7b1bd",
        checkbox_label_background_fill="transparent",
        checkbox_label_background_fill_selected="#e6eef5",
        checkbox_label_background_fill_selected_dark="#22303d",
        checkbox_label_border_width="1px",
        checkbox_label_border_color="#cfd6de",
        checkbox_label_border_color_dark="#2c343e",
        input_background_fill="#f1f3f6",
        input_background_fill_dark="#1f262f",
        button_secondary_background_fill="#e9edf2",
        button_secondary_background_fill_dark="#2a333e",
        button_primary_background_fill="#1f4e79",
        button_primary_background_fill_hover="#183d60",
        button_primary_text_color="#ffffff",
        button_primary_background_fill_dark="#7db7e8",
        button_primary_background_fill_hover_dark="#a3cdf0",
        button_primary_text_color_dark="#0f1318",
    )


def style() -> str:
    return "".join((HERE / name).read_text("utf-8") for name in SHEETS)


def script() -> str:
    """The page's scripts as <script> elements for the document head."""
    return "".join(f"<script>{(HERE / name).read_text('utf-8')}</script>" for name in SCRIPTS)
