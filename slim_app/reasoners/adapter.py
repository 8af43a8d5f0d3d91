"""Checks a GGUF LoRA adapter before the engine sees it, so that a wrong file gets words instead of a crash."""

from __future__ import annotations

from pathlib import Path

from slim_app.errors import SlimError


def check_adapter(adapter: Path, base: Path) -> None:
    """Raises SlimError unless `adapter` is a readable GGUF LoRA adapter whose shapes fit `base`."""
    from gguf import GGUFReader

    repair = "Export the adapter again for this base model, or start with --student base."
    if not adapter.is_file():
        raise SlimError(f"There is no adapter at {adapter}. {repair}")
    try:
        reader = GGUFReader(adapter)
        kind = [_text(reader, key) for key in ("general.type", "adapter.type", "general.architecture")]
        tensors = {tensor.name: tuple(int(n) for n in tensor.shape) for tensor in reader.tensors}
    except Exception as error:  # the reader raises whatever a broken file leads it to
        raise SlimError(
            f"The adapter {adapter.name} is not a readable GGUF file ({type(error).__name__}). {repair}"
        ) from None
    if kind[:2] != ["adapter", "lora"]:
        raise SlimError(f"{adapter.name} is not a LoRA adapter (type “{kind[0] or 'none'}”). {repair}")
    base_reader = GGUFReader(base)
    if kind[2] != _text(base_reader, "general.architecture"):
        raise SlimError(
            f"The adapter {adapter.name} is for a {kind[2] or 'nameless'} model, not for {base.name}. {repair}"
        )
    shapes = {tensor.name: tuple(int(n) for n in tensor.shape) for tensor in base_reader.tensors}
    for name, shape in tensors.items():
        stem, _, part = name.rpartition(".")
        if part not in {"lora_a", "lora_b"}:
            continue
        # GGUF lists dimensions innermost first: weight (in, out), lora_a (in, r), lora_b (r, out)
        target = shapes.get(stem)
        fits = target is not None and len(shape) == len(target) == 2
        fits = fits and (shape[0] == target[0] if part == "lora_a" else shape[1] == target[1])
        if not fits:
            raise SlimError(
                f"The adapter {adapter.name} does not fit {base.name}: {name} has shape {shape}, the base has "
                f"{target or 'no such tensor'}. {repair}"
            )
    if not any(name.endswith(".lora_a") for name in tensors):
        raise SlimError(f"The adapter {adapter.name} holds no LoRA weights. {repair}")


def _text(reader, key: str) -> str:
    field = reader.fields.get(key)
    return str(field.contents()) if field else ""
