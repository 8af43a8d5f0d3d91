"""What several test files share: a hand-fed encoder, a tiny catalogue, and the real parts, loaded once."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from slim_app.catalog import Catalog
from slim_app.domain import Domain, build_domain, load_domains
from slim_app.encoder import TextEncoder
from slim_app.schema import Item
from tests.loopback import DONE, Loopback, stream

ROOT = Path(__file__).resolve().parent.parent


class FakeEncoder:
    """TextEncoder's contract without a model: given vectors for given texts, else one that depends on the text only."""

    def __init__(self, vectors: Mapping[str, Sequence[float]] | None = None, dimension: int = 3) -> None:
        self.name = "fake"
        self.dimension = dimension
        self.vectors = dict(vectors or {})
        self.seen: list[str] = []
        """Every text that was encoded, in order."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.seen += texts
        return np.array([self._vector(text) for text in texts], np.float32).reshape(-1, self.dimension)

    def encode_many(self, texts: Sequence[str], chunk: int = 256) -> Iterator[tuple[int, np.ndarray]]:
        for start in range(0, len(texts), chunk):
            part = self.encode(texts[start : start + chunk])
            yield start + len(part), part

    def _vector(self, text: str) -> np.ndarray:
        if text in self.vectors:
            vector = np.asarray(self.vectors[text], float)
        else:
            seed = int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8], "big")
            vector = np.random.default_rng(seed).normal(size=self.dimension)
        return vector / np.linalg.norm(vector)


def make_domain(items: Sequence[Item], encoder, name: str = "tiny") -> Domain:
    """A domain of these items, as for a visitor who brings them."""
    *_, domain = build_domain(name, name.capitalize(), items, encoder)
    return domain


TINY = (
    Item("G1", "Gran Turismo 7 - PlayStation 5", "Sony", "Racing Games"),
    Item("G2", "EA Sports F1 23 - PlayStation 5", "EA Sports", "Racing Games"),
    Item("G3", "Forza Horizon 5 - Xbox Series X", "Microsoft", "Racing Games"),
    Item("G4", "Stardew Valley - Nintendo Switch", "ConcernedApe", "Farming Sims"),
    Item("G5", "Minecraft - Nintendo Switch", "Mojang", "Sandbox"),
    Item("G6", "Minecraft - Xbox One", "Mojang", "Sandbox"),
    Item("G7", "Logitech G29 Driving Force", "Logitech", "Racing Wheels"),
    Item("G8", "Wired Stereo Headset, Black", "Simple", "Headsets"),
)


@pytest.fixture
def tiny_catalog() -> Catalog:
    return Catalog("tiny", TINY)


@pytest.fixture
def fake_encoder() -> FakeEncoder:
    return FakeEncoder(dimension=16)


@pytest.fixture
def tiny_domain(fake_encoder) -> Domain:
    return make_domain(TINY, fake_encoder)


@pytest.fixture(scope="session")
def encoder() -> TextEncoder:
    return TextEncoder()


@pytest.fixture(scope="session")
def domains(encoder) -> dict[str, Domain]:
    return load_domains([ROOT / "assets" / "domains"], encoder)


@pytest.fixture(scope="session")
def engine():
    """The embedded llama.cpp engine with its untuned base. One thread: several wait for each other on busy cores."""
    from slim_app.reasoners.engine import Engine

    return Engine(slots=4, threads=1)


# -- the real app in a process of its own, and a browser that watches what its pages do ------------------

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
PATIENCE = 60_000
"""Milliseconds that a page may take: an upper bound for a busy machine, never something that is measured."""
STREAMS = "performance.getEntriesByType('resource').filter((e) => e.name.includes('/queue/data')).length"
"""Event streams of a page that have ended. Two runs may leave the same page: only the stream shows that both were."""


class App:
    """`python app.py` on a free port; a context manager. `lines` is what it printed."""

    def __init__(self, *flags: str, env: Mapping[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="slim-test-")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url, self.lines = f"http://127.0.0.1:{port}/", []
        self._ready = threading.Event()
        # what a developer's shell sets for the app must not change what is tested
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLIM_", "GRADIO_"))}
        self._process = subprocess.Popen(
            [sys.executable, "-u", "app.py", "--port", str(port), "--data", self._folder.name, *flags],
            cwd=ROOT, env={**kept, "HF_HUB_OFFLINE": "1", "no_proxy": "127.0.0.1", **(env or {})},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self.lines.append(line)
            if "SLIM is ready" in line:
                self._ready.set()
        self._ready.set()  # it ended: waiting any longer is of no use

    def __enter__(self) -> App:
        self._ready.wait(120)
        if not any("SLIM is ready" in line for line in self.lines):
            self.__exit__()
            pytest.fail("The app did not start:\n" + "".join(self.lines))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reader.join(15)
        self._process.stdout.close()
        self._process.wait(15)
        self._folder.cleanup()


start_app = App


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Tiny products in one thread: two of them would only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def app_url() -> Iterator[str]:
    """The app as it starts without flags."""
    with start_app() as app:
        yield app.url


IMAGE = "<img src=x onerror=\"window.taken=1;alert('taken')\">"
"""Taken for markup, it would run: nothing that somebody names may."""
TEACHER_KEY = "sk-Operator-0123456789"


@pytest.fixture(scope="session")
def narrow() -> Iterator[tuple[App, Loopback]]:
    """The app with one place to write in, a teacher that tests script, and a log that says everything."""
    with Loopback(stream(DONE)) as teacher:
        flags = ("--slots", "1", "--log-level", "DEBUG", "--machine-price", "0.4")
        theirs = ("--teacher-url", teacher.url, "--teacher-model", IMAGE)
        with start_app(*flags, *theirs, env={"SLIM_TEACHER_KEY": TEACHER_KEY}) as app:
            yield app, teacher


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium of the system, driven by playwright. Its loop lives in this thread: no asyncio.run in these modules."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        reason = f"no browser found (looked for {', '.join(BROWSERS)})"
        (pytest.fail if os.environ.get("SLIM_REQUIRE_BROWSER") == "1" else pytest.skip)(reason)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=BROWSER_FLAGS)
        yield chromium
        chromium.close()


class Visitor:
    """One person with one tab: an own browser context. `faults` holds what must never happen on a page."""

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.context.set_default_timeout(PATIENCE)
        self.context.add_init_script("performance.setResourceTimingBufferSize(10000)")
        self.touch, self.faults = bool(options.get("has_touch")), []
        self.page = page = self.context.new_page()
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("console", lambda line: self.faults.append(f"console: {line.text}") if line.type == "error" else None)
        page.on("request", lambda request: self._check(request.url))
        page.on("dialog", lambda dialog: (self.faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        with page.expect_request("**/heartbeat/**"):  # from then on the server notices when the tab is closed
            page.goto(url)
        page.locator("#history, #samples button").last.wait_for()

    def _check(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"data", "blob"} and parts.hostname != "127.0.0.1":
            self.faults.append(f"request to {url}")

    @property
    def titles(self) -> list[str]:
        """The purchases as the page shows them."""
        return self.page.locator("#history .name bdi").all_inner_texts()

    @property
    def ranked(self) -> list[str]:
        return self.page.locator("#ranking .rec .title").all_inner_texts()

    def run(self) -> None:
        """Press the button and wait until the run has ended, however it ends."""
        self.start()
        self.ended()

    def start(self) -> None:
        self.watch()
        self.press(self.page.locator("#run"))

    def watch(self) -> None:
        """What `ended` waits for begins after this."""
        self._streams = self.page.evaluate(STREAMS)

    def ended(self) -> None:
        """Wait until the run that `start` began has ended and is drawn."""
        self.page.wait_for_function(f"{STREAMS} > {self._streams}")
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        self.page.locator("#reasoning:not(:has([aria-busy=true]))").wait_for()

    def press(self, target: Any) -> None:
        """A tap on a touch screen, else a click: a mouse left over a tapped page would send events of its own."""
        (target.tap if self.touch else target.click)()

    def option(self, group: str, label: str) -> None:
        """Choose a radio button of the options."""
        if not self.page.locator("#ranker").is_visible():
            self.press(self.page.get_by_role("button", name="Options"))
        self.press(self.page.locator(group).get_by_text(label, exact=True))


@pytest.fixture
def visit(browser: Any, app_url: str) -> Iterator[Callable[..., Visitor]]:
    """Opens pages; at the end no error, dialog or foreign request may have happened on any of them."""
    visitors: list[Visitor] = []

    def open_page(url: str = app_url, **options: Any) -> Visitor:
        visitors.append(Visitor(browser, url, **options))
        return visitors[-1]

    yield open_page
    for visitor in visitors:
        visitor.context.close()
    assert [fault for visitor in visitors for fault in visitor.faults] == []
