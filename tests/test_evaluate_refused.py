"""What an evaluation of recommenders refuses, and the command that repairs it."""

from __future__ import annotations

import json
import shutil

import pytest
from evaluated_toys import ENCODER, trained_toys
from toy_world import row, world

from slim_app.errors import SlimError
from training.dataset import read_dataset
from training.recommender import folders
from training.recommender.folders import parse_runs

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    yield from trained_toys(tmp_path_factory)


def test_runs_with_other_users_are_named_and_can_be_compared_on_the_common_ones(toys):
    some = toys.folder / "some.jsonl"
    lines = toys.oracle.read_text("utf-8").splitlines(keepends=True)
    some.write_text("".join(line for line in lines if '"u3"' not in line and '"u8"' not in line), "utf-8")
    toys.train("some", "--variant", "text", "--rationales", str(some), "--missing", "skip")
    given = ["--run", f"id={toys.folder}/id-0", "--run", f"some={toys.folder}/some", "--rationales", str(some),
             "--against", "some:id"]
    with pytest.raises(SlimError, match=r"some ranks for 22 users and id for 24: user u3 is only in id, as are 1 more"):
        toys.evaluate(*given)
    found = toys.evaluate(*given, "--common-users")
    assert {run["users"] for run in found["runs"].values()} == {22} and found["significance"][0]["users"] == 22
    assert found["runs"]["popularity"]["users"] == 22


def test_missing_rationales_are_refused_with_the_command_that_writes_them(toys):
    with pytest.raises(SlimError, match=r"trained with the rationales oracle\.jsonl .* no file of --rationales is"):
        toys.evaluate("--run", f"text={toys.folder}/text")
    changed = toys.folder / "changed.jsonl"
    changed.write_text(toys.oracle.read_text("utf-8") + "\n", "utf-8")
    with pytest.raises(SlimError, match="no file of --rationales is that one"):
        toys.evaluate("--run", f"text={toys.folder}/text", "--rationales", str(changed))
    strict = toys.folder / "strict.jsonl"
    lines = toys.oracle.read_text("utf-8").splitlines(keepends=True)
    dataset = read_dataset(toys.data)
    longest = len(dataset.sequences["u3"])
    strict.write_text("".join(line for line in lines if '"u3"' not in line), "utf-8")
    with strict.open("a", encoding="utf-8") as stream:  # u3 has one that saw too much for the test
        stream.write(json.dumps(row("u3", longest, ["Title 1"])) + "\n")
    with pytest.raises(SystemExit, match="lacks a rationale for 1 of 24 users"):
        toys.train("strict", "--variant", "text", "--rationales", str(strict))
    toys.train("strict", "--variant", "text", "--rationales", str(strict), "--missing", "skip")
    meta = toys.meta("strict")
    meta["rationales"]["missing"] = "refuse"
    (toys.folder / "strict" / "meta.json").write_text(json.dumps(meta), "utf-8")
    with pytest.raises(SlimError, match=r"user u3 .*python -m training\.generate_rationales --data .*--positions test"):
        toys.evaluate("--run", f"x={toys.folder}/strict", "--rationales", str(strict))


def test_a_folder_of_another_dataset_is_refused_with_the_command_that_repairs_it(toys, tmp_path):
    world(tmp_path / "other", lengths=(6, 7))
    with pytest.raises(SlimError, match=rf"sequences of games that are not those of .*other\. .*training\."
                                        rf"train_recommender --data {tmp_path}/other --out {toys.folder}/id-0"):
        toys.evaluate("--run", f"id={toys.folder}/id-0", data=tmp_path / "other")
    shutil.copytree(toys.data, tmp_path / "games")
    items = (tmp_path / "games" / "items.tsv").read_text("utf-8")
    (tmp_path / "games" / "items.tsv").write_text(items + "new\tNew\n", "utf-8")
    with pytest.raises(SlimError, match=r"trained on 130 items of games, and this catalogue of 131 is another one"):
        toys.evaluate("--run", f"id={toys.folder}/id-0", data=tmp_path / "games")


def test_runs_that_are_no_seeds_of_one_variant_are_refused(toys, tmp_path):
    with pytest.raises(SlimError, match=r"trained with backbone = none, .*id-0 with sasrec"):
        toys.evaluate("--run", f"x={toys.folder}/id-0,{toys.folder}/text", "--rationales", str(toys.oracle))
    shutil.copytree(toys.folder / "id-0", tmp_path / "copy")
    with pytest.raises(SlimError, match="two of its runs have the seed 0"):
        toys.evaluate("--run", f"x={toys.folder}/id-0,{tmp_path}/copy")
    (tmp_path / "copy" / "meta.json").write_text("{", "utf-8")
    with pytest.raises(SlimError, match=r"no readable recommender in .*copy"):
        toys.evaluate("--run", f"x={tmp_path}/copy")


@pytest.mark.parametrize("flags, message", [
    (["--run", "{}/id-0"], "must be NAME=FOLDER"),
    (["--run", "a:b={}/id-0"], "without “:”"),
    (["--run", "id={}/none-*"], r"no folder .*none-\*.*train_recommender"),
    (["--run", "id={}/id-0,{}/id-*"], "names a folder twice"),
    (["--run", "popularity={}/id-0"], "has the name of a baseline"),
    (["--run", "id={}/id-0", "--against", "id:best"], "must be A:B or A:B,C of these: popularity, id"),
    (["--rationales", "{}/absent.jsonl"], "Cannot read .*absent.jsonl"),
    (["--teacher", "{}/oracle.jsonl", "--teacher-model", "unheard-of"], "no list price for unheard-of"),
])  # fmt: skip
def test_flags_that_cannot_be_followed_are_refused(toys, flags, message):
    with pytest.raises(SlimError, match=message):
        toys.evaluate(*(flag.replace("{}", str(toys.folder)) for flag in flags))


def test_an_encoder_that_the_runs_do_not_read_is_refused(toys, monkeypatch):
    monkeypatch.setattr(folders, "TextEncoder", lambda *_: ENCODER)
    meta = toys.meta("text")
    shutil.copytree(toys.folder / "text", toys.folder / "foreign")
    (toys.folder / "foreign" / "meta.json").write_text(json.dumps(meta | {"encoder": {"name": "bert"}}), "utf-8")
    with pytest.raises(SlimError, match=r"reads vectors of the encoder bert\. Give --encoder bert"):
        toys.evaluate("--run", f"x={toys.folder}/foreign", "--rationales", str(toys.oracle))


def test_globs_take_folders_in_order_and_skip_files(toys):
    (toys.folder / "id-note.txt").write_text("no folder", "utf-8")
    runs = parse_runs([f"a={toys.folder}/id-*", f"b={toys.folder}/text"])
    assert [folder.name for folder in runs["a"]] == ["id-0", "id-1"] and list(runs) == ["a", "b"]
