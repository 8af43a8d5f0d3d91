"""Checks a GGUF LoRA adapter before the engine sees it, so that a wrong file gets words instead of a crash."""

from __future__ import annotations

from functools import cache
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
    architecture, shapes = _base(base)
    if kind[2] != architecture:
        raise SlimError(
            f"The adapter {adapter.name} is for a {kind[2] or 'nameless'} model, not for {base.name}. {repair}"
        )
    stems = {name.removesuffix(".lora_a").removesuffix(".lora_b") for name in tensors if ".lora_" in name}
    if not stems:
        raise SlimError(f"The adapter {adapter.name} holds no LoRA weights. {repair}")
    for stem in sorted(stems):
        a, b, target = tensors.get(f"{stem}.lora_a", ()), tensors.get(f"{stem}.lora_b", ()), shapes.get(stem, ())
        # GGUF lists dimensions innermost first: weight (in, out), lora_a (in, r), lora_b (r, out)
        if not (len(a) == len(b) == len(target) == 2 and (a[0], b[1]) == target and a[1] == b[0]):
            raise SlimError(
                f"The adapter {adapter.name} does not fit {base.name}: for {stem} it has {a or 'nothing'} and "
                f"{b or 'nothing'}, the base has {target or 'no such tensor'}. {repair}"
            )


@cache
def _base(base: Path) -> tuple[str, dict[str, tuple[int, ...]]]:
    """Architecture and shapes of the base model; reading its vocabulary takes a second or two."""
    from gguf import GGUFReader

    try:
        reader = GGUFReader(base)
        shapes = {tensor.name: tuple(int(n) for n in tensor.shape) for tensor in reader.tensors}
        return _text(reader, "general.architecture"), shapes
    except Exception as error:
        raise SlimError(
            f"The model {base.name} is not a readable GGUF file ({type(error).__name__}). Install the weights again."
        ) from None


def _text(reader, key: str) -> str:
    field = reader.fields.get(key)
    return str(field.contents()) if field else ""
