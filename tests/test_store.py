"""The file of rationales: whatever happens to its writer, every stored row is whole and is found again."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from slim_app.errors import SlimError
from slim_app.prompts import PROMPT_VERSION
from training.store import RationaleStore, beside, key_of, write_json

ROOT = Path(__file__).resolve().parent.parent


def row(user: str, **more: Any) -> dict[str, Any]:
    return {"user_id": user, "upto": 2, "prompt_version": PROMPT_VERSION, "model": "m", **more}


def stored(file: Path) -> list[dict[str, Any]]:
    with RationaleStore(file) as store:
        return list(store.rows.values())


def fails(file: Path) -> str:
    with pytest.raises(SlimError) as caught:
        RationaleStore(file)
    assert str(file) in str(caught.value)
    return str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new" / "rows.jsonl"


def test_rows_are_found_again_and_the_newest_of_a_key_wins(file: Path) -> None:
    with RationaleStore(file) as store:
        store.append(row("a", problem="no steps"))
        store.append(row("b", text="Größe “L”\nüber zwei Zeilen"))
        store.append(row("a", text="better"))
        assert store.rows[key_of(row("a"))]["text"] == "better"
    assert [r.get("text") for r in stored(file)] == ["better", "Größe “L”\nüber zwei Zeilen"]
    assert len(file.read_bytes().splitlines()) == 3


def test_half_a_character_does_not_stop_it(file: Path) -> None:
    with RationaleStore(file) as store:
        store.append(row("a", text="\ud83d!"))
    assert stored(file)[0]["text"] == "?!"


@pytest.mark.parametrize("cut", ['{"user_id": "c", "up', '{"user_id": "c"}', "x" * 200_000, "\0" * 9])
def test_a_cut_last_line_is_removed_and_said(file: Path, cut: str, caplog: pytest.LogCaptureFixture) -> None:
    with RationaleStore(file) as store:
        store.append(row("a"))
    whole = file.read_bytes()
    file.write_bytes(whole + cut.encode())
    assert [r["user_id"] for r in stored(file)] == ["a"]
    assert file.read_bytes() == whole and "last line was cut off" in caplog.text
    file.write_text(cut)  # nothing but a cut line
    assert stored(file) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{broken", "line 2: not valid JSON"),
        ("[1]", "line 2: not a JSON object"),
        ('{"user_id": "a"}', "line 2: a stored rationale needs user_id, upto"),
        (json.dumps(row("b", upto="two")), "line 2: a stored rationale needs"),
        (json.dumps(row("b", prompt_version="0")), "line 2: written for prompt version '0'"),
    ],
)
def test_a_bad_line_is_named(file: Path, line: str, words: str) -> None:
    file.parent.mkdir()
    file.write_text(f"{json.dumps(row('a'))}\n{line}\n{json.dumps(row('c'))}\n")
    before = file.read_bytes()
    assert words in fails(file) and file.read_bytes() == before
    file.write_bytes(b'{"user_id": "\xff"}\n')
    assert "UTF-8" in fails(file)


def test_an_empty_file_is_a_start(file: Path) -> None:
    file.parent.mkdir()
    file.touch()
    assert stored(file) == []


def test_two_writers_are_refused_until_the_first_has_ended(file: Path) -> None:
    with RationaleStore(file):
        assert "Another process is writing" in fails(file)
    assert stored(file) == []


def test_what_is_no_file_or_cannot_be_written_is_said(file: Path, tmp_path: Path) -> None:
    assert "not a file that can hold rows" in fails(Path("/dev/full"))
    assert "Choose another --out" in fails(tmp_path)
    (tmp_path / "plain").touch()
    assert "Choose another --out" in fails(tmp_path / "plain" / "rows.jsonl")


class NearlyFull:
    """A disk with room for `left` bytes."""

    def __init__(self, stream: Any, left: int) -> None:
        self._stream, self.left = stream, left

    def write(self, data: bytes) -> int:
        if not self.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = bytes(data[: self.left])
        self.left -= len(part)
        return self._stream.write(part)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def test_a_full_disk_leaves_whole_rows_and_writing_goes_on_when_there_is_room(file: Path) -> None:
    with RationaleStore(file) as store:
        store.append(row("a"))
        store._stream = disk = NearlyFull(store._stream, 30)
        with pytest.raises(SlimError, match=r"No space left on device.*Free some space"):
            store.append(row("b"))
        assert key_of(row("b")) not in store.rows
        assert len(file.read_bytes().splitlines()) == 1 and file.read_bytes().endswith(b"\n")
        disk.left = 10_000
        store.append(row("c"))
    assert [r["user_id"] for r in stored(file)] == ["a", "c"]


def test_the_limit_of_the_operating_system_is_a_full_disk(file: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; from training.store import RationaleStore\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "store = RationaleStore(Path(sys.argv[1]))\n"
        f"for n in range(99): store.append({{**{row('x')!r}, 'user_id': str(n)}})\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(file)], cwd=ROOT, capture_output=True, text=True)
    assert "SlimError: Cannot write" in ended.stderr and "File too large" in ended.stderr
    rows = stored(file)
    assert 5 < len(rows) < 20 and file.stat().st_size <= 1000


def test_threads_do_not_mix_their_lines(file: Path) -> None:
    with RationaleStore(file) as store:
        def work(name: str) -> None:
            for n in range(50):
                store.append(row(f"{name}{n}", text=name * 5_000))

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(stored(file)) == 200


def test_kill_9_leaves_whole_rows(file: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from training.store import RationaleStore\n"
        "store = RationaleStore(Path(sys.argv[1]))\n"
        f"for n in range(10**9): store.append({{**{row('x')!r}, 'user_id': str(n), 'text': 'y' * 3000}})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(file)], cwd=ROOT)
    end = time.monotonic() + 60
    while not file.exists() or file.stat().st_size < 100_000:
        assert time.monotonic() < end
        time.sleep(0.01)
    process.kill()
    process.wait()
    rows = stored(file)
    assert [r["user_id"] for r in rows] == [str(n) for n in range(len(rows))] and len(rows) > 25


def test_a_companion_is_replaced_as_a_whole(tmp_path: Path) -> None:
    file = beside(tmp_path / "rows.jsonl", "meta")
    write_json(file, {"a": 1})
    write_json(file, {"a": 2})
    assert file.name == "rows.jsonl.meta.json" and json.loads(file.read_text()) == {"a": 2}
    assert os.listdir(tmp_path) == [file.name]
    with pytest.raises(SlimError, match=r"Cannot write .*Free some space"):
        write_json(tmp_path / "none" / "x.json", {})
