"""The student's training: what it learns from, what it may change, and that a resumed run is the same run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import BloomConfig, BloomForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from slim_app.errors import SlimError
from slim_app.prompts import student_prompt
from training import average_adapters, data, distill
from training.batches import IGNORED, batch_order, collate, encode
from training.export_adapter import export, gguf_tensors
from training.student import add_lora
from training.trainer import learning_rate, rationale_loss

CHAT = "{% for m in messages %}<user>{{ m['content'] }}<end>{% endfor %}<assistant>"
RATIONALE = {
    "step1": "You like quiet puzzle games.", "step2": ["Puzzle"] * 5, "step3": [f"Game {n}" for n in range(5)],
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> dict[str, str]:
    """Folders of a tiny random Llama and Bloom with one byte-level tokenizer."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: n for n, token in enumerate(["<pad>", "<end>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<pad>")
    torch.manual_seed(1)
    size = len(vocabulary)
    llama = LlamaConfig(vocab_size=size, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2048, pad_token_id=0)
    bloom = BloomConfig(vocab_size=size, hidden_size=16, n_layer=2, n_head=2, pad_token_id=0)
    folders = {}
    for name, model in (("llama", LlamaForCausalLM(llama)), ("bloom", BloomForCausalLM(bloom))):
        folder = tmp_path_factory.mktemp(name)
        fast.chat_template = CHAT if name == "llama" else None
        model.save_pretrained(folder)
        fast.save_pretrained(folder)
        folders[name] = str(folder)
    return folders


@pytest.fixture
def dataset(tmp_path) -> str:
    """A --data value: 60 invented users."""
    folder = tmp_path / "toys"
    folder.mkdir()
    (folder / "items.tsv").write_text("item_id\ttitle\n" + "".join(f"{n}\tThing {n}\n" for n in range(9)), "utf-8")
    users = "".join(f"{n}\t{n % 9} {(n + 1) % 9} {(n + 4) % 9}\n" for n in range(60))
    (folder / "sequences.tsv").write_text("user_id\titem_ids\n" + users, "utf-8")
    lines = [json.dumps({"user_id": n, "upto": 2, **RATIONALE}) + "\n" for n in range(60)]
    (tmp_path / "rationales.jsonl").write_text("".join(lines), "utf-8")
    return f"{tmp_path / 'rationales.jsonl'}={folder}"


def flags(base: str, dataset: str, out: Path, *more: str) -> list[str]:
    targets = "query_key_value" if "bloom" in base else "all-linear"
    fixed = ["--base", base, "--data", dataset, "--out", str(out), "--targets", targets, "--rank", "2", "--micro", "2",
             "--batch", "4", "--steps", "6", "--warmup", "2", "--lr", "0.02", "--log-every", "1", "--eval-every", "3"]
    return [*fixed, *more]


def arguments(*values):
    return distill.make_parser().parse_args(flags(*values))


def trained(args, resume: bool = False, stop: int = 0):
    trainer, train, held, _ = distill.prepare(args)
    if resume:
        distill.load_checkpoint(args.out / "checkpoint", trainer)
    if stop:
        trainer.args.save_every = 1

        def interrupt(text: str) -> None:
            if text.startswith(f"step {stop + 1}/"):
                raise KeyboardInterrupt
        trainer._say = interrupt
    before = {n: p.detach().clone() for n, p in trainer.peft.named_parameters()}
    try:
        trainer.run(train, held, args.out)
    except KeyboardInterrupt:
        assert stop
    return trainer, before


