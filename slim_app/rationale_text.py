"""Pieces of what a model wrote, made plain: sentences, headings, entries without their markup."""

from __future__ import annotations

import re

MAX_ENTRY_CHARS = 200


def _words(text: str) -> frozenset[str]:
    """A set of words, written as one string."""
    return frozenset(text.split())
HAS_TEXT = re.compile(r"[^\W_]")
_MARKDOWN = re.compile(r"(?<!\w)[*`]+|[*`]+(?!\w)")  # not inside a word: "M*A*S*H" is a title
_LINK = re.compile(r"\[([^\[\]]{1,200})\]\([^()\s]{0,300}\)")
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "„": "“", "_": "_"}
HEADING = re.compile(r"[^\S\n]{0,4}[*_`]{0,3}([^\n:：.!?]{1,60})[:：][*_`]{0,3}(?!\S)")
_HEADING_WORDS = _words(
    "a an and or of the your my user users s customer shopper product products preference preferences summary brief "
    "overview profile interest interests analysis purchase purchases history shopping macro micro view category "
    "categories brand brands recommended recommendation recommendations recommend suggested suggestion suggestions "
    "suggest specific five top here are is i would some for you following based on these that align with might may "
    "enjoy like"
)
HELD_TAIL = re.compile(
    r"\s[*_`#]{0,3}(?:S|S[Tt]|S[Tt][Ee]|S(?:tep|TEP)\s{0,3}(?:\d|\w{0,5})[*_`]{0,3}\s?[-–—]?)\Z"
)
MARK = re.compile(
    r"(?:>\s{0,4})?(?:(?:[-*•+]\s{1,4})?[*_`\"]{0,3}"
    r"(?:\((\d{1,3})\)|(\d{1,3})\s?(?:([)）]\.?)|[.．:](?!\d)|\ufe0f?\u20e3))[*_`]{0,3}"  # (1)  1)  1).  1.  keycap
    r"|([-•‣◦▪●·–—]|[*+](?=\s))|\(?([a-j])[.)](?=\s))\s*"
)
# Words whose full stop does not end a sentence; those of the second set may, before a usual first word.
_ABBREVIATIONS = _words("mr mrs ms dr vs st vol ed pt ft feat approx e.g i.e cf mt ver dept")
_MAYBE_LAST = _words("bros inc jr sr ltd co corp etc oz lb lbs ct pk")
_FIRST_WORDS = _words(
    "you your you're you've the this these those it its they their there additionally also in overall based recently "
    "two both a an as with from while most what one several recent earlier later lately now then together"
)


def is_heading(text: str) -> bool:
    """True for words such as "Recommended categories or brands", which say nothing about this shopper."""
    words = re.findall(r"[^\W\d_]+", text[:200].casefold())
    return bool(words) and words[0] != "you" and _HEADING_WORDS.issuperset(words)


def read_sentences(body: str, growing: bool) -> list[str]:
    """Step 1. A word of a growing text counts as known only when something follows it."""
    if growing and (tail := HELD_TAIL.search(body, max(0, len(body) - 24))):
        before = body[: tail.start()].rstrip()
        if "step" in tail[0].lower() or before.endswith((".", "!", "?", '"', "”", ")", "*")):
            body = before + " "  # what stands before the tail is whole
    lines = [line for line in body.split("\n") if HAS_TEXT.search(line)]
    if len(lines) > 1 and is_heading(lines[0]):
        del lines[0]
    out: list[str] = []
    words: list[str] = []
    for line in lines:
        mark = MARK.match(line := line.lstrip())
        mark = None if mark and mark[5] else mark
        parts = _MARKDOWN.sub("", line[mark.end():] if mark else line).split()
        for position, word in enumerate(parts):
            whole = not growing or line is not lines[-1] or position + 1 < len(parts) or body[-1:].isspace()
            breaks = ends_sentence(words[-1], word, whole) if position else mark or not word[0].islower()
            if words and breaks:
                out.append(" ".join(words))
                words = []
            words.append(word)
    return [*out, " ".join(words)] if words else out


def ends_sentence(word: str, following: str, whole: bool) -> bool:
    """Whether a sentence ends between two words; `whole` is false while `following` may still grow."""
    stem = word.rstrip("\"'”’)]*")
    if not stem.endswith((".", "!", "?", "…")) or following.lstrip("\"'“‘([")[:1].islower():
        return False
    stem = stem.lstrip("\"'“‘([")
    name = stem[:-1].casefold()
    if stem.endswith(("?", "…", "..")):
        return True
    if name in _ABBREVIATIONS or (name == "no" and following[:1].isdigit()):
        return False
    # "Super Mario Bros. You", "Chips Ahoy! Chewy", "Xbox Series X. You", "F.E.A.R. Perseus Mandate"
    initials = name[:1].isalpha() and all(len(part) == 1 for part in name.split("."))
    if name in _MAYBE_LAST or initials or stem.endswith("!"):
        return whole and following.rstrip(",").casefold().replace("’", "'") in _FIRST_WORDS
    return True


def plain(text: str) -> str:
    """For comparing a group's label with the entries of Step 2."""
    return " ".join(re.findall(r"\w+", text[:1000].casefold()))


def clean(text: str) -> str:
    """One entry without what surrounds it; empty when nothing remains."""
    text = _LINK.sub(r"\1", " ".join(text[:1000].split()))
    text = _MARKDOWN.sub("", text.replace("__", "") if text.startswith("__") else text)
    before = ""
    while text != before:
        before, text = text, text.strip().rstrip(" ,;:，；：、")
        inner = text[1:-1]
        if len(text) > 2 and _QUOTES.get(text[0]) == text[-1] and text[0] not in inner and text[-1] not in inner:
            text = inner
    if len(text) > MAX_ENTRY_CHARS:
        head = text[: MAX_ENTRY_CHARS - 1]
        text = (head.rsplit(" ", 1)[0] if " " in head[MAX_ENTRY_CHARS // 2 :] else head).rstrip(" ,;:-") + "…"
    return text if HAS_TEXT.search(text) else ""
