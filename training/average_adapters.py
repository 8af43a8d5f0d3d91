"""The mean of several adapters as one adapter: runs of `distill` that share a beginning and end differently.

    python -m training.average_adapters runs/a runs/b --out runs/mean --data SPEC...

Weights that were trained on from one point and differ only in where the training went can be averaged, and the mean is
often better than each (Wortsman et al., Model soups, ICML 2022, arXiv 2203.05482). LoRA's A and B are averaged apart,
which is an approximation of averaging their products, and a bad one for runs that began differently: the validation
loss of the mean, beside that of each run, decides.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from slim_app.errors import SlimError
from training import distill
from training.student import load_adapter
from training.trainer import log

WEIGHTS = "adapter_model.safetensors"


def average(folders: Sequence[Path]) -> dict[str, torch.Tensor]:
    """The mean of the adapters (PEFT folders) in `folders`, weight by weight.

    Raises:
        SlimError: fewer than two, an unreadable one, or adapters of different shapes.
    """
    if len(folders) < 2:
        raise SlimError("A mean needs two adapters or more. Name the folders of further runs.")
    found = []
    for folder in folders:
        try:
            found.append(load_file(folder / WEIGHTS))
        except Exception as error:  # missing or damaged: the same advice
            what = f"{folder} holds no readable PEFT adapter ({type(error).__name__})"
            raise SlimError(f"{what}. Give folders that distill has written.") from None
        if {k: v.shape for k, v in found[-1].items()} != {k: v.shape for k, v in found[0].items()}:
            raise SlimError(f"The adapters in {folders[0]} and {folder} have different shapes. Average runs of one "
                            "base, with the same rank and targets.")  # fmt: skip
    return {name: sum(one[name].float() for one in found) / len(found) for name in found[0]}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.average_adapters", description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, help="folders that distill has written (adapter/, meta.json)")
    parser.add_argument("--out", type=Path, required=True, help="folder for adapter/ and meta.json")
    parser.add_argument("--data", action="append", required=True, metavar="SPEC", help="as for distill; repeatable")
    return parser


def _meta(run: Path) -> dict[str, Any]:
    try:
        meta = json.loads((run / "meta.json").read_text("utf-8"))
        return meta | {key: meta[key] for key in ("preset", "base", "hyperparameters", "data")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SlimError(f"{run}/meta.json is missing or damaged ({error!r}). Let distill finish the run.") from None


def main(argv: Sequence[str] | None = None) -> None:
    """Writes OUT/adapter and OUT/meta.json, with the validation loss of each run and of the mean."""
    args = make_parser().parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING)
    log.setLevel(logging.INFO)
    try:
        metas = [_meta(run) for run in args.runs]
        for key in ("base", "data", "prompt_version"):
            if any(meta[key] != metas[0][key] for meta in metas):
                raise SlimError(f"The runs differ in `{key}` (meta.json). Average runs of the same base and data.")
        mean = average([run / "adapter" for run in args.runs])
        adapter = args.out / "adapter"
        adapter.mkdir(parents=True, exist_ok=True)
        shutil.copy(args.runs[0] / "adapter" / "adapter_config.json", adapter)
        save_file(mean, adapter / WEIGHTS)

        flags = ["--preset", metas[0]["preset"], "--out", str(args.out)]
        flags += [part for spec in args.data for part in ("--data", spec)]
        options = distill.make_parser().parse_args(flags)
        options.base = metas[0]["base"]
        for name, value in metas[0]["hyperparameters"].items():
            setattr(options, name, value)
        trainer, _, held, meta = distill.prepare(options)
        if meta["data"] != metas[0]["data"]:
            raise SlimError("--data is not what the runs were trained on (sha256 in meta.json). Give the same files.")
        if not held:
            raise SlimError("No row is held out, so nothing tells whether the mean is better. Give more --data.")
        load_adapter(trainer.peft, adapter)
        few, full = (trainer.validate(rows) for rows in (held[: options.eval_rows], held))
        keep = ("validation_loss", "validation_loss_all", "steps", "best_step", "tokens", "active_minutes", "history",
                "hyperparameters")  # fmt: skip
        pairs = zip(args.runs, metas, strict=True)
        parts = [{"run": run.name} | {key: one.get(key) for key in keep} for run, one in pairs]
        for part in (*parts, {"run": "mean", "validation_loss": few, "validation_loss_all": full}):
            log.info("%(run)s: validation loss %(validation_loss).4f, of all held-out rows %(validation_loss_all).4f",
                     part)
        del meta["hyperparameters"]  # each run has its own
        meta |= {"mean_of": parts, "validation_loss": few, "validation_loss_all": full}
        (args.out / "meta.json").write_text(json.dumps(meta, indent=1), "utf-8")
    except SlimError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
