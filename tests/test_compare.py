"""Writers side by side on real threads: each fails, stalls and stops alone; what they have in common, by hand."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from conftest import TINY, FakeEncoder, make_domain

from slim_app.compare import Run
from slim_app.compare_state import CompareState, Side, sample_of
from slim_app.errors import SlimError
from slim_app.prices import MachinePrice, Price, estimate, list_price
from slim_app.quality import canonical
from slim_app.rationale import parse
from slim_app.reasoners.recorded import Recorded
from slim_app.recommenders.rank import rank
from slim_app.recommenders.text_match import get_ranker
from slim_app.schema import ModelInfo, RunStats, Shopper
from tests.writers import CRASH, GOOD, OTHER, STALL, Scripted, comparing

HISTORY = [TINY[0], TINY[6]]
RANKER = get_ranker("reasoning")


@pytest.fixture
def world():
    encoder = FakeEncoder(dimension=16)
    return make_domain(TINY, encoder), encoder


@pytest.fixture(autouse=True)
def no_thread_stays():
    yield
    end = time.monotonic() + 2
    while comparing() and time.monotonic() < end:
        time.sleep(0.01)
    assert not comparing()


def make(world, *sides: Side | Scripted, **more) -> Run:
    sides = [side if isinstance(side, Side) else Side(side) for side in sides]
    return Run(sides, HISTORY, *world, RANKER, **more)


def last(run: Run) -> CompareState:
    *_, state = run.states()
    return state


def test_sides_with_their_own_engines_write_at_the_same_time_and_every_state_is_whole(world) -> None:
    first, second = Scripted(GOOD, "One", pause=0.008), Scripted(OTHER, "Two", pause=0.008)
    states = list(make(world, first, second).states())
    assert second.started[0] < first.closed[0] and first.started[0] < second.closed[0]
    for state in states:
        assert [side.key for side in state.sides] == ["A", "B"]
    texts = [[side.text for side in state.sides] for state in states]
    for n, whole in enumerate((GOOD, OTHER)):
        assert all(whole.startswith(text[n]) for text in texts)
        assert [len(text[n]) for text in texts] == sorted(len(text[n]) for text in texts)
    assert sum(0 < len(a) < len(GOOD) and 0 < len(b) < len(OTHER) for a, b in texts) >= 2, "in lock-step"
    assert [state.status for state in states[:-1]] == ["running"] * (len(states) - 1)
    assert states[-1].status == "done" and [side.status for side in states[-1].sides] == ["finished"] * 2
    assert states[-1].sides[0].rationale == parse(GOOD) and states[-1].sides[0].stats.finish_reason == "stop"


def test_sides_that_share_an_engine_take_turns(world) -> None:
    engine = object()
    student, base, other = (
        Scripted(name=name, pause=0.004, engine=shared)
        for name, shared in (("student", engine), ("base", engine), ("other", object()))
    )
    states = list(make(world, student, base, other).states())
    assert base.started[0] >= student.closed[0] and other.started[0] < student.closed[0]
    assert any([side.status for side in state.sides] == ["running", "waiting", "running"] for state in states)
    assert [side.status for side in states[-1].sides] == ["finished"] * 3


@pytest.mark.parametrize(
    ("end", "words"),
    [(SlimError("The server sent nothing."), "The server sent nothing."), (CRASH, "Broken failed")],
)
def test_a_side_fails_alone_with_its_reason_and_its_text(world, end, words) -> None:
    state = last(make(world, Scripted(GOOD[:60], "Broken", end=end), Scripted(OTHER, "Fine")))
    broken, fine = state.sides
    assert (broken.status, fine.status) == ("failed", "finished")
    assert words in broken.error and "a fault of its own" not in broken.error and not fine.error
    assert broken.text == GOOD[:60] and not broken.rationale.complete
    assert state.comparison and state.comparison.sides[0].valid is False and state.comparison.sides[1].valid is True


def test_a_side_that_writes_nothing_readable_has_failed_and_is_compared_with_nothing(world) -> None:
    state = last(make(world, Scripted("No.", "Mute"), Scripted(GOOD)))
    assert state.sides[0].status == "failed" and "wrote nothing that could be read" in state.sides[0].error
    summary, pair = state.comparison.sides[0], state.comparison.pairs[0]
    assert (summary.valid, summary.repetition, summary.products, summary.top) == (None, None, None, ())
    assert (pair.cosine, pair.top_shared) == (None, None)


def test_one_side_is_stopped_and_the_others_finish(world) -> None:
    stalled, fine = Scripted(GOOD[:80], end=STALL), Scripted(OTHER, pause=0.004)
    run = make(world, stalled, fine)
    for state in run.states():
        if state.sides[1].status == "finished":
            run.stop("A")
    assert [side.status for side in state.sides] == ["stopped", "finished"]
    assert state.sides[0].text == GOOD[:80] and not state.sides[0].error and not state.sides[0].rationale.complete
    assert state.comparison.pairs[0].cosine is not None, "what was written until then is compared"


def test_a_waiting_side_can_be_stopped_before_it_starts(world) -> None:
    engine = object()
    first, second = Scripted(pause=0.01, engine=engine), Scripted(engine=engine)
    run = make(world, first, second)
    for state in run.states():
        if state.sides[0].text:
            run.stop("B")
    assert [side.status for side in state.sides] == ["finished", "stopped"] and not second.started


def test_closing_stops_every_side_at_once(world) -> None:
    writers = [Scripted(end=STALL), Scripted(end=STALL), Scripted(pause=0.02, end=STALL)]
    states = make(world, *writers).states()
    next(states)
    while not all(writer.started for writer in writers):
        next(states)
    start = time.monotonic()
    states.close()
    assert time.monotonic() - start < 0.5 and all(writer.closed for writer in writers)


def test_a_silent_side_still_brings_states_so_that_a_visitor_who_left_is_noticed(world) -> None:
    run = make(world, Scripted("", end=STALL), Scripted("", end=STALL))
    states = run.states()
    start, count = time.monotonic(), 0
    while time.monotonic() - start < 1.3:
        next(states)
        count += 1
    states.close()
    assert count >= 3


def test_what_cannot_be_compared_is_refused(world) -> None:
    one = Side(Scripted())
    for sides, more in (([one], {}), ([one] * 4, {}), ([one] * 3, {"blind": True})):
        with pytest.raises(SlimError, match="Choose two"):
            make(world, *sides, **more)
    with pytest.raises(SlimError, match="history is empty"):
        Run([one, one], [], *world, RANKER)
    with pytest.raises(SlimError, match="reads no rationales"):
        Run([one, one], HISTORY, *world, get_ranker("history"))
    with pytest.raises(SlimError, match="k is"):
        make(world, one, one, k=0)
    with pytest.raises(SlimError, match="“G99” is not in the catalogue “Tiny”"):
        make(world, one, one, held_out="G99")


def test_kinds(world) -> None:
    def kind(writer: str, **info) -> str:
        return Side(Scripted(**info), writer).kind

    assert [kind("teacher"), kind("student", tuned=True), kind("base"), kind("teacher", kind="recorded")] == [
        "live", "live", "untuned", "recorded",
    ]  # fmt: skip


# ---- blind ----------------------------------------------------------------------------------------------------------


def test_a_blind_comparison_is_shuffled_by_its_seed_and_says_nothing_of_who_writes(world) -> None:
    orders = set()
    for seed in range(8):
        price = Price(1.0, 1.0, "list")
        sides = [
            Side(Scripted(name="secret-teacher", end=SlimError("secret-teacher at secret-host")), "teacher", price),
            Side(Scripted(OTHER, name="secret-student", tuned=True, device="secret-cpu"), "student"),
        ]
        states = list(make(world, *sides, blind=True, seed=seed).states())
        names = [side.name for side in states[-1].sides]
        orders.add(tuple(names))
        assert names == [side.name for side in last(make(world, *sides, blind=True, seed=seed)).sides]
        for state in states:
            hidden = state.masked()
            for leak in ("secret", "list", "teacher", "student", f'"seed": {seed}'):
                assert leak not in json.dumps(hidden.as_dict()) + repr(hidden)
            assert {side.kind for side in hidden.sides} == {"hidden"}
            assert [side.text for side in hidden.sides] == [side.text for side in state.sides]
            assert all(side.stats == RunStats() for side in hidden.sides)
        summary = states[-1].masked().comparison
        assert {s.tokens for s in summary.sides} == {s.cost_per_1000 for s in summary.sides} == {None}
        assert any("failed" in side.error for side in states[-1].masked().sides)
    assert len(orders) == 2, "both orders come about"


# ---- the summary ----------------------------------------------------------------------------------------------------


def test_the_summary_by_hand(world) -> None:
    domain, encoder = world
    price = Price(2.0, 4.0, "as given")
    run = make(world, Side(Scripted(GOOD), "teacher", price), Scripted(OTHER), held_out="G3", k=3)
    state = last(run)
    found = state.comparison
    first, second = found.sides
    pair = found.pairs[0]
    assert pair.categories.shared == ("Racing games", "Sandbox"), "case and punctuation do not part names"
    assert pair.categories.only_first == ("Wheels", "Headsets", "Farming sims")
    assert pair.categories.only_second == ("Farming", "Puzzles", "Music")
    assert pair.products.shared == ("Forza Horizon 5", "Stardew Valley"), "both names mean one catalogue item"
    assert pair.products.only_second == ("Tetris", "Rez", "Lumines")
    texts = encoder.encode([canonical(side.rationale) for side in state.sides])
    assert pair.cosine == pytest.approx(float(texts[0] @ texts[1]), abs=1e-4)
    lists = [[r.id for r in rank(HISTORY, side.rationale, domain, encoder, RANKER, 6)] for side in state.sides]
    assert pair.top_shared == len(set(lists[0][:3]) & set(lists[1][:3])) and found.k == 3
    assert [s.held_out_rank for s in found.sides] == [ids.index("G3") + 1 for ids in lists]
    assert found.held_out == TINY[2].title and [r.id for r in first.top] == lists[0][:3]
    assert (first.valid, first.repetition, first.repeated_products) == (True, 0.0, 0.2)
    assert first.products["history"] == 1, "the wheel was bought"
    assert first.products["catalogue"] >= 3 and sum(first.products.values()) == 5
    tokens = state.sides[0].stats.tokens
    assert first.tokens == tokens and first.cost == pytest.approx((100 * 2 + tokens * 4) / 1e6)
    assert first.cost_per_1000 == pytest.approx(1000 * first.cost)
    assert second.cost is None and second.cost_per_1000 is None and second.tokens == tokens_of(OTHER)
    json.dumps(state.as_dict())


def tokens_of(text: str) -> int:
    return 2 * -(-len(text) // 8)


def test_a_replay_has_no_speed_and_no_cost(world) -> None:
    replay = Recorded({tuple(i.id for i in HISTORY): GOOD}, ModelInfo("Teacher", kind="recorded"), 0)
    state = last(make(world, Side(replay, "recorded", MachinePrice(1.0, "guess")), Scripted(GOOD)))
    summary = state.comparison.sides[0]
    assert summary.valid and state.sides[0].kind == "recorded"
    assert {summary.tokens, summary.seconds, summary.tokens_per_second, summary.cost, summary.cost_per_1000} == {None}
    assert state.comparison.pairs[0].cosine == pytest.approx(1.0, abs=1e-4)


def test_a_missing_encoder_loses_no_text(world) -> None:
    domain, encoder = world
    run = make((domain, encoder), Scripted(GOOD), Scripted(OTHER))

    def fails(texts):
        raise SlimError("The weights are nowhere.")

    encoder.encode = fails
    state = last(run)
    assert state.status == "done" and state.error == "The weights are nowhere." and state.comparison is None
    assert [side.text for side in state.sides] == [GOOD, OTHER]


def test_only_an_unchanged_sample_has_a_next_purchase() -> None:
    shoppers = [Shopper("s1", "One", ("G1", "G7"), "G3"), Shopper("s2", "Two", ("G1",))]
    assert sample_of(shoppers, HISTORY).next == "G3"
    assert sample_of(shoppers, HISTORY[::-1]) is None and sample_of(shoppers, [replace(TINY[0], id="")]) is None


# ---- prices ---------------------------------------------------------------------------------------------------------


def test_prices_are_known_or_none() -> None:
    price = list_price("gpt-4o-mini")
    assert (price.prompt, price.answer) == (0.15, 0.60) and "check it" in price.source
    assert list_price("gpt-4o-mini-2024-07-18") is None
    assert price.cost(RunStats(tokens=10)) is None, "no usage reported"
    assert price.cost(RunStats(tokens=10, prompt_tokens=1_000_000, billed_tokens=2_000_000)) == pytest.approx(1.35)
    assert MachinePrice(3.6, "x").cost(RunStats(seconds=2.0)) == pytest.approx(0.002)
    assert MachinePrice(3.6, "x").cost(RunStats()) is None
    known, unknown = (estimate("x" * 4000, 512, p) for p in (Price(1.0, 10.0, "s"), None))
    assert (known.prompt_tokens, known.answer_tokens) == (1000, 200)
    assert known.usual == pytest.approx((1000 + 2000) / 1e6) and known.most == pytest.approx((1500 + 5120) / 1e6)
    assert (unknown.usual, unknown.most) == (None, None) and "not known" in unknown.source
    assert estimate("x", 50, None).answer_tokens == 50
