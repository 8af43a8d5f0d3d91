"""The parts of collect_rationales by themselves: users, prices, pace, and reading answers."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from slim_app.errors import SlimError
from slim_app.reasoners.faults import Broken
from tests.teacher_server import GOOD, completion, write_dataset
from training.dataset import read_dataset
from training.jobs import Job, choose_jobs, choose_users
from training.positions import POSITIONS, upto_of
from training.teacher.answers import read_answer, steps_of
from training.teacher.batch_lines import read_result
from training.teacher.client import Teacher
from training.teacher.pace import Pace, backoff
from training.teacher.prices import Budget, Forecast, OverBudget, Price, price_of


def test_a_position_holds_back_its_target_and_all_later_ones() -> None:
    assert POSITIONS == {"train": 3, "valid": 2, "test": 1}
    sequence = list("abcde")
    for position, target in (("train", "c"), ("valid", "d"), ("test", "e")):
        assert sequence[upto_of(position, 5)] == target
    assert upto_of("train", 3) == 0 and upto_of("train", 1) < 0


def test_a_larger_draw_contains_the_smaller_one(tmp_path: Path) -> None:
    dataset = read_dataset(write_dataset(tmp_path / "toys", 50))
    few, many = (choose_users(dataset, count, None, 7) for count in (5, 20))
    assert many[:5] == few and len(set(many)) == 20 and many != choose_users(dataset, 20, None, 8)
    assert choose_users(dataset, None, None, 7) == list(dataset.sequences)
    assert len(choose_users(dataset, 99, None, 7)) == 50


def test_users_of_a_file_count_once_and_short_ones_are_left_out(tmp_path: Path) -> None:
    dataset = read_dataset(write_dataset(tmp_path / "toys", 3, length=3))
    file = tmp_path / "users.txt"
    file.write_bytes("\ufeffu1\r\n\r\nu2\r\nu1\r\n".encode())
    users = choose_users(dataset, None, file, 0)
    assert users == ["u1", "u2"]
    assert choose_jobs(dataset, users, ["train", "test"]) == [Job("u1", 2), Job("u2", 2)]


def test_prices() -> None:
    assert price_of("m", None, None, False) is None
    assert price_of("m", 0.0, 0.0, False) == Price(0.0, 0.0, "as given")
    whole, half = (price_of("gpt-4o-mini", None, None, batch) for batch in (False, True))
    assert whole and half and half.prompt == whole.prompt / 2 and "check it" in whole.source
    assert price_of("gpt-4o-mini", 7, 8, True) == Price(7, 8, "as given")
    assert Price(1, 2, "").of(1_000_000, 500_000) == 2
    with pytest.raises(SlimError, match="Give the other one"):
        price_of("m", None, 1.0, False)


def test_the_forecast_learns_from_usage() -> None:
    forecast = Forecast()
    assert forecast.prompt_tokens(400) == 100 and forecast.answer_tokens(512) == 200
    assert forecast.answer_tokens(50) == 50
    forecast.learn(1000, 500, 90)
    forecast.learn(1000, 300, 110)
    assert forecast.prompt_tokens(400) == pytest.approx(160) and forecast.answer_tokens(512) == 100
    assert "2 earlier answers" in forecast.basis


def test_the_budget_waits_for_what_is_in_flight_before_it_gives_up() -> None:
    async def play() -> list[str]:
        budget, told = Budget(1.0, Price(1, 1, "")), []
        await budget.reserve(0.7)

        async def second() -> None:
            await budget.reserve(0.7)
            told.append("second")
            budget.settle(0.7, 0.7, unsure=True)

        task = asyncio.create_task(second())
        await asyncio.sleep(0)
        told.append("first is cheaper")
        budget.settle(0.7, 0.2)
        await task
        with pytest.raises(OverBudget, match=r"--max-cost 1 USD.*0\.9000 USD are spent"):
            await budget.reserve(0.2)
        await budget.reserve(0.1)
        assert budget.unsure == 0.7
        return told

    assert asyncio.run(play()) == ["first is cheaper", "second"]


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def turns(pace: Pace, clock: Clock, *costs: float, hold: float = 0.0) -> list[float]:
    """When requests with these token counts may be sent."""

    async def play() -> list[float]:
        if hold:
            pace.hold(hold)
        times = []
        for cost in costs:
            await pace.turn(cost)
            times.append(round(clock.now - 100, 3))
        return times

    return asyncio.run(play())


def test_pace() -> None:
    clock = Clock()
    assert turns(Pace(clock=clock, sleep=clock.sleep), clock, 1, 1, 1) == [0, 0, 0]
    assert turns(Pace(60, None, clock, clock.sleep), clock, 9, 9, 9) == [0, 1, 2]
    clock = Clock()  # 600 tokens a minute: after one of 100, the next waits for ten seconds
    assert turns(Pace(None, 600, clock, clock.sleep), clock, 100, 50, 1) == [0, 10, 14.1]
    clock = Clock()
    assert turns(Pace(6000, 6000, clock, clock.sleep), clock, 1, 1, hold=7) == [7, 7.01]


def test_a_hold_counts_for_those_who_wait_already() -> None:
    async def play() -> float:
        clock = Clock()
        pace = Pace(60, None, clock, clock.sleep)
        await pace.turn(1)
        waiting = asyncio.create_task(pace.turn(1))
        await asyncio.sleep(0)
        pace.hold(5)
        await waiting
        return clock.now - 100

    assert asyncio.run(play()) >= 5


def test_backoff_doubles_is_bounded_and_the_same_for_a_seed() -> None:
    pauses = [backoff(n, random.Random(1)) for n in range(12)]
    assert pauses == [backoff(n, random.Random(1)) for n in range(12)]
    assert pauses[1] == 2 * pauses[0] and 0.5 <= pauses[0] <= 1 and max(pauses) <= 60


@pytest.mark.parametrize("body", [None, [], "x", {}, {"choices": []}, {"choices": [1]}, {"choices": [{"message": 3}]}])
def test_what_is_no_answer_is_said(body: Any) -> None:
    with pytest.raises(Broken, match="no answer"):
        read_answer(body)


def test_fields_of_other_types_do_no_harm() -> None:
    body = completion(GOOD, finish=7, usage={"prompt_tokens": "3", "completion_tokens": -1}) | {"model": ["m"]}
    answer = read_answer(body)
    assert (answer.prompt_tokens, answer.completion_tokens, answer.finish_reason, answer.model) == (None, None, "", "")
    assert "problem" not in steps_of(answer)
    assert steps_of(read_answer(completion(None)))["problem"] == "The text is empty."


def test_lines_of_a_batch_of_every_kind() -> None:
    assert read_result("{") is None and read_result('{"custom_id": 3}') is None and read_result("[]") is None
    late = read_result('{"custom_id": "2:a:b", "response": null, "error": {"code": "expired", "message": "Late"}}')
    assert late and late.job == Job("a:b", 2) and not late.refused and late.reason == "Not answered: Late"
    bad = read_result('{"custom_id": "2:u", "response": {"status_code": 400, "body": {"error": {"message": "No"}}}}')
    assert bad and bad.refused and "“No”" in bad.reason
    odd = read_result('{"custom_id": "2:u", "response": {"status_code": 200, "body": {}}}')
    assert odd and not odd.answer and not odd.refused


def test_the_key_is_in_no_repr() -> None:
    teacher = Teacher("http://h/v1", "m", "sk-123456")
    assert "sk-" not in repr(teacher) + repr(teacher._faults)
