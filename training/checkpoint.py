"""Checkpoints of a distillation run without pickles: two safetensors files and one JSON file, replaced as a whole."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from slim_app.errors import SlimError


@dataclass
class Best:
    """Lowest validation loss so far."""

    loss: float = float("inf")
    step: int = 0

    def offer(self, loss: float, step: int) -> bool:
        """Takes a new loss; True when it is the best."""
        if loss >= self.loss:
            return False
        self.loss, self.step = loss, step
        return True


def save_checkpoint(folder: Path, trainer) -> None:
    """Writes beside `folder` and then swaps, so that a kill at any moment leaves one whole checkpoint."""
    fresh, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        save_file({n: w.detach().cpu().contiguous() for n, w in trainer.weights.items()}, fresh / "weights.safetensors")
        moments = {
            f"{name}/{key}": value.detach().cpu().contiguous()
            for name, weight in trainer.weights.items()
            for key, value in trainer.optimizer.state.get(weight, {}).items()
        }
        save_file(moments, fresh / "optimizer.safetensors")
        state = {
            "step": trainer.step,
            "active_seconds": trainer.active_seconds,
            "tokens": trainer.tokens,
            "history": trainer.history,
            "best": asdict(trainer.best),
            "fingerprint": trainer.args.fingerprint,
        }
        (fresh / "state.json").write_text(json.dumps(state, indent=1), "utf-8")
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise SlimError(
            f"The checkpoint {folder} could not be written ({os.strerror(error.errno or 0)}). "
            "Free some space and continue with --resume."
        ) from None


def load_checkpoint(folder: Path, trainer) -> None:
    """Continues exactly where `save_checkpoint` was called.

    Raises:
        SlimError: no or a damaged checkpoint, or one of a run with other data, base or LoRA shape.
    """
    if not folder.exists() and folder.with_name(folder.name + ".old").exists():
        folder = folder.with_name(folder.name + ".old")
    try:
        state = json.loads((folder / "state.json").read_text("utf-8"))
        weights = load_file(folder / "weights.safetensors")
        moments = load_file(folder / "optimizer.safetensors")
    except Exception as error:  # missing, cut off or not what it should be: the same advice for all
        raise SlimError(
            f"There is no readable checkpoint in {folder} ({type(error).__name__}). Start without --resume."
        ) from None
    if state["fingerprint"] != trainer.args.fingerprint:
        raise SlimError(
            f"The checkpoint in {folder} belongs to a run with other data, base, seed or hyperparameters. "
            "Use that run's flags, or start without --resume in another --out folder."
        )
    with torch.no_grad():
        for name, weight in trainer.weights.items():
            weight.copy_(weights[name])
    for name, weight in trainer.weights.items():
        found = {key.rpartition("/")[2]: value for key, value in moments.items() if key.startswith(name + "/")}
        if found:
            # the step counter stays on the CPU, as AdamW keeps it
            trainer.optimizer.state[weight] = {k: v if k == "step" else v.to(weight.device) for k, v in found.items()}
    trainer.step, trainer.active_seconds, trainer.tokens = state["step"], state["active_seconds"], state["tokens"]
    trainer.history, trainer.best = state["history"], Best(**state["best"])
