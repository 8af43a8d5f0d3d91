"""Links: what goes in comes out, whatever else comes in is refused in words."""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
import sys
import time
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import TINY, FakeEncoder, make_domain
from hypothesis import given, settings
from hypothesis import strategies as st

from slim_app.catalog import Catalog
from slim_app.errors import SlimError
from slim_app.permalink import MAX_BYTES, MAX_CHARS, Link, decode, edit_rows, encode, from_query, restore
from slim_app.rationale import parse
from slim_app.rationale_edits import Edits
from slim_app.recommenders.folder import RecommenderFolder
from slim_app.schema import Item, ModelInfo
from slim_app.versions import Digests, digests, programs

ROOT = Path(__file__).resolve().parent.parent
TEXT = "Step 1: You like racing.\nStep 2:\n1. Racing Games\n2. Wheels\nStep 3:\n1. F1 24\n2. Forza"
EDITS = Edits.of(parse(TEXT)).strike("2.1").weigh("3.1", 2.5).rewrite("3.2", "Forza Horizon 5").add(2, "Seats 任天堂")
LINK = Link("games", (Item("G1", "Gran Turismo 7 - PlayStation 5"), Item("", "My own 🎮")), "reasoning", 7, "student",
            TEXT, edit_rows(EDITS), 3, Digests("a" * 12, "b" * 12, "c" * 12, "d" * 12), True, True)  # fmt: skip


def packed(value: object) -> str:
    """A link around any JSON value."""
    return "1." + base64.urlsafe_b64encode(zlib.compress(json.dumps(value).encode())).decode().rstrip("=")


def opened(text: str) -> dict:
    body = text.removeprefix("1.")
    return json.loads(zlib.decompress(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))


def test_what_goes_in_comes_out():
    text = encode(LINK)
    assert decode(text) == LINK
    assert decode(text).edited().now == EDITS.now and decode(text).edited().undo().now == EDITS.start
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."), "no escapes in a URL"
    assert len(text) < 600
    assert from_query({"s": text, "theme": "dark"}) == LINK
    assert from_query({"theme": "dark"}) is None and from_query({"s": ""}) is None


def test_a_link_of_the_first_days_is_still_read():
    """Before it held a digest of what ranks, and whether its text was cut off."""
    state = opened(encode(LINK))
    del state["c"]
    state["v"].pop()
    assert decode(packed(state)) == replace(LINK, digests=replace(LINK.digests, ranker=""), cut=False)


def test_only_what_was_edited_travels():
    assert edit_rows(Edits.of(parse(TEXT))) == ()
    assert edit_rows(EDITS) == (
        {"key": "2.1", "weight": 0.0}, {"key": "3.1", "weight": 2.5},
        {"key": "3.2", "weight": 1.0, "text": "Forza Horizon 5"},
        {"key": "+1", "weight": 1.0, "step": 2, "text": "Seats 任天堂"},
    )  # fmt: skip


def test_another_process_reads_it():
    code = "import sys; from slim_app.permalink import decode; print(decode(sys.argv[1]).edited().rationale().text)"
    out = subprocess.run([sys.executable, "-c", code, encode(LINK)], cwd=ROOT, capture_output=True, check=True)
    assert out.stdout.decode().strip() == EDITS.rationale().text


NAMES = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
PURCHASES = st.builds(Item, st.text("abc019-", max_size=8), st.text("Zelda 23ü任", min_size=1, max_size=12)).map(
    lambda item: replace(item, title=" ".join(item.title.split()) or "Lamp")
)
LINKS = st.builds(
    Link, NAMES, st.lists(PURCHASES, max_size=20).map(tuple), NAMES, st.integers(0, 100), NAMES,
    st.text(st.characters(exclude_categories=("Cs",)), max_size=300), st.just(()), st.none() | st.integers(0, 2**40),
    st.builds(Digests, NAMES, NAMES, NAMES, NAMES), st.booleans(), st.booleans(),
)  # fmt: skip


@given(LINKS)
@settings(max_examples=100, deadline=None)
def test_any_state_comes_back(link):
    assert decode(encode(link)) == link


@given(st.text(max_size=200) | st.binary(max_size=300).map(lambda b: "1." + base64.urlsafe_b64encode(b).decode()))
@settings(max_examples=200, deadline=None)
def test_anything_else_is_refused(text):
    with pytest.raises(SlimError):
        decode(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("drkwtnhevbis"), inner, max_size=6),
    max_leaves=12,
)


