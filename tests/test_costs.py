"""Seconds and USD for 1,000 users, by hand."""

from __future__ import annotations

import json

import pytest
from toy_world import row, world, write

from slim_app.errors import SlimError
from training.costs import student_cost, teacher_cost
from training.dataset import read_dataset
from training.teacher.prices import Price


def meta_file(file, **run):
    file.write_text(json.dumps({"model": "s", "engine": "transformers", "device": "CPU", "last_run": run}), "utf-8")
    return file


def test_the_students_cost_by_hand(tmp_path):
    first = meta_file(tmp_path / "0.json", rationales=100, tokens=18000, seconds=50.0)
    second = meta_file(tmp_path / "1.json", rationales=60, tokens=12000, seconds=60.0)
    found = student_cost([first, second], 0.36)  # 2 + 1 rationales a second; 0.0001 USD a second
    assert found["seconds_per_1000_users"] == pytest.approx(1000 / 3, abs=0.1)
    assert found["usd_per_1000_users"] == pytest.approx(0.0333, abs=1e-4)
    assert found["measured_rationales"] == 160 and found["tokens_per_rationale"] == 187.5
    assert student_cost([first], None)["usd_per_1000_users"] is None
    first.write_text(json.dumps({"rationales": 10}), "utf-8")
    with pytest.raises(SlimError, match="a merged file no longer has the times"):
        student_cost([first], None)
    with pytest.raises(SlimError, match="wrote no rationale"):
        student_cost([meta_file(first, rationales=0, tokens=0, seconds=0.0)], None)


def test_the_teachers_cost_by_hand(tmp_path):
    world(tmp_path / "toys")
    dataset = read_dataset(tmp_path / "toys")
    usage = {"prompt_tokens": 300, "completion_tokens": 200}
    rows = [row("u1", 3, ["A"], usage=usage, seconds=2.0), row("u2", 3, ["A"], usage=usage, seconds=4.0),
            row("u2", 4, [], usage=usage, problem="no step 3")]
    write(tmp_path / "teacher.jsonl", rows)
    found = teacher_cost(tmp_path / "teacher.jsonl", dataset, Price(0.5, 1.5, "test"))
    # three requests for two rationales: 450 and 300 tokens each
    assert found["usd_per_1000_users"] == pytest.approx((450 * 0.5 + 300 * 1.5) / 1000)
    assert found["seconds_per_1000_users"] == 3000 and found["requests_estimated"] == 0
    write(tmp_path / "bare.jsonl", [row("u1", 3, ["A"])])
    found = teacher_cost(tmp_path / "bare.jsonl", dataset, None)
    assert found["requests_estimated"] == 1 and found["prompt_tokens_per_rationale"] > 100
    assert found["usd_per_1000_users"] is found["seconds_per_1000_users"] is None
