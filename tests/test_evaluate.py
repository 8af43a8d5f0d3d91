"""Trained folders → the report: figures that training measured, too, hand-made ones, and the tables."""

from __future__ import annotations

import json

import numpy as np
import pytest
from evaluated_toys import ENCODER, trained_toys
from toy_world import ITEMS, USERS, world

from training import evaluate, paper, tables_markdown
from training.dataset import read_dataset
from training.metrics import ndcg
from training.next_item import make_case, rank_targets
from training.recommender import folders
from training.recommender.baselines import by_popularity, by_text
from training.recommender.evaluate import make_task
from training.recommender.folders import Opener
from training.recommender.sequences import Sequences

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    yield from trained_toys(tmp_path_factory)


@pytest.fixture(scope="module")
def report(toys):
    return toys.evaluate("--run", f"id={toys.folder}/id-*", "--run", f"text={toys.folder}/text", "--baseline", "all",
                         "--rationales", str(toys.oracle), "--against", "text:id,popularity")  # fmt: skip


def test_ranks_from_the_checkpoint_are_those_that_training_measured(toys, report):
    stored = [np.load(toys.folder / f"id-{seed}" / "test_ranks.npz") for seed in (0, 1)]
    cells = np.array([ndcg(one["sampled"], 10).mean(axis=0) * 100 for one in stored])  # (runs, candidate seeds)
    found = report["runs"]["id"]["accuracy"]["101"]["ndcg@10"]
    assert found == {"mean": round(cells.mean(), 2), "sd": round(cells.std(ddof=1), 2),
                     "sd_training": round(cells.mean(axis=1).std(ddof=1), 2)}  # fmt: skip
    full = [ndcg(one["full"], 10).mean() * 100 for one in stored]
    assert report["runs"]["id"]["accuracy"]["full"]["ndcg@10"]["mean"] == round(np.mean(full), 2)
    text = report["runs"]["text"]
    assert text["accuracy"]["101"]["hr@20"]["mean"] == toys.meta("text")["test"]["101"]["hr@20"]
    assert text["accuracy"]["full"]["hr@10"]["sd"] is None  # one run, one catalogue: nothing varies
    assert report["runs"]["id"]["training_seeds"] == [0, 1] and report["runs"]["id"]["candidate_seeds"] == 5
    assert text["with_rationale"] == USERS and text["rationales"]["writer"] == "student"
    assert text["with_older_rationale"] == 0


def test_texts_that_saw_fewer_purchases_are_counted(toys):
    rows = toys.oracle.read_text("utf-8").splitlines()  # two of each user: for training, and for the test
    some = toys.folder / "some.jsonl"
    some.write_text("\n".join(row for n, row in enumerate(rows) if n not in (1, 3, 4, 5)) + "\n", "utf-8")
    toys.train("some", "--variant", "text", "--rationales", str(some), "--missing", "skip")
    run = toys.evaluate("--run", f"some={toys.folder}/some", "--rationales", str(some))["runs"]["some"]
    assert [run["users"], run["with_rationale"], run["with_older_rationale"]] == [USERS - 1, USERS - 1, 2]


def test_popularity_is_counted_before_the_validation_target(toys, report):
    dataset = read_dataset(toys.data)
    rows = {item: number for number, item in enumerate(dataset.items)}
    walks = {user: [rows[item] for item in items] for user, items in dataset.sequences.items()}
    counts = np.bincount([item for walk in walks.values() for item in set(walk[:-2])], minlength=ITEMS)
    cases = [make_case(user, walk, len(walk) - 1, ITEMS) for user, walk in walks.items()]
    expected = rank_targets(cases, [counts.astype(float)] * USERS).as_dict()
    found = report["runs"]["popularity"]
    assert found["accuracy"]["101"]["ndcg@10"]["mean"] == expected["101"]["ndcg@10"]
    assert found["accuracy"]["full"]["hr@20"]["mean"] == expected["full"]["hr@20"]
    assert report["popularity"]["training_interactions"] == counts.sum()
    lists = [[i for i in np.argsort(-counts, kind="stable") if i not in walk[:-1]][:10] for walk in walks.values()]
    beyond = found["beyond_accuracy"]
    assert beyond["arp@10"]["mean"] == pytest.approx(counts[np.array(lists)].mean(), abs=1e-4)
    assert beyond["coverage@10"]["mean"] == pytest.approx(len(set(np.ravel(lists))) / ITEMS, abs=1e-4)
    assert found["training_seeds"] == [] and sum(found["frequency"]) == pytest.approx(1, abs=1e-3)


