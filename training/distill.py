"""Distils the teacher's rationales into a small student: LoRA, loss on the rationale only (paper, Eq. 4).

    python -m training.distill --preset smollm2-135m --out runs/student --data RATIONALES.jsonl=DATASET --data DEMO
    accelerate launch -m training.distill ...       # several GPUs: each takes its share of every batch
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from slim_app.errors import SlimError
from slim_app.prompts import PROMPT_VERSION
from training import data
from training.batches import Example, encode
from training.checkpoint import load_checkpoint
from training.student import PRESETS, add_lora, load_adapter, open_base, open_tokenizer
from training.trainer import Trainer, log


def make_parser() -> argparse.ArgumentParser:
    """The command line; values that a preset knows default to None."""
    parser = argparse.ArgumentParser(prog="python -m training.distill", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--preset", choices=sorted(PRESETS), default="smollm2-135m", help="student and its defaults")
    add("--data", action="append", required=True, metavar="SPEC",
        help="RATIONALES.jsonl=DATASET_FOLDER (items.tsv, sequences.tsv) or a demo domain folder; repeatable")
    add("--out", type=Path, required=True, help="folder for adapter/, checkpoint/ and meta.json")
    add("--resume", action="store_true", help="continue from OUT/checkpoint with the same flags")
    add("--base", help="Hub id, model folder or .gguf file instead of the preset's base")
    for name, kind, text in (
        ("rank", int, "LoRA rank"), ("alpha", int, "LoRA alpha"), ("dropout", float, "LoRA dropout"),
        ("targets", str, "module names, comma-separated, or all-linear"), ("lr", float, "peak learning rate"),
        ("batch", int, "rows an optimizer step, over all processes"),
        ("micro", int, "rows a forward pass; lower it when memory runs out"),
        ("epochs", float, "passes over the training rows"), ("schedule", str, "cosine, or hold: constant, then down"),
        ("warmup", int, "steps of warm-up"),
    ):
        add(f"--{name}", type=kind, help=f"{text} (default: the preset's)")
    add("--steps", type=int, help="optimizer steps instead of --epochs")
    add("--decay", type=float, default=0.4, help="share of the steps over which --schedule hold goes down")
    add("--prompt-weight", type=float, default=0.0,
        help="weight of the prompt's tokens in the loss; 0 is the paper's Eq. 4")
    add("--clip", type=float, default=1.0, help="largest gradient norm")
    add("--seed", type=int, default=0, help="of LoRA's start, the order and dropout")
    add("--max-length", type=int, default=1536, help="rows with more tokens are left out and counted")
    add("--dtype", choices=("bfloat16", "float32"), default="bfloat16", help="of the frozen base and the products")
    add("--workers", type=int, default=1, help="CPU only: micro-batches at the same time")
    add("--threads", type=int, default=1, help="CPU only: threads of each worker")
    add("--checkpointing", action="store_true", help="gradient checkpointing: less memory, a third more time")
    add("--log-every", type=int, default=5, help="steps between log lines")
    add("--eval-every", type=int, default=50, help="steps between validations")
    add("--eval-rows", type=int, default=64, help="held-out rows of a validation on the way; 0 = all")
    add("--save-every", type=int, default=25, help="steps between checkpoints")
    add("--save-minutes", type=float, default=10.0, help="minutes between checkpoints, whichever comes first")
    return parser


def prepare(args: argparse.Namespace) -> tuple[Trainer, list[Example], list[Example], dict[str, Any]]:
    """Data and model for parsed flags: (trainer, training examples, held-out examples, start of meta.json)."""
    preset = PRESETS[args.preset]
    for name, value in vars(preset).items():
        if name != "name" and getattr(args, name, None) is None:
            setattr(args, name, value)
    sources = [data.load(spec) for spec in args.data]
    train_rows, held_rows = data.split([row for source in sources for row in source.rows])
    tokenizer = open_tokenizer(args.base)
    train, held = ([e for row in rows if len(e := encode(row, tokenizer)) <= args.max_length]
                   for rows in (train_rows, held_rows))
    left_out = len(train_rows) + len(held_rows) - len(train) - len(held)
    if not train:
        raise SlimError("No row is left to train on. Raise --max-length or give more --data.")
    log.info("%d rows to train on, %d held out, %d left out as longer than %d tokens; %d tokens an epoch",
             len(train), len(held), left_out, args.max_length, sum(map(len, train)))
    args.steps = args.steps or max(1, round(args.epochs * len(train) / args.batch))
    settings = {k: getattr(args, k) for k in (
        "rank", "alpha", "dropout", "targets", "lr", "batch", "schedule", "decay", "warmup", "clip",
        "prompt_weight", "seed", "dtype")}
    meta = {
        "name": preset.name, "prompt_version": PROMPT_VERSION, "tuned": True, "preset": args.preset,
        "base": args.base, "hyperparameters": settings,
        "data": [{"file": "/".join(s.file.parts[-2:]), "sha256": s.sha256, "rows": len(s.rows)} for s in sources],
        "training_rows": len(train), "held_out": [row.key for row in held_rows], "left_out": left_out,
    }
    # `steps` and `decay` are not in it: with --schedule hold a run may be lengthened while its rate is still constant
    fixed = {name: value for name, value in settings.items() if name != "decay"}
    args.fingerprint = json.loads(json.dumps({"data": meta["data"], "base": str(args.base), **fixed}))
    from accelerate import Accelerator

    accelerator = Accelerator()
    model = open_base(args.base, getattr(torch, args.dtype)).to(accelerator.device)
    peft = add_lora(model, args.rank, args.alpha, args.dropout, args.targets, args.seed)
    if args.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    return Trainer(peft, tokenizer, args, accelerator), train, held, meta


def main(argv: Sequence[str] | None = None) -> None:
    """Trains, keeps the adapter with the lowest validation loss in OUT/adapter and describes it in OUT/meta.json."""
    args = make_parser().parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING)
    log.setLevel(logging.INFO)
    try:
        trainer, train, held, meta = prepare(args)
        if args.resume:
            load_checkpoint(args.out / "checkpoint", trainer)
            log.info("resumed at step %d", trainer.step)
        trainer.run(train, held, args.out)
        if trainer.rank == 0:
            if held:
                load_adapter(trainer.peft, args.out / "adapter")  # the best, which need not be the last
                meta["validation_loss_all"] = trainer.validate(held)
                log.info("best adapter (step %d): validation loss %.4f on all %d held-out rows",
                         trainer.best.step, meta["validation_loss_all"], len(held))
            meta |= {"steps": trainer.step, "best_step": trainer.best.step, "validation_loss": trainer.best.loss,
                     "tokens": trainer.tokens, "active_minutes": round(trainer.active_seconds / 60, 1),
                     "history": trainer.history}
            (args.out / "meta.json").write_text(json.dumps(meta, indent=1), "utf-8")
    except torch.OutOfMemoryError:
        sys.exit("The device ran out of memory. Continue with --resume and a smaller --micro, or --checkpointing.")
    except SlimError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
