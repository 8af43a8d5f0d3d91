"""What-if on the history: bump charts, leave-one-out, orders and faithfulness, all computed by hand."""

from __future__ import annotations

import math
import threading
from itertools import permutations

import pytest
from conftest import FakeEncoder, make_domain

from slim_app.errors import SlimError
from slim_app.faithfulness import faithfulness
from slim_app.history_studies import leave_one_out, lost, order_shuffle, other_orders
from slim_app.ranks import Shift
from slim_app.rationale import parse
from slim_app.reasoners.recorded import Recorded
from slim_app.recommenders.rank import rank
from slim_app.recommenders.text_match import RANKERS
from slim_app.schema import Item, ModelInfo, Rationale
from slim_app.what_if import BumpLine, bump, what_if

VECTORS = {"A": (1, 0, 0), "B": (0, 1, 0), "C": (0.6, 0.8, 0), "D": (0, 0, 1), "E": (0.8, 0.6, 0),
           "x": (1, 0, 0), "y": (0, 1, 0), "xy": (0.8, 0.6, 0), "z": (0, 0, 1)}  # fmt: skip
A, B, C, D, E = ITEMS = tuple(Item(name, name) for name in "ABCDE")
REASONING = RANKERS["reasoning"]
TEXTS = {("C", "D"): "Step 1: x", ("D",): "Step 1: y", ("C",): "Step 1: x", ("D", "C"): "Step 1: y"}
"""What the writer says of each history; x ranks A E (C) B (D), y ranks B (C) E A (D)."""


@pytest.fixture
def hand() -> FakeEncoder:
    return FakeEncoder(VECTORS)


@pytest.fixture
def place(hand):
    return make_domain(ITEMS, hand)


def writer(texts=TEXTS) -> Recorded:
    return Recorded(texts, ModelInfo("Writer"), 0)


# -- the bump chart ------------------------------------------------------------------------------------


def test_a_bump_chart_ranks_the_whole_catalogue_for_each_history(place, hand):
    told = {"old": ([C, D], parse("Step 1: x")), "new": ([D], parse("Step 1: y"))}
    chart = bump(told, place, REASONING, hand, 2)
    # old: A 1, E .8, B 0, with C and D bought; new: B 1, C .8, E .6, A 0, with D bought
    assert chart.lines == (
        BumpLine("B", "B", (3, 1)), BumpLine("C", "C", (None, 2)), BumpLine("E", "E", (2, 3)),
        BumpLine("A", "A", (1, 4)),
    )  # fmt: skip
    assert (chart.labels, chart.k) == (("old", "new"), 2)


def test_a_what_if_writes_again_and_compares(place, hand):
    before = ((C, D), parse("Step 1: x"))
    *running, last = what_if(before, before[0][1:], place, writer(), REASONING, hand, 2)
    assert running and all(state.bump is None for state in running)
    assert last.state.status == "done" and last.state.rationale.text == "Step 1: y"
    assert last.old.text == "Step 1: x"
    assert [line.id for line in last.bump.lines] == ["B", "C", "E", "A"]
    assert last.as_dict()["bump"]["lines"][0] == {"id": "B", "title": "B", "ranks": (3, 1)}


def test_a_what_if_without_an_old_text_writes_that_first(place, hand):
    *running, last = what_if(((C, D), None), (D,), place, writer(), REASONING, hand, 2)
    waiting = [moment for moment in running if moment.state.status == "waiting"]
    assert waiting and running.index(waiting[-1]) == len(waiting) - 1 < len(running) - 1, "first the old, then the new"
    assert all("Step 1: x".startswith(m.old.text) and not m.state.rationale.text for m in waiting)
    assert all(m.old.text == "Step 1: x" for m in running[len(waiting) :])
    assert (last.old.text, last.state.rationale.text, last.state.status) == ("Step 1: x", "Step 1: y", "done")
    assert [line.id for line in last.bump.lines] == ["B", "C", "E", "A"]
    *_, last = what_if(((A,), None), (D,), place, writer(), REASONING, hand, 2)
    assert (last.state.status, last.bump) == ("failed", None) and "unchanged sample" in last.state.error
    stop = threading.Event()
    stop.set()
    *_, last = what_if(((C, D), None), (D,), place, writer(), REASONING, hand, 2, stop)
    assert (last.state.status, last.bump) == ("stopped", None), "a part of the old text is nothing to compare with"
    for bad in ([], [C, D]):
        asked = writer()
        asked.stream = None  # refused before anything is written
        with pytest.raises(SlimError, match=r"empty|has not changed"):
            next(what_if(((C, D), None), bad, place, asked, REASONING, hand, 2))


