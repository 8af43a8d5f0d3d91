"""The student on transformers, on tiny random models: the text of `generate`, one by one and many at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from slim_app.reasoners import hf_engine, hf_slots
from slim_app.reasoners.hf import HfReasoner
from slim_app.reasoners.hf_batch import decode
from slim_app.reasoners.hf_engine import HfEngine
from slim_app.reasoners.hf_load import load
from slim_app.reasoners.hf_text import TextStream, decoded, prompt_ids
from slim_app.reasoners.penalties import Penalties, Scorer
from slim_app.schema import Item, RunStats
from tests.hf_models import FAMILIES, HISTORIES, LIMIT, generated, generated_ids, tiny_models, written
from training.batches import encode
from training.data import Row


@pytest.fixture(scope="module")
def tiny():
    with tiny_models() as folders:
        yield folders


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_the_text_is_that_of_generate(tiny, family, penalty):
    """One by one, and five in three rows: rows are refilled, and prompts differ in length."""
    loaded = load(str(tiny[family]))
    reasoner = HfReasoner(HfEngine(loaded, Penalties(penalty), limit=LIMIT), tuned=False)
    # a token that this model writes late in a text now ends its texts, so that some stop and some are cut
    ids = generated_ids(loaded.model, loaded.tokenizer, HISTORIES[1], repetition_penalty=penalty)
    loaded.model.generation_config.eos_token_id = [1, max(ids, key=ids.index)]
    expected = [generated(loaded.model, loaded.tokenizer, h, repetition_penalty=penalty) for h in HISTORIES]
    alone, stats = [], [RunStats() for _ in HISTORIES]
    for history, run in zip(HISTORIES, stats, strict=True):
        alone.append(written(reasoner, history, run))
    assert alone == expected
    together, runs = {}, {}
    reasoner.write(HISTORIES, 3, lambda n, text, run: (together.update({n: text}), runs.update({n: run})))
    assert [together[n] for n in range(len(HISTORIES))] == expected
    for n, run in enumerate(stats):
        tokens, prompt = (run.tokens, run.finish_reason), run.prompt_tokens
        assert tokens == (runs[n].tokens, runs[n].finish_reason) and prompt == runs[n].prompt_tokens
        assert run.finish_reason == "stop" or (run.finish_reason, run.tokens) == ("length", LIMIT)
        assert 0 < run.first_token_seconds <= run.seconds and runs[n].seconds > 0
    assert stats[1].finish_reason == "stop"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_can_be_traced_as_one_graph(tiny, family, monkeypatch):
    monkeypatch.setattr(hf_slots, "COMPILED_REACH", 1024)
    monkeypatch.setattr(hf_engine, "COMPILED_REACH", 1024)
    loaded = load(str(tiny[family]))
    prompt = prompt_ids(HISTORIES[1], loaded.tokenizer)
    texts = []
    for compiled in (False, True):
        slots = hf_slots.Slots(loaded.model, 2, 1024, compiled=compiled)
        slots.reserve(1000)
        tokens = [slots.prompt(1, prompt)]
        tokens += [slots.step()()[1] for _ in range(8)]
        texts.append(tokens)
    assert texts[0] == texts[1]
    engine = HfEngine(loaded, compiled=True, limit=LIMIT)
    engine.warm_up()
    assert engine._slots._compiled, "it has taken the place of the plain one"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_captured_step_is_the_step(tiny, family):
    """Plain, as a graph, and as a graph of the compiled step; in one row and in three."""
    loaded = load(str(tiny[family]), device="cuda", dtype=torch.float32)
    jobs = [(n, prompt_ids(history[:4], loaded.tokenizer)) for n, history in enumerate(HISTORIES)]
    found = []
    for rows, graphs, compiled in ((1, False, False), (1, True, False), (1, True, True), (3, True, False)):
        slots = hf_slots.Slots(loaded.model, rows, 1024, Penalties(1.1), None, graphs, compiled)
        texts: dict[int, list[int]] = {}
        for reach in (hf_slots.COMPILED_REACH, 1024):
            slots.reserve(reach)
            for key, token, _ in decode(slots, jobs, 40, ()):
                texts.setdefault(key + reach, []).append(token)
        assert not graphs or all(slots._graphs.values()), "the step was not captured"
        assert not compiled or slots._compiled, "the step was not compiled"
        found.append(texts)
    assert found[0] == found[1] == found[2] == found[3]


def dry_by_definition(tokens: list[int], candidates: int, breakers: set[int], multiplier: float, allowed: int):
    """llama.cpp's DRY, token by token: what each candidate would lose."""
    loss = [0.0] * candidates
    for at in range(1, len(tokens)):
        run = 0
        while run < at and tokens[at - 1 - run] == tokens[len(tokens) - 1 - run] not in breakers:
            run += 1
        if run >= allowed and tokens[at] not in breakers:
            loss[tokens[at]] = max(loss[tokens[at]], multiplier * 1.75 ** (run - allowed))
    return torch.tensor(loss)


