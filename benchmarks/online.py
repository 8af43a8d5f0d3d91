"""How fast the online path is, measured through the running app. Figures for the README.

    python -m benchmarks.online        two to three minutes on two cores; writes benchmarks/results/online.json

1. start: `python app.py` until the page answers, and its memory (all domains, after the runs)
2. one visitor: time to the first token and to the whole rationale, through the API, 10-item histories
3. decoding through the app against the bare engine, alternating in the same run (a ratio holds better than figures)
4. ranking after the last token, evidence included, 10,000 items, every ranker
5. eight visitors at once: all finish, when each gets its first token, and their tokens/s together
6. the page itself in headless Chromium (it shares the cores): from the click to the first word and to the last mark
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np

from slim_app.catalog import Catalog
from slim_app.domain import Domain, load_domains
from slim_app.encoder import TextEncoder
from slim_app.reasoners.engine import Engine
from slim_app.reasoners.llama_cpp import LlamaCppReasoner
from slim_app.reasoners.students import read_student
from slim_app.recommenders.index import build_index
from slim_app.recommenders.rank import rank
from slim_app.recommenders.text_match import RANKERS
from slim_app.schema import Item, Rationale, RunStats
from slim_app.services import STUDENTS

ROOT = Path(__file__).resolve().parent.parent
ITEMS_TO_RANK = 10_000


def browser_path() -> str | None:
    """The system's Chromium, if there is one."""
    return shutil.which("chromium") or shutil.which("google-chrome")


def open_browser(play):
    """Headless Chromium under an open playwright, without traffic of its own."""
    flags = ["--no-sandbox", "--disable-background-networking"]
    return play.chromium.launch(executable_path=browser_path(), args=flags)


class App:
    """The real app in its own process."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"
        started = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "app.py", "--port", str(port)], cwd=ROOT, stdout=subprocess.DEVNULL
        )
        while True:
            try:
                urllib.request.urlopen(self.url, timeout=1).read()
                break
            except OSError:
                time.sleep(0.05)
        self.seconds_to_start = time.perf_counter() - started

    def memory_mb(self) -> float:
        """Resident memory now, in MB (10^6 bytes)."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def ask(url: str, history: list[str], domain: str = "games") -> dict:
    """One visitor: seconds to the first token and to the end as the client sees them, and the server's stats."""
    from gradio_client import Client

    client = Client(url, verbose=False)
    start = time.perf_counter()
    first = last = 0.0
    state = {}
    for state in client.submit(history, domain, "reasoning", 10, "student", api_name="/recommend"):
        last = time.perf_counter() - start
        if not first and state["rationale"]["text"]:
            first = last
    return {"first": first, "total": last, **state["stats"]}


def ten_item_histories(domain: Domain, count: int) -> list[list[Item]]:
    """Ten purchases each: neighbouring sample shoppers' histories put together."""
    bought = [item for shopper in domain.shoppers for item in domain.history(shopper)]
    return [bought[n * 10 : n * 10 + 10] for n in range(count)]


def one_visitor(url: str, engine: Engine, tuned: bool, histories: list[list[Item]]) -> dict:
    """App and bare engine in turn on the same histories."""
    reasoner = LlamaCppReasoner(engine, tuned)
    app, bare = [], []
    ask(url, [item.id for item in histories[-1]])  # both warm
    "".join(reasoner.stream(histories[-1], RunStats()))
    for history in histories[:-1]:
        app.append(ask(url, [item.id for item in history]))
        stats = RunStats()
        "".join(reasoner.stream(history, stats))
        bare.append(stats)
    ratios = [a["tokens_per_second"] / b.tokens_per_second for a, b in zip(app, bare, strict=True)]
    return {
        "histories": len(app),
        "first_token_s": spread(a["first"] for a in app),
        "whole_rationale_s": spread(a["total"] for a in app),
        "tokens": spread(a["tokens"] for a in app),
        "app_tokens_per_s": spread(a["tokens_per_second"] for a in app),
        "bare_engine_tokens_per_s": spread(b.tokens_per_second for b in bare),
        "app_over_bare": spread(ratios),
    }


