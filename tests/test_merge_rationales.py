"""Parts of a generation become one file, whatever their order, and only parts of one generation do."""

from __future__ import annotations

import gzip
import json

import pytest

from slim_app.errors import SlimError
from training.files import read_jsonl
from training.merge_rationales import SAME, main, merge

FACTS = {key: "x" for key in SAME} | {"model": "m", "prompt_version": "1"}


def part(file, *rows, **facts):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (file.parent / f"{file.name}.meta.json").write_text(json.dumps(FACTS | facts), "utf-8")
    return file


def row(user: str, upto: int = 3, **more):
    return {"user_id": user, "upto": upto, "prompt_version": "1", "model": "m", "step1": "S", "text": "T", **more}


def test_parts_are_merged_by_key_and_sorted(tmp_path):
    first = part(tmp_path / "a.jsonl", row("u10"), row("u2", tokens=5, finish_reason="stop"))
    second = part(tmp_path / "b.jsonl", row("u2", 4), row("u10", step1="newer"), row("u3", model="older student"))
    rows, facts = merge([first, second])
    assert [(r["user_id"], r["upto"]) for r in rows] == [("u2", 3), ("u2", 4), ("u10", 3)]
    assert rows[2]["step1"] == "newer" and facts["model"] == "m"
    assert rows[0] == {"user_id": "u2", "upto": 3, "prompt_version": "1", "model": "m", "step1": "S", "tokens": 5}


def test_a_row_with_a_problem_keeps_its_text(tmp_path):
    rows, _ = merge([part(tmp_path / "a.jsonl", row("u", problem="no Step 3"))])
    assert rows[0]["text"] == "T"


def test_a_packed_file_reads_as_it_was_written(tmp_path):
    file = part(tmp_path / "a.jsonl", row("u1"), row("u2", step1="Ü"))
    out = tmp_path / "assets/all.jsonl.gz"
    main([str(file), "--out", str(out)])
    packed = out.read_bytes()
    assert [r["user_id"] for _, r in read_jsonl(out)] == ["u1", "u2"]
    main([str(file), "--out", str(out)])
    assert out.read_bytes() == packed  # nothing of the time or place is in it
    meta = json.loads((out.parent / "all.jsonl.gz.meta.json").read_text("utf-8"))
    assert meta["rationales"] == 2 and meta["users"] == 2 and meta["bytes"] == len(packed)


def test_a_packed_file_that_is_cut_off_says_so(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n' * 1000)[:-20])
    with pytest.raises(SlimError, match="that it is whole"):
        list(read_jsonl(tmp_path / "a.jsonl.gz"))


@pytest.mark.parametrize("facts", [{"model": "other"}, {"engine": "llama.cpp"}])
def test_parts_of_different_generations_are_refused(tmp_path, facts):
    first, second = part(tmp_path / "a.jsonl", row("u1")), part(tmp_path / "b.jsonl", row("u2"), **facts)
    with pytest.raises(SlimError, match=f"{next(iter(facts))} = "):
        merge([first, second])


def test_a_part_without_its_meta_and_an_empty_part(tmp_path):
    (tmp_path / "a.jsonl").write_text("", "utf-8")
    with pytest.raises(SlimError, match="missing or damaged"):
        merge([tmp_path / "a.jsonl"])
    with pytest.raises(SlimError, match="hold no rationale"):
        merge([part(tmp_path / "a.jsonl")])