def test_lists_hold_the_items_that_rank_first_and_none_that_was_bought(toys):
    opener = Opener(read_dataset(toys.data), toys.data, ENCODER, [toys.oracle], toys.folder / "cache")
    found = opener.rank_all("id", [toys.folder / "id-0"], 10)
    sequences = opener.sequences
    assert found.users.tolist() == list(range(USERS))
    for user, listed, rank in zip(found.users, found.top[0], found.full[0], strict=True):
        walk = sequences.flat[sequences.starts[user] :][: sequences.lengths[user]]
        assert len(set(listed)) == 10 and not set(listed) & set(walk[:-1])
        place = listed.tolist().index(walk[-1]) + 1 if walk[-1] in listed else None
        assert (place == rank) if rank <= 10 else place is None


def test_a_target_that_was_bought_before_is_ranked_but_not_listed(tmp_path):
    world(tmp_path / "toys")
    file = tmp_path / "toys" / "sequences.tsv"
    file.write_text(file.read_text("utf-8") + "again\ti0 i1 i2 i3 i0\n", "utf-8")
    sequences = Sequences.of(read_dataset(tmp_path / "toys"))
    task = make_task(sequences, "test", np.array([USERS]), 5)
    found = by_popularity(task, np.arange(ITEMS)[::-1], 10)  # i0 scores highest
    assert found.full.tolist() == [1] and (found.sampled == 1).all()
    assert found.top.tolist() == [list(range(4, 14))]


@pytest.mark.parametrize("name", ["last item", "mean of the history", "nearest history item", "history text"])
def test_text_baselines_user_by_user(toys, name, monkeypatch):
    monkeypatch.setattr("training.recommender.baselines.MAX_HISTORY", 5)  # some of the toy users bought more
    dataset = read_dataset(toys.data)
    items, sequences = list(dataset.items.values()), Sequences.of(dataset)
    vectors = ENCODER.encode([item.text for item in items])
    task = make_task(sequences, "test", sequences.users_for("test"), 1)
    cases, scores = [], []
    for number in task.users:
        user = sequences.users[number]
        walk = sequences.flat[sequences.starts[number] :][: sequences.lengths[number]].tolist()
        cases.append(make_case(user, walk, len(walk) - 1, ITEMS))
        shown = walk[:-1][-5:]
        scores.append({
            "last item": lambda s=shown: vectors @ vectors[s[-1]],
            "mean of the history": lambda s=shown: vectors @ vectors[s].mean(axis=0),
            "nearest history item": lambda s=shown: (vectors @ vectors[s].T).max(axis=1),
            "history text": lambda s=shown: vectors @ ENCODER.encode([". ".join(items[i].text for i in s)])[0],
        }[name]())  # fmt: skip
    found, expected = by_text(name, task, items, ENCODER, None), rank_targets(cases, scores)
    np.testing.assert_array_equal(found.sampled, expected.sampled)
    np.testing.assert_array_equal(found.full, expected.full)


def test_significance_takes_the_stronger_of_the_others(report):
    pair = report["significance"][0]
    runs = report["runs"]
    strength = {name: runs[name]["accuracy"]["101"]["ndcg@10"]["mean"] for name in ("id", "popularity")}
    assert pair["second"] == max(strength, key=strength.get) and pair["chosen_from"] == ["id", "popularity"]
    one = pair["101"]["ndcg@10"]
    assert one["first"] == runs["text"]["accuracy"]["101"]["ndcg@10"]["mean"]
    assert one["difference"] == pytest.approx(one["first"] - one["second"], abs=0.011)
    assert one["interval_95"][0] <= one["difference"] <= one["interval_95"][1] and 0 <= one["p_t_test"] <= 1


def test_every_block_says_its_protocol_and_groups_cover_all_users(report):
    for run in report["runs"].values():
        assert all(run[block]["protocol"] for block in ("accuracy", "beyond_accuracy", "sparsity"))
        groups = run["sparsity"]["groups"]
        assert sum(group["users"] for group in groups) == USERS and [g["group"] for g in groups][::4] == ["G1", "G5"]
        weighted = sum(group["users"] * group["101"]["hr@10"] for group in groups) / USERS
        assert weighted == pytest.approx(run["accuracy"]["101"]["hr@10"]["mean"], abs=0.02)
        beyond, accuracy = run["beyond_accuracy"], run["accuracy"]["101"]
        norm = ndcg(np.arange(1, 11), 10).sum()
        assert beyond["epc@10_101"]["mean"] <= accuracy["ndcg@10"]["mean"] / 100 / norm + 1e-4
    assert "Elliot" in run["beyond_accuracy"]["protocol"]


