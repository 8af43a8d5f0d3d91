"""Stored rationales, replayed."""

from __future__ import annotations

import math
import time

import pytest

from slim_app.errors import SlimError
from slim_app.rationale import format_rationale
from slim_app.reasoners.recorded import Recorded, from_shoppers
from slim_app.schema import MAX_HISTORY, Item, ModelInfo, RunStats, Shopper

TEXT = "Step 1: You like  lamps.\n\nStep 2:\n1. Lamps\n"
INFO = ModelInfo("Teacher, recorded", kind="recorded")


def items(*ids: str) -> list[Item]:
    return [Item(id, f"Product {id}") for id in ids]


@pytest.mark.parametrize("pace", [0, -1, math.inf, math.nan])
def test_replays_the_exact_text_word_by_word(pace: float) -> None:
    stats = RunStats()
    pieces = list(Recorded({("a", "b"): TEXT}, INFO, pace).stream(items("a", "b"), stats))
    assert "".join(pieces) == TEXT and len(pieces) == stats.tokens == 9
    assert stats.finish_reason == "stop" and 0 < stats.first_token_seconds <= stats.seconds < 0.1


def test_keeps_its_pace_and_lets_a_slow_replay_be_closed() -> None:
    stats = RunStats()
    list(Recorded({("a",): TEXT}, INFO, 100.0).stream(items("a"), stats))
    assert 0.09 <= stats.seconds < 0.5
    slow, start = Recorded({("a",): TEXT}, INFO, 0.1).stream(items("a"), stats), time.monotonic()
    assert next(slow) == ""
    slow.close()
    assert time.monotonic() - start < 0.3 and stats.finish_reason == "cancelled"


@pytest.mark.parametrize("ids", [(), ("a",), ("b", "a"), ("a", "b", "c"), ("a", ""), ("blank",)])
def test_any_other_history_is_refused(ids: tuple[str, ...]) -> None:
    stats = RunStats()
    with pytest.raises(SlimError, match="unchanged sample histories"):
        list(Recorded({("a", "b"): TEXT, ("blank",): " \n"}, INFO).stream(items(*ids), stats))
    assert stats.finish_reason == "error"


def test_only_the_purchases_that_a_prompt_shows_count() -> None:
    ids = [str(n) for n in range(MAX_HISTORY + 5)]
    recorded = Recorded({tuple(ids): TEXT}, INFO, 0)
    for history in (ids, ids[-MAX_HISTORY:]):
        assert "".join(recorded.stream(items(*history), RunStats())) == TEXT


def test_two_replays_at_once_do_not_share_anything() -> None:
    recorded, stats = Recorded({("a",): "one two", ("b",): "three"}, INFO, 0), (RunStats(), RunStats())
    first, second = recorded.stream(items("a"), stats[0]), recorded.stream(items("b"), stats[1])
    assert [next(first), next(second), next(first)] == ["one ", "three", "two"]
    assert [s.tokens for s in stats] == [2, 1]


def test_shoppers_become_recorded_rationales() -> None:
    full = Shopper("s1", "Ann", ("a", "b"), "c", "You read.", ("Books", "Lamps"), ("Novel", "Desk lamp"))
    recorded = from_shoppers([full, Shopper("s2", "Ben", ("d",), "e")])
    text = "".join(recorded.stream(items("a", "b"), RunStats()))
    assert text == format_rationale(full.step1, full.step2, full.step3) and "You read." in text
    with pytest.raises(SlimError):
        next(recorded.stream(items("d"), RunStats()))
    info = recorded.info
    assert (info.name, info.kind, info.tuned, info.prompt_version) == ("Teacher, recorded", "recorded", False, "")
    assert "an illustration, not a score" in info.note
