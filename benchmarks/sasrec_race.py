"""This project's SASRec and RecBole's, taking turns on the same machine until each has trained for as long."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.sasrec_sides import LOSSES, Setup
from slim_app.errors import SlimError
from training.metrics import paired_interval

SIZES = ("hidden", "layers", "heads", "dropout", "max_length", "batch", "lr", "seed")
ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "benchmarks/recbole-requirements.txt"
NOTE = (
    "RecBole makes one training sequence of every prefix, with one target at its end; this project trains all places "
    "of a sequence at once. So an epoch is the same targets for both, but many more sequences for RecBole: compare "
    "targets a second, seconds an epoch, and seconds to the same NDCG; sequences a second favours RecBole by nature. "
    "A step takes the same number of sequences on both sides. Seconds are those of training alone. NDCG@10 x 100 over "
    "the full catalogue without what was bought before, same users, same code. This project's losses leave the user's "
    "own items out of the negatives, RecBole's do not; with one negative it is BCE here and BPR there."
)


def make_venv(folder: Path) -> Path:
    """The interpreter of an environment with RecBole and this process's version of PyTorch; made where it is missing.

    Raises:
        SlimError: an environment or a package could not be installed.
    """
    python, stamp = folder.resolve() / "bin/python", folder / "recbole-ready"
    version = torch.__version__.split("+")[0]
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + version.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    print(f"Installing RecBole into {folder} (once, about a minute) …", flush=True)
    install = [str(python), "-m", "pip", "install", "-q", "-r", str(REQUIREMENTS), f"torch=={version}"]
    for command in ([sys.executable, "-m", "venv", str(folder)], install):
        if subprocess.run(command).returncode:
            what = f"RecBole could not be installed into {folder}; pip's reason stands above"
            raise SlimError(f"{what}. It needs Python 3.10 or 3.11 (this is {sys.version.split()[0]}) and PyPI.")
    stamp.write_text(wanted)
    return python


class Process:
    """One side, in its own process and environment; `begin` waits until it has read the data.

    Raises:
        SlimError: from any order, when the process has ended.
    """

    def __init__(self, python: Path, setup: Setup) -> None:
        self.setup, self.facts = setup, {}
        self.trained, self.trace, self._slices = 0.0, [], []
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed in `close`
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(setup.threads))
        self._process = subprocess.Popen(
            [str(python), "-m", "benchmarks.sasrec_sides"], cwd=ROOT, env={**os.environ, "PYTHONPATH": "", **threads},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
        )  # fmt: skip

    def begin(self) -> None:
        self.facts = self.ask(asdict(self.setup))

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        try:
            print(json.dumps(order), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait()
            self._log.seek(0)
            end = "".join(self._log.readlines()[-8:])
            raise SlimError(f"The side {self.setup.side} ended in the middle of the comparison:\n{end}")
        return json.loads(line)

    def turn(self, seconds: float) -> None:
        """Trains for so long, then evaluates, which does not count."""
        done = self.ask({"train": seconds})
        self._slices.append(done)
        self.trained += done["seconds"]
        ndcg = self.ask({"evaluate": True})
        self.trace.append({"seconds": self.trained, "epochs": done["epochs"], **ndcg})
        print(f"  {self.setup.side:8}{self.trained:7.0f} s{done['epochs']:9.2f} epochs   NDCG@10 {ndcg['valid']:6.2f} "
              f"valid {ndcg['test']:6.2f} test", flush=True)  # fmt: skip

    def result(self) -> dict[str, Any]:
        slices = self._slices[1:] or self._slices  # the first has the start in it
        seconds = sum(part["seconds"] for part in slices)
        rates = {f"{what}_per_s": sum(part[what] for part in slices) / seconds for what in ("targets", "sequences")}
        best = self.best()
        figures = {
            **rates, "epoch_s": self.facts["targets_in_epoch"] / rates["targets_per_s"],
            "steps": sum(part["steps"] for part in self._slices), "epochs": self.trace[-1]["epochs"],
            "best_valid_ndcg@10": best["valid"], "test_ndcg@10": best["test"], "best_at_s": best["seconds"],
        }  # fmt: skip
        trace = [{n: round(point[n], 2) for n in ("seconds", "epochs", "valid", "test")} for point in self.trace]
        return {**self.facts, **{name: round(value, 2) for name, value in figures.items()}, "trace": trace}

    def best(self) -> dict[str, Any]:
        """The evaluation that validation chooses."""
        return max(self.trace, key=lambda point: point["valid"])

    def reached(self, ndcg: float) -> float | None:
        """Seconds of training until the validation NDCG was that high; None when it never was."""
        return next((point["seconds"] for point in self.trace if point["valid"] >= ndcg), None)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._log.close()


def race(entrants: Mapping[str, tuple[Path, Setup]], seconds: float) -> dict[str, Any]:
    """Trains `slim` and `recbole` for so many seconds each, in turns of a twentieth, and compares them.

    Args:
        entrants: name → interpreter and what it is to do.

    Raises:
        SlimError: a side has ended, or they have different versions of PyTorch.
    """
    sides: dict[str, Process] = {}
    try:
        for name, (python, setup) in entrants.items():
            sides[name] = Process(python, setup)
        for side in sides.values():
            side.begin()
        if len({side.facts["torch"].split("+")[0] for side in sides.values()}) > 1:
            versions = " and ".join(f"{side.facts['torch']} ({name})" for name, side in sides.items())
            raise SlimError(f"PyTorch is {versions}. Remove the folder of --recbole-venv to have it made again.")
        while (late := min(sides.values(), key=lambda side: side.trained)).trained < seconds:
            late.turn(seconds / 20)
        best = {name: side.best() for name, side in sides.items()}
        interval = paired_interval(best["slim"]["users"], best["recbole"]["users"])
        results = {name: side.result() for name, side in sides.items()}
        ours, theirs, setup = results["slim"], results["recbole"], entrants["slim"][1]
        return {
            "loss": LOSSES[setup.loss], "sizes": {name: getattr(setup, name) for name in SIZES}, **results,
            "times_targets_per_s": round(ours["targets_per_s"] / theirs["targets_per_s"], 2),
            "times_sequences_per_s": round(ours["sequences_per_s"] / theirs["sequences_per_s"], 2),
            "test_ndcg@10_difference": round(ours["test_ndcg@10"] - theirs["test_ndcg@10"], 2),
            "test_ndcg@10_difference_95%": [round(end, 2) for end in interval],
            "seconds_to_the_best_validation_of_recbole": {
                name: side.reached(best["recbole"]["valid"]) for name, side in sides.items()
            },
        }  # fmt: skip
    finally:
        for side in sides.values():
            side.close()


def lines(race: dict[str, Any]) -> list[str]:
    """A race as a table."""
    rows = [f"{'':10}{'targets/s':>11}{'sequences/s':>13}{'s/epoch':>10}{'epochs':>9}{'valid':>8}{'test':>8}"]
    for side in ("slim", "recbole"):
        f = race[side]
        rows.append(
            f"  {side:8}{f['targets_per_s']:>11,.0f}{f['sequences_per_s']:>13,.0f}{f['epoch_s']:>10.2f}"
            f"{f['epochs']:>9.1f}{f['best_valid_ndcg@10']:>8.2f}{f['test_ndcg@10']:>8.2f}"
        )
    reached = race["seconds_to_the_best_validation_of_recbole"]
    first = "not reached here" if reached["slim"] is None else f"{reached['slim']:.1f} s here"
    low, high = race["test_ndcg@10_difference_95%"]
    rows.append(
        f"  {race['times_targets_per_s']} times the targets/s, {race['times_sequences_per_s']} times the sequences/s; "
        f"RecBole's best validation: {first}, {reached['recbole']:.1f} s there; difference on the test "
        f"{race['test_ndcg@10_difference']:+.2f} ({low:+.2f} to {high:+.2f}: 95 % of bootstrap samples of users)"
    )
    return rows
