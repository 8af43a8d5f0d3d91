"""The student of the paper's size on a GPU: seconds per rationale, and how much of the memory's bandwidth is used.

    python -m benchmarks.gpu_student                      # LLaMA2-7B's shape, random weights, bfloat16; needs CUDA
    python -m benchmarks.gpu_student --tiny --device cpu  # the same steps on a toy, to see that they work

A single stream reads all weights for each token, so weights / bandwidth is a floor under the time of a token. Random
weights take as long as real ones; only the text makes no sense. The paper: 6.11 s per rationale on an A100.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from slim_app.errors import SlimError
from slim_app.reasoners.hf_batch import write_all
from slim_app.reasoners.hf_engine import HfEngine
from slim_app.reasoners.hf_load import HfModel
from slim_app.reasoners.hf_slots import Slots

ROOT = Path(__file__).resolve().parent.parent
PAPER_SECONDS = 6.11
LLAMA2_7B = {"vocab_size": 32_000, "hidden_size": 4_096, "intermediate_size": 11_008, "num_hidden_layers": 32,
             "num_attention_heads": 32, "num_key_value_heads": 32}  # fmt: skip
TINY = {"vocab_size": 320, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 4}  # fmt: skip
MODES = {"kernel by kernel": (False, False), "CUDA graph": (True, False), "CUDA graph, torch.compile": (True, True)}
"""Name → (graphs, compiled)."""


def random_model(shape: dict[str, int], device: str) -> HfModel:
    """A Llama of this shape with random weights and a tokenizer whose words are numbers; nothing ends its texts."""
    config = LlamaConfig(**shape, max_position_embeddings=4_096, eos_token_id=None, bos_token_id=None)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if device == "cuda" else torch.float32)
    try:
        with torch.device(device):
            model = LlamaForCausalLM(config).eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(before)
    words = Tokenizer(models.WordLevel({f"w{n}": n for n in range(shape["vocab_size"])}, unk_token="w0"))
    return HfModel(model, PreTrainedTokenizerFast(tokenizer_object=words), "random Llama")


def bytes_per_token(model: torch.nn.Module) -> int:
    """Bytes of the weights that one token reads: all but the input embedding, of which it reads one row."""
    skipped = model.get_input_embeddings().weight
    return sum(p.numel() * p.element_size() for p in model.parameters() if p is not skipped)


def bandwidth(device: str, size: int) -> float:
    """Bytes per second that memory gives: the better of reading (a sum) and copying, best of 10."""
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)

    def seconds(work: Callable[[], object]) -> float:
        took = []
        for _ in range(10):
            synchronize(device)
            start = time.perf_counter()
            work()
            synchronize(device)
            took.append(time.perf_counter() - start)
        return min(took)

    return max(size / seconds(source.sum), 2 * size / seconds(lambda: target.copy_(source)))


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def one_stream(loaded: HfModel, mode: tuple[bool, bool], prompt: int, tokens: int, runs: int) -> dict:
    """A visitor alone, through the engine that the app uses: medians over `runs`."""
    graphs, compiled = mode
    start = time.perf_counter()
    engine = HfEngine(loaded, compiled=compiled, graphs=graphs, limit=tokens)
    engine.warm_up()
    warm_up, seen = time.perf_counter() - start, []
    for run in range(runs):
        start = time.perf_counter()
        events = [event.at for event in engine.stream(random_ids(loaded, prompt, run), tuned=False) if event]
        assert len(events) == tokens
        seen.append((events[0] - start, events[-1] - start, (tokens - 1) / (events[-1] - events[0])))
    first, whole, speed = (statistics.median(column) for column in zip(*seen, strict=True))
    return {"warm_up_s": round(warm_up, 1), "first_token_s": round(first, 4), "rationale_s": round(whole, 3),
            "tokens_per_s": round(speed, 1)}  # fmt: skip


def many(loaded: HfModel, batch: int, prompt: int, tokens: int) -> dict:
    """`batch` rationales at the same time, prompts included, the set-up of a batch not."""
    rows, spans = [], []

    def make(count: int, length: int) -> Slots:
        rows.append(count)
        return Slots(loaded.model, count, length)

    def done(_index: int, _ids: list[int], stats) -> None:
        now = time.perf_counter()
        spans.append((now - stats.seconds, now))

    prompts = [random_ids(loaded, prompt, n) for n in range(batch)]
    write_all(make, prompts, batch, tokens, (), done, threading.Event())
    if rows != [batch]:
        return {"batch": batch, "fits": False}
    seconds = max(end for _, end in spans) - min(start for start, _ in spans)
    return {"batch": batch, "fits": True, "seconds": round(seconds, 2), "tokens_per_s": round(batch * tokens / seconds),
            "rationales_per_s": round(batch / seconds, 2)}  # fmt: skip


def random_ids(loaded: HfModel, count: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, loaded.model.config.vocab_size, (count,), generator=generator).tolist()


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a toy shape, to try the benchmark itself")
    parser.add_argument("--prompt", type=int, default=200, help="tokens of a prompt (default 200)")
    parser.add_argument("--tokens", type=int, default=300, help="tokens of a rationale (default 300)")
    parser.add_argument("--runs", type=int, default=5, help="rationales of the single stream (default 5)")
    parser.add_argument("--batches", default="1,2,4,8,16,32,64,128", help="texts at the same time")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile (a minute or more)")
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/gpu_student.json; with --tiny none")
    return parser


def main(args: argparse.Namespace) -> dict:
    """Measures, prints as it goes and writes the JSON.

    Raises:
        SlimError: there is no CUDA GPU, or it is too small.
    """
    if args.device == "cuda" and not torch.cuda.is_available():
        raise SlimError("This benchmark needs a CUDA GPU, and PyTorch finds none. To try its steps on a toy model: "
                        "python -m benchmarks.gpu_student --tiny --device cpu")  # fmt: skip
    if args.device == "cpu" and not args.tiny:
        raise SlimError("A 7B model on a CPU would take hours: add --tiny, or use a machine with a CUDA GPU.")
    device = args.device
    result: dict = {
        "machine": torch.cuda.get_device_name() if device == "cuda" else "CPU",
        "torch": torch.__version__,
        "shape": "toy" if args.tiny else "LLaMA2-7B",
        "prompt_tokens": args.prompt,
        "new_tokens": args.tokens,
    }
    rate = bandwidth(device, 2**26 if args.tiny else 2**32)
    try:
        loaded = random_model(TINY if args.tiny else LLAMA2_7B, device)
    except torch.OutOfMemoryError:
        raise SlimError("The weights (13.5 GB) do not fit into the GPU's memory. Use a larger GPU.") from None
    weights = bytes_per_token(loaded.model)
    result |= {"bandwidth_gb_per_s": round(rate / 1e9), "weights_gb": round(weights / 1e9, 3),
               "floor_ms_per_token": round(1e3 * weights / rate, 3), "one_stream": {}, "batches": []}  # fmt: skip
    print(json.dumps(result))
    for name, mode in MODES.items():
        if not (mode[0] and device == "cpu") and not (mode[1] and args.no_compile):
            figures = one_stream(loaded, mode, args.prompt, args.tokens, args.runs)
            figures["share_of_floor"] = round(figures["tokens_per_s"] * weights / rate, 3)
            if not args.tiny:
                figures["times_faster_than_paper"] = round(PAPER_SECONDS / figures["rationale_s"], 2)
            result["one_stream"][name] = figures
            print(f"one stream, {name}: {json.dumps(figures)}", flush=True)
    for batch in (int(n) for n in args.batches.split(",")):
        if device == "cuda":
            torch.cuda.empty_cache()
        result["batches"].append(many(loaded, batch, args.prompt, args.tokens))
        print(json.dumps(result["batches"][-1]), flush=True)
    if device == "cuda":
        result["peak_memory_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 1)
    out = args.out or (None if args.tiny else ROOT / "benchmarks/results/gpu_student.json")
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    return result


if __name__ == "__main__":
    try:
        main(make_parser().parse_args())
    except SlimError as error:
        sys.exit(str(error))
