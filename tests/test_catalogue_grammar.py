"""Products bound to a catalogue: the rules allow exactly its titles, and the real engine writes nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slim_app.catalog import Catalog
from slim_app.errors import SlimError
from slim_app.prompts import MAX_TITLE_CHARS, clean_title
from slim_app.rationale import parse
from slim_app.reasoners.catalogue_grammar import CatalogueGrammar, title_rules
from slim_app.reasoners.grammar import rationale_grammar
from slim_app.reasoners.llama_cpp import BOUND_NOTE, LlamaCppReasoner
from slim_app.schema import Item, RunStats

HOSTILE = (
    'Say "hi" \\ root ::= [^"]', "Halo", "Halo 2", "Halo 2 (Xbox)", "任天堂 Switch 🎮", "قهوة عربية", "a | b",
    "[x]{3}*", "<script>alert(1)</script>", "# no comment", "$(rm -rf /)", "Café", "1001 Spikes", "{{7*7}}",
)  # fmt: skip
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|([a-z][a-z0-9]*)|(\|)')


def language(rules: str) -> list[str]:
    """Every string that `product` allows: sequences of literals and rule names, with alternatives."""
    bodies = dict(line.split(" ::= ", 1) for line in rules.split("\n"))

    def expand(name: str) -> list[str]:
        found, branch = [], [""]
        for literal, rule, bar in _TOKEN.findall(bodies[name]):
            if bar:
                found += branch
                branch = [""]
            else:
                ends = expand(rule) if rule else [re.sub(r"\\(.)", r"\1", literal)]
                branch = [begin + end for begin in branch for end in ends]
        return found + branch

    return expand("product")


def catalogue(*titles: str) -> Catalog:
    return Catalog("toys", [Item(str(n), title) for n, title in enumerate(titles)])


WORDS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=8)
TITLES = st.lists(WORDS, min_size=1, max_size=30)


@given(TITLES)
@example(["a", "ab", "abc", "b", "bbc", "xbc"])
@example(['"', "\\", '\\"', "\\\\", '"|"', "title0"])
@settings(max_examples=150, deadline=None)
def test_the_rules_allow_exactly_the_titles(titles):
    titles = sorted(set(titles))
    assert sorted(language(title_rules(titles))) == titles


@given(TITLES)
@settings(max_examples=50, deadline=None)
def test_alternatives_differ_in_their_first_character(titles):
    for line in title_rules(sorted(set(titles))).split("\n"):
        body = line.split(" ::= ", 1)[1]
        first, begins = True, []
        for literal, _, bar in _TOKEN.findall(body):
            if first:
                begins.append(re.sub(r"\\(.)", r"\1", literal)[:1])
            first = bool(bar)
        assert len(begins) == len(set(begins)), line


def test_it_stays_small():
    """Four platforms of 1,250 games are 1,250 branches that share one rule."""
    places = ("PlayStation 4", "PlayStation 5", "PC", "Xbox")
    titles = sorted(f"{'abcdefghij'[n % 10]}{n} game - {place}" for n in range(1250) for place in places)
    rules = title_rules(titles)
    assert len(titles) == 5000
    assert len(rules) < sum(map(len, titles)) / 4
    assert rules.count('"layStation ') == 1


def test_which_titles_can_be_written():
    long = "Long " * 30
    grammar = CatalogueGrammar.of(catalogue(*HOSTILE, "  two   spaces ", long, "x" * MAX_TITLE_CHARS, "Halo"))
    assert set(grammar.titles) <= {clean_title(title) for title in (*HOSTILE, "two spaces", "x" * MAX_TITLE_CHARS)}
    assert {"Halo 2", "Café", "任天堂 Switch 🎮", "1001 Spikes", "two spaces"} <= set(grammar.titles)
    assert clean_title(long) not in grammar.titles
    assert grammar.left_out == len({*map(clean_title, (*HOSTILE, "two spaces", long, "x" * MAX_TITLE_CHARS))}) - len(
        grammar.titles
    )
    assert sorted(language(grammar.rules())) == list(grammar.titles)
    for title in grammar.titles:  # what is written is what is read
        text = f"Step 1: You play.\nStep 2:\n1. A\nStep 3:\n1. {title}\n2. Other\n3. Another"
        assert parse(text).step3[0] == title
    with pytest.raises(SlimError, match="No title of this catalogue"):
        CatalogueGrammar.of(catalogue("..."))


def test_no_step_2_can_split_a_title():
    """Below the entry "Halo", "Halo: Reach, Legendary Edition" would be read as two products of that group."""
    split, whole = "Halo: Reach, Legendary Edition", "Halo: The Master Chief Collection"
    assert len(parse(f"Step 1: You play.\nStep 2:\n1. Halo\nStep 3:\n1. {split}\n2. Fez").step3) == 3
    grammar = CatalogueGrammar.of(catalogue(split, whole, "Fez", "Doom", "Tetris"))
    assert grammar.titles == ("Doom", "Fez", whole, "Tetris") and grammar.left_out == 1
    for title in grammar.titles:
        text = f"Step 1: You play.\nStep 2:\n1. Halo\n2. Fez\nStep 3:\n1. Zelda\n2. {title}"
        assert parse(text).step3 == ("Zelda", title)


def test_the_history_is_left_out_whatever_its_spelling():
    grammar = CatalogueGrammar.of(catalogue("F1® 23 - PS5", "F1 24", "Halo"))
    assert language(grammar.rules([Item("0", "f1 23 PS5")])) == ["F1 24", "Halo"]
    assert language(grammar.rules([Item("", "My own lamp")])) == ["F1 24", "F1® 23 - PS5", "Halo"]
    with pytest.raises(SlimError, match="already in the history"):
        grammar.rules([Item("", title) for title in grammar.titles])


def test_it_takes_the_place_of_the_free_product():
    for tuned in (True, False):
        whole = rationale_grammar(tuned, product_rules='product ::= "a"')
        names = [line.split(" ::= ")[0] for line in whole.split("\n")]
        assert len(names) == len(set(names)) and whole.count("product ::=") == 1
        assert whole.endswith('product ::= "a"')
        assert rationale_grammar(tuned).count("product ::=") == 1
        rest = rationale_grammar(tuned, product_rules='product ::= "a"', written=3)
        assert rest.startswith('root ::= "\\n4. " product "\\n5. " product\n')


def test_the_engine_names_nothing_else(engine):
    """Greedy and untuned, it would rather name something of its own; the purchase is not named again."""
    grammar = CatalogueGrammar.of(catalogue(*HOSTILE))
    reasoner = LlamaCppReasoner(engine, tuned=False).bound(grammar)
    stats, history = RunStats(), [Item("1", "Halo"), Item("", "任天堂 Switch 🎮")]
    rationale = parse("".join(reasoner.stream(history, stats)))
    assert stats.finish_reason == "stop" and len(rationale.step3) == 5
    assert set(rationale.step3) <= set(grammar.titles) - {"Halo", "任天堂 Switch 🎮"}
    assert len(set(rationale.step3)) == 5 and rationale.text.count("Step 1:") == 1
    free = LlamaCppReasoner(engine, tuned=False).info
    assert reasoner.info.bound and reasoner.info.note.startswith(BOUND_NOTE) and not free.bound and free.note == ""
    assert (f"{grammar.left_out} could not be offered:" in reasoner.info.note) == bool(grammar.left_out)


def test_purchases_that_the_model_does_not_read_are_left_out_as_well(engine):
    reasoner = LlamaCppReasoner(engine, tuned=False, catalogue=CatalogueGrammar.of(catalogue("Halo", "Fez")))
    history = [Item("0", "Halo"), *(Item("", f"Lamp {n}") for n in range(20))]
    rules = reasoner.request(history)["grammar"]
    assert 'product ::= "Fez"' in rules and "Halo" not in rules


def test_a_history_of_everything_gets_words(engine):
    reasoner = LlamaCppReasoner(engine, tuned=False, catalogue=CatalogueGrammar.of(catalogue("Halo")))
    with pytest.raises(SlimError, match="already in the history"):
        list(reasoner.stream([Item("0", "Halo")], RunStats()))
