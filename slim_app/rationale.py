"""From what a language model writes to a `Rationale`, and back to the canonical text.

The form is METHOD's "Rationale text", after the paper's Figure 3 (which prints its steps and lists as one run-on line):
`Step 1: <1-2 sentences>`, then `Step 2:` and `Step 3:` with five numbered lines each. Models stray from it in many
ways, and a page shows the text while it grows, so the parser never raises for any string, takes linear time, reads
every prefix, and leaves a segment of canonical text alone once it is no longer `open`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from slim_app.schema import Rationale

LIMITS = {1: 60, 2: 10, 3: 25}
"""Most entries kept of each step: room for nested lists, but no room for a model that never stops."""
MAX_ENTRY_CHARS = 200
EXPECTED = 5

Found = dict[int, list[str]]


def _words(text: str) -> frozenset[str]:
    """A set of words, written as one string."""
    return frozenset(text.split())


_NUMBER_WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_LINE_END = re.compile(r"\r\n?|[\u2028\u2029\x0b\x0c\x85]")
_HAS_TEXT = re.compile(r"[^\W_]")
_MARKDOWN = re.compile(r"(?<!\w)[*`]+|[*`]+(?!\w)")  # not inside a word: "M*A*S*H" is a title
_LINK = re.compile(r"\[([^\[\]]{1,200})\]\([^()\s]{0,300}\)")
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "„": "“", "_": "_"}

# A step marker. Every repetition is bounded, so that hostile text cannot make matching quadratic.
_STEP = re.compile(
    r"(?<![^\W_])step([^\S\n]{0,3})[-#]?(?:([1-9１-９])(?!\d)|(one|two|three|four|five)(?![^\W_]))", re.I
)
_TITLE = r"[*_`]{0,3}[^\S\n]{0,4}(?:[(\[][^()\[\]\n]{0,80}[)\]])?[*_`]{0,3}[^\S\n]{0,4}"
_DELIMITER = re.compile(_TITLE + r"(?:[:：]|[-–—→]{1,2}(?=\s)|[.)](?!\d))[*_`]{0,3}[^\S\n]{0,4}")
_BARE = re.compile(_TITLE + r"(?:\n|\Z)")
_HEADING = re.compile(r"[^\S\n]{0,4}[*_`]{0,3}([^\n:：.!?]{1,60})[:：][*_`]{0,3}(?!\S)")
_HEADING_WORDS = _words(
    "a an and or of the your my user users s customer shopper product products preference preferences summary brief "
    "overview profile interest interests analysis purchase purchases history shopping macro micro view category "
    "categories brand brands recommended recommendation recommendations recommend suggested suggestion suggestions "
    "suggest specific five top here are is i would some for you following based on these that align with might may "
    "enjoy like"
)
# What may still become a marker while the text grows: a last line that is no more than that, or a tail of a line.
_HELD_LINE = re.compile(
    r"[\s>#*_`•(\"-]*(?:s|st|ste|step\s{0,3}[-#]?(?:\d|o|on|one|t|tw|two|th|thr|thre|three)?[*_`]{0,3}\s{0,4}"
    r"(?:\([^()\n]{0,80}\)?)?[*_`]{0,3}\s{0,4}[-–—→]{0,2}|\(?\d{1,3}\s?[.)]{0,2})?[\s*_`]*", re.I
)
_HELD_TAIL = re.compile(
    r"\s[*_`#]{0,3}(?:S|S[Tt]|S[Tt][Ee]|S(?:tep|TEP)\s{0,3}(?:\d|\w{0,5})[*_`]{0,3}\s?[-–—]?)\Z"
)

_MARK = re.compile(
    r"(?:>\s{0,4})?(?:(?:[-*•+]\s{1,4})?[*_`\"]{0,3}"
    r"(?:\((\d{1,3})\)|(\d{1,3})\s?(?:([)）]\.?)|[.．:](?!\d)|\ufe0f?\u20e3))[*_`]{0,3}"  # (1)  1)  1).  1.  keycap
    r"|([-•‣◦▪●·–—]|[*+](?=\s))|\(?([a-j])[.)](?=\s))\s*"
)
_NEXT = {(n, paren): re.compile(rf"\s[*_`]{{0,3}}\(?{n}{end}[*_`]{{0,3}}\s")
         for n in range(2, 60) for paren, end in ((False, r"\."), (True, r"\)\.?"))}
_HELD_NUMBER = re.compile(r"\s[*_`]{0,3}\(?(\d{1,2})[.)]{0,2}[*_`]{0,3}\s?\Z")
_INLINE_LIST = re.compile(r"[:：]\s{1,4}1([.)])\s")
_BOLD_LABEL = re.compile(r"\*\*([^*\n]{1,120}?)(?:([:：])\*\*|\*\*\s?([:：]|[-–—](?=\s)))\s*(.*)")
_INTRO = re.compile(r"(?:based on[^,:]{1,80},\s{0,3})?(?:(?:i|we)(?:['’]d| would| also)? (?:recommend|suggest)"
                    r"|you (?:may|might)(?: also)? (?:like|enjoy))\s", re.I)
_SEPARATOR = re.compile(r"[(\[]|[)\]]|;(?!\S)|；|(?<!\d)[,，、]|[,，、](?!\d)")

# Words whose full stop does not end a sentence; those of the second set may, before a usual first word.
_ABBREVIATIONS = _words("mr mrs ms dr vs st vol ed pt ft feat approx e.g i.e cf mt ver dept")
_MAYBE_LAST = _words("bros inc jr sr ltd co corp etc oz lb lbs ct pk")
_FIRST_WORDS = _words(
    "you your you're you've the this these those it its they their there additionally also in overall based recently "
    "two both a an as with from while most what one several recent earlier later lately now then together"
)


def format_rationale(step1: str, step2: Sequence[str], step3: Sequence[str]) -> str:
    """The canonical text (METHOD, "Rationale text"); any whitespace inside a part becomes one space."""
    lines = [f"Step 1: {' '.join(step1.split())}"]
    for step, entries in ((2, step2), (3, step3)):
        kept = [" ".join(entry.split()) for entry in entries if entry.strip()]
        lines += [f"Step {step}:", *(f"{number}. {entry}" for number, entry in enumerate(kept, start=1))]
    return "\n".join(lines)


def parse(text: str, *, finished: bool = True, cut: bool = False) -> Rationale:
    """Read `text`, whole or so far (`finished=False`); never raises.

    `cut` says that the engine stopped at its token limit or was stopped. `problems` and `complete` speak of finished
    texts only, `open` of growing ones only.
    """
    plain = _LINE_END.sub("\n", text)
    start = plain.rfind("\n") + 1
    if not finished and len(plain) - start <= 100 and _HELD_LINE.fullmatch(plain, start):
        plain = plain[:start]
    found, last, repeated, marked = _read_json(plain) or _read_steps(plain, finished) or _read_unmarked(plain, finished)
    steps = {step: tuple(found.get(step, ())[: LIMITS[step]]) for step in LIMITS}
    is_open = not finished and 0 < len(found.get(last, ())) <= LIMITS.get(last, 0)
    return Rationale(
        step1=steps[1], step2=steps[2], step3=steps[3], text=text,
        complete=finished and not cut and all(steps.values()),
        problems=_problems(text, found, repeated, marked, cut) if finished else (),
        open=f"{last}.{len(found[last])}" if is_open else "",
    )


def _problems(text: str, found: Found, repeated: set[int], marked: bool, cut: bool) -> tuple[str, ...]:
    """What is wrong with a finished text, in sentences for a person."""
    out = []
    if not text.strip():
        out.append("The text is empty.")
    elif not any(found.values()):
        out.append("None of the three steps was found in the text.")
    else:
        if not marked:
            out.append("The steps are not marked, so they were told apart by their form.")
        for step, noun in ((1, ""), (2, "category or brand"), (3, "product")):
            entries = found.get(step, [])
            if not entries:
                out.append(f"Step {step} is {'empty' if step in found else 'missing'}.")
            elif step > 1 and len(entries) != EXPECTED:
                count = "1 entry" if len(entries) == 1 else f"{len(entries)} entries"
                out.append(f"Step {step} has {count} instead of {EXPECTED}.")
            if step > 1 and len({entry.casefold() for entry in entries}) < len(entries):
                out.append(f"Step {step} names a {noun} twice.")
            if step in repeated:
                out.append(f"Step {step} appears more than once; the first is used.")
    if cut:
        out.append("The text was cut off before it ended.")
    return tuple(out)


def _read_steps(text: str, finished: bool) -> tuple[Found, int, set[int], bool] | None:
    """Read a text with step markers; None when there are none. The last section may still grow."""
    markers: list[tuple[int, int, int]] = []  # step, where its marker starts, where its content starts
    for match in _STEP.finditer(text):
        step = int(match[2]) if match[2] else _NUMBER_WORDS[match[3].lower()]
        start, end = match.span()
        line = text.rfind("\n", max(0, start - 16), start) + 1
        after = _DELIMITER.match(text, end)
        if (line or start <= 16) and not text[line:start].strip(" \t\xa0>#*_`-•\"'"):
            bare = None if after else _BARE.match(text, end)
            if not after and not bare and not set("#*") & set(text[line:start]):
                continue  # "Step 2 of my plan", or the toy brand Step2
            start, end = line, (after or bare or match).end()
        else:  # In the middle of a line only a later step counts, and only where it looks like nothing else.
            later = match[1] and match[0][0] == "S" and step > (markers[-1][0] if markers else 0)
            if not (after and later and text[start - 1] in " \t\xa0*_"):
                continue
            if after[0].strip()[0] in ".)" and text[after.end() : after.end() + 1] != "1":
                continue
            start, end = len(text[:start].rstrip(" *_#")), after.end()
        heading = _HEADING.match(text, end)
        if heading and _is_heading(heading[1]):
            end = heading.end()
        markers.append((step, start, end))
    if not markers:
        return None
    found: Found = {}
    last, repeated = 0, set()
    for number, (step, _, start) in enumerate(markers):
        end = markers[number + 1][1] if number + 1 < len(markers) else len(text)
        last = 0
        if found.get(step):
            repeated.add(step)
        elif step in LIMITS:
            growing = not finished and number + 1 == len(markers)
            body = text[start:max(start, end)]
            found[step] = _sentences(body, growing) if step == 1 else _entries(body, step, found.get(2, []), growing)
            last = step
    return found, last, repeated, True


def _read_unmarked(text: str, finished: bool) -> tuple[Found, int, set[int], bool]:
    """Prose and lists without step markers: prose is Step 1, the first list Step 2, the others (or the only) Step 3.

    Nothing is taken from prose alone: it is a refusal, or the preamble of a text that is still growing.
    """
    prose: list[str] = []
    lists: list[list[str]] = []
    previous, broken = 0, True
    for line in text.split("\n"):
        mark = _MARK.match(line.lstrip())
        if mark and _HAS_TEXT.search(line):
            value = int(mark[1] or mark[2] or 0)
            if broken or (value and value <= previous and line[:1].strip()):
                lists.append([])
            lists[-1].append(line)
            previous, broken = (value or previous) if not broken else value, False
        elif _HAS_TEXT.search(line):
            broken = True
            if not lists and not _is_heading(line):
                prose.append(line)
    if not lists:
        return {}, 0, set(), False
    found: Found = {1: [s for s in _sentences("\n".join(prose), False) if not s.endswith((":", "："))]}
    if len(lists) > 1 or not finished:
        found[2] = _entries("\n".join(["", *lists[0]]), 2, [], not finished)
    if len(lists) > 1 or finished:
        rest = lists[1:] or lists
        found[3] = _entries("\n".join(["", *(line for lines in rest for line in lines)]), 3, found.get(2, []), False)
    return {step: entries for step, entries in found.items() if entries}, max(found), set(), False


_JSON_START = re.compile(r"\A\s*\{|```\w{0,8}\s{0,20}\{")
_JSON_TOKEN = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)(?:"(\s{0,9}:)?)?|[\[\]{}]', re.S)
_JSON_KEY = re.compile(r"step[\s_-]{0,3}([1-3])|(summary|preference)|(categor|brand)|(product|recommend)", re.I)


def _read_json(text: str) -> tuple[Found, int, set[int], bool] | None:
    """Read an answer that came as JSON, whole or broken off; None when it is not one."""
    begin = _JSON_START.search(text)
    if not begin:
        return None
    found: Found = {}
    listed: set[int] = set()
    step, inside, fresh = 0, False, False
    for token in _JSON_TOKEN.finditer(text, begin.end()):
        if token[1] is None:
            if token[0] in "{[":
                inside = fresh = token[0] == "{"
                listed |= {step} if token[0] == "[" else set()
            elif token[0] == "}":
                inside = False
        elif token[2]:
            key = _JSON_KEY.match(token[1])
            if key and (key[1] or not inside):  # inside a product's own object, "brand" is not a step
                step, inside = int(key[1] or key.lastindex - 1), False
                found.setdefault(step, [])
        elif step and (fresh or not inside):  # of an object in a list, the first value is its name
            fresh = False
            found[step].append(_unescape(token[1]))
    if not found:
        return None
    for key_step, values in found.items():
        if key_step == 1:
            found[1] = _sentences("\n".join(values), False)
        elif key_step in listed:
            found[key_step] = [entry for value in values if (entry := _clean(value))]
        else:
            found[key_step] = _entries("\n".join(values), key_step, found.get(2, []), False)
    return found, step, set(), True


def _unescape(raw: str) -> str:
    """A JSON string's value; lone surrogates, which no page could encode, are dropped."""
    try:
        value = json.loads(f'"{raw}"', strict=False)
    except ValueError:  # broken off inside an escape, or not quite JSON
        value = raw[: raw.rfind("\\")] if "\\" in raw[-6:] else raw
    return "".join(ch for ch in value if not "\ud800" <= ch <= "\udfff")


