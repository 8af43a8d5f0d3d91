"""Distils the teacher's rationales into a small student: LoRA, loss on the rationale only (paper, Eq. 4).

    python -m training.distill --preset smollm2-135m --out runs/student --data RATIONALES.jsonl=DATASET --data DEMO
    accelerate launch -m training.distill ...       # several GPUs: each takes its share of every batch
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from slim_app.errors import SlimError
from slim_app.prompts import PROMPT_VERSION, student_prompt
from training import data
from training.checkpoint import Best, load_checkpoint, save_checkpoint
from training.student import PRESETS, add_lora, load_base, load_tokenizer

log = logging.getLogger("distill")
GROUP = 16
"""Batches sorted by length together: enough to cut most padding, few enough to keep the order random."""


@dataclass(frozen=True)
class Example:
    """Token ids of one row. Shapes: prompt (P,), target (R,) with the end-of-turn token last."""

    prompt: list[int]
    target: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.target)


def encode(row: data.Row, tokenizer) -> Example:
    """The prompt as the app's engine renders it (T_s in the model's own chat template), and the rationale.

    The two are tokenised apart, because the app's model continues after a prompt that is already tokens.
    """
    prompt = student_prompt(row.history)
    if tokenizer.chat_template:
        turn = [{"role": "user", "content": prompt}]
        prompt = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
        ids = tokenizer(prompt, add_special_tokens=False).input_ids
    else:
        ids = tokenizer(prompt + "\n\n").input_ids
    return Example(ids, [*tokenizer(row.text, add_special_tokens=False).input_ids, tokenizer.eos_token_id])


def batch_order(lengths: Sequence[int], batch: int, seed: int, epoch: int) -> list[list[int]]:
    """Row numbers of each batch of an epoch: a pure function of its arguments, so a resumed run needs no state.

    Rows are shuffled, sorted by length within groups of `GROUP` batches, and the batches shuffled again.
    """
    generator = torch.Generator().manual_seed(seed * 10_007 + epoch)
    rows = torch.randperm(len(lengths), generator=generator).tolist()
    size = batch * GROUP
    batches = []
    for start in range(0, len(rows), size):
        group = sorted(rows[start : start + size], key=lambda i: lengths[i])
        batches += [group[i : i + batch] for i in range(0, len(group), batch)]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


def collate(examples: Sequence[Example], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids (B, T), padded on the right, and labels (B, T): -100 outside the rationale.

    Label t is token t+1, so the loss needs no shift. Causal attention makes right padding invisible to real tokens.
    """
    width = max(len(e) for e in examples)
    ids = torch.full((len(examples), width), pad)
    labels = torch.full((len(examples), width), -100)
    for n, e in enumerate(examples):
        ids[n, : len(e)] = torch.tensor(e.prompt + e.target)
        labels[n, len(e.prompt) - 1 : len(e) - 1] = torch.tensor(e.target)
    return ids, labels


