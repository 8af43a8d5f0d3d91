"""A folder of real, tiny evaluations for the evaluation room: two datasets, all kinds of figures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from evaluated_toys import trained_toys

RATIONALES = Path(__file__).resolve().parent.parent / "assets/results/rationales_games.json"


def toy_results(factory: pytest.TempPathFactory) -> Path:
    """recommenders_games.json of trained toys, the measured rationales_games.json, and the toys again as “toys”,
    simulated and without costs, as an evaluation that was written before cases and the paper's figures were kept."""
    folder = factory.mktemp("results")
    for toys in trained_toys(factory):
        read = ("--variant", "text", "--rationales", str(toys.oracle), "--missing", "none")
        for step in "123":
            toys.train(f"text-step{step}", *read, "--steps", step)
        student = toys.folder / "student.json"
        run = {"rationales": 100, "tokens": 18000, "seconds": 50.0}
        student.write_text(json.dumps({"model": "s", "engine": "e", "device": "CPU", "last_run": run}), "utf-8")
        runs = {"sasrec-id": "id-*", "text": "text", **{f"text-step{n}": f"text-step{n}" for n in "123"}}
        flags = [part for name, at in runs.items() for part in ("--run", f"{name}={toys.folder}/{at}")]
        report = toys.evaluate(
            *flags, "--baseline", "all", "--rationales", str(toys.oracle), "--against", "text:sasrec-id,popularity",
            "--student-meta", str(student), "--machine-price", "0.4", "--teacher", str(toys.oracle),
            "--teacher-model", "gpt-3.5-turbo",
        )  # fmt: skip
    write(folder / "recommenders_games.json", report)
    shutil.copy(RATIONALES, folder)
    older = {key: value for key, value in report.items() if key not in ("cases", "paper")} | {"cost": {}}
    older["dataset"] = report["dataset"] | {"name": "toys", "simulated": True}
    write(folder / "recommenders_toys.json", older)
    return folder


def write(file: Path, content: dict) -> None:
    file.write_text(json.dumps(content), "utf-8")
