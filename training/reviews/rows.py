"""What every kind of source is read into: interactions and item descriptions."""

from __future__ import annotations

from dataclasses import dataclass

from training.reviews.lines import BadLine
from training.reviews.titles import is_script, plain

Row = tuple[str, str, int]
"""User, item, time in milliseconds."""
LATEST = 1 << 53


@dataclass(frozen=True)
class Meta:
    item: str
    title: str = ""
    brand: str = ""
    category: str = ""
    why: str = ""
    """Why there is no title."""


def described(item: str, title: object, brand: str = "", category: str = "") -> Meta:
    """An item with its cleaned title, or with the reason why it has none."""
    if isinstance(title, str) and is_script(title):
        return Meta(item, "", brand, category, "page source instead of a title")
    title = plain(title)
    return Meta(item, title, brand, category, "" if title else "no title in the metadata")


def identifier(value: object, what: str) -> str:
    """A user's or an item's id; ids are separated by spaces in sequences.tsv, so they cannot hold any.

    Raises:
        BadLine: nothing there, or an id that the files could not hold.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise BadLine(f"no {what}")
    if " " in value or not value.isprintable():
        raise BadLine(f"{what} with whitespace or control characters")
    return value


def milliseconds(value: object, unit: int) -> int:
    """A time given in units of `unit` milliseconds.

    Raises:
        BadLine: no time, or one that no calendar holds.
    """
    try:
        time = int(value) if isinstance(value, int) else float(value)  # type: ignore[arg-type]
        time = round(time * unit)
    except (TypeError, ValueError, OverflowError):
        raise BadLine("no readable time") from None
    if not -LATEST < time < LATEST:
        raise BadLine("no readable time")
    return time
