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

from slim_app.rationale_lists import read_entries
from slim_app.rationale_text import HAS_TEXT, HEADING, MARK, clean, is_heading, read_sentences
from slim_app.schema import Rationale

LIMITS = {1: 60, 2: 10, 3: 25}
"""Most entries kept of each step: room for nested lists, but no room for a model that never stops."""
EXPECTED = 5
Found = dict[int, list[str]]
_NUMBER_WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_LINE_END = re.compile(r"\r\n?|[\u2028\u2029\x0b\x0c\x85]")
# A step marker. Every repetition is bounded, so that hostile text cannot make matching quadratic.
_STEP = re.compile(
    r"(?<![^\W_])step([^\S\n]{0,3})[-#]?(?:([1-9１-９])(?!\d)|(one|two|three|four|five)(?![^\W_]))", re.I
)
_TITLE = r"[*_`]{0,3}[^\S\n]{0,4}(?:[(\[][^()\[\]\n]{0,80}[)\]])?[*_`]{0,3}[^\S\n]{0,4}"
_DELIMITER = re.compile(_TITLE + r"(?:[:：]|[-–—→]{1,2}(?=\s)|[.)](?!\d))[*_`]{0,3}[^\S\n]{0,4}")
_BARE = re.compile(_TITLE + r"(?:\n|\Z)")
# What may still become a marker while the text grows: a last line that is no more than that, or a tail of a line.
_HELD_LINE = re.compile(
    r"[\s>#*_`•(\"-]*(?:s|st|ste|step\s{0,3}[-#]?(?:\d|o|on|one|t|tw|two|th|thr|thre|three)?[*_`]{0,3}\s{0,4}"
    r"(?:\([^()\n]{0,80}\)?)?[*_`]{0,3}\s{0,4}[-–—→]{0,2}|\(?\d{1,3}\s?[.)]{0,2})?[\s*_`]*", re.I
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
        heading = HEADING.match(text, end)
        if heading and is_heading(heading[1]):
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
            if step == 1:
                found[step] = read_sentences(body, growing)
            else:
                found[step] = read_entries(body, step, found.get(2, []), growing)
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
        mark = MARK.match(line.lstrip())
        if mark and HAS_TEXT.search(line):
            value = int(mark[1] or mark[2] or 0)
            if broken or (value and value <= previous and line[:1].strip()):
                lists.append([])
            lists[-1].append(line)
            previous, broken = (value or previous) if not broken else value, False
        elif HAS_TEXT.search(line):
            broken = True
            if not lists and not is_heading(line):
                prose.append(line)
    if not lists:
        return {}, 0, set(), False
    found: Found = {1: [s for s in read_sentences("\n".join(prose), False) if not s.endswith((":", "："))]}
    if len(lists) > 1 or not finished:
        found[2] = read_entries("\n".join(["", *lists[0]]), 2, [], not finished)
    if len(lists) > 1 or finished:
        rest = lists[1:] or lists
        lines = [line for part in rest for line in part]
        found[3] = read_entries("\n".join(["", *lines]), 3, found.get(2, []), False)
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
            found[1] = read_sentences("\n".join(values), False)
        elif key_step in listed:
            found[key_step] = [entry for value in values if (entry := clean(value))]
        else:
            found[key_step] = read_entries("\n".join(values), key_step, found.get(2, []), False)
    return found, step, set(), True


def _unescape(raw: str) -> str:
    """A JSON string's value; lone surrogates, which no page could encode, are dropped."""
    try:
        value = json.loads(f'"{raw}"', strict=False)
    except ValueError:  # broken off inside an escape, or not quite JSON
        value = raw[: raw.rfind("\\")] if "\\" in raw[-6:] else raw
    return "".join(ch for ch in value if not "\ud800" <= ch <= "\udfff")
