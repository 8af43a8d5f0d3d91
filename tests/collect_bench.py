"""What the tests of collect_rationales share: a dataset, an output file, and the script run on them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.teacher_server import TeacherServer, write_dataset
from training import collect_rationales
from training.teacher import live_mode, pace

ROOT = Path(__file__).resolve().parent.parent
KEY = "sk-Secret-0123456789"
PRICES = ("--price-in", "1", "--price-out", "2")


class Bench:
    """A dataset of ten users, an output file, and the script run on them."""

    def __init__(self, folder: Path, capsys: Any, caplog: Any, servers: ExitStack) -> None:
        self.data, self.out = write_dataset(folder / "toys", 10), folder / "out" / "teacher.jsonl"
        self._capsys, self._caplog, self._servers = capsys, caplog, servers
        self.said = ""

    def serve(self, script: dict[str, list[Any]] | None = None, **more: Any) -> TeacherServer:
        return self._servers.enter_context(TeacherServer(script, **more))

    def flags(self, url: str, *flags: str) -> list[str]:
        return ["--data", str(self.data), "--out", str(self.out), "--url", url, "--model", "m", *flags]

    def run(self, server: TeacherServer | str, *flags: str) -> int:
        """The exit status; `said` then holds everything that was printed and logged. No word of it is the key."""
        url, status = server if isinstance(server, str) else server.url, 0
        self._caplog.clear()
        try:
            collect_rationales.main(self.flags(url, *flags))
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
            self.said = f"{'' if isinstance(end.code, int) else end.code}\n"
        else:
            self.said = ""
        printed = self._capsys.readouterr()
        self.said += printed.out + printed.err + self._caplog.text
        stored = "".join(file.read_text("utf-8") for file in self.out.parent.glob("*"))
        assert KEY not in self.said + stored and "Traceback" not in self.said
        return status

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.read_text("utf-8").split("\n")[:-1]]

    def rows(self) -> dict[str, dict[str, Any]]:
        """The newest row of each user."""
        return {row["user_id"]: row for row in self.lines()}

    @property
    def meta(self) -> dict[str, Any]:
        return json.loads(self.out.with_name("teacher.jsonl.meta.json").read_text("utf-8"))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, caplog: Any) -> Iterator[Bench]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("SLIM_TEACHER_KEY", KEY)
    monkeypatch.setattr(pace, "BACKOFF", 0.02)
    monkeypatch.setattr(live_mode, "GRACE", 0.5)
    caplog.set_level("INFO", "training")
    with ExitStack() as servers:
        yield Bench(tmp_path, capsys, caplog, servers)


def start(bench: Bench, server: TeacherServer, *flags: str, grace: float = 5.0) -> subprocess.Popen[str]:
    """The script as a process of its own; `grace` instead of the five seconds that it waits when stopped."""
    imports = "import sys; from training import collect_rationales; from training.teacher import live_mode; "
    code = f"{imports}live_mode.GRACE = {grace}; "
    return subprocess.Popen(
        [sys.executable, "-c", code + "collect_rationales.main(sys.argv[1:])", *bench.flags(server.url, *flags)],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def write_users(bench: Bench, users: str) -> str:
    file = bench.data.parent / "users.txt"
    file.write_text("\n".join(users.split()) + "\n")
    return str(file)
