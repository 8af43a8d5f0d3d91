"""PEFT adapter to GGUF adapter for llama.cpp, checked numerically against transformers.

    python -m training.export_adapter RUN/adapter --out assets/students/NAME --data SPEC...
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file

from slim_app import weights
from slim_app.errors import SlimError
from slim_app.reasoners.adapter import check_adapter
from slim_app.reasoners.engine import Engine
from slim_app.reasoners.llama_cpp import LlamaCppReasoner
from training import data
from training.batches import encode
from training.student import open_base, open_tokenizer

MODULES = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
           "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"}
_NAME = re.compile(r".*\.layers\.(\d+)\.\w+\.(\w+)\.lora_([AB])\.weight")


def gguf_tensors(tensors: dict[str, np.ndarray], heads: int, kv_heads: int) -> dict[str, np.ndarray]:
    """llama.cpp's names and row order: A (r, in) and B (out, r), f16.

    llama.cpp keeps the two halves of each rotary pair side by side, so the rows of q and k, and hence of their B,
    are interleaved within each head.
    """
    out = {}
    for name, value in tensors.items():
        found = _NAME.fullmatch(name)
        if not found or found[2] not in MODULES:
            raise SlimError(f"llama.cpp's Llama models have no “{name}”. Train a Llama with --targets all-linear.")
        layer, module, part = found.groups()
        if part == "B" and module in {"q_proj", "k_proj"}:
            groups = heads if module == "q_proj" else kv_heads
            rows, rank = value.shape
            value = value.reshape(groups, 2, rows // groups // 2, rank).swapaxes(1, 2).reshape(rows, rank)
        out[f"blk.{layer}.{MODULES[module]}.weight.lora_{part.lower()}"] = np.ascontiguousarray(value, np.float16)
    return out


def export(folder: Path, base: Path, file: Path) -> None:
    """Writes the PEFT adapter in `folder` as the GGUF adapter `file` for `base`, and checks that it fits."""
    from gguf import GGUFReader, GGUFWriter

    try:
        config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
        tensors = load_file(folder / "adapter_model.safetensors")
    except Exception as error:  # missing or damaged: the same advice
        what = f"{folder} holds no readable PEFT adapter ({type(error).__name__})"
        raise SlimError(f"{what}. Give distill's OUT/adapter.") from None
    fields = GGUFReader(base).fields
    arch = str(fields["general.architecture"].contents())
    heads, kv_heads = (int(fields[f"{arch}.attention.head_count{end}"].contents()) for end in ("", "_kv"))
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(file, arch)
    for key, text in (("general.type", "adapter"), ("general.name", "SLIM student"), ("adapter.type", "lora")):
        writer.add_string(key, text)
    writer.add_float32("adapter.lora.alpha", float(config["lora_alpha"]))
    for name, value in sorted(gguf_tensors(tensors, heads, kv_heads).items()):
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    check_adapter(file, base)


@torch.no_grad()
def compare(folder: Path, base: str, file: Path, rows: Sequence[data.Row]) -> list[dict[str, Any]]:
    """Greedy text of llama.cpp against transformers (float32), a dict for each row.

    Greedy texts are equal as long as every token that llama.cpp wrote is also transformers' most likely one, so one
    forward pass over llama.cpp's text tells the first difference. `gap` is by how much transformers preferred
    another token there: small gaps are rounding (llama.cpp rounds activations to 8 bits), large ones are errors.
    """
    from peft import PeftModel

    tokenizer = open_tokenizer(base)
    model = PeftModel.from_pretrained(open_base(base, torch.float32), folder).eval()
    reasoner = LlamaCppReasoner(Engine(base, file, slots=1), tuned=True, grammar=False)
    found = []
    for row in rows:
        answer: list[dict] = []
        request = reasoner.request(row.history) | {"stream": False, "stream_options": None, "logprobs": True}
        request |= {"dry_multiplier": 0.0}  # plain greedy decoding on both sides
        reasoner.engine.chat(request, answer.append)
        if "error" in answer[-1]:
            raise SlimError(f"llama.cpp did not answer ({answer[-1]['error']}). Export the adapter again.")
        entries = answer[-1]["choices"][0]["logprobs"]["content"]
        written = torch.tensor([entry["id"] for entry in entries])
        prompt = encode(row, tokenizer).prompt
        logits = model(torch.tensor([prompt + written.tolist()])).logits[0, len(prompt) - 1 : -1]
        wrong = (logits.argmax(-1) != written).nonzero().flatten()
        first = int(wrong[0]) if len(wrong) else None
        theirs, ours = torch.tensor([e["logprob"] for e in entries]), logits.log_softmax(-1).gather(1, written[:, None])
        found.append({
            "tokens": len(written), "same_text": first is None, "first_difference": first,
            "gap": round(float(logits[first].max() - logits[first, written[first]]), 4) if first is not None else 0.0,
            "mean_logprob_difference": round(float((ours.flatten() - theirs).abs().mean()), 4),
        })
    return found


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.export_adapter", description=__doc__.split("\n")[0])
    parser.add_argument("adapter", type=Path, help="PEFT adapter folder (distill's OUT/adapter)")
    parser.add_argument("--out", type=Path, required=True, help="student folder for adapter.gguf and meta.json")
    parser.add_argument("--base", default="", help="the GGUF base; default: the embedded one")
    parser.add_argument("--data", action="append", default=[], help="as for distill: held-out rows are the prompts")
    parser.add_argument("--rows", type=int, default=5, help="prompts of the check")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Exports, checks, prints the differences and keeps them in OUT/meta.json."""
    args = make_parser().parse_args(argv)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        base, file = weights.resolve(weights.STUDENT_BASE, args.base), args.out / "adapter.gguf"
        export(args.adapter, base, file)
        run = args.adapter.parent / "meta.json"
        meta = json.loads(run.read_text("utf-8")) if run.exists() else {}
        held_out = data.split([row for spec in args.data for row in data.load(spec).rows])[1]
        checks = compare(args.adapter, args.base, file, held_out[: args.rows]) if held_out else []
        print(*checks, sep="\n")
        meta |= {"base": base.stem.rpartition(".")[0] or base.stem, "base_file": base.name, "adapter": file.name,
                 "adapter_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
                 "export": {"dtype": "f16", "transformers_against_llama_cpp": checks}}
        (args.out / "meta.json").write_text(json.dumps(meta, indent=1) + "\n", "utf-8")
    except SlimError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
