"""The students that can be distilled: presets with their sources, and loading a base with LoRA layers in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from slim_app.errors import SlimError
from slim_app.reasoners.hf_load import find_base, load_base, load_tokenizer


@dataclass(frozen=True)
class Preset:
    """Defaults of one student. Flags override each of them."""

    base: str
    """Hub id, or empty for the embedded base (an installed weight package)."""
    name: str
    rank: int
    alpha: int
    dropout: float
    targets: str
    lr: float
    batch: int
    micro: int
    epochs: float
    schedule: str = "cosine"
    warmup: int = 20


_LLAMA_RECIPES = {"rank": 8, "alpha": 32, "dropout": 0.05, "lr": 1e-4, "batch": 4, "micro": 4, "epochs": 3.0}
"""github.com/meta-llama/llama-recipes (now llama-cookbook), configs/peft.py and configs/training.py."""

PRESETS = {
    # Chosen on validation loss (table of trials in the model card).
    "smollm2-135m": Preset(
        base="", name="SLIM student 135M", rank=32, alpha=64, dropout=0.0, targets="all-linear", lr=1e-3, batch=8,
        micro=2, epochs=1.0, schedule="hold",
    ),
    "llama2-7b": Preset(
        base="meta-llama/Llama-2-7b-hf", name="SLIM student LLaMA2-7B", targets="q_proj,v_proj", **_LLAMA_RECIPES
    ),
    # The paper names no settings for Bloomz: llama-recipes' values on Bloom's fused projection.
    "bloomz-560m": Preset(
        base="bigscience/bloomz-560m", name="SLIM student Bloomz-560M", targets="query_key_value", **_LLAMA_RECIPES
    ),
    "bloomz-1b1": Preset(
        base="bigscience/bloomz-1b1", name="SLIM student Bloomz-1B", targets="query_key_value", **_LLAMA_RECIPES
    ),
}


def open_tokenizer(base: str):
    """The base's tokenizer; for a GGUF file the one inside it, which is also llama.cpp's.

    Raises:
        SlimError: the base is nowhere, or has no usable tokenizer.
    """
    return load_tokenizer(*find_base(base))


def open_base(base: str, dtype: torch.dtype):
    """The base in `dtype` on the host; a GGUF file is dequantised.

    Raises:
        SlimError: the base is nowhere, or not usable.
    """
    return load_base(*find_base(base), dtype)


def add_lora(model, rank: int, alpha: int, dropout: float, targets: str, seed: int):
    """Injects LoRA layers (float32) into `model`; returns the PEFT model.

    Raises:
        SlimError: none of `targets` (module names, comma-separated, or `all-linear`) is in the model.
    """
    from peft import LoraConfig, get_peft_model

    names = targets if targets == "all-linear" else [t.strip() for t in targets.split(",") if t.strip()]
    present = {name.rpartition(".")[2] for name, module in model.named_modules() if hasattr(module, "weight")}
    unknown = [] if names == "all-linear" else [n for n in names if n not in present]
    if unknown:
        raise SlimError(f"The base has no module “{unknown[0]}” (--targets). It has: {', '.join(sorted(present))}.")
    torch.manual_seed(seed)
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=names, task_type="CAUSAL_LM")
    peft = get_peft_model(model, config)
    for weight in peft.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    return peft


def load_adapter(peft, folder: Path) -> None:
    """Puts the adapter weights saved in `folder` (PEFT's layout) into `peft`."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    set_peft_model_state_dict(peft, load_file(folder / "adapter_model.safetensors"))