def _is_heading(text: str) -> bool:
    """True for words such as "Recommended categories or brands", which say nothing about this shopper."""
    words = re.findall(r"[^\W\d_]+", text[:200].casefold())
    return bool(words) and words[0] != "you" and _HEADING_WORDS.issuperset(words)


def _sentences(body: str, growing: bool) -> list[str]:
    """Step 1. A word of a growing text counts as known only when something follows it."""
    if growing and (tail := _HELD_TAIL.search(body, max(0, len(body) - 24))):
        before = body[: tail.start()].rstrip()
        if "step" in tail[0].lower() or before.endswith((".", "!", "?", '"', "”", ")", "*")):
            body = before + " "  # what stands before the tail is whole
    lines = [line for line in body.split("\n") if _HAS_TEXT.search(line)]
    if len(lines) > 1 and _is_heading(lines[0]):
        del lines[0]
    out: list[str] = []
    words: list[str] = []
    for line in lines:
        mark = _MARK.match(line := line.lstrip())
        mark = None if mark and mark[5] else mark
        parts = _MARKDOWN.sub("", line[mark.end():] if mark else line).split()
        for position, word in enumerate(parts):
            whole = not growing or line is not lines[-1] or position + 1 < len(parts) or body[-1:].isspace()
            breaks = _ends_sentence(words[-1], word, whole) if position else mark or not word[0].islower()
            if words and breaks:
                out.append(" ".join(words))
                words = []
            words.append(word)
    return [*out, " ".join(words)] if words else out