def test_intervals_of_groups_are_over_their_users(toys, report):
    walks = read_dataset(toys.data).sequences
    sparsest = sorted(walks, key=lambda user: len(walks[user]))[: -(-USERS // 5)]
    stored = [np.load(toys.folder / f"id-{seed}" / "test_ranks.npz") for seed in (0, 1)]
    chosen = [[one["users"].tolist().index(user) for user in sparsest] for one in stored]
    values = [ndcg(one["sampled"][rows], 10) * 100 for one, rows in zip(stored, chosen, strict=True)]
    values = np.mean(values, axis=(0, 2))
    half = 1.96 * values.std(ddof=1) / len(values) ** 0.5
    group = report["runs"]["id"]["sparsity"]["groups"][0]
    assert group["users"] == len(sparsest)
    expected = [values.mean() - half, values.mean() + half]
    assert group["interval_95"]["101"]["ndcg@10"] == pytest.approx(expected, abs=0.006)


def test_cases_hold_ranks_of_users_of_all_groups_and_name_nobody(toys, report):
    block, stored = report["cases"], np.load(toys.folder / "text" / "test_ranks.npz")
    people = block["users"]
    assert [p["group"] for p in people] == [f"G{g}" for g in range(1, 6) for _ in range(4)]
    assert [p["purchases"] for p in people] == sorted(p["purchases"] for p in people)
    assert set(block["ranks"]) == set(report["runs"])
    assert all(len(ranks[where]) == 20 for ranks in block["ranks"].values() for where in ("101", "full"))
    assert set(block["ranks"]["text"]["full"]) <= set(stored["full"].astype(float))
    dataset = read_dataset(toys.data)
    walks = list(dataset.sequences.values())
    bought = [sum(walk[-1] in set(other[:-2]) for other in walks) for walk in walks]
    known = {(len(walk), count) for walk, count in zip(walks, bought, strict=True)}
    assert all((p["purchases"], p["target_interactions"]) in known for p in people)
    text = json.dumps(block)
    assert "Title" not in text and not [user for user in dataset.sequences if f'"{user}"' in text]


def test_the_paper_stands_in_the_report_beside_what_it_compares_with(report):
    found = report["paper"]
    assert found["runs"]["text"]["row"] == "none slim" and set(found["runs"]) == {"id", "text"}
    assert found["runs"]["text"]["accuracy"]["ndcg@10"] == {"mean": 21.99, "sd": 0.22}
    assert found["runs"]["id"]["beyond_accuracy"] == {"efd@10": 0.5810, "epc@10": 0.0511}
    assert not found["same_users"] and "Table 8" in found["protocol"]
    assert paper.beside({"name": "movielens", "users": 1, "items": 1, "interactions": 1}, report["runs"], False) == {}


def test_main_writes_the_report_and_the_tables_stand_beside_the_paper(toys, capsys, monkeypatch):
    monkeypatch.setattr(folders, "TextEncoder", lambda *_: ENCODER)
    student = toys.folder / "student.json"
    student.write_text('{"model": "s", "engine": "e", "device": "CPU", "last_run": '
                       '{"rationales": 100, "tokens": 18000, "seconds": 50.0}}', "utf-8")
    out = toys.folder / "made" / "report.json"
    evaluate.main(["--data", str(toys.data), "--out", str(out), "--threads", "1", "--cache", str(toys.folder / "cache"),
                   "--run", f"SASRec | id={toys.folder}/id-*", "--run", f"text={toys.folder}/text", "--against",
                   "text:popularity", "--rationales", str(toys.oracle), "--teacher", str(toys.oracle),
                   "--teacher-model", "gpt-3.5-turbo", "--student-meta", str(student)])  # fmt: skip
    assert "SASRec | id: NDCG@10" in capsys.readouterr().out
    tables_markdown.main([str(out)])
    text = capsys.readouterr().out
    by_text_line = next(line for line in text.splitlines() if line.startswith("| text | 24 |"))
    assert "Other users than the paper's" in text and "2 training seeds" in text
    assert "22.73 ± 0.28" in text and r"| SASRec \| id | 24 |" in text
    assert "21.75 ± 0.58" in by_text_line  # by the teacher's rationales: SLIM−
    assert "0.5810" in text and "tokens estimated, no usage recorded" in text and "5,540" in text
    cells = {line.count("|") - line.count("\\|") for line in text.split("\n\n")[1].splitlines()}
    assert len(cells) == 1  # a name with a bar in it does not break the table
    assert "Simulated" not in text
    made = json.loads(out.read_text("utf-8"))
    out.write_text(json.dumps(made | {"dataset": made["dataset"] | {"simulated": True}}), "utf-8")
    tables_markdown.main([str(out)])
    assert "Simulated purchases" in capsys.readouterr().out
    out.write_text("[]", "utf-8")
    with pytest.raises(SystemExit, match=r"is no report of training\.evaluate"):
        tables_markdown.main([str(out)])
