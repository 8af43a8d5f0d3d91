"""The students that can be distilled: presets with their sources, and loading a base with LoRA layers in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from slim_app import weights
from slim_app.errors import SlimError


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


def _where(base: str) -> tuple[str, dict]:
    """What transformers calls the base: (folder or Hub id, further arguments). Empty = the embedded base."""
    if base and not base.endswith(".gguf"):
        return base, {}
    file = weights.resolve(weights.STUDENT_BASE, base)
    return str(file.parent), {"gguf_file": file.name}


def load_tokenizer(base: str):
    """The base's tokenizer; for a GGUF file the one inside it, which is also llama.cpp's."""
    from transformers import AutoTokenizer

    name, extra = _where(base)
    try:
        return AutoTokenizer.from_pretrained(name, **extra)
    except (OSError, ValueError) as error:
        raise SlimError(f"No tokenizer at “{base or name}” ({_first_line(error)}). Check --base.") from None


def load_base(base: str, dtype: torch.dtype):
    """The frozen base in `dtype`; a GGUF file is dequantised."""
    from transformers import AutoModelForCausalLM

    name, extra = _where(base)
    try:
        # Packed GGUF blocks have no gradient; in float32 first, because the file holds float32 scales.
        model = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32 if extra else dtype, **extra)
    except (OSError, ValueError) as error:
        raise SlimError(f"No model at “{base or name}” ({_first_line(error)}). Check --base.") from None
    model.hf_quantizer = None  # transformers refuses to save what it thinks is quantised
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model.to(dtype)


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


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