def _ends_sentence(word: str, following: str, whole: bool) -> bool:
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


def _entries(body: str, step: int, labels: Sequence[str], growing: bool) -> list[str]:
    """Step 2 or 3. `labels` are the entries of Step 2, by which a grouped Step 3 is recognised."""
    beside = bool(_HAS_TEXT.search(body.split("\n", 1)[0]))  # the list starts on the marker's own line
    lines = [line for line in body.split("\n") if _HAS_TEXT.search(line)]
    held = growing and beside and len(lines) == 1
    if held and (tail := _HELD_TAIL.search(lines[0], max(0, len(lines[0]) - 24))):
        lines[0] = lines[0][: tail.start()]
    beside = beside and bool(_MARK.match(lines[0].lstrip()))
    known = {_plain(label) for label in labels}
    marked: list[tuple[int, str, int, str]] = []  # indentation, kind, number, content
    for line in lines:
        content = line.lstrip()
        if mark := _MARK.match(content):
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
        parts = [lines[0]] if marked[0][2] == 2 and not _MARK.match(lines[0].lstrip()) else []
        parts += _grouped(marked, step, known, beside)
    return [entry for part in parts if (entry := _clean(part))]


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
        over = _is_heading(name) if step == 2 else name.endswith((":", "：")) or _plain(name) in known or (
            _is_category(name) and not any(line.rstrip().endswith(".") for line in below))
        contents += below if below and over else [content]
    return _products(contents, step, known)


def _loose(lines: list[str], step: int, known: set[str], held: bool) -> list[str]:
    """A list without marks at the start of its lines: one entry a line, or all of them in one line."""
    if len(lines) > 1 and _is_heading(lines[0]):
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
    if (heading := _HEADING.match(line)) and _is_heading(heading[1]):
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
            if (_plain(label) in known and (several or grouped or _is_category(label))) or (
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
    if parts[-1].endswith(".") and _ends_sentence(parts[-1].split()[-1], "", True):
        parts[-1] = parts[-1][:-1]
    return [part for part in parts if part]


def _is_category(name: str) -> bool:
    """Categories are written like "Racing games", products and brands like titles."""
    return name[-80:].rstrip(" *_:：").rsplit(" ", 1)[-1].islower()


def _plain(text: str) -> str:
    """For comparing a group's label with the entries of Step 2."""
    return " ".join(re.findall(r"\w+", text[:1000].casefold()))


def _clean(text: str) -> str:
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
    return text if _HAS_TEXT.search(text) else ""
