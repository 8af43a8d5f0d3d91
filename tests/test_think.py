"""Thoughts are left out wherever the stream happens to be cut."""

from __future__ import annotations

import pytest

from slim_app.reasoners.think import ThinkFilter


@pytest.mark.parametrize(
    ("whole", "shown"),
    [
        ("<think>a < b, </b> too</think>\n\nYes <think>", "Yes <think>"),
        ("<think></think>", ""),
        ("<think>cut off </thin", ""),
        ("<thin air>", "<thin air>"),
        (" \n<thi", "<thi"),
        ("  Step 1 ", "Step 1 "),
        ("", ""),
    ],
)
def test_the_same_text_wherever_it_is_cut(whole: str, shown: str) -> None:
    for first in range(len(whole) + 1):
        for second in range(first, len(whole) + 1):
            think = ThinkFilter()
            pieces = whole[:first], whole[first:second], whole[second:]
            assert "".join(map(think.feed, pieces)) + think.flush() == shown
            assert think.hidden == whole.startswith("<think>")
