"""Rationale evaluation by hand: measures of one text, ranks of targets, and a report whose answer is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import FakeEncoder

from slim_app.errors import SlimError
from slim_app.quality import form
from slim_app.rationale import format_rationale, parse
from slim_app.schema import Item
from training import evaluate_rationales, writers
from training.dataset import read_dataset
from training.next_item import make_case, rank_targets
from training.rationale_quality import likeness, top_overlap
from training.writers import LEAD, Evaluation, Written, cases_of, domain_of, evaluate, read_writer

ITEMS, USERS = 130, 6
STEP2 = ["Puzzles", "Racing", "Farming", "Music", "Sports"]


def rationale(products: list[str]) -> str:
    return format_rationale("You like things.", STEP2, products)


@pytest.fixture
def data(tmp_path):
    """Six users of five purchases each from 130 titles; each user's target is the fifth."""
    folder = tmp_path / "toys"
    folder.mkdir()
    titles = "".join(f"i{n}\tTitle number {n}\n" for n in range(ITEMS))
    (folder / "items.tsv").write_text("item_id\ttitle\n" + titles, "utf-8")
    users = "".join(f"u{u}\t" + " ".join(f"i{u * 10 + n}" for n in range(5)) + "\n" for u in range(USERS))
    (folder / "sequences.tsv").write_text("user_id\titem_ids\n" + users, "utf-8")
    return folder


def jsonl(file, rows) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def test_measures_of_a_rationale():
    history = [Item("1", "Old Game!"), Item("2", "Tetris")]
    text = rationale(["Old game", "New game", "new Game!", "Other", "Third"])
    found = form(parse(text), text, history)
    assert found["valid"] == 1 and found["distinct_products"] == 4 and found["distinct_categories"] == 5
    assert found["repeats_history"] == 1 and found["repeated_products"] == pytest.approx(0.2)
    cut = parse(text, cut=True)
    assert form(cut, text, history)["valid"] == 0
    four = rationale(["A b", "C d", "E f", "G h"])
    assert form(parse(four), four, history)["valid"] == 0
    assert form(parse("nothing"), "nothing", history)["repeated_ngrams"] == 0
    again = "a b c d a b c d"  # runs: abcd bcda cdab dabc abcd → one of five had been there
    assert form(parse(again), again, history)["repeated_ngrams"] == pytest.approx(0.2)


def test_likeness_is_one_for_the_same_text_and_zero_without_products():
    encoder = FakeEncoder(dimension=8)
    one = parse(rationale(["A", "B", "C", "D", "E"]))
    same = likeness(one, one, encoder)
    assert same["cosine_to_teacher"] == pytest.approx(1) and same["product_cosine_to_teacher"] == pytest.approx(1)
    assert likeness(parse("Step 1: Hm."), one, encoder)["product_cosine_to_teacher"] == 0


def test_overlap_of_the_first_items():
    a, b = np.arange(20.0), np.arange(20.0)
    assert top_overlap(a, b) == 1
    b[[19, 18]] = -1
    assert top_overlap(a, b) == pytest.approx(0.8)


def test_a_case_holds_the_target_first_and_never_a_later_purchase():
    case = make_case("u", [3, 7, 9, 11], 2, ITEMS)
    assert case.target == 9 and case.seen.tolist() == [3, 7]
    assert case.candidates.shape == (5, 101) and (case.candidates[:, 0] == 9).all()
    assert not set(case.candidates[:, 1:].ravel().tolist()) & {3, 7, 9, 11}


def test_a_target_that_was_bought_before_is_still_a_candidate():
    case = make_case("u", [3, 7, 3], 2, ITEMS)
    assert case.target == 3 and case.seen.tolist() == [7]


def test_ranks_of_targets_by_hand():
    case = make_case("u", [0, 1, 2], 2, ITEMS)
    scores = np.zeros(ITEMS)
    scores[[2, 0, 1]] = 0.5, 0.9, 0.9  # what was bought is no rival
    found = rank_targets([case], [scores])
    assert found.full.tolist() == [1] and found.sampled.tolist() == [[1] * 5]
    scores[50:60] = 0.7
    assert rank_targets([case], [scores]).full.tolist() == [11]
    report = rank_targets([case], [scores]).as_dict()
    assert report["full"] == {"ndcg@10": 0, "hr@10": 0, "hr@20": 100}


