"""The in-process student in the app: stopping, waiting, a full GPU, and a GPU that is lent (ZeroGPU)."""

from __future__ import annotations

import pickle
import sys
import threading
import time
from types import ModuleType

import pytest
import torch

from slim_app.errors import SlimError
from slim_app.reasoners import hf_engine, hf_slots, zerogpu
from slim_app.reasoners.hf import HfReasoner
from slim_app.reasoners.hf_engine import HfEngine
from slim_app.reasoners.hf_load import load
from slim_app.schema import Item, RunStats
from tests.hf_models import HISTORIES, LIMIT, tiny_models, written


@pytest.fixture(scope="module")
def tiny():
    with tiny_models() as folders:
        yield folders


@pytest.fixture(scope="module")
def engine(tiny) -> HfEngine:
    """Llama with its adapter; shared, so tests leave it whole."""
    return HfEngine(load(str(tiny["llama"]), tiny["llama-lora"]), limit=LIMIT)


def idle() -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(t.name == "slim-reasoner" for t in threading.enumerate()):
        time.sleep(0.01)
    return not any(t.name == "slim-reasoner" for t in threading.enumerate())


def test_closing_stops_within_a_token(engine, monkeypatch):
    steps = []
    step = hf_slots.Slots.step
    monkeypatch.setattr(hf_slots.Slots, "step", lambda self: (steps.append(time.sleep(0.01)), step(self))[1])
    reasoner, stats = HfReasoner(engine, tuned=True), RunStats()
    deltas = reasoner.stream(HISTORIES[0], stats)
    assert any(deltas)
    deltas.close()
    made = len(steps)
    assert idle()
    assert len(steps) <= made + 2
    assert stats.finish_reason == "cancelled" and 0 < stats.tokens < LIMIT // 2


def test_the_second_visitor_waits_with_heartbeats(engine, monkeypatch):
    monkeypatch.setattr(hf_engine, "HEARTBEAT", 0.005)
    reasoner = HfReasoner(engine, tuned=True)
    expected = written(reasoner)
    with engine._lock:  # as long as somebody else writes
        second = reasoner.stream(HISTORIES[0], RunStats())
        assert [next(second) for _ in range(3)] == [""] * 3
    assert "".join(second) == expected
    both = [reasoner.stream(HISTORIES[0], RunStats()) for _ in range(2)]
    begun = [next(delta for delta in deltas if delta) for deltas in both[:1]]
    assert "".join(both[1]) == begun[0] + "".join(both[0]) == expected


def test_an_abandoned_wait_ends(engine):
    with engine._lock:
        waiting = HfReasoner(engine, tuned=True).stream(HISTORIES[0], RunStats())
        assert next(waiting) == ""
        waiting.close()
        assert idle()


def test_long_histories_keep_the_newest_that_fit(engine):
    reasoner = HfReasoner(engine, tuned=True)
    history = [Item("", "游戏" * 60 + str(n)) for n in range(20)]
    read = reasoner.read(history)
    assert 1 <= len(read) < 20 and list(read) == history[-len(read) :]
    stats = RunStats()
    assert written(reasoner, history, stats)
    assert stats.prompt_tokens <= hf_engine.CONTEXT - LIMIT


def out_of_memory(*_):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def test_a_full_gpu_gets_words_and_the_next_run_works(engine, monkeypatch):
    reasoner, stats = HfReasoner(engine, tuned=True), RunStats()
    expected = written(reasoner)
    for method in ("step", "prompt"):
        with monkeypatch.context() as patch, pytest.raises(SlimError, match=r"ran out of memory.*--device cpu"):
            patch.setattr(hf_slots.Slots, method, out_of_memory)
            written(reasoner, stats=stats)
        assert stats.finish_reason == "error"
        assert written(reasoner) == expected
    with monkeypatch.context() as patch, pytest.raises(SlimError, match=r"could not answer \(no such kernel\)"):
        patch.setattr(hf_slots.Slots, "step", lambda self: (_ for _ in ()).throw(RuntimeError("no such kernel")))
        written(reasoner)
    assert written(reasoner) == expected


def test_a_batch_that_is_too_large_is_halved(engine, monkeypatch):
    reasoner, tried, texts = HfReasoner(engine, tuned=True), [], []
    prompt = hf_slots.Slots.prompt

    def tight(self, row, ids):
        tried.append(self.rows)
        return prompt(self, row, ids) if self.rows <= 2 else out_of_memory()

    monkeypatch.setattr(hf_slots.Slots, "prompt", tight)
    reasoner.write([HISTORIES[0]] * 5, 8, lambda n, text, _: texts.append((n, text)))
    assert sorted(n for n, _ in texts) == list(range(5))
    assert set(tried) == {5, 2} and len({text for _, text in texts}) == 1
    monkeypatch.setattr(hf_slots.Slots, "prompt", out_of_memory)
    with pytest.raises(SlimError, match="ran out of memory"):
        reasoner.write(HISTORIES, 4, lambda *_: None)


def test_a_batch_can_be_stopped(engine):
    stop, done = threading.Event(), []
    HfReasoner(engine, tuned=True).write(HISTORIES * 3, 2, lambda n, *_: (done.append(n), stop.set()), stop)
    assert 1 <= len(done) <= 2


def test_an_empty_answer_is_an_error(engine, monkeypatch):
    reasoner, stats = HfReasoner(engine, tuned=True), RunStats()
    monkeypatch.setattr(hf_slots.Slots, "prompt", lambda self, row, ids: 1)
    with pytest.raises(SlimError, match="answered without text"):
        written(reasoner, stats=stats)
    assert stats.finish_reason == "error"


class Spaces(ModuleType):
    """`spaces` as it behaves: what goes in and comes out is pickled, and other code runs meanwhile elsewhere."""

    def __init__(self) -> None:
        super().__init__("spaces")
        self.durations, self.calls = [], 0

    def GPU(self, function, duration=None):
        self.durations.append(duration)

        def lent(*args, **kwargs):
            self.calls += 1
            args, kwargs = pickle.loads(pickle.dumps((args, kwargs)))
            for value in function(*args, **kwargs):
                yield pickle.loads(pickle.dumps(value))

        return lent


def test_without_spaces_nothing_is_decorated(monkeypatch):
    monkeypatch.setitem(sys.modules, "spaces", None)
    assert zerogpu.gpu(written) is written


def test_zerogpu_lends_a_gpu_for_each_answer(engine, monkeypatch):
    expected = written(HfReasoner(engine, tuned=True))
    spaces = Spaces()
    monkeypatch.setitem(sys.modules, "spaces", spaces)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    shared = HfEngine(engine.loaded, limit=LIMIT)
    shared.warm_up()
    assert spaces.durations == [zerogpu.DURATION] and spaces.calls == 0
    reasoner, stats = HfReasoner(shared, tuned=True), RunStats()
    assert "ZeroGPU" in reasoner.info.device
    with shared._lock:  # never taken: it would be forked in that state
        assert written(reasoner, stats=stats) == expected
    assert (spaces.calls, stats.finish_reason) == (1, "length")
    monkeypatch.setattr(hf_slots.Slots, "step", out_of_memory)
    with pytest.raises(SlimError, match="ran out of memory"):
        written(reasoner)
