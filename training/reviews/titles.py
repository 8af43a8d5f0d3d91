"""Titles, brands and categories as shops write them → plain one-line text: entities, markup, scripts, store phrases."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any

from slim_app.prompts import clean_title

MAX_CHARS = 2000
"""Longer titles are cut at a word: they are pasted descriptions, and prompts show 120 characters anyway."""
MAX_CATEGORY = 60
"""Longer category entries are descriptions that slipped into the list."""
LEVELS = 3

_INLINE = "a|abbr|b|big|em|font|i|s|small|span|strong|sub|sup|u"
_BLOCK = "br|center|div|h[1-6]|hr|img|input|li|ol|p|table|tbody|td|th|tr|ul"
# Known tags only: a title may well say <Untitled> or I <3 cats. The second form is a tag that was cut off.
_TAG = re.compile(
    rf"</?(?:(?P<inline>{_INLINE})|{_BLOCK})(?:\s[^<>]*)?/?>|<(?:{_INLINE}|{_BLOCK})\s+[\w-]+=[^<>]*$", re.IGNORECASE
)
_HIDDEN = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|$)|<!--.*?(?:-->|$)", re.IGNORECASE | re.DOTALL)
# With its semicolon only: html.unescape would also turn the &para of "Q&parade" into a pilcrow.
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});", re.IGNORECASE)
_SCRIPT = re.compile(r"\bvar aPageStart\b|getTime\(\)|\bue_t0\b|<!doctype\b|<html\b", re.IGNORECASE)
_VISIT = re.compile(r"^Visit (?:Amazon's|the) (.+?) (?:Page|Store)$", re.IGNORECASE)
_BY = re.compile(r"^by\s*(?:[\n:]|\s{2})\s*", re.IGNORECASE)
_ARTICLE = re.compile(r"^(.+), (The|A|An)$")


def is_script(text: str) -> bool:
    """True for page source that stands where a title should (Amazon 2018: `var aPageStart = …`)."""
    return bool(_SCRIPT.search(text))


def plain(text: Any) -> str:
    """One line of readable text; empty for anything that is not text or holds no letter and no digit.

    Entities are decoded twice, because shops store `&amp;quot;`; markup between and after is removed.
    """
    if not isinstance(text, str):
        return ""
    text = text[: 20 * MAX_CHARS]  # a megabyte in one title must not cost seconds
    for _ in range(2):
        if "<" in text:
            text = _TAG.sub(lambda tag: "" if tag["inline"] else " ", _HIDDEN.sub(" ", text))
        if "&" in text:
            text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
    if "<" in text:
        text = _TAG.sub(lambda tag: "" if tag["inline"] else " ", _HIDDEN.sub(" ", text))
    if text.isascii() and text.isprintable() and len(text) <= MAX_CHARS:
        text = " ".join(text.split())  # what clean_title would do, ten times faster
    else:
        text = clean_title(text, MAX_CHARS)
    return text if any(map(str.isalnum, text)) else ""


def brand(text: Any) -> str:
    """A brand without the words that pages put around it (`by …`, `Visit Amazon's … Page`)."""
    if not isinstance(text, str):
        return ""
    name = plain(_BY.sub("", text.strip()))
    visit = _VISIT.match(name)
    return visit[1] if visit else name


def category(path: Iterable[Any]) -> str:
    """`Consoles > Games` from a list that runs from the whole shop to the shelf; the shop's own name is left out."""
    names = [name for name in map(plain, path) if name and len(name) <= MAX_CATEGORY]
    names = list(dict.fromkeys(names))
    return " > ".join(names[1:][:LEVELS] or names)


def film(title: str, year: str) -> str:
    """`The Birdcage (1996)` from MovieLens's `Birdcage, The` and `1996`: some films share a title."""
    title = _ARTICLE.sub(r"\2 \1", plain(title))
    return f"{title} ({year})" if title and year.isdecimal() and f"({year})" not in title else title
