"""The rationale parser: variants that models write, arbitrary text, growing text, hostile text."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slim_app.rationale import LIMITS, format_rationale, parse
from slim_app.rationale_text import MAX_ENTRY_CHARS
from slim_app.schema import Rationale

SETTINGS = settings(derandomize=True, deadline=None, max_examples=150)

PAPER = (
    "Step 1: From your purchase history, it seems that you enjoy gaming-related products that are action-packed, have "
    "fast-paced gameplay, and involve warfare or fighting. You also seem to prefer games based on popular franchises "
    "such as Dynasty Warriors and Gundam. Additionally, you have a preference for racing and sports games. Step 2: 1. "
    "Racing games 2. Action-packed games with fast-paced gameplay 3. Games based on popular franchises such as Dynasty "
    "Warriors and Gundam Step 3: 1. Forza Horizon 5 - Xbox Series X/S 2. Gundam Breaker: Battlege - PlayStation Vita "
    "3. Dynasty Warriors 9 - PlayStation 4 4. Need for Speed Heat - Xbox One 5. Gran Turismo Sport - PlayStation 4"
)
PAPER_PRODUCTS = (
    "Forza Horizon 5 - Xbox Series X/S", "Gundam Breaker: Battlege - PlayStation Vita",
    "Dynasty Warriors 9 - PlayStation 4", "Need for Speed Heat - Xbox One", "Gran Turismo Sport - PlayStation 4",
)
PROSE = "You enjoy racing games. You also like wheels."
ONE = ("You enjoy racing games.", "You also like wheels.")
LIST2 = "1. Racing games\n2. Wheels\n3. Forza"
TWO = ("Racing games", "Wheels", "Forza")
LIST3 = "1. Forza Horizon 5\n2. F1 23\n3. Left 4 Dead 2"
THREE = ("Forza Horizon 5", "F1 23", "Left 4 Dead 2")
GROUPED = ("Forza", "F1", "G29")
HEAD = f"Step 1: {PROSE}\nStep 2:\n1. Racing games\n2. Wheels\n3. Forza\nStep 3:"

VARIANTS = {
    "canonical": (f"Step 1: {PROSE}\nStep 2:\n{LIST2}\nStep 3:\n{LIST3}", ONE, TWO, THREE),
    "bold": (f"**Step 1:** {PROSE}\n\n**Step 2:**\n{LIST2}\n\n**Step 3:**\n{LIST3}", ONE, TWO, THREE),
    "headings": (f"## Step 1 - Preferences: {PROSE}\n## Step 2 - Gaming stuff\n{LIST2}\n### Step 3 - Products:\n"
                 f"{LIST3}", ONE, TWO, THREE),
    "full stop": (f"step 1. {PROSE}\nstep 2.\n{LIST2}\nstep 3.\n{LIST3}", ONE, TWO, THREE),
    "words": (f"Step One: {PROSE}\nStep Two: {LIST2}\nStep Three: {LIST3}", ONE, TWO, THREE),
    "brackets": (f"Step 1 (Preferences): {PROSE}\nSTEP 2 – Categories/brands\n{LIST2}\nStep 3 (Products):\n{LIST3}",
                 ONE, TWO, THREE),
    "heading lines": (f"**Step 1: Preferences**\n{PROSE}\n\n**Step 2: Recommended categories:**\n{LIST2}\n"
                      f"Step 3: Some cool games for you:\n{LIST3}\n\nI hope this helps!", ONE, TWO, THREE),
    "bare markers": (f"Step 1\n{PROSE}\n\nStep 2\n{LIST2}\n\nStep 3\n{LIST3}", ONE, TWO, THREE),
    "bulleted markers": (f"- Step 1: {PROSE}\n- Step 2:\n  - Racing games\n  - Wheels\n  - Forza\n- Step 3:\n  - F1",
                         ONE, TWO, ("F1",)),
    "preamble": (f"Sure! Here is my answer.\n\nStep 1: {PROSE}\nStep 2:\n{LIST2}\nStep 3:\n{LIST3}", ONE, TWO, THREE),
    "bold run-on": (f"**Step 1:** {PROSE} **Step 2:** 1. Racing games 2. Wheels 3. Forza **Step 3:** 1) F1 23 2) G29",
                    ONE, TWO, ("F1 23", "G29")),
    "run-on with intro": (f"Step 1: {PROSE} Step 2: Here are some: 1. Racing games 2. Wheels 3. Forza Step 3: 1. F1",
                          ONE, TWO, ("F1",)),
    "commas": (f"Step 1: {PROSE}\nStep 2: racing games, wheels, and Forza.\nStep 3: F1 23; Chips, Salted (12, red)",
               ONE, ("racing games", "wheels", "Forza"), ("F1 23", "Chips, Salted (12, red)")),
    "lines": (f"Step 1: {PROSE}\nStep 2:\nRacing games\nWheels\nForza\nStep 3:\nForza Horizon 5\nF1 23\nLeft 4 Dead 2",
              ONE, TWO, THREE),
    "bullets": (f"Step 1: {PROSE}\nStep 2:\n- Racing games\n* Wheels\n• Forza\nStep 3:\n(1) F1 23\n(2) G29", ONE, TWO,
                ("F1 23", "G29")),
    "letters": (f"Step 1: {PROSE}\nStep 2:\n1). Racing games\n2). Wheels\n3). Forza\nStep 3:\na. F1\nb. G29",
                ONE, TWO, ("F1", "G29")),
    "decorated entries": (f"{HEAD}\n1. **Forza Horizon 5** - Xbox\n2. *F1 23*\n3. \"Dirt, 2.0\";\n4. `NBA 2K 24`,\n"
                          "5. “M*A*S*H”\n6. ...", ONE, TWO,
                          ("Forza Horizon 5 - Xbox", "F1 23", "Dirt, 2.0", "NBA 2K 24", "M*A*S*H")),
    "explained entries": (f"Step 1: {PROSE}\nStep 2:\n1. **Racing games**: they fit.\n2. **Wheels** - for realism\n"
                          "3. **Forza:** you own one\nStep 3:\n1. **F1 23**: realistic\n   - Sharp graphics.\n2. G29",
                          ONE, TWO, ("F1 23", "G29")),
    "grouped in a line": (f"{HEAD}\n1. Racing games: Forza, F1\n2. Wheels: G29", ONE, TWO, GROUPED),
    "grouped under headings": (f"{HEAD}\nRacing games:\n - Forza\n - F1\n\nWheels:\n - G29", ONE, TWO, GROUPED),
    "grouped under items": (f"{HEAD}\n1. Racing games\n   - Forza\n   - F1\n2. Wheels:\n   - G29", ONE, TWO, GROUPED),
    "a franchise is no group": (f"{HEAD}\n1. Forza: Horizon 5 - Xbox\n2. Halo: Reach, Xbox", ONE, TWO,
                                ("Forza: Horizon 5 - Xbox", "Halo: Reach, Xbox")),
    "titles with numbers": (f"{HEAD}\n1. Half-Life 2. Episode One\n2. Final Fantasy VII 2. Edition\n"
                            "3. Dragon Quest 3. HD\n4. 5-hour Energy\n5. F1 2023 6. Season", ONE, TWO,
                            ("Half-Life 2. Episode One", "Final Fantasy VII 2. Edition", "Dragon Quest 3. HD",
                             "5-hour Energy", "F1 2023 6. Season")),
    "a lone title with a number": (f"{HEAD}\n1. Half-Life 2. Episode One", ONE, TWO, ("Half-Life 2. Episode One",)),
    "run-on titles": (f"{HEAD} 1. Left 4 Dead 2 2. NBA 2K 24 3. Dragon Quest 3. HD", ONE, TWO,
                      ("Left 4 Dead 2", "NBA 2K 24", "Dragon Quest 3. HD")),
    "toy brand": (f"{HEAD}\n1. Step2 Play Kitchen\n2. Step 2: The Movie", ONE, TWO,
                  ("Step2 Play Kitchen", "Step 2: The Movie")),
    "no markers": (f"{PROSE}\n\nRecommended categories:\n{LIST2}\n\nProducts:\n{LIST3}", ONE, TWO, THREE),
    "no markers or gaps": (f"{PROSE}\n{LIST2}\n{LIST3}", ONE, TWO, THREE),
    "no markers, one list": (f"{PROSE}\n\n{LIST3}", ONE, (), THREE),
    "json": ('{"step1": "You like A. You like B.", "step2": ["X", "Y, Z"], "step3": ["P \\"Q\\" \\u00e9"]}',
             ("You like A.", "You like B."), ("X", "Y, Z"), ('P "Q" é',)),
    "fenced json": ('Here:\n```json\n{"Step 1": "You like A.", "Step 2": ["X"],\n "Step 3": [{"name": "P", "brand": '
                    '"b"}]}\n```', ("You like A.",), ("X",), ("P",)),
    "broken json": ('{"summary": "You like A.", "categories": "X, Y", "products": ["P", "Q\\u00', ("You like A.",),
                    ("X", "Y"), ("P", "Q")),
    "wide characters": (f"Step 1: {PROSE}\r\nStep 2:\r\n1.\tRacing games\r\n2.\xa0Wheels\r\nStep\u30003：\r\n"
                        "１．F1 23\r\n２）G29", ONE, TWO[:2], ("F1 23", "G29")),
    "wrapped prose": ("Step 1: You enjoy\nracing games.\nYou also like wheels.\nStep 2:\n- A\nStep 3:\n- B",
                      ONE, ("A",), ("B",)),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants(name: str) -> None:
    text, step1, step2, step3 = VARIANTS[name]
    found = parse(text)
    assert (found.step1, found.step2, found.step3) == (step1, step2, step3)
    assert found.complete == all((step1, step2, step3))
    check(found, text)
    for end in range(len(text)):
        check(parse(text[:end], finished=False), text[:end])


def check(found: Rationale, text: str) -> None:
    """What holds for every string."""
    assert found.text == text
    keys = [segment.key for segment in found.segments()]
    assert found.open == "" or (found.open in keys and not found.problems and not found.complete)
    for segment in found.segments():
        assert segment.text == segment.text.strip() != ""
        assert segment.step == 1 or len(segment.text) <= MAX_ENTRY_CHARS
    assert len(found.step2) <= LIMITS[2] and len(found.step3) <= LIMITS[3]
    assert all(found.as_dict()[step] for step in ("step1", "step2", "step3")) or not found.complete


def test_the_paper_s_own_example() -> None:
    found = parse(PAPER)
    assert [sentence.split()[0] for sentence in found.step1] == ["From", "You", "Additionally,"]
    assert found.step2 == ("Racing games", "Action-packed games with fast-paced gameplay",
                           "Games based on popular franchises such as Dynasty Warriors and Gundam")
    assert found.step3 == PAPER_PRODUCTS
    assert found.complete and found.problems == ("Step 2 has 3 entries instead of 5.",)
    for end in range(len(PAPER)):  # no marker flashes up as content while the text grows
        for segment in parse(PAPER[:end], finished=False).segments():
            assert not segment.text.endswith((" Step", " Step 2", " Step 3", " 2", " 2.", " 4 4", " 4 4.", " 5."))


@pytest.mark.parametrize(
    ("prose", "sentences"),
    [
        ("You like Mr. Coffee vs. St. Ives, e.g. No. 2 filters. Fine", 2),
        ("You own Super Mario Bros. You also own version 2.0 of it.", 2),
        ("You own Super Mario Bros. Wonder, Chips Ahoy! Chewy and F.E.A.R. Perseus Mandate by Nestle Inc. USA.", 1),
        ("You moved to Xbox Series X. Your shelf says no. Racing is next? Perhaps.", 4),
        ("You said \"I like it.\" Wheels came later.", 2),
    ],
)
def test_sentences(prose: str, sentences: int) -> None:
    found = parse(format_rationale(prose, ["A"], ["B"])).step1
    assert len(found) == sentences and " ".join(found) == prose


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (" \n", ("The text is empty.",)),
        ("I cannot help with that.", ("None of the three steps was found in the text.",)),
        ("Step 1: You like A.\nStep 3:\n1. B\n2. b", (
            "Step 2 is missing.", "Step 3 has 2 entries instead of 5.", "Step 3 names a product twice.")),
        ("Step 1:\nStep 2: a; b; c; d; e\nStep 3: a; b; c; d; e\nStep 2:\n1. z", (
            "Step 1 is empty.", "Step 2 appears more than once; the first is used.")),
        ("You like A.\n1. a\n\n1. b", (
            "The steps are not marked, so they were told apart by their form.",
            "Step 2 has 1 entry instead of 5.", "Step 3 has 1 entry instead of 5.")),
    ],
)
def test_problems(text: str, problems: tuple[str, ...]) -> None:
    assert parse(text).problems == problems
    assert parse(text, cut=True).problems == (*problems, "The text was cut off before it ended.")
    assert parse(text, finished=False).problems == () and not parse(text, cut=True).complete


def test_limits() -> None:
    found = parse(format_rationale("You like A.", [f"c{n}" for n in range(40)], ["word " * 90] * 30))
    assert len(found.step2) == 10 and len(found.step3) == 25
    assert found.step3[0].endswith("word…") and len(found.step3[0]) <= MAX_ENTRY_CHARS
    assert "Step 2 has 40 entries instead of 5." in found.problems
    assert format_rationale(" a\n b ", ["c\r\nd", " "], []) == "Step 1: a b\nStep 2:\n1. c d\nStep 3:"


@pytest.mark.parametrize("tail", ["S", "Ste", "Step ", "Step 3", "**Step 3", "Step 3 (Pro", "4", "4.", "-"])
def test_an_unfinished_marker_is_held_back(tail: str) -> None:
    tail = "\n" + tail
    text = f"Step 1: {PROSE}\nStep 2:\n{LIST2}"
    assert parse(text + tail, finished=False).step2 == TWO
    assert parse(text + tail, finished=False).open == "2.3"
    assert parse(f"Step 1: {PROSE}" + tail, finished=False).step1 == ONE
    assert parse(text + "\nStep 3:", finished=False).open == ""


WORDS = st.one_of(
    st.text(st.characters(categories=("L", "Nd", "So")), min_size=1, max_size=8),
    st.sampled_from(["Half-Life", "2.", "4.", "2)", "(Xbox", "5-hour", "Bros.", "No.", "Halo:", "X/S", "1,000", "Step2",
                     "step", "Mr.", "Ahoy!", "-", "&", "F1", "You", "S"]),
)
TITLES = st.lists(WORDS, min_size=1, max_size=6).map(" ".join).filter(
    lambda text: any(ch.isalnum() for ch in text) and text[-1] != ":"
)
ENTRIES = st.lists(TITLES, min_size=1, max_size=6)
PROSES = st.lists(st.one_of(TITLES, TITLES.map(lambda text: text + ".")), max_size=4).map(
    lambda parts: " ".join(["You like", *parts])
)


@SETTINGS
@given(PROSES, ENTRIES, ENTRIES)
@example("You like Bros. You Step", ["Half-Life 2. Episode"], ["A 2. B"])
def test_round_trip_and_streaming(step1: str, step2: list[str], step3: list[str]) -> None:
    text = format_rationale(step1, step2, step3)
    found = parse(text)
    assert (" ".join(found.step1), list(found.step2), list(found.step3)) == (step1, step2, step3)
    closed: dict[str, str] = {}
    for end in range(len(text) + 1):
        growing = parse(text[:end], finished=False)
        now = {segment.key: segment.text for segment in growing.segments()}
        assert closed.items() <= now.items()  # what was closed has not changed
        closed |= {key: value for key, value in now.items() if key != growing.open}
    assert closed.items() <= {segment.key: segment.text for segment in found.segments()}.items()


PIECES = st.sampled_from(
    ["Step 1:", "Step 2", "Step 3 -", "**", "\n", "\n1. ", "2. ", "3) ", " - ", "\n  - ", ": ", ", ", "; ", '"', "{",
     "[", "]", "}", '"step2":', "```json\n", "\\", "\\u12", "(", ")", "_", "a.", "\r", "\u2028", "\ud800", "٣."]
)


@SETTINGS
@given(st.one_of(st.text(), st.lists(st.one_of(PIECES, st.text(max_size=3)), max_size=25).map("".join)), st.booleans())
def test_any_text(text: str, cut: bool) -> None:
    check(parse(text, cut=cut), text)
    for end in range(len(text) + 1):
        check(parse(text[:end], finished=False), text[:end])


def test_hostile_text_takes_linear_time() -> None:
    texts = ["Step 1:" * 10_000, "Step 1:\n" * 10_000, "1. " * 50_000, "*" * 100_000, "Step 2 (" * 12_000,
             "Step 1: a" + "_" * 100_000 + "b", "Step 3: " + "(" * 100_000, '{"step1": ["' + "\\" * 100_000]
    start = time.process_time()
    for text in texts:
        check(parse(text), text)
        check(parse(text, finished=False), text)
    assert time.process_time() - start < 2


def test_a_rationale_of_usual_length_is_fast() -> None:
    text = PAPER + " " + PAPER
    start = time.process_time()
    for _ in range(100):
        parse(text, finished=False)
    assert time.process_time() - start < 0.3  # measured: a tenth of that; the bound leaves room for slow machines