def test_a_what_if_without_a_language_model(place, hand):
    *_, last = what_if(((A,), Rationale()), (A, B), place, None, RANKERS["history"], hand, 2)
    # A: E .8, C .6, B 0 = D 0; A and B: both at .7071 (.6 + .8) and (.8 + .6)
    assert {line.id: line.ranks for line in last.bump.lines} == {"C": (2, 1), "E": (1, 2)}


def test_a_what_if_that_cannot_be_written_says_why(place, hand):
    before = ((C, D), parse("Step 1: x"))
    *_, last = what_if(before, (A,), place, writer(), REASONING, hand, 2)
    assert (last.state.status, last.bump) == ("failed", None)
    assert "unchanged sample histories" in last.state.error
    with pytest.raises(SlimError, match="has not changed"):
        next(what_if(before, [C, D], place, writer(), REASONING, hand, 2))
    with pytest.raises(SlimError, match="empty"):
        next(what_if(before, [], place, writer(), REASONING, hand, 2))


# -- which purchase mattered most ---------------------------------------------------------------------


def test_leave_one_out_by_hand(place, hand):
    states = list(leave_one_out([C, D], None, place, writer(), REASONING, hand, 2))
    assert [s.status for s in states][-1] == "done" and {s.status for s in states[:-1]} == {"writing"}
    assert (states[0].done, states[0].total, states[-1].done) == (0, 3, 3)
    strongest, weakest = states[-1].effects
    # without C the text is y, and A and E stand third and second of B E A
    assert (strongest.label, strongest.row, strongest.left) == ("C", 0, 1)
    assert strongest.shifts == (Shift("A", "A", 1, 3), Shift("E", "E", 2, 2))
    gain = 1 / math.log2(4) + 1 / math.log2(3)
    assert strongest.lost == pytest.approx(1 - gain / (1 + 1 / math.log2(3)))
    assert (weakest.label, weakest.left, weakest.lost) == ("D", 0, 0.0), "without D it writes the same"
    assert any(len(s.effects) == 1 for s in states), "a running result"
    assert states[-1].mean_lost == pytest.approx(strongest.lost / 2)
    assert states[-1].as_dict()["effects"][0]["titles"] == ["D"]


def test_what_was_left_out_is_not_recommended_instead(place, hand):
    """C would be second for y; left in the list, every purchase would matter for that alone."""
    *_, last = leave_one_out([C, D], parse("Step 1: x"), place, writer(), REASONING, hand, 3)
    assert last.total == 2, "the text of the whole history was given"
    assert {shift.id for effect in last.effects for shift in effect.shifts} == {"A", "E", "B"}


def test_where_everything_was_bought_there_is_no_list_to_lose(place, hand):
    *_, last = leave_one_out(ITEMS, Rationale(), place, None, RANKERS["history"], hand, 3)
    assert (last.status, len(last.effects)) == ("done", 5)
    assert all((effect.left, effect.lost, effect.shifts) == (0, 0.0, ()) for effect in last.effects)


def test_leave_one_out_without_a_language_model(place, hand):
    *_, last = leave_one_out([A, D], None, place, None, RANKERS["history"], hand, 1)
    # A and D: E .8/√2 first; D alone: all 0, so B, the first of them, and E third of B C E
    assert [(e.label, e.left) for e in last.effects] == [("A", 1), ("D", 0)]


