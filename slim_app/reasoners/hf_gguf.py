"""A student folder's GGUF adapter as LoRA weights for transformers: the inverse of `training.export_adapter`."""

from __future__ import annotations

from pathlib import Path

import torch

from slim_app.reasoners.adapter import check_adapter

MODULES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
           "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
           "ffn_down": "mlp.down_proj"}  # fmt: skip


def read_gguf_adapter(file: Path, base: Path, heads: int, kv_heads: int) -> tuple[dict, dict[str, torch.Tensor]]:
    """(settings for peft's LoraConfig, tensors under peft's names: A (r, in), B (out, r), float32).

    Args:
        base: the GGUF base that it must fit.

    Raises:
        SlimError: not a readable adapter, or one for another base.
    """
    from gguf import GGUFReader

    check_adapter(file, base)
    reader = GGUFReader(file)
    tensors, modules, rank = {}, set(), 0
    for tensor in reader.tensors:
        _, layer, module, _, part = tensor.name.split(".")
        value = torch.tensor(tensor.data, dtype=torch.float32)
        part = part.removeprefix("lora_").upper()
        if part == "A":
            rank = value.shape[0]
        elif module in {"attn_q", "attn_k"}:  # llama.cpp keeps the halves of each rotary pair side by side
            groups = heads if module == "attn_q" else kv_heads
            value = value.reshape(groups, -1, 2, value.shape[1]).swapaxes(1, 2).reshape(value.shape)
        modules.add(MODULES[module].rpartition(".")[2])
        tensors[f"base_model.model.model.layers.{layer}.{MODULES[module]}.lora_{part}.weight"] = value.contiguous()
    alpha = float(reader.fields["adapter.lora.alpha"].contents())
    return {"r": rank, "lora_alpha": alpha, "target_modules": sorted(modules), "task_type": "CAUSAL_LM"}, tensors
