"""prepare_data: k-core, repeats, sample and splits; and what a kill, a full disk or a second run lead to."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slim_app.errors import SlimError
from tests.review_files import pack, prepare, review_2018, sequences, toys
from training import prepare_data
from training.reviews import dataset_writer, kcore
from training.reviews.working_file import Work, _in_words, megabytes

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def amazon(tmp_path) -> Path:
    return toys(tmp_path)


# ---- k-core, repeats, sample, splits --------------------------------------------------------------------------------


def test_k_core_by_hand(tmp_path) -> None:
    """2-core: item 4 goes, so C has one left and goes, so item 3 has one left and goes; A and B keep 1 and 2."""
    pairs = ["A1", "A2", "A3", "B1", "B2", "C3", "C4", "C4"]
    reviews = pack(tmp_path / "x.json", [review_2018(p[0], p[1], n) for n, p in enumerate(pairs)])
    meta = prepare(reviews, "--k-core", 2, "--min-title", 0)
    assert sequences(tmp_path) == {"A": ("1", "2"), "B": ("1", "2")}
    assert [r["pairs"] for r in meta["core_rounds"]] == [7, 6, 5, 4, 4]
    assert meta["skipped"]["repeats"] == 1


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    with Work(tmp_path_factory.mktemp("work"), 600) as opened:
        yield opened


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=60), st.integers(0, 4))
def test_k_core_is_the_one_of_the_definition(work, pairs: list[tuple[int, int]], k: int) -> None:
    rows = ", ".join(f"({user}, {item}, {pos})" for pos, (user, item) in enumerate(pairs))
    work.run(f"CREATE OR REPLACE TABLE interactions AS SELECT * FROM (VALUES {rows}) AS t(uid, iid, pos)")
    left = set(pairs)
    while True:  # one at a time: the order in which weak ones go must not matter
        users, items = ([pair[side] for pair in left] for side in (0, 1))
        weak = next((p for p in sorted(left) if users.count(p[0]) < k or items.count(p[1]) < k), None)
        if weak is None:
            break
        left.discard(weak)
    if left:
        kcore.core(work, k)
        assert set(work.run("SELECT uid, iid, pos FROM edges")) == {(*pair, pairs.index(pair)) for pair in left}
    else:
        with pytest.raises(SlimError, match="is empty"):
            kcore.core(work, k)


@pytest.mark.parametrize(("flag", "expected"), [("first", ("1", "2")), ("keep", ("1", "2", "1"))])
def test_repeats(tmp_path, flag: str, expected: tuple[str, ...]) -> None:
    reviews = pack(tmp_path / "x.json", [review_2018("A", "1", 9), review_2018("A", "2", 5), review_2018("A", "1", 1)])
    prepare(reviews, "--k-core", 0, "--min-title", 0, "--repeats", flag)
    assert sequences(tmp_path) == {"A": expected}


def test_the_sample_is_the_one_that_the_method_states(tmp_path) -> None:
    users = [f"{'A' if n % 3 else 'a'}{n * 7919 % 1000}" for n in range(200)]
    rows = [review_2018(user, f"I{n % 4}", n) for user in users for n in range(5)]
    reviews = pack(tmp_path / "x.json", rows)
    meta = prepare(reviews, "--k-core", 0, "--min-title", 0, "--users", 30, "--seed", 123)
    assert list(sequences(tmp_path)) == random.Random(123).sample(sorted(users), 30)
    assert meta["sample"] == {"available": 200, "drawn": True}
    prepare(reviews, "--k-core", 0, "--min-title", 0, "--users", 200, "--seed", 5, "--overwrite")
    assert list(sequences(tmp_path)) == random.Random(5).sample(sorted(users), 200)


def test_the_sample_is_not_cored_again(amazon, tmp_path) -> None:
    prepare(amazon, "--users", 2)
    assert [len(s) for s in sequences(tmp_path).values()] == [6, 6]
    with pytest.raises(SlimError, match=r"--users 7, but only 6 are left"):
        prepare(amazon, "--users", 7, out="more")


def test_splits_leave_one_out(tmp_path) -> None:
    pack(tmp_path / "sequences.tsv", ["user_id\titem_ids", "one\ta", "two\ta b", "three\ta b c", "five\ta b c d e"])
    meta = prepare(tmp_path / "sequences.tsv", "--k-core", 0, "--min-title", 0)
    rows = [line.split("\t") for line in (tmp_path / "out" / "splits.tsv").read_text().splitlines()]
    assert rows == [
        ["user_id", "train_position", "valid_position", "test_position"],
        ["one", "", "", ""], ["two", "", "", "1"], ["three", "", "1", "2"], ["five", "2", "3", "4"],
    ]
    stats = meta["statistics"]
    assert (stats["users_without_test_target"], stats["users_without_validation_target"]) == (1, 2)
    assert (stats["length_mean"], stats["length_median"], stats["length_max"]) == (2.75, 2.5, 5)
    assert stats["density"] == pytest.approx(11 / 20)
    assert stats["first_day"] is None


# ---- interrupted, repeated, in the way ------------------------------------------------------------------------------


def test_a_kill_loses_only_the_stage_that_ran(amazon, tmp_path, monkeypatch, caplog) -> None:
    args = ["--reviews", str(amazon), "--out", str(tmp_path / "out"), "--memory", "600MB"]
    code = (f"import os; from training import prepare_data; from training.reviews import kcore; "
            f"kcore.core = lambda *_: os.kill(os.getpid(), {signal.SIGKILL:d}); prepare_data.main({args!r})")
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == -signal.SIGKILL
    assert not (tmp_path / "out" / "sequences.tsv").exists()

    monkeypatch.setattr(prepare_data, "ingest_reviews", None)  # calling it again would fail
    with caplog.at_level("INFO", "prepare_data"):
        meta = prepare(amazon)
    assert caplog.text.count("finished by an earlier run") == 3
    monkeypatch.undo()
    assert meta["statistics"] == prepare(amazon, out="other")["statistics"]
    for name in dataset_writer.TABLES:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("Query interrupted")], ids=["python", "duckdb"])
def test_ctrl_c_says_how_to_go_on(amazon, tmp_path, monkeypatch, error: BaseException) -> None:
    def interrupted(*_: object) -> None:
        with _in_words(tmp_path):
            raise error

    monkeypatch.setattr(dataset_writer, "write_tables", interrupted)
    with pytest.raises(SystemExit, match="The same command continues"):
        prepare_data.main(["--reviews", str(amazon), "--out", str(tmp_path / "out"), "--memory", "600MB"])


def test_a_finished_folder_is_left_alone(amazon, tmp_path, capsys) -> None:
    args = ["--reviews", str(amazon), "--out", str(tmp_path / "out"), "--memory", "600MB"]
    prepare_data.main(args)
    assert json.loads(capsys.readouterr().out)["users"] == 6
    before = (tmp_path / "out" / "items.tsv").stat().st_mtime_ns
    prepare_data.main(args)
    assert (tmp_path / "out" / "items.tsv").stat().st_mtime_ns == before
    with pytest.raises(SystemExit, match=r"holds another dataset .*--overwrite"):
        prepare_data.main([*args, "--k-core", "2"])
    os.utime(amazon, ns=(0, 0))
    with pytest.raises(SystemExit, match="holds another dataset"):
        prepare_data.main(args)


def test_other_flags_reuse_what_was_kept(amazon, tmp_path, monkeypatch) -> None:
    prepare(amazon, "--keep")
    monkeypatch.setattr(prepare_data, "ingest_reviews", None)
    assert prepare(amazon, "--keep", "--overwrite", "--users", 3)["statistics"]["users"] == 3
    assert prepare(amazon, "--overwrite", "--k-core", 0)["core_rounds"] == [{"pairs": 36, "users": 6, "items": 6}]
    assert not (tmp_path / "out" / ".work").exists()


def test_limit_reads_the_first_lines_only(amazon) -> None:
    meta = prepare(amazon, "--limit", 12, "--k-core", 2)
    assert meta["read"]["lines"] == meta["statistics"]["interactions"] == 12
    assert meta["files"][0]["sha256"] is None


def test_a_full_disk(amazon, tmp_path, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(SlimError, match=r"reviews.batch .No space left on device"):
            prepare(amazon)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(SlimError, match=r"Free some space .* continues after the last finished stage"):
            prepare(amazon)
    assert not [file for file in (tmp_path / "out").iterdir() if file.suffix in {".tsv", ".part"}]
    assert prepare(amazon)["statistics"]["users"] == 6


def test_what_is_in_the_way(amazon, tmp_path) -> None:
    with pytest.raises(SlimError, match=r"is a file\. Give --out a folder"):
        prepare(amazon, out=amazon.name)
    (tmp_path / "out" / ".work").mkdir(parents=True)
    (tmp_path / "out" / ".work" / "work.duckdb").write_text("not a database " * 999)
    with pytest.raises(SlimError, match="Remove it and run again"):
        prepare(amazon)
    code = ("from pathlib import Path; from training.reviews.working_file import Work; "
            f"work = Work(Path({str(tmp_path)!r}), 600); print('open', flush=True); input()")
    other = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert other.stdout and other.stdout.readline()
        with pytest.raises(SlimError, match="Another process works in"):
            Work(tmp_path, 600)
    finally:
        other.communicate(b"\n")


def test_sizes() -> None:
    assert [megabytes(text) for text in ("2GB", "1.5 gb", "600MB", "1GiB")] == [2000, 1500, 600, 1073]
