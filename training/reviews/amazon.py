"""Lines of the Amazon review data: the 2018 edition (and the older ones, whose metadata is Python text) and 2023."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable
from typing import Any

import orjson

from training.reviews.lines import BadLine
from training.reviews.rows import Meta, Row, described, identifier, milliseconds
from training.reviews.titles import brand, category

SECOND = 1000


def row_2018(line: bytes) -> Iterable[Row]:
    """One review: reviewerID, asin, unixReviewTime in seconds.

    Raises:
        BadLine: not an object, or a field that is missing or unusable.
    """
    record = _object(line)
    user, item = identifier(record.get("reviewerID"), "reviewerID"), identifier(record.get("asin"), "asin")
    return ((user, item, milliseconds(record.get("unixReviewTime"), SECOND)),)


def row_2023(line: bytes) -> Iterable[Row]:
    """One review: user_id, parent_asin (variants of a product share it), timestamp in milliseconds.

    Raises:
        BadLine: not an object, or a field that is missing or unusable.
    """
    record = _object(line)
    user, item = identifier(record.get("user_id"), "user_id"), identifier(record.get("parent_asin"), "parent_asin")
    return ((user, item, milliseconds(record.get("timestamp"), 1)),)


def meta_2018(line: bytes) -> Meta:
    """One product: asin, title, brand, category (2018) or categories (older: a list of lists).

    Raises:
        BadLine: not an object, or without asin.
    """
    record = _object(line)
    path = record.get("category") or record.get("categories")
    if isinstance(path, list) and path and isinstance(path[0], list):
        path = path[0]
    item = identifier(record.get("asin"), "asin")
    return described(item, record.get("title"), brand(record.get("brand")), category(_list(path)))


def meta_2023(line: bytes) -> Meta:
    """One product: parent_asin, title, categories or main_category, and details.Brand or store.

    Raises:
        BadLine: not an object, or without parent_asin.
    """
    record = _object(line)
    details = record.get("details")
    if isinstance(details, str):  # some editions store the object as text
        try:
            details = orjson.loads(details)
        except ValueError:
            details = None
    name = details.get("Brand") if isinstance(details, dict) else None
    path = _list(record.get("categories")) or [record.get("main_category")]
    item = identifier(record.get("parent_asin"), "parent_asin")
    return described(item, record.get("title"), brand(name) or brand(record.get("store")), category(path))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _object(line: bytes) -> dict[str, Any]:
    try:
        record = orjson.loads(line)
    except ValueError:
        record = _python_text(line)
    if not isinstance(record, dict):
        raise BadLine("not a JSON object")
    return record


def _python_text(line: bytes) -> Any:
    """The older metadata was printed by Python, with single quotes; a hundred times slower than JSON."""
    if not line.lstrip().startswith((b"{'", b'{"')):
        raise BadLine("not JSON")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about backslashes that Python would spell otherwise
            return ast.literal_eval(line.decode().strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise BadLine("not JSON, perhaps cut off") from None
