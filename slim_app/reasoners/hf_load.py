"""Loads a student for transformers: its base, its tokenizer, and the LoRA adapter merged into the weights.

Merged, because an adapter beside the weights costs several kernels a layer for each token. The base stays one switch
away: the adapted weights exist twice on the host and are copied over, to the same place, so captured graphs hold.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from slim_app import weights
from slim_app.errors import SlimError
from slim_app.reasoners.hf_gguf import read_gguf_adapter
from slim_app.reasoners.penalties import BREAKERS

ANY = weights.WeightSource(name="the student", package="", inside="", pip="", hub_id="")
"""For `weights.resolve` with an explicit path or Hub id: a whole folder."""

_LAYER = re.compile(r"\.(?:layers|h|blocks)\.(\d+)\.")


@dataclass
class HfModel:
    """A loaded model on its device, tuned or not, and what is needed to switch."""

    model: Any
    tokenizer: Any
    base: str
    """Its name, for people."""
    adapter: str = ""
    tuned: bool = False
    """Whether the weights in place are the student's."""
    copies: dict[bool, dict[str, torch.Tensor]] = field(default_factory=dict)
    """tuned → the adapted weights by name, on the host; empty when only one of the two is wanted."""

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end an answer: the tokenizer's (what distillation teaches) and those of the model's own."""
        own = getattr(self.model.generation_config, "eos_token_id", None)
        own = own if isinstance(own, list) else [own]
        return frozenset(n for n in (self.tokenizer.eos_token_id, *own) if n is not None)

    @property
    def context(self) -> int | None:
        """The longest text that the model was made for; None when it does not say."""
        return getattr(self.model.config, "max_position_embeddings", None)

    def breakers(self) -> list[int]:
        """Tokens that hold one of llama.cpp's sequence breakers."""
        texts = self.tokenizer.batch_decode([[n] for n in range(len(self.tokenizer))])
        return [n for n, text in enumerate(texts) if any(mark in text for mark in BREAKERS)]

    @torch.no_grad()
    def switch(self, tuned: bool) -> None:
        """Puts the student's or its base's weights in place."""
        if tuned != self.tuned:
            assert self.copies, "the other weights were not kept"
            for name, weight in self.copies[tuned].items():
                self.model.get_parameter(name).copy_(weight)
            self.tuned = tuned


def load(
    base: str = "", adapter: Path | None = None, device: str = "cpu", dtype: torch.dtype | None = None,
    keep_base: bool = True,
) -> HfModel:  # fmt: skip
    """The model of `base` (Hub id, folder, .gguf file; empty = the embedded one) with an adapter's student, if any.

    Args:
        adapter: a PEFT folder or a GGUF adapter file.
        dtype: default: bfloat16 on CUDA, else float32.
        keep_base: keep what `HfModel.switch` needs.

    Raises:
        SlimError: missing weights, no such device, or an adapter that is unreadable or was trained for another base.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise SlimError("There is no CUDA GPU that PyTorch can use. Check the driver, or start with --device cpu.")
    dtype = dtype or (torch.bfloat16 if device.startswith("cuda") else torch.float32)
    folder, extra = find_base(base)
    model = load_base(folder, extra, dtype)
    other = {kind for kind in getattr(model.config, "layer_types", None) or () if kind != "full_attention"}
    if other or not hasattr(model.config, "num_hidden_layers"):
        raise SlimError(f"{_name(folder, extra)} has layers that this app cannot run ({', '.join(sorted(other))}). "
                        "Choose a model with full attention, or put it behind a server (--student-url).")  # fmt: skip
    loaded = HfModel(model, load_tokenizer(folder, extra), _name(folder, extra))
    if adapter is not None:
        _merge(loaded, adapter, folder / extra["gguf_file"] if extra else None, keep_base)
    try:  # after the merge: what becomes of a ZeroGPU model's weights must be settled on the host
        loaded.model = loaded.model.eval().requires_grad_(False).to(device)
    except torch.OutOfMemoryError:
        raise SlimError(
            f"{loaded.base} does not fit into the GPU's memory. Close other programs that use the GPU, or start with "
            "--device cpu or a smaller --student."
        ) from None
    return loaded


def find_base(base: str) -> tuple[Path, dict[str, str]]:
    """(folder, further arguments of from_pretrained) of a Hub id, folder or .gguf file; empty = the embedded base.

    Raises:
        SlimError: it is nowhere; the message lists what was tried.
    """
    if base and not base.endswith(".gguf"):
        return weights.resolve(ANY, base), {}
    file = weights.resolve(weights.STUDENT_BASE, base)
    return file.parent, {"gguf_file": file.name}


def load_tokenizer(folder: Path, extra: dict[str, str]) -> Any:
    """The base's tokenizer; for a GGUF file the one inside it, which is also llama.cpp's."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, **extra)
    except (OSError, ValueError) as error:
        raise SlimError(f"There is no usable tokenizer in {folder} ({_first_line(error)}). Check the model.") from None


