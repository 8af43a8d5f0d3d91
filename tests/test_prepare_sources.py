"""prepare_data: what each kind of source becomes, and what broken lines and wrong files lead to."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from slim_app.errors import SlimError
from tests.review_files import grid, pack, prepare, review_2018, sequences, toys
from training import prepare_data
from training.dataset import read_dataset
from training.reviews import lines, titles


@pytest.fixture
def amazon(tmp_path) -> Path:
    return toys(tmp_path)


# ---- the kinds of sources -------------------------------------------------------------------------------------------


def test_amazon_2018(tmp_path) -> None:
    reviews = pack(tmp_path / "Toys.json.gz", [
        review_2018("B", "2", 30), review_2018("A", "1", 50), review_2018("A", "2", 20), review_2018("B", "1", 30),
        review_2018("A", "3", 10), review_2018("A", "4", 10), review_2018("A", "5", 11), review_2018("A", "6", 12),
    ])
    pack(tmp_path / "meta_Toys.json.gz", [
        {"asin": "1", "title": "Dungeons &amp; Dragons", "brand": "by\n    \n    Wizards", "category":
            ["Toys", "Games", "Games", "<b>Role</b> Playing", "x" * 99]},
        "{'asin': '2', 'title': 'Cat\\'s <span class=\"a\">Cradle</span>\\n', 'categories': [['Toys', 'String']]}",
        {"asin": "3", "title": "var aPageStart = (new Date()).getTime();\nvar ue_t0=ue_t0||+new Date();"},
        {"asin": "4", "title": ""},
        {"asin": "5", "title": None, "brand": "Visit Amazon's Lego Page"},
        {"asin": "1", "title": "A second description"},
    ])
    meta = prepare(reviews, "--k-core", 0)
    dataset = read_dataset(tmp_path / "out")
    first = dataset.items["1"]
    assert (first.title, first.brand, first.category) == ("Dungeons & Dragons", "Wizards", "Games > Role Playing")
    assert (dataset.items["2"].title, dataset.items["2"].category) == ("Cat's Cradle", "String")
    assert dataset.sequences == {"B": ("2", "1"), "A": ("2", "1")}, "users as they come, ties as in the file"
    assert meta["source"] == "amazon2018"
    assert meta["skipped"]["untitled"] == {
        "no title in the metadata": {"items": 2, "interactions": 2},
        "not in the metadata": {"items": 1, "interactions": 1},
        "page source instead of a title": {"items": 1, "interactions": 1},
    }
    assert meta["statistics"]["first_day"] == "1970-01-01"
    assert json.loads((tmp_path / "out" / "meta.json").read_text()) == json.loads(json.dumps(meta))
    assert [len(file["sha256"]) for file in meta["files"]] == [64, 64]
    assert not (tmp_path / "out" / ".work").exists()


def test_amazon_2023(tmp_path) -> None:
    def review(user: str, item: str, time: int) -> dict:
        return {"user_id": user, "parent_asin": item, "asin": "variant", "timestamp": time, "rating": 4.0, "text": "é"}

    reviews = pack(tmp_path / "Toys.jsonl.gz", [
        review("A", "P2", 1_588_687_728_923), review("A", "P1", 1_588_687_728_922),
        review("A", "P3", 1_688_687_728_922),
    ])
    pack(tmp_path / "meta_Toys.jsonl.gz", [
        {"parent_asin": "P1", "title": "One", "main_category": "Toys", "categories": [], "store": "Shop",
         "details": {}},
        {"parent_asin": "P2", "title": "Two", "categories": ["Toys", "Cars"], "store": "Shop",
         "details": {"Brand": "Maker"}},
        {"parent_asin": "P3", "title": "Three", "categories": [], "details": '{"Brand": "Text"}'},
    ])
    meta = prepare(reviews, "--k-core", 1)
    items = read_dataset(tmp_path / "out").items
    assert [(i.title, i.brand, i.category) for i in items.values()] == [
        ("One", "Shop", "Toys"), ("Two", "Maker", "Cars"), ("Three", "Text", "")]
    assert sequences(tmp_path) == {"A": ("P1", "P2", "P3")}
    assert meta["statistics"]["first_day"] == "2020-05-05"
    assert meta["statistics"]["share_with_category"] == pytest.approx(2 / 3, abs=1e-4)


def test_recbole_atomic_files_as_movielens_has_them(tmp_path) -> None:
    pack(tmp_path / "ml.inter", [
        "user_id:token\titem_id:token\trating:float\ttimestamp:float",
        "7\t2\t3\t881250949.5", "7\t1\t3\t881250949", "3\t1\t2\t891717742\r",
    ])
    pack(tmp_path / "ml.item", [
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq",
        "1\tToy Story\t1995\tAnimation Children's Comedy", "2\tUsual Suspects, The\t1995\tCrime",
        "9\tUnseen\t1990\tWar",
    ])
    prepare(tmp_path, "--k-core", 0)
    items = read_dataset(tmp_path / "out").items
    assert [(i.id, i.title, i.category) for i in items.values()] == [
        ("1", "Toy Story (1995)", "Animation, Children's, Comedy"), ("2", "The Usual Suspects (1995)", "Crime")]
    assert sequences(tmp_path) == {"7": ("1", "2"), "3": ("1",)}


def test_plain_tables_pass_unchanged(tmp_path) -> None:
    pack(tmp_path / "items.tsv", ["item_id\ttitle\tbrand\tcategory", "z\tLast\t\tX > Y", 'a\t"First" ü\tB\t'])
    pack(tmp_path / "sequences.tsv", ["user_id\titem_ids", "9\tz a", "10\ta z", "1\t"])
    meta = prepare(tmp_path / "sequences.tsv", "--k-core", 0)
    assert (tmp_path / "out" / "items.tsv").read_bytes() == (tmp_path / "items.tsv").read_bytes()
    assert (tmp_path / "out" / "sequences.tsv").read_text() == "user_id\titem_ids\n9\tz a\n10\ta z\n"
    assert meta["skipped"]["reviews"] == {"user without history": {"lines": 1, "first": [4]}}
    with pytest.raises(SlimError, match="is the folder that is read"):
        prepare(tmp_path / "sequences.tsv", out=".")


@pytest.mark.parametrize(("raw", "clean"), [
    ("Tom &amp;amp; Jerry&#39;s", "Tom & Jerry's"),
    ("  A\u00a0\tB\u200b\r\nC ", "A B C"),
    ("<b>Bold</b>ly<br/>gone &lt;i&gt;x&lt;/i&gt;", "Boldly gone x"),
    ("I <3 cats, <Untitled>, R&D, AT&T and Q&parade", "I <3 cats, <Untitled>, R&D, AT&T and Q&parade"),
    ('Mug <img src="a.jpg" alt=', "Mug"),
    ("<script>alert(1)</script>Lamp<!-- x -->", "Lamp"),
    ("- . -", ""), (None, ""), (["x"], ""), ("word " * 9000, ("word " * 400).rstrip() + "…"),
])
def test_titles_become_one_plain_line(raw: object, clean: str) -> None:
    assert titles.plain(raw) == clean
    assert titles.plain(clean) == clean


# ---- bad input ------------------------------------------------------------------------------------------------------


def test_few_broken_lines_are_counted_located_and_skipped(tmp_path, caplog) -> None:
    pack(tmp_path / "meta_x.json", [{"asin": f"I{i}", "title": "T"} for i in range(6)])
    rows: list[dict | str] = [*grid(100)]
    rows[10:10] = ["", '{"reviewerID": "cut o']
    rows[20:20] = [review_2018("has space", "I1", 1), "[1]"]
    rows.append({"reviewerID": "U1", "asin": "I1"})
    rows.append(review_2018("U1", "", 1))
    reviews = pack(tmp_path / "x.json", rows)
    with caplog.at_level("INFO", "prepare_data"):
        meta = prepare(reviews)
    assert meta["skipped"]["reviews"] == {
        "not JSON, perhaps cut off": {"lines": 1, "first": [12]},
        "reviewerID with whitespace or control characters": {"lines": 1, "first": [21]},
        "not a JSON object": {"lines": 1, "first": [22]},
        "no readable time": {"lines": 1, "first": [605]},
        "no asin": {"lines": 1, "first": [606]},
    }
    assert meta["read"]["interactions"] == meta["statistics"]["interactions"] == 600
    assert "skipped 1 lines of x.json: not JSON, perhaps cut off (first: line 12)" in caplog.text


def test_many_broken_lines_are_fatal(amazon, tmp_path) -> None:
    pack(amazon, [*grid(), *["{broken"] * 4])
    with pytest.raises(SlimError, match=r"4 of 40 lines \(10.0%\) are broken.* 4 × not JSON \(line 37, 38, 39, …\)"):
        prepare(amazon)
    assert prepare(amazon, "--max-broken", "0.1")["statistics"]["users"] == 6
    pack(tmp_path / "meta_Toys.json.gz", [{"asin": f"I{i}", "title": "T"} for i in range(6)] + ["x"])
    with pytest.raises(SlimError, match=r"meta_Toys.json.gz: 1 of 7 lines"):
        prepare(amazon, "--max-broken", "0.1", "--overwrite")


@pytest.mark.parametrize(("flags", "message"), [
    (["--k-core", "7"], r"The 7-core of 36 pairs of 6 users and 6 items is empty\. Lower --k-core"),
    (["--k-core", "-1"], "--k-core is -1"),
    (["--users", "0"], "--users is 0"),
    (["--max-broken", "1"], "--max-broken is 1.0"),
    (["--memory", "lots"], "Write it like 2GB"),
    (["--memory", "10MB"], "at least 512MB"),
    (["--min-title", "8"], "None of the 6 items has a usable title .title shorter than --min-title"),
    (["--meta", "nowhere.json"], "There is no file nowhere.json. Check --meta"),
    (["--source", "amazon2023"], r"not a file of --source amazon2023.*no user_id.*looks like --source amazon2018"),
    (["--source", "tsv"], r"there is no column user_id.*looks like --source amazon2018"),
])
def test_flags_that_do_not_fit(amazon, flags: list[str], message: str) -> None:
    args = ["--reviews", str(amazon), "--out", str(amazon.parent / "out"), "--memory", "600MB", *flags]
    with pytest.raises(SystemExit, match=message):
        prepare_data.main(args)
    assert not (amazon.parent / "out" / "meta.json").exists()


def test_files_that_do_not_fit(amazon, tmp_path) -> None:
    whole = amazon.read_bytes()
    for content, message in (
        (whole[: len(whole) // 2], r"Toys_5.json.gz ends in the middle, after line \d+.*Download it again"),
        (whole[:-9], "ends in the middle"),
        (whole[:60] + bytes(40) + whole[100:], r"Toys_5.json.gz is damaged near byte"),
        (whole + b"rubbish", "is damaged near byte"),
        (b"", r"Toys_5.json.gz is empty"),
        (gzip.compress(b""), r"Toys_5.json.gz is empty"),
        (b"<html>404</html>", r"none of its first lines can be used \(not JSON\).*must be a JSON object"),
    ):
        amazon.write_bytes(content)
        with pytest.raises(SlimError, match=message):
            prepare(amazon)
    amazon.write_bytes(whole)
    (tmp_path / "meta_Toys.json.gz").write_bytes(gzip.compress(b'{"no": "asin"}'))
    with pytest.raises(SlimError, match=r"is not metadata of --source amazon2018.*no asin"):
        prepare(amazon)
    (tmp_path / "meta_Toys.json.gz").unlink()
    with pytest.raises(SlimError, match=r"looked for meta_Toys_5.json.gz .* meta_Toys.json.gz .*titles are unknown"):
        prepare(amazon)
    assert prepare(amazon, "--min-title", 0)["statistics"]["share_with_title"] == 0
    with pytest.raises(SlimError, match="There is no file"):
        prepare_data.prepare(prepare_data.make_parser().parse_args(["--reviews", "nowhere", "--out", str(tmp_path)]))
    with pytest.raises(SlimError, match="Give --source: amazon2018, amazon2023, recbole, tsv"):
        prepare(pack(tmp_path / "x.txt", []))
    with pytest.raises(SlimError, match=r"neither a sequences.tsv nor an .inter file"):
        prepare(tmp_path)


def test_gzip_of_several_parts_and_of_great_density(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(lines, "UNPACKED", 100)
    monkeypatch.setattr(lines, "CHUNK", 7)
    file = tmp_path / "x.gz"
    file.write_bytes(gzip.compress(b"\xef\xbb\xbfone\ntw") + gzip.compress(b"o\n" + b"0" * 5000) + bytes(20))
    reader = lines.Lines(file)
    assert [line for block in reader.blocks() for line in block] == [b"one", b"two", b"0" * 5000]
    assert reader.number == 3
    assert reader.packed == file.stat().st_size
    monkeypatch.setattr(lines, "LONGEST_LINE", 1000)
    with pytest.raises(SlimError, match="line 3: longer than"):
        list(lines.Lines(file).blocks())