def test_repetition_costs_what_llama_cpp_says():
    generator = np.random.default_rng(0)
    penalties = Penalties(dry=0.8, dry_allowed=2)
    hits = 0
    for _ in range(60):
        tokens, start = generator.integers(0, 4, 40).tolist(), int(generator.integers(1, 30))
        scorer = Scorer(penalties, 2, 64, [3], torch.device("cpu"))
        history = torch.full((2, 64), 2)
        history[1, :40] = torch.tensor(tokens)
        scorer.start(1, tokens[:start])
        for last in range(start - 1, 40):
            where = torch.tensor([last])
            scorer.advance(history[1:], where, slice(1, 2), 5)
            lost = -scorer.scores(torch.zeros(1, 5), history[1:], where, slice(1, 2))[0]
            expected = dry_by_definition(tokens[: last + 1], 5, {3}, 0.8, 2)
            torch.testing.assert_close(lost, expected, rtol=1e-4, atol=1e-4)
            hits += bool(expected.any())
    assert hits > 100


def test_a_window_forgets():
    scorer = Scorer(Penalties(2.0, window=2), 1, 8, [], torch.device("cpu"))
    history, logits = torch.tensor([[0, 1, 2, 3, 0, 0, 0, 0]]), torch.tensor([[1.0, 1.0, -1.0, 1.0]])
    assert scorer.scores(logits, history, torch.tensor([3]), slice(None)).tolist() == [[1.0, 1.0, -2.0, 0.5]]


def test_penalties_are_the_same_for_many(tiny):
    """DRY has a state for each row, and rows are reused."""
    loaded = load(str(tiny["llama"]))
    reasoner = HfReasoner(HfEngine(loaded, Penalties(1.1, 64, 0.8, dry_allowed=4), limit=LIMIT), tuned=False)
    assert loaded.tokenizer.convert_tokens_to_ids("Ċ") in reasoner.engine._breakers
    together = {}
    reasoner.write(HISTORIES, 2, lambda n, text, _: together.update({n: text}))
    assert [together[n] for n in range(5)] == [written(reasoner, h) for h in HISTORIES]
    assert together[0] != written(HfReasoner(HfEngine(loaded, limit=LIMIT), tuned=False))


def test_characters_come_whole(tiny):
    tokenizer = load(str(tiny["llama"])).tokenizer
    text = "Zelda 🎮 任天堂\nقهوة é"
    stream, ids = TextStream(tokenizer), tokenizer(text, add_special_tokens=False).input_ids
    assert len(ids) == len(text.encode())
    deltas = [stream.add(token) for token in ids]
    assert "".join(deltas) == text and stream.end() == ""
    assert all(len(delta) <= 1 for delta in deltas)
    broken = TextStream(tokenizer)
    assert [broken.add(token) for token in ids[6:8]] == ["", ""]
    assert broken.end() == decoded(ids[6:8], tokenizer)


@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_are_those_of_the_training(tiny, family):
    tokenizer = load(str(tiny[family])).tokenizer
    for history in [*HISTORIES, [Item("", "<|im_end|> “x” 🎮")]]:
        row = Row("1", "toys", tuple(history), "text")
        assert prompt_ids(history, tokenizer) == encode(row, tokenizer).prompt
