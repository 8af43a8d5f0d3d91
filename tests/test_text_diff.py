"""The word diff of two texts: by hand, and for any two strings."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from slim_app.rationale import parse
from slim_app.text_diff import MOST_PIECES, diff_steps, diff_words
from tests.writers import GOOD, OTHER


def test_a_diff_by_hand() -> None:
    assert diff_words("You like fast cars.", "You like calm games.") == (
        ("equal", "You like "), ("delete", "fast"), ("insert", "calm"), ("equal", " "), ("delete", "cars"),
        ("insert", "games"), ("equal", "."),
    )  # fmt: skip
    steps = diff_steps(parse(GOOD), parse(OTHER))
    assert list(steps) == [1, 2, 3] and ("delete", "racing") in steps[1]
    assert diff_words("<b>", "<i>") == (("equal", "<"), ("delete", "b"), ("insert", "i"), ("equal", ">")), "data"


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_a_diff_gives_both_texts_back(first: str, second: str) -> None:
    pieces = diff_words(first, second)
    assert "".join(text for op, text in pieces if op != "insert") == first
    assert "".join(text for op, text in pieces if op != "delete") == second
    assert all(text for _, text in pieces)


def test_long_texts_are_compared_as_wholes() -> None:
    long = "a b " * MOST_PIECES
    assert [op for op, _ in diff_words(long, long[:-4] + "c")] == ["delete", "insert"]
    assert diff_words(long, long) == (("equal", long),)
