"""From the text of one step to its entries: numbered, bulleted, nested, run-on or comma-separated."""

from __future__ import annotations

import re
from collections.abc import Sequence

from slim_app.rationale_text import HAS_TEXT, HEADING, HELD_TAIL, MARK, clean, ends_sentence, is_heading, plain

_NEXT = {(n, paren): re.compile(rf"\s[*_`]{{0,3}}\(?{n}{end}[*_`]{{0,3}}\s")
         for n in range(2, 60) for paren, end in ((False, r"\."), (True, r"\)\.?"))}
_HELD_NUMBER = re.compile(r"\s[*_`]{0,3}\(?(\d{1,2})[.)]{0,2}[*_`]{0,3}\s?\Z")
_INLINE_LIST = re.compile(r"[:：]\s{1,4}1([.)])\s")
_BOLD_LABEL = re.compile(r"\*\*([^*\n]{1,120}?)(?:([:：])\*\*|\*\*\s?([:：]|[-–—](?=\s)))\s*(.*)")
_INTRO = re.compile(r"(?:based on[^,:]{1,80},\s{0,3})?(?:(?:i|we)(?:['’]d| would| also)? (?:recommend|suggest)"
                    r"|you (?:may|might)(?: also)? (?:like|enjoy))\s", re.I)
_SEPARATOR = re.compile(r"[(\[]|[)\]]|;(?!\S)|；|(?<!\d)[,，、]|[,，、](?!\d)")


def read_entries(body: str, step: int, labels: Sequence[str], growing: bool) -> list[str]:
    """Step 2 or 3. `labels` are the entries of Step 2, by which a grouped Step 3 is recognised."""
    beside = bool(HAS_TEXT.search(body.split("\n", 1)[0]))  # the list starts on the marker's own line
    lines = [line for line in body.split("\n") if HAS_TEXT.search(line)]
    held = growing and beside and len(lines) == 1
    if held and (tail := HELD_TAIL.search(lines[0], max(0, len(lines[0]) - 24))):
        lines[0] = lines[0][: tail.start()]
    beside = beside and bool(MARK.match(lines[0].lstrip()))
    known = {plain(label) for label in labels}
    marked: list[tuple[int, str, int, str]] = []  # indentation, kind, number, content
    for line in lines:
        content = line.lstrip()
        if mark := MARK.match(content):
            kind = "•" if mark[4] else "a" if mark[5] else ")" if mark[1] or mark[3] else "1"
            marked.append((len(line) - len(content), kind, int(mark[1] or mark[2] or 0), content[mark.end():]))
    if not marked:
        parts = _loose(lines, step, known, held)
    elif len(marked) == 1 and marked[0][2] == 1:
        # A lone line of its own is split only when three numbers follow each other, as "Half-Life 2. Episode One"
        # may be the first of five lines that are still to come.
        run = _run_on(marked[0][3], marked[0][1] == ")", held)
        parts = run if len(run) > (1 if beside else 2) or held else [marked[0][3]]
        parts = _products(parts, step, known)
    elif len(marked) == 1 and marked[0][1] == "•":
        parts = marked[0][3].split("•")
    else:
        parts = [lines[0]] if marked[0][2] == 2 and not MARK.match(lines[0].lstrip()) else []
        parts += _grouped(marked, step, known, beside)
    return [entry for part in parts if (entry := clean(part))]


def _grouped(marked: list[tuple[int, str, int, str]], step: int, known: set[str], beside: bool) -> list[str]:
    """Items on lines of their own; of one with others below it, they count (products of a category) or it (remarks)."""
    margin = min(item[0] for item in marked[1 if beside and len(marked) > 1 else 0 :])
    tree: list[tuple[str, list[str]]] = []
    for indent, kind, _, content in marked:
        if tree and (indent > margin + 1 or (kind != marked[0][1] and {kind, marked[0][1]} != {"1", ")"})):
            tree[-1][1].append(content)
        else:
            tree.append((content, []))
    contents: list[str] = []
    for content, below in tree:
        name = content.rstrip(" *_")
        over = is_heading(name) if step == 2 else name.endswith((":", "：")) or plain(name) in known or (
            _is_category(name) and not any(line.rstrip().endswith(".") for line in below))
        contents += below if below and over else [content]
    return _products(contents, step, known)