def load_base(folder: Path, extra: dict[str, str], dtype: torch.dtype) -> Any:
    """The model in `dtype` on the host; a GGUF file is dequantised."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    try:
        # in float32 first, because a GGUF file holds float32 scales
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32 if extra else dtype, **extra)
    except (OSError, ValueError) as error:
        raise SlimError(f"There is no usable model in {folder} ({_first_line(error)}). Check the model.") from None
    model.hf_quantizer = None  # else transformers and peft take the plain layers for packed ones
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model.to(dtype)


def _merge(loaded: HfModel, adapter: Path, gguf_base: Path | None, keep_base: bool) -> None:
    """Merges the adapter into the model's weights, after checking that each of its tensors has its place there."""
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
    from peft.tuners.tuners_utils import BaseTunerLayer

    if adapter.suffix == ".gguf":
        if gguf_base is None:
            raise SlimError(f"{adapter} fits a GGUF base only, not {loaded.base}. Start with its PEFT adapter instead.")
        config = loaded.model.config
        settings, tensors = read_gguf_adapter(
            adapter, gguf_base, config.num_attention_heads, config.num_key_value_heads
        )
        trained_for = gguf_base.stem
    else:
        settings, tensors = _read_peft(adapter)
        trained_for = settings.get("base_model_name_or_path") or "another model"
    try:
        fixed = {"peft_type": "LORA", "inference_mode": True, "base_model_name_or_path": None}
        config = LoraConfig.from_peft_type(**settings | fixed)
        peft = get_peft_model(loaded.model, config)
    except (ValueError, TypeError, KeyError) as error:
        raise _unfit(adapter, trained_for, loaded.base, _first_line(error)) from None
    ours = get_peft_model_state_dict(peft)
    wrong = [n for n in {*ours, *tensors} if n not in ours or n not in tensors or ours[n].shape != tensors[n].shape]
    if wrong:
        name = min(wrong)
        shapes = [tuple(side[name].shape) if name in side else "nothing" for side in (tensors, ours)]
        raise _unfit(adapter, trained_for, loaded.base, f"{name}: {shapes[0]} in the adapter, {shapes[1]} expected")
    layers = {int(found[1]) for found in map(_LAYER.search, tensors) if found}
    if not settings.get("layers_to_transform") and layers != set(range(loaded.model.config.num_hidden_layers)):
        deepest = f"it has {len(layers)} layers, the base {loaded.model.config.num_hidden_layers}"
        raise _unfit(adapter, trained_for, loaded.base, deepest)
    set_peft_model_state_dict(peft, tensors)
    adapted = [n.removeprefix("base_model.model.") for n, m in peft.named_modules() if isinstance(m, BaseTunerLayer)]
    before = {f"{n}.weight": peft.get_submodule(f"base_model.model.{n}").base_layer.weight.detach().clone()
              for n in adapted if keep_base}  # fmt: skip
    loaded.model, loaded.adapter, loaded.tuned = peft.merge_and_unload(), str(adapter), True
    if keep_base:
        after = {n: loaded.model.get_parameter(n).detach().clone() for n in before}
        loaded.copies = {False: before, True: after}


def _read_peft(folder: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    from safetensors.torch import load_file

    try:
        settings = json.loads((folder / "adapter_config.json").read_text("utf-8"))
        kind = settings["peft_type"]
        tensors = load_file(folder / "adapter_model.safetensors")
    except Exception as error:  # missing or damaged: the same advice
        raise SlimError(
            f"{folder} holds no readable PEFT adapter ({type(error).__name__}). Give a folder with "
            "adapter_config.json and adapter_model.safetensors."
        ) from None
    if kind != "LORA" or settings.get("modules_to_save"):
        what = kind if kind != "LORA" else "LoRA with whole modules"
        raise SlimError(f"The adapter in {folder} is of another kind ({what}). Only plain LoRA adapters can be merged.")
    return settings, tensors


def _unfit(adapter: Path, trained_for: str, base: str, why: str) -> SlimError:
    return SlimError(
        f"The adapter {adapter} was trained for {trained_for} and does not fit {base} ({why}). "
        "Start with the base it was trained for, or distil it again for this one."
    )


def _name(folder: Path, extra: dict[str, str]) -> str:
    """A folder's name; for the Hub's cache the repository's (models--owner--name/snapshots/<commit>)."""
    if extra:
        return extra["gguf_file"].split(".")[0]
    hub = next((p.name for p in folder.parents if p.name.startswith("models--")), "")
    return hub.removeprefix("models--").replace("--", "/") or folder.resolve().name


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