@given(st.sampled_from(list("drkwtnhevbc")), JSON)
@settings(max_examples=200, deadline=None)
def test_wrong_types_anywhere_are_refused_or_harmless(name, value):
    state = opened(encode(LINK)) | {name: value}
    try:
        link = decode(packed(state))
    except SlimError:
        return
    assert isinstance(link.domain, str) and isinstance(link.k, int) and all(isinstance(i, Item) for i in link.history)
    assert decode(encode(link)) == link


def test_every_damaged_link_is_refused():
    text, generator = encode(LINK), random.Random(0)
    for n in range(len(text)):
        with pytest.raises(SlimError):
            decode(text[:n])
    for _ in range(300):
        place = generator.randrange(2, len(text))
        other = text[:place] + generator.choice("abcXYZ019-_") + text[place + 1 :]
        try:
            assert decode(other) == LINK, "the last character has spare bits"
        except SlimError:
            continue


@pytest.mark.parametrize("text", [
    None, 5, b"1.abc", ["1.abc"], "", "1.", "2.abc", "abc", "1.a b", "1.<script>", "1.é", "1." + "A" * MAX_CHARS,
    "1." + base64.urlsafe_b64encode(zlib.compress(b"{}") + b"more").decode(),
    packed(None), packed([]), packed("x"), packed({}), packed({"d": "games"}),
    "1." + base64.urlsafe_b64encode(zlib.compress(b'{"d":NaN}')).decode().rstrip("="),
    "1." + base64.urlsafe_b64encode(zlib.compress(b'{"d":"\xff"}')).decode().rstrip("="),
    "1." + base64.urlsafe_b64encode(zlib.compress(b"[" * 100_000)).decode().rstrip("="),
    "1." + base64.urlsafe_b64encode(zlib.compress(b'{"k":' + b"9" * 5_000 + b"}")).decode().rstrip("="),
])  # fmt: skip
def test_hostile_links(text):
    with pytest.raises(SlimError, match=r"link|version") as caught:
        decode(text)
    assert "<script>" not in str(caught.value), "nothing of it is repeated"


@pytest.mark.parametrize("change", [
    {"h": [["x"] * 3]}, {"h": [[1, "t"]]}, {"h": [["", ""]]}, {"h": [["", "\ud800"]]}, {"h": [["a", "b"]] * 1001},
    {"h": [[]]}, {"k": True}, {"k": -1}, {"k": 1.5}, {"k": "7"}, {"n": 2**60}, {"d": 5}, {"d": "x" * 101},
    {"t": "x" * 20_001}, {"t": "\udfff"}, {"v": ["a", "b"]}, {"v": ["a", "b", 3]},
    {"v": list("abcde")}, {"c": 2}, {"b": 2}, {"b": True}, {"b": "1"},
    {"e": [{"k": "1.1"}]},
    {"e": [{"k": "1.1", "w": 1, "x": 2}]}, {"e": [{"k": "1.1", "w": 99}]}, {"e": [{"k": "1.1", "w": "1"}]},
    {"e": [{"k": "1.1", "w": 10**400}]}, {"e": [{"k": "+1", "w": 1, "t": "x", "s": 10**400}]},
    {"e": [{"k": "9.9", "w": 1}]}, {"e": [{"k": "1.1", "w": 1, "t": 5}]}, {"e": [[]]}, {"e": [None] * 201},
    {"t": "", "e": [{"k": "1.1", "w": 1}]},
])  # fmt: skip
def test_a_state_that_no_page_has(change):
    state = opened(encode(LINK)) | change
    with pytest.raises(SlimError):
        decode(packed(state))


def test_a_bomb_is_not_unpacked():
    bomb = zlib.compress(b" " * 4_000_000, 9)
    text = "1." + base64.urlsafe_b64encode(bomb).decode().rstrip("=")
    assert len(text) <= MAX_CHARS < MAX_BYTES < 4_000_000
    tracemalloc.start()
    begun = time.process_time()
    with pytest.raises(SlimError, match="unpacks to too much"):
        decode(text)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    assert time.process_time() - begun < 1
    tracemalloc.stop()


