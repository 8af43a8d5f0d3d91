"""Who writes in batches: each engine is opened once and takes many histories.

An engine is a function of the parsed flags → (model id for the rows, facts for meta.json, write). `write(histories,
on_done, stop)` calls `on_done(index, text, stats, error)` for each history as it ends, in any order and from any
thread, and returns when all have ended or soon after `stop` was set.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from slim_app.errors import SlimError
from slim_app.reasoners.base import Reasoner
from slim_app.reasoners.students import read_student
from slim_app.schema import Item, RunStats

STUDENTS = Path(__file__).resolve().parent.parent / "assets/students"
OnDone = Callable[[int, str, RunStats, SlimError | None], None]
Write = Callable[[Sequence[Sequence[Item]], OnDone, threading.Event], None]
Opened = tuple[str, dict[str, Any], Write]


def write_side_by_side(reasoner: Reasoner, workers: int) -> Write:
    """`workers` streams of one reasoner at the same time: for engines that batch what arrives together."""

    def write(histories: Sequence[Sequence[Item]], on_done: OnDone, stop: threading.Event) -> None:
        lock = threading.Lock()

        def one(index: int) -> None:
            if stop.is_set():
                return
            stats, pieces, error = RunStats(), [], None
            deltas = reasoner.stream(histories[index], stats)
            try:
                for delta in deltas:
                    pieces.append(delta)
                    if stop.is_set():
                        return  # what is unfinished is written by the next run
            except SlimError as failure:
                error = failure
            finally:
                deltas.close()
            with lock:
                on_done(index, "".join(pieces), stats, error)

        with ThreadPoolExecutor(workers) as pool:
            for future in [pool.submit(one, index) for index in range(len(histories))]:
                try:
                    future.result()
                except BaseException:  # a full disk, say: the others need not go on
                    stop.set()
                    raise

    return write


def _model_id(student: str, adapter: Path | None) -> str:
    """The student's name and its adapter's digest: a student that was trained again is another model."""
    name = Path(student).name
    return f"{name}@{hashlib.sha256(adapter.read_bytes()).hexdigest()[:12]}" if adapter else name


def _transformers(args: argparse.Namespace) -> Opened:
    """One forward pass for the whole batch, adapter merged into the weights; on CPU and GPU."""
    import torch

    from slim_app.reasoners.hf_students import find_student, open_student

    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cpu":
        torch.set_num_threads(args.threads or os.cpu_count() or 1)
    # half the memory to read a token, and twice the speed on CPUs that multiply bfloat16
    reasoner = open_student(args.student, STUDENTS, device, keep_base=False, dtype=torch.bfloat16)
    adapter = find_student(args.student, STUDENTS).adapter
    file = adapter / "adapter_model.safetensors" if adapter and adapter.is_dir() else adapter

    def write(histories: Sequence[Sequence[Item]], on_done: OnDone, stop: threading.Event) -> None:
        reasoner.write(histories, args.batch, lambda index, text, stats: on_done(index, text, stats, None), stop)

    info = {"engine": "transformers", "grammar": False, "dtype": "bfloat16", "device": reasoner.info.device}
    return _model_id(args.student, file), info, write


def _llama_cpp(args: argparse.Namespace) -> Opened:
    """The app's own engine and decoding, several streams at once."""
    from slim_app.reasoners.engine import Engine
    from slim_app.reasoners.llama_cpp import LlamaCppReasoner

    student = None if args.student == "base" else read_student(args.student, STUDENTS)
    if student is None and args.student != "base":
        raise SlimError(f"There is no student “{args.student}” under {STUDENTS}. Export one, or use --student base.")
    slots = min(args.batch, 16)  # more streams than that only share the same two or more cores
    engine = Engine(adapter=student.adapter if student else None, slots=slots, threads=os.cpu_count() or 1)
    reasoner = LlamaCppReasoner(engine, tuned=student is not None, grammar=args.grammar)
    info = {"engine": "llama.cpp", "grammar": args.grammar, "dtype": "as in the GGUF file", "device": "CPU"}
    return _model_id(args.student, student.adapter if student else None), info, write_side_by_side(reasoner, slots)


def _endpoint(args: argparse.Namespace) -> Opened:
    """A model server (vLLM, say), which batches on its own."""
    from slim_app.reasoners.endpoint import Endpoint

    key = os.environ.get("SLIM_STUDENT_KEY", "")
    reasoner = Endpoint(base_url=args.url, model=args.model, api_key=key, role="student")
    info = {"engine": "endpoint", "grammar": False, "device": reasoner.info.device}
    return reasoner.info.name, info, write_side_by_side(reasoner, args.batch)


ENGINES: dict[str, Callable[[argparse.Namespace], Opened]] = {
    "transformers": _transformers, "llama.cpp": _llama_cpp, "endpoint": _endpoint,
}  # fmt: skip
