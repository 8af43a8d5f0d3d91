"""Bound products: shown by whole lines, each once; a repeated one is taken back and another one asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slim_app.catalog import Catalog
from slim_app.rationale import format_rationale, parse
from slim_app.reasoners.catalogue_grammar import CatalogueGrammar
from slim_app.reasoners.distinct_products import distinct_products
from slim_app.reasoners.llama_cpp import LlamaCppReasoner
from slim_app.schema import Item, RunStats

HEAD = "Step 1: You play.\nStep 2:\n1. A\nStep 3:"


def lines(*products: str, first: int = 1) -> str:
    return "".join(f"\n{n}. {product}" for n, product in enumerate(products, start=first))


class Writer:
    """Answers with given texts, one a request, in pieces."""

    def __init__(self, *answers: str | None, size: int = 3, reason: str = "stop") -> None:
        self.answers, self.size, self.reason = list(answers), size, reason
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.closed = 0

    def ask(self, text: str, named: Sequence[str], stats: RunStats) -> Iterator[str] | None:
        self.asked.append((text, tuple(named)))
        answer = self.answers.pop(0)
        return None if answer is None else self._pieces(answer, stats)

    def _pieces(self, answer: str, stats: RunStats) -> Iterator[str]:
        try:
            for start in range(0, len(answer), self.size):
                stats.tokens += 1
                yield answer[start : start + self.size]
            stats.finish_reason, stats.prompt_tokens = self.reason, 7
        finally:
            self.closed += 1


def run(writer: Writer) -> tuple[list[str], RunStats]:
    stats = RunStats()
    return list(distinct_products(writer.ask, stats)), stats


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_half_a_title_is_no_product(size):
    text = HEAD + lines("Halo", "Halo 2")
    for reason, expected in (("stop", text), ("length", HEAD + lines("Halo")), ("", HEAD + lines("Halo"))):
        out, stats = run(Writer(text, size=size, reason=reason))
        assert "".join(out) == expected and stats.finish_reason == reason
        assert len(out) >= len(range(0, len(text), size)), "a held line is a heartbeat"
    before = "Step 1: You play.\nStep 2:\n1. A"
    assert "".join(run(Writer(before, reason="length"))[0]) == before
    shown = HEAD + lines("Halo", "Halo 2", "Fez")
    out = [piece for piece in run(Writer(shown, size=size))[0] if piece]
    assert all("".join(out[:n]).rsplit(". ", 1)[-1] in ("Halo", "Halo 2", "Fez") or "Step 3:" not in "".join(out[:n])
               or "".join(out[:n]).endswith("Step 3:") for n in range(len(out) + 1))  # fmt: skip


@pytest.mark.parametrize("size", [1, 4, 100])
def test_a_repeated_product_is_taken_back(size):
    writer = Writer(
        HEAD + lines("Halo", "HALO", "Fez"), lines("Fez", "Fez", first=2), lines("Doom", "Halo 2", "halo", first=3),
        lines("Tetris", first=5), size=size,
    )  # fmt: skip
    out, stats = run(writer)
    assert "".join(out) == HEAD + lines("Halo", "Fez", "Doom", "Halo 2", "Tetris")
    assert writer.asked == [
        ("", ()), (HEAD + lines("Halo"), ("Halo",)), (HEAD + lines("Halo", "Fez"), ("Halo", "Fez")),
        (HEAD + lines("Halo", "Fez", "Doom", "Halo 2"), ("Halo", "Fez", "Doom", "Halo 2")),
    ]  # fmt: skip
    assert writer.closed == 4 and stats.finish_reason == "stop" and stats.prompt_tokens in (0, 7)
    if size == 1:  # the number of a line that was taken back came with the end of the line before
        assert 0 <= stats.tokens - len("".join(out)) <= 3


def test_a_catalogue_that_is_used_up_ends_the_text():
    out, stats = run(Writer(HEAD + lines("Halo", "Halo"), None))
    assert "".join(out) == HEAD + lines("Halo") and stats.finish_reason == "stop"


def test_closing_it_ends_the_request():
    writer = Writer(HEAD + lines("Halo"))
    stream = distinct_products(writer.ask, RunStats())
    next(stream)
    stream.close()
    assert writer.closed == 1


@given(st.lists(st.sampled_from("ABCDE"), min_size=5, max_size=5), st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_whatever_is_written_no_product_comes_twice(wishes, size):
    """A stubborn writer that always wants the same, and takes the next letter when it may not."""

    class Stubborn(Writer):
        def ask(self, text, named, stats):
            left = [letter for letter in "ABCDEFGHIJ" if letter not in named]
            wanted = [wish if wish in left else left[0] for wish in wishes[len(named) :]]
            return self._pieces(("" if text else HEAD) + lines(*wanted, first=len(named) + 1), stats)

    text = "".join(run(Stubborn(size=size))[0])
    products = [line[3:] for line in text.removeprefix(HEAD).strip().split("\n")]
    assert len(products) == len(set(products)) == 5 and text.startswith(HEAD)


def test_the_engine_goes_on_where_it_was_stopped(engine):
    """Seven titles, five asked for: the untuned model alone would name the first one again and again."""
    titles = ["Copper Kettle", "Copper Pan", "Oak Spoon", "Paring Knife", "Salt Mill", "Tea Towel", "Bread Bin"]
    grammar = CatalogueGrammar.of(Catalog("toys", [Item(str(n), title) for n, title in enumerate(titles)]))
    stats = RunStats()
    text = "".join(LlamaCppReasoner(engine, tuned=False).bound(grammar).stream([Item("", "Steel kettle")], stats))
    rationale = parse(text)
    assert sorted(set(rationale.step3)) == sorted(rationale.step3) and len(rationale.step3) == 5
    assert rationale.complete and text == format_rationale(" ".join(rationale.step1), rationale.step2, rationale.step3)
    assert stats.finish_reason == "stop" and 0 < stats.first_token_seconds < stats.seconds and stats.prompt_tokens > 50