def test_it_stops_between_and_within_texts(place, hand):
    stop, seen = threading.Event(), []
    for state in leave_one_out([C, D], parse("Step 1: x"), place, writer(), REASONING, hand, 2, stop):
        seen.append(state)
        if state.done == 1:
            stop.set()
    assert (seen[-1].status, seen[-1].done) == ("stopped", 1) and len(seen[-1].effects) == 1

    class Endless(Recorded):
        def stream(self, history, stats):
            try:
                while True:
                    yield "Step 1: x "
            finally:
                closed.set()

    closed, stop = threading.Event(), threading.Event()
    run = leave_one_out([C, D], None, place, Endless({}, ModelInfo("E"), 0), REASONING, hand, 2, stop)
    assert [next(run).text, next(run).text] == ["", "Step 1: x "]
    stop.set()
    assert [s.status for s in run] == ["stopped"] and closed.is_set()


def test_closing_it_stops_the_engine(place, hand):
    reasoner = writer()
    streams = []
    reasoner_stream = reasoner.stream
    reasoner.stream = lambda *args: streams.append(reasoner_stream(*args)) or streams[-1]
    run = leave_one_out([C, D], None, place, reasoner, REASONING, hand, 2)
    next(run), next(run)
    run.close()
    assert streams[0].gi_frame is None, "the stream is closed, not only forgotten"


def test_its_failures_are_states_with_what_is_known_so_far(place, hand):
    missing = {key: text for key, text in TEXTS.items() if key != ("C",)}
    *_, last = leave_one_out([C, D], None, place, writer(missing), REASONING, hand, 2)
    assert (last.status, last.done, [e.label for e in last.effects]) == ("failed", 2, ["C"])
    assert "unchanged sample histories" in last.error
    unreadable = TEXTS | {("D",): "I will not."}
    *_, last = leave_one_out([C, D], None, place, writer(unreadable), REASONING, hand, 2)
    assert (last.status, last.skipped, [e.label for e in last.effects]) == ("done", ("C",), ["D"])
    with pytest.raises(SlimError, match="at least two purchases"):
        next(leave_one_out([C], None, place, writer(), REASONING, hand, 2))


# -- order ---------------------------------------------------------------------------------------------


def test_order_shuffle_by_hand(place, hand):
    *_, last = order_shuffle([C, D], parse("Step 1: x"), place, writer(), REASONING, hand, 2, orders=5, seed=3)
    (effect,) = last.effects  # of two purchases there is one other order; its text is y
    assert (effect.history, effect.left, last.seed) == ((D, C), 1, 3)
    with pytest.raises(SlimError, match="no other order"):
        next(order_shuffle([C, C], None, place, writer(), REASONING, hand, 2))
    for bad in (True, 1.5, "1", None, [1], math.nan):
        with pytest.raises(SlimError, match="seed of the orders is a whole number"):
            next(order_shuffle([C, D], None, place, writer(), REASONING, hand, 2, seed=bad))
    for bad in (0, 21, True, 1.5):
        with pytest.raises(SlimError, match="number of orders"):
            next(order_shuffle([C, D], None, place, writer(), REASONING, hand, 2, orders=bad))


@pytest.mark.parametrize("length", [2, 3, 5, 6, 20])
def test_other_orders_are_different_and_repeat_with_their_seed(length):
    items = tuple(Item(str(n), str(n)) for n in range(length))
    orders = other_orders(items, 5, 7)
    assert orders == other_orders(items, 5, 7)
    assert len(set(orders)) == len(orders) == min(5, math.factorial(length) - 1)
    assert items not in orders and all(sorted(order, key=items.index) == list(items) for order in orders)
    assert length < 5 or orders != other_orders(items, 5, 8)


def test_equal_purchases_leave_fewer_orders():
    items = (A, A, A, A, A, A, A, B)
    found = other_orders(items, 20, 0)
    assert set(found) <= set(permutations(items)) - {items} and len(found) == 7