def rationale_loss(model, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Sum of the rationale tokens' negative log-likelihood; prompt positions never reach the output layer."""
    core, head = model.base_model, model.get_output_embeddings()
    with torch.autocast(ids.device.type, torch.bfloat16, enabled=head.weight.dtype == torch.bfloat16):
        hidden = core(input_ids=ids, use_cache=False).last_hidden_state  # (B, T, d)
        chosen = labels != -100
        logits = head(hidden[chosen])  # (targets, vocabulary)
    return torch.nn.functional.cross_entropy(logits.float(), labels[chosen], reduction="sum")


def learning_rate(step: int, args: argparse.Namespace) -> float:
    """Rate of 0-based `step`: linear warm-up, then `cosine`, or `hold`: constant with a linear end (--decay share)."""
    if step < args.warmup:
        return args.lr * (step + 1) / args.warmup
    progress = (step - args.warmup) / max(1, args.steps - args.warmup)
    if args.schedule == "cosine":
        return args.lr * (0.02 + 0.98 * (1 + math.cos(math.pi * progress)) / 2)
    return args.lr * min(1.0, (1 - progress) / args.decay + 0.02)


class Trainer:
    """The loop's state. `model` is the base with LoRA layers injected; only those have gradients."""

    def __init__(self, peft_model, tokenizer, args: argparse.Namespace, accelerator=None) -> None:
        self.peft, self.model, self.args, self.accelerator = peft_model, peft_model.get_base_model(), args, accelerator
        self.pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        self.device = accelerator.device if accelerator else torch.device("cpu")
        self.world = accelerator.num_processes if accelerator else 1
        self.rank = accelerator.process_index if accelerator else 0
        self.weights = {n: p for n, p in peft_model.named_parameters() if p.requires_grad}
        self.optimizer = torch.optim.AdamW(self.weights.values(), lr=args.lr, weight_decay=0.0)
        self.pool = ThreadPoolExecutor(args.workers)
        self.step, self.active_seconds, self.tokens = 0, 0.0, 0
        self.history: list[dict[str, float]] = []
        self.best = Best()

    def train_step(self, examples: Sequence[Example]) -> float:
        """One optimizer step on a whole batch; returns its mean loss a rationale token."""
        rate = learning_rate(self.step, self.args)
        torch.manual_seed(self.args.seed * 1_000_003 + self.step * self.world + self.rank)  # dropout, also after --resume
        self.peft.train()
        examples = sorted(examples, key=len)
        micro = [examples[i : i + self.args.micro] for i in range(0, len(examples), self.args.micro)]
        # longest first, so that parallel workers end together
        results = list(self.pool.map(self._gradients, micro[::-1][self.rank :: self.world]))
        count = sum(len(e.target) for e in examples)
        weights = list(self.weights.values())
        gradients = [sum(parts) / count for parts in zip(*(g for _, g in results))] if results else [
            torch.zeros_like(w) for w in weights]
        loss = torch.stack([*(part for part, _ in results), torch.zeros((), device=self.device)]).sum() / count
        if self.world > 1:
            flat = self.accelerator.reduce(torch.cat([loss[None], *(g.flatten() for g in gradients)]), "sum")
            loss, rest = flat[0], flat[1:].split([w.numel() for w in weights])
            gradients = [g.view_as(w) for g, w in zip(rest, weights, strict=True)]
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        norm = torch.nn.utils.clip_grad_norm_(weights, self.args.clip)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            raise SlimError(
                f"The loss is no longer a number at step {self.step + 1} (learning rate {rate:.2e}). Resume from the "
                "last checkpoint with a lower --lr, or with --dtype float32."
            )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.step += 1
        self.tokens += sum(map(len, examples))
        return loss.item()

    def _gradients(self, examples: Sequence[Example]) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        if self.device.type == "cpu":
            torch.set_num_threads(self.args.threads)  # a setting of the calling thread
        ids, labels = collate(examples, self.pad)
        loss = rationale_loss(self.model, ids.to(self.device), labels.to(self.device))
        return loss.detach(), torch.autograd.grad(loss, list(self.weights.values()))

    @torch.no_grad()
    def validate(self, examples: Sequence[Example]) -> float:
        """Mean negative log-likelihood a rationale token."""
        self.peft.eval()
        ordered = sorted(examples, key=len, reverse=True)
        batches = [ordered[i : i + self.args.micro] for i in range(0, len(ordered), self.args.micro)]

        def total(batch: Sequence[Example]) -> float:
            if self.device.type == "cpu":
                torch.set_num_threads(self.args.threads)
            with torch.no_grad():  # a worker thread does not inherit it
                return rationale_loss(self.model, *(t.to(self.device) for t in collate(batch, self.pad))).item()

        return sum(self.pool.map(total, batches)) / sum(len(e.target) for e in examples)

    def run(self, train: Sequence[Example], held_out: Sequence[Example], out: Path) -> None:
        """Trains to `args.steps`, validating and saving on the way."""
        lengths = [len(e) for e in train]
        epoch, order = -1, []
        per_epoch = math.ceil(len(train) / self.args.batch)
        sample = held_out[: self.args.eval_rows or None]
        saved = mark = time.perf_counter()
        window: list[float] = []
        while self.step < self.args.steps:
            if self.step // per_epoch != epoch:
                epoch = self.step // per_epoch
                order = batch_order(lengths, self.args.batch, self.args.seed, epoch)
            begun, tokens = time.perf_counter(), self.tokens
            window.append(self.train_step([train[i] for i in order[self.step % per_epoch]]))
            now = time.perf_counter()
            self.active_seconds += now - begun
            ended = self.step == self.args.steps
            if self.step % self.args.log_every == 0 or ended:
                left = (self.args.steps - self.step) * self.active_seconds / max(1, self.step)
                self.history.append({"step": self.step, "loss": sum(window) / len(window)})
                self._say(f"step {self.step}/{self.args.steps} loss {self.history[-1]['loss']:.3f} lr "
                          f"{learning_rate(self.step - 1, self.args):.1e} {(self.tokens - tokens) / (now - begun):.0f} "
                          f"tokens/s, {left / 60:.0f} min left")
                window = []
            if sample and (self.step % self.args.eval_every == 0 or ended):
                loss = self.validate(sample)
                self.history.append({"step": self.step, "validation": loss})
                better = self.best.offer(loss, self.step)
                self._say(f"step {self.step} validation loss {loss:.4f}{' (best so far)' if better else ''}")
                if better and self.rank == 0:
                    self.peft.save_pretrained(out / "adapter")
            now = time.perf_counter()
            if ended or self.step % self.args.save_every == 0 or now - saved > self.args.save_minutes * 60:
                if self.rank == 0:
                    save_checkpoint(out / "checkpoint", self)
                saved = now

    def _say(self, text: str) -> None:
        if self.rank == 0:
            log.info(text)


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
    tokenizer = load_tokenizer(args.base)
    train, held = ([e for row in rows if len(e := encode(row, tokenizer)) <= args.max_length]
                   for rows in (train_rows, held_rows))
    left_out = len(train_rows) + len(held_rows) - len(train) - len(held)
    if not train:
        raise SlimError("No row is left to train on. Raise --max-length or give more --data.")
    log.info("%d rows to train on, %d held out, %d left out as longer than %d tokens; %d tokens an epoch",
             len(train), len(held), left_out, args.max_length, sum(map(len, train)))
    args.steps = args.steps or max(1, round(args.epochs * len(train) / args.batch))
    settings = {k: getattr(args, k) for k in (
        "rank", "alpha", "dropout", "targets", "lr", "batch", "schedule", "decay", "warmup", "clip", "seed", "dtype")}
    meta = {
        "name": preset.name, "prompt_version": PROMPT_VERSION, "tuned": True, "preset": args.preset,
        "base": args.base, "hyperparameters": settings,
        "data": [{"file": "/".join(s.file.parts[-2:]), "sha256": s.sha256, "rows": len(s.rows)} for s in sources],
        "training_rows": len(train), "held_out": [row.key for row in held_rows], "left_out": left_out,
    }
    # `steps` is not in it: with --schedule hold a run may be lengthened while its rate is still constant
    args.fingerprint = json.loads(json.dumps({"data": meta["data"], "base": str(args.base), **settings}))
    from accelerate import Accelerator

    accelerator = Accelerator()
    model = load_base(args.base, getattr(torch, args.dtype)).to(accelerator.device)
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
    import transformers

    transformers.utils.logging.disable_progress_bar()
    try:
        trainer, train, held, meta = prepare(args)
        if args.resume:
            load_checkpoint(args.out / "checkpoint", trainer)
            log.info("resumed at step %d", trainer.step)
        trainer.run(train, held, args.out)
        if trainer.rank == 0:
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