@pytest.mark.parametrize("family", ["llama", "bloom"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_only_the_adapter_learns(tiny, dataset, tmp_path, family, dtype):
    args = arguments(tiny[family], dataset, tmp_path / "out", "--dtype", dtype, "--workers", "2")
    trainer, before = trained(args)
    for name, weight in trainer.peft.named_parameters():
        assert torch.equal(weight, before[name]) != ("lora_" in name), name
    losses = [h["loss"] for h in trainer.history if "loss" in h]
    assert losses[-1] < losses[0] - 0.01
    assert (tmp_path / "out" / "adapter" / "adapter_model.safetensors").exists()


@pytest.mark.parametrize("dropout", ["0", "0.2"])
def test_a_resumed_run_is_the_same_run(tiny, dataset, tmp_path, dropout):
    more = ("--dtype", "float32", "--dropout", dropout)
    whole, _ = trained(arguments(tiny["llama"], dataset, tmp_path / "whole", *more))
    args = arguments(tiny["llama"], dataset, tmp_path / "cut", *more)
    trained(args, stop=4)
    again, _ = trained(arguments(tiny["llama"], dataset, tmp_path / "cut", *more), resume=True)
    assert again.history == whole.history
    assert again.best == whole.best
    for name, weight in again.weights.items():
        assert torch.equal(weight, whole.weights[name]), name
    with pytest.raises(SlimError, match="other data, base, seed"):
        trained(arguments(tiny["llama"], dataset, tmp_path / "cut", *more, "--seed", "5"), resume=True)


def test_two_ends_of_one_run_average(tiny, dataset, tmp_path):
    fixed = ("--schedule", "hold", "--dtype", "float32", "--seed", "3", "--clip", "0.5")
    for name, steps in (("short", "4"), ("long", "8")):  # the last --steps counts
        distill.main(flags(tiny["llama"], dataset, tmp_path / name, *fixed, "--steps", steps))
    runs = [str(tmp_path / name) for name in ("short", "long")]
    average_adapters.main([*runs, "--out", str(tmp_path / "mean"), "--data", dataset])
    short, long, mean = (load_file(tmp_path / name / "adapter" / "adapter_model.safetensors")
                         for name in ("short", "long", "mean"))
    for name, weight in mean.items():
        assert not torch.equal(short[name], long[name])
        torch.testing.assert_close(weight, (short[name] + long[name]) / 2)
    meta = json.loads((tmp_path / "mean" / "meta.json").read_text("utf-8"))
    assert [part["steps"] for part in meta["mean_of"]] == [4, 8] and meta["held_out"]
    again = [json.loads((Path(run) / "meta.json").read_text("utf-8")) for run in runs]
    assert [part["validation_loss"] for part in meta["mean_of"]] == [one["validation_loss"] for one in again]
    assert meta["validation_loss_all"] not in [one["validation_loss_all"] for one in again]
    for given, what in (([runs[0]], "two adapters or more"), ([runs[0], str(tmp_path)], "missing or damaged")):
        with pytest.raises(SystemExit, match=what):
            average_adapters.main([*given, "--out", str(tmp_path / "bad"), "--data", dataset])


def test_the_loss_sees_the_rationale_only(tiny, dataset):
    tokenizer = distill.open_tokenizer(tiny["llama"])
    rows = data.load(dataset).rows[:3]
    examples = [encode(row, tokenizer) for row in rows]
    assert tokenizer.decode(examples[0].prompt) == f"<user>{student_prompt(rows[0].history)}<end><assistant>"
    assert tokenizer.decode(examples[0].target) == rows[0].text + "<end>"
    ids, labels, weights = collate(examples, 0)
    for n, example in enumerate(examples):
        assert labels[n][labels[n] != IGNORED].tolist() == example.target
        assert (labels[n] != IGNORED).nonzero()[0] == len(example.prompt) - 1
    model = LlamaForCausalLM.from_pretrained(tiny["llama"]).eval()
    ours = rationale_loss(model, ids, labels, weights)
    alone = []
    for e in examples:  # transformers' own shifted loss, one row at a time and without padding
        whole = torch.tensor([e.prompt + e.target])
        masked = whole.clone()
        masked[0, : len(e.prompt)] = IGNORED
        alone.append(model(input_ids=whole, labels=masked).loss * len(e.target))
    torch.testing.assert_close(ours, sum(alone), rtol=1e-4, atol=1e-3)


def test_the_held_out_tenth_is_fixed_and_apart(dataset):
    rows = data.load(dataset).rows
    train, held = data.split(rows)
    again = data.split(rows[::-1])
    assert {r.key for r in held} == {r.key for r in again[1]} == {r.key for r in rows if r.held_out}
    assert not {r.key for r in held} & {r.key for r in train} and len(train) + len(held) == 60
    assert [r.key for r in held][:2] == ["toys:49", "toys:8"]
    with pytest.raises(SlimError, match="appears twice"):
        data.split([*rows, rows[0]])


@pytest.mark.parametrize(("line", "says"), [
    ('{"user_id": 0, "upto"', "line 61: not valid JSON"), ('{"user_id": 99}', "line 61: user “99”"),
    (json.dumps({"user_id": 1, "upto": 4, **RATIONALE}), "line 61: `upto` is 4"),
    (json.dumps({"user_id": 1, "upto": 0, **RATIONALE}), "line 61: `upto` is 0"),
    (json.dumps({"user_id": 1, "upto": 2, **RATIONALE, "step3": ["one"]}), "line 61: `step3` must list 5"),
])
def test_bad_rows_are_located(dataset, line, says):
    with Path(dataset.partition("=")[0]).open("a", encoding="utf-8") as stream:
        stream.write(line)
    with pytest.raises(SlimError, match=says):
        data.load(dataset)


def test_every_row_once_an_epoch_and_short_padding():
    lengths = torch.randint(100, 600, (1000,)).tolist()
    order = batch_order(lengths, 8, seed=3, epoch=1)
    assert sorted(i for batch in order for i in batch) == list(range(1000))
    assert order == batch_order(lengths, 8, 3, 1) != batch_order(lengths, 8, 3, 2)
    assert sum(8 * max(lengths[i] for i in b) for b in order) < 1.06 * sum(lengths)


def test_rates_rise_then_fall(tiny, dataset, tmp_path):
    for schedule in ("cosine", "hold"):
        args = arguments(tiny["llama"], dataset, tmp_path, "--schedule", schedule)
        args.steps, args.decay = 100, 0.4
        rates = [learning_rate(step, args) for step in range(100)]
        assert max(rates) == pytest.approx(args.lr) and rates[0] < args.lr and 0 < rates[-1] < 0.1 * args.lr
    args.decay = 0.0
    assert {learning_rate(step, args) for step in range(args.warmup, 100)} == {args.lr}


def test_a_lost_loss_and_an_unknown_target_have_words(tiny, dataset, tmp_path):
    with pytest.raises(SlimError, match=r"step \d+ \(learning rate"):
        trained(arguments(tiny["llama"], dataset, tmp_path, "--dtype", "float32", "--lr", "1e30"))
    with pytest.raises(SlimError, match=r"no module “wq”.*q_proj"):
        add_lora(LlamaForCausalLM.from_pretrained(tiny["llama"]), 2, 4, 0.0, "wq", 0)
    with pytest.raises(SlimError, match="no readable PEFT adapter"):
        export(tmp_path / "nothing", tmp_path, tmp_path / "a.gguf")


def test_query_rows_are_interleaved_for_llama_cpp():
    b = np.arange(8, dtype=np.float32)[:, None]  # two heads of four rows
    name = "base_model.model.model.layers.0.self_attn.{}.lora_B.weight"
    out = gguf_tensors({name.format("q_proj"): b, name.format("v_proj"): b}, heads=2, kv_heads=2)
    assert out["blk.0.attn_q.weight.lora_b"].ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    assert out["blk.0.attn_v.weight.lora_b"].ravel().tolist() == list(range(8))


def test_of_two_positions_of_a_user_the_one_that_saw_less_is_learnt(dataset, caplog):
    file, _ = dataset.split("=")
    with open(file, "a", encoding="utf-8") as stream:
        for user, upto in ((3, 3), (4, 1)):
            stream.write(json.dumps({"user_id": user, "upto": upto, **RATIONALE}) + "\n")
    rows = {row.id: row for row in data.load(dataset).rows}
    assert len(rows) == 60 and len(rows["3"].history) == 2 and len(rows["4"].history) == 1
    assert "2 rationales left out" in caplog.text


def test_rows_with_a_problem_or_of_another_prompt_version(dataset):
    file, _ = dataset.split("=")
    lines = Path(file).read_text("utf-8").splitlines()
    first = json.loads(lines[0])
    Path(file).write_text("\n".join([json.dumps(first | {"problem": "no Step 3", "step3": []}), *lines[1:]]), "utf-8")
    assert len(data.load(dataset).rows) == 59
    Path(file).write_text("\n".join([*lines[1:], json.dumps(first | {"prompt_version": "0"})]), "utf-8")
    with pytest.raises(SlimError, match="line 60: written for prompt version '0'"):
        data.load(dataset)