def test_a_report_whose_answer_is_known(data, tmp_path):
    dataset, encoder = read_dataset(data), FakeEncoder(dimension=64)
    wanted = [(f"u{u}", 4) for u in range(USERS)]
    evaluation = Evaluation(dataset, wanted, domain_of(dataset, encoder, tmp_path / "cache"), encoder)

    def names(offset: int) -> list[Written]:
        invented = [f"Invented {n}" for n in range(4)]
        texts = [rationale([f"Title number {u * 10 + offset}", *invented]) for u in range(USERS)]
        return [Written(parse(text), text) for text in texts]

    empty = [Written(parse(""), "")] * USERS
    report = evaluate(evaluation, {"teacher": names(4), "student": names(0), "silent": empty})
    teacher, student = report["writers"]["teacher"], report["writers"]["student"]
    assert teacher["ranking"]["late interaction"]["101"]["ndcg@10"] == 100  # it names the target
    assert teacher["ranking"]["late interaction"]["full"]["hr@10"] == 100
    assert teacher["quality"]["products_catalogue"] == pytest.approx(0.2)
    assert teacher["quality"]["top10_overlap_with_teacher"] == 1
    assert teacher["quality_interval_95"]["top10_overlap_with_teacher"] == [1, 1]  # all users alike
    assert student["quality"]["repeats_history"] == 1  # it names the first purchase
    assert report["writers"]["silent"]["ranking"]["late interaction"]["101"]["hr@20"] == 0  # a constant finds nothing
    assert report["writers"]["silent"]["quality"]["valid"] == 0
    share = report["share_of_teacher_lead"]
    assert share["shares"]["student"] < 1 and share["teacher"] > share["mean of the history"]
    assert {(d["first"], d["second"]) for d in report["differences"]} >= {("teacher", "student"), ("student", "silent")}
    assert LEAD in student["ranking"] and set(report["baselines"]) >= {"popularity", "last item", "history text"}
    assert (tmp_path / "cache").is_dir()


def test_popularity_never_counts_a_test_target(data):
    dataset, encoder = read_dataset(data), FakeEncoder(dimension=8)
    evaluation = Evaluation(dataset, [("u0", 4)], domain_of(dataset, encoder, None), encoder)
    assert evaluation.popularity[4] == 0 and evaluation.popularity[3] == 1


def test_missing_rationales_are_named(tmp_path):
    file = tmp_path / "student.jsonl"
    jsonl(file, [{"user_id": "u0", "upto": 4, "text": rationale(["A"])}])
    assert read_writer(file, [("u0", 4)])[0].rationale.step3 == ("A",)
    with pytest.raises(SlimError, match=r"lacks 1 of 2 rationales, e\.g\. user u1 with upto 4"):
        read_writer(file, [("u0", 4), ("u1", 4)])


@pytest.mark.parametrize("row, message", [
    ({"user_id": "u0", "upto": 4, "text": "x", "prompt_version": "0"}, "written for prompt version '0'"),
    ({"user_id": "u0", "upto": "four", "text": "x"}, "line 1: not a rationale"),
    ({"user_id": "u0", "upto": 4}, "line 1: not a rationale"),
])  # fmt: skip
def test_rows_that_cannot_be_used(tmp_path, row, message):
    jsonl(tmp_path / "f.jsonl", [row])
    with pytest.raises(SlimError, match=message):
        read_writer(tmp_path / "f.jsonl", [("u0", 4)])


def test_only_the_held_out_tenth_is_a_subset(data, tmp_path):
    dataset, file = read_dataset(data), tmp_path / "t.jsonl"
    jsonl(file, [{"user_id": f"u{u}", "upto": 4} for u in range(400)])
    every = cases_of(file, dataset, only_held_out=False)
    held = cases_of(file, dataset, only_held_out=True)
    assert len(every) == 400 and 20 < len(held) < 60 and set(held) < set(every)
    jsonl(file, [])
    with pytest.raises(SlimError, match="holds no case"):
        cases_of(file, dataset, only_held_out=False)


def test_a_user_without_a_next_purchase_is_refused(data):
    dataset, encoder = read_dataset(data), FakeEncoder(dimension=8)
    with pytest.raises(SlimError, match="User u0 has no purchase after the first 5"):
        Evaluation(dataset, [("u0", 5)], domain_of(dataset, encoder, None), encoder)


def test_main_writes_the_report(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluate_rationales, "TextEncoder", lambda source: FakeEncoder(dimension=16))
    rows = [{"user_id": f"u{u}", "upto": 4, "step1": "You like things.", "step2": STEP2,
             "step3": [f"Title number {u * 10 + n}" for n in range(4, 9)]} for u in range(USERS)]
    jsonl(tmp_path / "teacher.jsonl", rows)
    jsonl(tmp_path / "student.jsonl", rows)
    evaluate_rationales.main([
        "--data", str(data), "--teacher", str(tmp_path / "teacher.jsonl"), "--cache", str(tmp_path / "cache"),
        "--writer", f"student={tmp_path / 'student.jsonl'}", "--out", str(tmp_path / "results/r.json"),
    ])  # fmt: skip
    report = json.loads((tmp_path / "results/r.json").read_text("utf-8"))
    assert report["protocol"]["users"] == USERS and report["protocol"]["catalogue"] == ITEMS
    assert report["share_of_teacher_lead"]["shares"] == {"student": 1.0}
    assert writers.LEAD in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        evaluate_rationales.main(["--data", str(data), "--teacher", str(tmp_path / "teacher.jsonl"),
                                  "--writer", "student", "--out", str(tmp_path / "x.json")])
    assert "must be NAME=FILE" in str(ended.value.code)
