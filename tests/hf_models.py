"""Tiny random models for tests of the in-process engine, with one byte-level tokenizer, and their texts."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, BloomConfig, BloomForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers import PreTrainedTokenizerFast as Fast

from slim_app.reasoners.hf import HfReasoner
from slim_app.reasoners.hf_text import decoded, prompt_ids
from slim_app.schema import Item, RunStats
from training.student import add_lora

CHAT = "{% for m in messages %}<user>{{ m['content'] }}<end>{% endfor %}<assistant>"
HISTORIES = [[Item("", f"Thing {n}") for n in range(m)] for m in (1, 9, 3, 20, 5)]
FAMILIES = ("llama", "bloom")
LIMIT = 60
"""Tokens of a text here."""
TARGETS = {"llama": "all-linear", "bloom": "query_key_value"}
_kept = tempfile.TemporaryDirectory(prefix="slim-models-")


@contextlib.contextmanager
def tiny_models() -> Iterator[dict[str, Path]]:
    """Folders by name; `NAME-lora` holds a PEFT adapter for NAME. One thread: several wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield _made()
    torch.set_num_threads(threads)


def _llama(**changes) -> LlamaForCausalLM:
    size = {"vocab_size": 258, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2}  # fmt: skip
    # wide weights: the default ones make all tokens all but equally likely
    return LlamaForCausalLM(LlamaConfig(**size | changes, max_position_embeddings=2048, initializer_range=0.3,
                                        pad_token_id=0, bos_token_id=0, eos_token_id=1))  # fmt: skip


@cache
def _made() -> dict[str, Path]:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: n for n, token in enumerate(["<pad>", "<end>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = Fast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<pad>")
    torch.manual_seed(1)
    bloom = BloomForCausalLM(BloomConfig(vocab_size=258, hidden_size=32, n_layer=2, n_head=2, initializer_range=0.3,
                                         pad_token_id=0, bos_token_id=0, eos_token_id=1))  # fmt: skip
    folders = {}
    for name, model in (("llama", _llama()), ("bloom", bloom), ("wide", _llama(hidden_size=64)),
                        ("deep", _llama(num_hidden_layers=3))):  # fmt: skip
        folders[name] = Path(_kept.name) / f"tiny-{name}"
        fast.chat_template = None if name == "bloom" else CHAT
        model.save_pretrained(folders[name])
        fast.save_pretrained(folders[name])
        if name in TARGETS:
            peft = add_lora(AutoModelForCausalLM.from_pretrained(folders[name]), 4, 8, 0.0, TARGETS[name], 0)
            for weight in (w for w in peft.parameters() if w.requires_grad):
                torch.nn.init.normal_(weight, std=0.3)
            folders[f"{name}-lora"] = Path(_kept.name) / "adapters" / f"{name}-lora"
            peft.save_pretrained(folders[f"{name}-lora"])
    return folders


def written(reasoner: HfReasoner, history=HISTORIES[0], stats: RunStats | None = None) -> str:
    return "".join(reasoner.stream(history, stats or RunStats()))


def generated_ids(model, tokenizer, history, **options) -> list[int]:
    """By transformers' own loop, the end token included."""
    ids = torch.tensor([prompt_ids(history, tokenizer)])
    options = {"max_new_tokens": LIMIT, "do_sample": False, **options}
    with torch.no_grad():
        return model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **options)[0, ids.shape[1] :].tolist()


def generated(model, tokenizer, history, **options) -> str:
    out = generated_ids(model, tokenizer, history, **options)
    ends = model.generation_config.eos_token_id
    return decoded(out[:-1] if out[-1] in (ends if isinstance(ends, list) else [ends]) else out, tokenizer)