def _loose(lines: list[str], step: int, known: set[str], held: bool) -> list[str]:
    """A list without marks at the start of its lines: one entry a line, or all of them in one line."""
    if len(lines) > 1 and is_heading(lines[0]):
        lines = lines[1:]
    # Headings of groups, and a closing remark ("I hope that you enjoy these products!")
    kept = [line for line in lines[:-1] if not line.rstrip(" *_").endswith((":", "："))] + lines[-1:]
    if len(kept) > 1 and kept[-1].rstrip().endswith((".", "!", "?")) and len(kept[-1].split()) > 5:
        kept.pop()
    if len(kept) != 1:
        return _products(kept, step, known)
    line = kept[0].lstrip()
    if (start := _INLINE_LIST.search(line)) and len(run := _run_on(line[start.end():], start[1] == ")", held)) > 1:
        return run
    if (heading := HEADING.match(line)) and is_heading(heading[1]):
        line = line[heading.end():].lstrip()
    return _inline(line[intro.end():] if (intro := _INTRO.match(line)) else line)


def _run_on(content: str, paren: bool, held: bool) -> list[str]:
    """Split `Racing games 2. Action games 3. …` (after its `1. `) at exactly the numbers 2, 3, … in order."""
    parts, start, number = [], 0, 2
    while (pattern := _NEXT.get((number, paren))) and (match := pattern.search(content, start)):
        parts.append(content[start : match.start()])
        start, number = match.end(), number + 1
    rest = content[start:]
    tail = _HELD_NUMBER.search(rest, max(0, len(rest) - 12)) if held else None
    return [*parts, rest[: tail.start()] if tail and int(tail[1]) == number else rest]


def _products(contents: list[str], step: int, known: set[str]) -> list[str]:
    """Entries, some of which may be `Racing games: Forza Horizon 5, F1 23` (a Step 3 grouped by category)."""
    out: list[str] = []
    grouped = False
    for content in contents:
        bold = _BOLD_LABEL.match(content)
        if bold:
            label, colon, rest = bold[1], (bold[2] or bold[3]) in (":", "："), bold[4]
        else:
            label, colon, rest = content.partition(": ")
        entries = [content]
        if bold and (step == 2 or colon) and rest:
            entries = [label]  # the rest explains it
        if step == 3 and colon and rest.strip():
            parts = _inline(rest)
            # "Gears of War: Ultimate Edition" is a product even under the entry "Gears of War", and so is
            # "Eat Natural Bars: Almonds & Hazelnuts, 1.76-Ounce".
            several = len(parts) > 1 and all(part[0].isupper() for part in parts)
            if (plain(label) in known and (several or grouped or _is_category(label))) or (
                several and _is_category(label)
            ):
                entries, grouped = parts, True
        out += entries
    return out


def _inline(line: str) -> list[str]:
    """Split at semicolons, else at commas, outside parentheses and numbers."""
    cuts: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    depth = 0
    for match in _SEPARATOR.finditer(line):
        if match[0] in "([":
            depth += 1
        elif match[0] in ")]":
            depth = max(0, depth - 1)
        elif not depth:
            cuts[match[0] in ";；"].append(match.span())
    parts, start = [], 0
    for left, right in [*(cuts[True] or cuts[False]), (len(line), len(line))]:
        parts.append(re.sub(r"\A\s*(?:and|or)\s", "", line[start:left]).strip())
        start = right
    if parts[-1].endswith(".") and ends_sentence(parts[-1].split()[-1], "", True):
        parts[-1] = parts[-1][:-1]
    return [part for part in parts if part]


def _is_category(name: str) -> bool:
    """Categories are written like "Racing games", products and brands like titles."""
    return name[-80:].rstrip(" *_:：").rsplit(" ", 1)[-1].islower()