def test_lost_is_between_zero_and_one():
    assert lost([1, 2, 3]) == lost([3, 1, 2]) == pytest.approx(0)
    assert 0.9 < lost([10_000, 20_000]) < 1


# -- faithfulness --------------------------------------------------------------------------------------


def test_faithfulness_by_hand(place, hand):
    """x and y, D bought: A 1 (x), B 1 (y), C .8 (y), E .8 (x); x alone A E C B; y alone B C E A."""
    rationale = parse("Step 1: x\nStep 2:\n1. y")
    for k, pn, ps in ((2, 1, 1), (3, 2 / 3, 1), (4, 0, 1)):
        listed = rank([D], rationale, place, hand, REASONING, k)
        found = faithfulness(listed, [D], rationale, place, REASONING, hand)
        assert (found.pn, found.ps) == (pytest.approx(pn), pytest.approx(ps)), k
        assert found.f == pytest.approx(2 * pn * ps / (pn + ps)), k
    by_id = {item.id: (item.rank, item.rank_without, item.rank_only) for item in found.items}
    assert by_id == {"A": (1, 4, 1), "B": (2, 4, 1), "C": (3, 3, 2), "E": (4, 3, 2)}
    assert found.as_dict()["F"] == 0 and found.as_dict()["explained"] == 4


def test_evidence_that_is_not_sufficient(place, hand):
    """Pooled: A is first for the whole text, but its evidence alone puts it last."""
    whole, first, second = "Step 1: x\nStep 2:\n1. y\nStep 3:", "Step 1: x\nStep 2:\nStep 3:", "Step 1: \nStep 2:"
    hand.vectors |= {whole: (1, 0, 0), first: (0, 0.8, 0.6), second + "\n1. y\nStep 3:": (0, 1, 0)}
    rationale = parse("Step 1: x\nStep 2:\n1. y")
    listed = rank([D], rationale, place, hand, RANKERS["pooled"], 1)
    assert [(r.id, r.evidence.key) for r in listed] == [("A", "1.1")]
    found = faithfulness(listed, [D], rationale, place, RANKERS["pooled"], hand)
    assert (found.pn, found.ps, found.f) == (1, 0, 0)


def test_purchases_are_evidence_where_they_rank(place, hand):
    ranker, rationale = RANKERS["reasoning+history"], parse("Step 1: x")
    listed = rank([D, B], rationale, place, hand, ranker, 2)
    # A 1 by x; E .8 by x; C .8 by the purchase of B: of E and C the earlier one, C
    assert [(r.id, r.evidence.key) for r in listed] == [("A", "1.1"), ("C", "0.2")]
    found = faithfulness(listed, [D, B], rationale, place, ranker, hand)
    # without x: C .8, E .6, A 0; without B: A 1, E .8, C .6. By x alone A is first, by B alone C
    assert [(i.rank_without, i.rank_only) for i in found.items] == [(3, 1), (3, 1)]
    listed = rank([A, D], Rationale(), place, hand, RANKERS["history"], 1)
    found = faithfulness(listed, [A, D], Rationale(), place, RANKERS["history"], hand)
    assert [(i.id, i.key, i.rank_without, i.rank_only) for i in found.items] == [("E", "0.1", 3, 1)]


def test_faithfulness_of_nothing(place, hand):
    rationale = parse("Step 1: x")
    listed = rank([D], rationale, place, hand, REASONING, 1)
    (item,) = faithfulness(listed, [D], rationale, place, REASONING, hand).items
    assert (item.rank_without, item.rank_only) == (None, 1), "nothing is left without it, so it leaves"
    with pytest.raises(SlimError, match="no part of this text"):
        faithfulness(rank([D], parse("Step 1: x\nStep 2:\n1. y"), place, hand, REASONING, 2), [D], rationale, place,
                     REASONING, hand)  # fmt: skip
    with pytest.raises(SlimError, match="No product"):
        faithfulness((), [D], rationale, place, REASONING, hand)