def test_what_is_too_much_for_a_link_says_so():
    noise = random.Random(0)
    words = " ".join("".join(noise.choices("abcdefghij", k=9)) for _ in range(1_200))
    with pytest.raises(SlimError, match="too much for a link"):
        encode(replace(LINK, rationale=f"Step 1: {words}", edits=()))
    with pytest.raises(SlimError, match="too much for a link"):
        encode(replace(LINK, rationale="Step 1: " + "a " * 15_000, edits=()))
    long = [Item(f"G{n:03d}", f"A title of usual length, number {n} - PlayStation 5") for n in range(360)]
    assert len(encode(replace(LINK, history=tuple(long)))) < MAX_CHARS, "old purchases travel by id alone"


def test_it_says_what_has_changed_since():
    catalog = Catalog("games", TINY)
    old = LINK.digests
    history = (TINY[0], Item("X1", "Gone but known"), Item("X2", ""), Item("", "My own"))
    link = replace(LINK, history=history)
    items, notices = restore(link, catalog, old)
    assert items == [TINY[0], Item("", "Gone but known"), Item("", "My own")]
    assert [notice.split(":")[0] for notice in notices] == [
        "No longer in the catalogue, so kept in its own words", "No longer in the catalogue and left out",
    ]  # fmt: skip
    words = {"model": "model", "prompt": "prompt", "catalogue": "catalogue has changed", "ranker": "trained anew"}
    for field, word in words.items():
        changed = replace(old, **{field: "z" * 12})
        (notice,) = restore(replace(link, history=(TINY[0],)), catalog, changed)[1]
        assert word in notice
        assert restore(replace(link, history=(TINY[0],)), catalog, replace(old, **{field: ""}))[1] == ()


def test_a_purchase_whose_id_names_another_product_now():
    """Ids that count rows move when a row is put between; a product may also have been renamed."""
    history = (Item("row-2", TINY[1].title), Item("row-3", "EA Sports F1 24"), Item("row-1", ""), Item("row-1", "GT 7"))
    moved = [replace(TINY[0], id="row-1"), replace(TINY[6], id="row-2"), replace(TINY[1], id="row-3")]
    moved[2] = replace(moved[2], title=TINY[1].title)
    items, notices = restore(replace(LINK, history=history), Catalog("games", moved), LINK.digests)
    assert [item.id for item in items] == ["row-3", "row-3", "row-1", "row-1"], "the first is found by its title"
    assert notices == ("Under another name in the catalogue now: 2 of the purchases.",)


def test_digests_follow_what_they_name(tmp_path):
    encoder = FakeEncoder(dimension=4)
    domain = make_domain(TINY, encoder)
    adapter = tmp_path / "adapter.gguf"
    adapter.write_bytes(b"one")
    info = ModelInfo("Student", "base", "adapter.gguf", True)
    first = digests(info, domain, encoder, "reasoning", adapter)
    assert digests(info, domain, encoder, "reasoning", adapter) == first
    assert all(len(value) == 12 for value in first.as_dict().values())
    other = make_domain((*TINY[:-1], replace(TINY[-1], title="Other")), encoder)
    moved = digests(info, other, encoder, "reasoning", adapter)
    assert (moved.catalogue != first.catalogue, moved.model, moved.prompt) == (True, first.model, first.prompt)
    adapter.write_bytes(b"two")
    os.utime(adapter, ns=(1, 1))
    edition = digests(info, domain, encoder, "reasoning", adapter)
    assert (edition.model != first.model, edition.catalogue) == (True, first.catalogue)
    assert digests(replace(info, device="CPU"), domain, encoder, "reasoning", adapter).model == edition.model
    found = []
    for weights in ("one", "two"):  # a recommender that was trained anew ranks otherwise
        (tmp_path / "meta.json").write_text(json.dumps({"weights_sha256": weights}), "utf-8")
        trained = replace(domain, recommender=RecommenderFolder(tmp_path, (), domain.vectors, "fake"))
        found.append([digests(info, trained, encoder, ranker).ranker for ranker in ("fused", "sequence", "reasoning")])
    assert found[0][:2] != found[1][:2] and len({*found[0], *found[1]}) == 5
    assert found[0][2] == found[1][2] == first.ranker
    assert {"python", "numpy", "gradio"} <= programs().keys()
