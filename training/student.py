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


PRESETS = {
    # Chosen here on validation loss (table of trials in the model card). Attention alone learns the form but not
    # the products; rank costs almost no time.
    "smollm2-135m": Preset("", "SLIM student 135M", 32, 64, 0.0, "all-linear", 1e-3, 8, 4, 2.0),
    # github.com/meta-llama/llama-recipes (llama-cookbook) v0.0.1, configs/peft.py and configs/training.py: r=8, alpha=32, q_proj and
    # v_proj, dropout 0.05, learning rate 1e-4, batch size 4 a device, 3 epochs.
    "llama2-7b": Preset("meta-llama/Llama-2-7b-hf", "SLIM student LLaMA2-7B", 8, 32, 0.05, "q_proj,v_proj", 1e-4, 4, 4, 3.0),
    # The paper names no settings for Bloomz: llama-recipes' values on Bloom's fused projection.
    "bloomz-560m": Preset("bigscience/bloomz-560m", "SLIM student Bloomz-560M", 8, 32, 0.05, "query_key_value", 1e-4, 4, 4, 3.0),
    "bloomz-1b1": Preset("bigscience/bloomz-1b1", "SLIM student Bloomz-1B", 8, 32, 0.05, "query_key_value", 1e-4, 4, 4, 3.0),
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


def is_gguf(base: str) -> Path | None:
    """The GGUF file behind `base`, or None for a transformers model."""
    return weights.resolve(weights.STUDENT_BASE, base) if not base or base.endswith(".gguf") else None


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