def ranking(encoder: TextEncoder, repeats: int = 20) -> dict:
    """Milliseconds from the last token to the list: one new segment to encode, 10,000 items to score and explain."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(ITEMS_TO_RANK, encoder.dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    items = [Item(f"i{n}", f"Product {n}") for n in range(ITEMS_TO_RANK)]
    domain = Domain("bench", "Bench", Catalog("bench", items), vectors, vectors[:0], build_index(vectors))
    history = items[:10]
    figures = {}
    for name, ranker in RANKERS.items():
        took = []
        for turn in range(repeats):
            texts = [f"{name} product number {turn} {n}" for n in range(5)]
            before = Rationale(("You like racing games.",), tuple(f"Category {n}" for n in range(5)), tuple(texts[:4]))
            rank(history, before, domain, encoder, ranker, 10)  # what streaming had encoded before the last token
            start = time.perf_counter()
            rank(history, Rationale(before.step1, before.step2, tuple(texts)), domain, encoder, ranker, 10)
            took.append(1000 * (time.perf_counter() - start))
        figures[name] = spread(took)
    return figures


def together(url: str, histories: list[list[Item]]) -> dict:
    """All visitors start at the same moment."""
    answers: list[dict] = []
    barrier = threading.Barrier(len(histories))

    def visit(history: list[Item]) -> None:
        barrier.wait()
        answers.append(ask(url, [item.id for item in history]))

    start = time.perf_counter()
    threads = [threading.Thread(target=visit, args=(history,)) for history in histories]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - start
    tokens = sum(a["tokens"] for a in answers)
    return {
        "visitors": len(histories),
        "finished": len(answers),
        "first_token_s": spread(a["first"] for a in answers),
        "whole_rationale_s": spread(a["total"] for a in answers),
        "tokens_per_s_together": round(tokens / seconds, 1),
    }


WATCH = """() => new Promise((done) => {
  const start = performance.now(), times = {};
  new MutationObserver(() => {
    if (!times.first && document.querySelector('#reasoning .seg')) times.first = performance.now() - start;
    if (document.querySelector('#ranking a[download]')) { times.total = performance.now() - start; done(times); }
  }).observe(document.body, { childList: true, subtree: true, characterData: true });
  document.querySelector('#run').click();
})"""


def in_browser(url: str, histories: list[list[Item]]) -> dict | None:
    """Seconds from the click to the first word and to the finished list; None where there is no Chromium."""
    if not browser_path():
        return None
    from playwright.sync_api import sync_playwright

    seen = []
    with sync_playwright() as play:
        browser = open_browser(play)
        for history in histories:
            page = browser.new_page()
            page.goto(url)
            page.click("#history [data-act=clear]")
            page.wait_for_selector("#history .empty")
            page.locator("#paste-panel button").first.click()
            page.fill("#paste textarea", "\n".join(item.title for item in history))
            page.click("#paste-add")
            page.wait_for_function(f"document.querySelectorAll('#history li').length == {len(history)}")
            seen.append(page.evaluate(WATCH))
            page.close()
        browser.close()
    return {key: spread(times[key] / 1000 for times in seen) for key in ("first", "total")}


def spread(values) -> dict:
    """min, median, max."""
    values = sorted(values)
    return {"min": round(values[0], 3), "median": round(statistics.median(values), 3), "max": round(values[-1], 3)}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=10, help="10-item histories for one visitor (default 10)")
    parser.add_argument("--visitors", type=int, default=8, help="visitors at once (default 8)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/online.json")
    return parser


def main(args: argparse.Namespace) -> dict:
    encoder = TextEncoder()
    encoder.load()
    result: dict = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"}
    result["ranking_ms_10000_items"] = ranking(encoder)
    domain = load_domains([ROOT / "assets/domains"], encoder)["games"]
    App().close()  # fills the disk cache
    app = App()
    try:
        result["start_s"] = round(app.seconds_to_start, 2)
        student = read_student("smollm2-135m", STUDENTS)
        result["student"] = student.name if student else "untuned base"
        engine = Engine(adapter=student.adapter if student else None)
        engine.warm_up()
        histories = ten_item_histories(domain, args.histories + 1)
        result["one_visitor"] = one_visitor(app.url, engine, student is not None, histories)
        alone = [ask(app.url, [i.id for i in h]) for h in histories[:2]]
        result["one_visitor_tokens_per_s_with_prompt"] = round(
            sum(a["tokens"] for a in alone) / sum(a["total"] for a in alone), 1
        )
        result["together"] = together(app.url, ten_item_histories(domain, 30)[-args.visitors :])
        result["page_s"] = in_browser(app.url, histories[:5])
        result["memory_mb"] = round(app.memory_mb())
    finally:
        app.close()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result, indent=2))
    return result


if __name__ == "__main__":
    main(make_parser().parse_args())
