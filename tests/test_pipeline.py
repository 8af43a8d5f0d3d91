"""The online path with a scripted writer: what each moment shows, and what survives a stop or a failure."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from conftest import TINY, FakeEncoder

from slim_app import pipeline
from slim_app.errors import SlimError
from slim_app.explain import ground
from slim_app.pipeline import explain, rank_rationale
from slim_app.rationale import parse
from slim_app.recommenders.rank import rank
from slim_app.recommenders.text_match import RANKERS
from slim_app.schema import Item, ModelInfo, RunStats, State, shown

TEXT = (
    "Step 1: You like racing. You also like farms.\n"
    "Step 2:\n1. Racing Games\n2. Sony\n3. Farming Sims\n4. Wheels\n5. Sandbox\n"
    "Step 3:\n1. Gran Turismo 7\n2. F1 24\n3. Stardew Valley\n4. Minecraft\n5. Forza"
)
WORDS = [word + " " for word in TEXT.replace("\n", " \n").split(" ")]
HISTORY = list(TINY[:2])
REASONING = RANKERS["reasoning"]


class Scripted:
    """A writer that plays a script: text to write, functions to call, errors to raise."""

    def __init__(self, *script, finish: str = "stop", room: int = 20) -> None:
        self.info = ModelInfo("Scripted", prompt_version="test")
        self.script, self.finish, self.room = script, finish, room
        self.closed = threading.Event()
        self.histories: list[Sequence[Item]] = []

    def read(self, history: Sequence[Item]) -> Sequence[Item]:
        return shown(history)[-self.room :]

    def stream(self, history: Sequence[Item], stats: RunStats) -> Iterator[str]:
        self.histories.append(history)
        self.playing = self._play(stats)  # held here, so that only an explicit close ends it early
        return self.playing

    def _play(self, stats: RunStats) -> Iterator[str]:
        try:
            for step in self.script:
                if isinstance(step, Exception):
                    raise step
                if callable(step):
                    step()
                    continue
                stats.tokens += bool(step)
                yield step
            stats.finish_reason = self.finish
        finally:
            self.closed.set()


@pytest.fixture(autouse=True)
def every_delta_is_shown(monkeypatch):
    monkeypatch.setattr(pipeline, "REDRAW", 0.0)


@pytest.fixture
def run(tiny_domain, fake_encoder):
    def states(writer, history=HISTORY, ranker="reasoning", k=5, stop=None, encoder=fake_encoder) -> list[State]:
        return list(explain(history, tiny_domain, writer, RANKERS[ranker], encoder, k, stop))

    return states


def test_the_states_grow_and_the_last_is_whole(run, tiny_domain, fake_encoder):
    writer = Scripted("", *WORDS)
    states = run(writer)
    assert [state.status for state in states] == ["reading"] * 2 + ["writing"] * len(WORDS) + ["done"]
    assert all(len(a.rationale.text) <= len(b.rationale.text) for a, b in pairwise(states))
    assert [state.stats.tokens for state in states[2:-1]] == list(range(1, len(WORDS) + 1)), "each state is a snapshot"
    keys = [[segment.key for segment in state.rationale.segments()] for state in states]
    assert all(a == b[: len(a)] for a, b in pairwise(keys))
    first_list = next(n for n, state in enumerate(states) if state.recommendations)
    assert states[first_list].rationale.step1 == ("You like racing.", "You"), "ranked as soon as a segment has ended"
    assert all(len(state.recommendations) == 5 for state in states[first_list:])
    last = states[-1]
    assert (last.error, last.notices, last.domain, last.ranker) == ("", (), "tiny", "reasoning")
    assert last.model is writer.info
    assert last.rationale == parse("".join(WORDS))
    assert last.rationale.complete and last.rationale.problems == ()
    assert writer.closed.is_set() and writer.histories == [HISTORY]


@pytest.mark.parametrize("ranker", ["reasoning", "reasoning+history", "pooled"])
def test_the_last_list_is_what_ranking_its_text_gives(run, tiny_domain, fake_encoder, ranker):
    last = run(Scripted(*WORDS), ranker=ranker)[-1]
    expected = rank(HISTORY, last.rationale, tiny_domain, fake_encoder, RANKERS[ranker], 5)
    assert last.recommendations == expected
    assert last.grounding == ground(last.rationale, HISTORY, tiny_domain, fake_encoder)
    assert not {"G1", "G2"} & {rec.id for rec in last.recommendations}


def test_a_growing_list_ranks_by_ended_segments_only(run, tiny_domain, fake_encoder):
    states = run(Scripted("Step 1: You like racing.\nStep 2:\n1. Racing Games\n2. So", "ny\n"))
    writing = states[1]
    assert writing.rationale.open == "2.2"
    expected = rank(HISTORY, parse("Step 1: You like racing.\nStep 2:\n1. Racing Games"), tiny_domain, fake_encoder,
                    REASONING, 5)  # fmt: skip
    assert writing.recommendations == expected
    assert {mention.key for mention in writing.grounding} <= {"1.1", "2.1"}


def test_closing_the_generator_closes_the_writer(tiny_domain, fake_encoder):
    writer = Scripted(*WORDS)
    states = explain(HISTORY, tiny_domain, writer, REASONING, fake_encoder, 5)
    while next(states).status != "writing":
        assert not writer.closed.is_set()
    assert not writer.closed.is_set()
    states.close()
    assert writer.closed.is_set()


def test_stop_keeps_and_ranks_what_was_written(run):
    stop = threading.Event()
    writer = Scripted(*WORDS[:12], stop.set, "late ", *WORDS[12:])
    last = run(writer, stop=stop)[-1]
    assert (last.status, last.error) == ("stopped", "")
    assert last.rationale.text == "".join(WORDS[:12]) + "late "
    assert not last.rationale.complete
    assert "The text was cut off before it ended." in last.notices
    assert len(last.recommendations) == 5
    assert writer.closed.is_set()


def test_stop_before_anything_is_written(run):
    stop = threading.Event()
    stop.set()
    last = run(Scripted(""), stop=stop)[-1]
    assert (last.status, last.error, last.recommendations) == ("stopped", "", ())


def test_a_failure_keeps_the_text_and_says_why(run):
    writer = Scripted("Step 1: You like racing games. And", SlimError("The server broke off."))
    last = run(writer)[-1]
    assert (last.status, last.error) == ("failed", "The server broke off.")
    assert last.rationale.step1 == ("You like racing games.", "And")
    assert not last.rationale.complete
    assert "The text was cut off before it ended." in last.notices
    assert len(last.recommendations) == 5
    assert writer.closed.is_set()


def test_a_failure_before_the_first_word(run):
    states = run(Scripted(SlimError("The server is down.")))
    assert [state.status for state in states] == ["reading", "failed"]
    assert (states[-1].error, states[-1].recommendations) == ("The server is down.", ())


def test_a_ranking_that_fails_does_not_lose_the_text(run):
    class NoWeights(FakeEncoder):
        def encode(self, texts):
            raise SlimError("The weights are missing.")

    last = run(Scripted(TEXT, ""), encoder=NoWeights())[-1]
    assert (last.status, last.error) == ("failed", "The weights are missing.")
    assert last.rationale.text == TEXT


def test_a_text_cut_at_the_token_limit_is_marked(run):
    last = run(Scripted(TEXT, finish="length"))[-1]
    assert last.status == "done"
    assert not last.rationale.complete
    assert last.notices == ("The text was cut off before it ended.",)
    assert last.recommendations


@pytest.mark.parametrize("text", ["", "I cannot help with that.", "???"])
def test_nothing_readable(run, text):
    last = run(Scripted(text))[-1]
    assert (last.status, last.error) == ("failed", "Scripted wrote nothing that could be read. Run it again.")
    assert (last.rationale.text, last.recommendations) == (text, ())


def test_history_only_needs_no_writer(run, tiny_domain, fake_encoder):
    (state,) = run(None, ranker="history")
    assert (state.status, state.model.kind, state.rationale.text, state.grounding) == ("done", "none", "", ())
    assert "No language model" in state.model.note
    assert state.recommendations == rank(HISTORY, parse(""), tiny_domain, fake_encoder, RANKERS["history"], 5)


def test_bad_requests_are_refused_before_writing(tiny_domain, fake_encoder):
    writer = Scripted(TEXT)
    for history, k, words in (([], 5, "history is empty"), (HISTORY, 0, "whole number"), (HISTORY, "5", "whole")):
        with pytest.raises(SlimError, match=words):
            next(explain(history, tiny_domain, writer, REASONING, fake_encoder, k))
    assert writer.histories == []


def test_notices_about_long_histories_and_titles(run):
    history = [Item("", "old " * 100)] + [Item("", f"Thing {n}") for n in range(19)] + [Item("", "long " * 30)]
    states = run(Scripted(TEXT), history=history)
    expected = (
        "Only the newest 20 of 21 purchases are read.",
        "1 title is longer than 120 characters and shortened for the model.",
    )
    assert all(state.notices == expected for state in states)
    assert "Only the newest 3 purchases fit" in run(Scripted(TEXT, room=3), history=history)[-1].notices[2]
    assert "2 titles are longer" in run(Scripted(TEXT), history=[history[0]] * 2)[-1].notices[0]


def test_rank_a_given_rationale(tiny_domain, fake_encoder):
    state = rank_rationale(TEXT, HISTORY, tiny_domain, REASONING, fake_encoder, 3)
    assert (state.status, state.model.name, state.rationale, state.notices) == ("done", "the caller", parse(TEXT), ())
    assert state.recommendations == rank(HISTORY, parse(TEXT), tiny_domain, fake_encoder, REASONING, 3)
    assert state.grounding == ground(parse(TEXT), HISTORY, tiny_domain, fake_encoder)
    partial = rank_rationale("Step 3:\n1. Minecraft", [], tiny_domain, REASONING, fake_encoder, 3)
    assert "Step 1 is missing." in partial.notices
    assert len(partial.recommendations) == 3


def test_a_given_rationale_without_steps(tiny_domain, fake_encoder):
    for text, words in (("", "is empty"), (" \n", "is empty"), ("Good morning.", "holds none of the three steps")):
        with pytest.raises(SlimError, match=words):
            rank_rationale(text, HISTORY, tiny_domain, REASONING, fake_encoder, 3)
    with pytest.raises(SlimError, match="whole number"):
        rank_rationale(TEXT, HISTORY, tiny_domain, REASONING, fake_encoder, 101)
