"""Domain folders: the shipped ones, added ones, stale or broken ones."""

from __future__ import annotations

import json
import logging
import shutil
import time

import numpy as np
import pytest
from conftest import ROOT, FakeEncoder

from slim_app.domain import build_domain, load_domain, load_domains, texts_of
from slim_app.encoder import TextEncoder, vectors_key
from slim_app.errors import SlimError
from slim_app.recommenders.index import ExactIndex
from slim_app.schema import Item

SHIPPED = ROOT / "assets" / "domains"
ITEMS = [
    {"id": "A", "title": "Desk lamp", "brand": "Ikea", "category": "Light"},
    {"id": "B", "title": "Chair", "brand": "Ikea"},
]


class NeverEncodes(TextEncoder):
    """The real encoder's name, and a failure as soon as it is asked for a vector."""

    def _forward(self, texts):
        pytest.fail("nothing may be encoded here")


@pytest.fixture
def folder(tmp_path):
    """Write a domain folder."""

    def make(name: str = "shop", items=ITEMS, shoppers=(), **meta):
        path = tmp_path / name
        path.mkdir()
        (path / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items), "utf-8")
        if shoppers:
            (path / "shoppers.jsonl").write_text("".join(json.dumps(s) + "\n" for s in shoppers), "utf-8")
        if meta:
            (path / "meta.json").write_text(json.dumps(meta), "utf-8")
        return path

    return make


def test_the_shipped_domains_load_without_encoding():
    start = time.perf_counter()
    found = load_domains([SHIPPED], NeverEncodes())
    assert time.perf_counter() - start < 5
    assert list(found) == ["games", "food", "home"], "in the order of order.json"
    for domain in found.values():
        assert len(domain.catalog) == len(domain.vectors) == 360
        assert len(domain.group_vectors) == len(domain.catalog.groups)
        assert len(domain.shoppers) >= 100
        assert all(domain.history(shopper) for shopper in domain.shoppers)
        assert "invented" in domain.note
        np.testing.assert_allclose(np.linalg.norm(domain.vectors, axis=1), 1, atol=1e-4)
        np.testing.assert_allclose(np.linalg.norm(domain.group_vectors, axis=1), 1, atol=1e-4)


@pytest.mark.parametrize("name", ["games", "food", "home"])
def test_shipped_vectors_are_what_the_encoder_gives(domains, encoder, name):
    domain = domains[name]
    rows = [0, 7, 100, 200, 359]
    fresh = encoder.encode([domain.catalog.items[row].text for row in rows])
    np.testing.assert_allclose(domain.vectors[rows], fresh, atol=1e-4)
    groups = list(domain.catalog.groups.values())[:3]
    np.testing.assert_allclose(domain.group_vectors[:3], encoder.encode(groups), atol=1e-4)


def test_samples_do_not_hold_their_next_purchase(domains):
    for domain in domains.values():
        for shopper in domain.shoppers:
            assert shopper.next not in shopper.history, shopper.shopper_id


def test_an_added_folder_is_encoded_once(folder, tmp_path):
    path, cache, encoder = folder(label="My shop", note="Mine"), tmp_path / "data" / "vectors", FakeEncoder(dimension=4)
    first = load_domain(path, encoder, cache)
    assert encoder.seen == ["Desk lamp (Light, Ikea)", "Chair (Ikea)", "Ikea", "Light"] == texts_of(first.catalog)
    assert (first.name, first.label, first.note) == ("shop", "My shop", "Mine")
    assert isinstance(first.index, ExactIndex)
    encoder.seen.clear()
    again = load_domain(path, encoder, cache)
    assert encoder.seen == []
    np.testing.assert_array_equal(again.vectors, first.vectors)
    assert load_domain(path, encoder, None).vectors.shape == (2, 4)
    assert encoder.seen, "without a cache it is encoded again"


def test_changed_items_are_encoded_anew(folder, tmp_path):
    path, encoder = folder(), FakeEncoder(dimension=4)
    load_domain(path, encoder, tmp_path / "cache")
    with (path / "items.jsonl").open("a") as file:
        file.write(json.dumps({"id": "C", "title": "Rug"}) + "\n")
    encoder.seen.clear()
    domain = load_domain(path, encoder, tmp_path / "cache")
    assert "Rug" in encoder.seen
    assert len(domain.vectors) == 3


def test_stale_vectors_are_not_used_and_the_command_is_named(folder, caplog):
    path, encoder = folder(vectors_key="of-other-items"), FakeEncoder(dimension=4)
    np.save(path / "vectors.npy", np.zeros((4, 4), np.float32))
    with caplog.at_level(logging.WARNING):
        domain = load_domain(path, encoder)
    np.testing.assert_array_equal(domain.vectors, encoder.encode(texts_of(domain.catalog))[:2])
    assert f"python -m slim_app.domain {path}" in caplog.text


def test_broken_vectors_are_not_used(folder, caplog):
    path, encoder = folder(), FakeEncoder(dimension=4)
    texts = texts_of(load_domain(path, encoder).catalog)
    (path / "meta.json").write_text(json.dumps({"vectors_key": vectors_key("fake", texts)}))
    good = encoder.encode(texts)
    np.save(path / "vectors.npy", good * 0.5)
    np.testing.assert_array_equal(load_domain(path, encoder).vectors, good[:2] * 0.5)  # the right key: taken as it is
    cut_off = (path / "vectors.npy").read_bytes()[:-20]
    for wrong in (np.zeros((3, 4)), np.zeros(4), np.float32(1), cut_off, b"", b"no array"):
        (path / "vectors.npy").write_bytes(wrong) if isinstance(wrong, bytes) else np.save(path / "vectors.npy", wrong)
        caplog.clear()
        np.testing.assert_array_equal(load_domain(path, encoder).vectors, good[:2])
        assert "is not used" in caplog.text


def test_skipped_lines_are_reported(folder, caplog):
    path = folder()
    with (path / "items.jsonl").open("a") as file:
        file.write("{broken\n" + json.dumps({"id": "A", "title": "Again"}) + "\n")
    assert len(load_domain(path, FakeEncoder()).catalog) == 2
    assert "first: line 3" in caplog.text
    assert "repeats an id (first: “A”)" in caplog.text


GOOD = {"shopper_id": "s1", "name": "Reader", "history": ["A"]}


@pytest.mark.parametrize(("shopper", "words"), [
    ({**GOOD, "history": ["A", "Z"]}, "unknown item “Z”"),
    ({**GOOD, "next": "Z"}, "unknown item “Z”"),
    ({**GOOD, "history": []}, "an empty history"),
    ({"shopper_id": "s2", "name": "X"}, "not a sample shopper"),
    ({**GOOD, "history": 5}, "not a sample shopper"),
    (["s1"], "not a sample shopper"),
])  # fmt: skip
def test_a_bad_shopper_names_the_line(folder, shopper, words):
    path = folder(shoppers=[GOOD, shopper])
    with pytest.raises(SlimError, match=rf"shoppers.jsonl, line 2: {words}"):
        load_domain(path, FakeEncoder())


def test_folders_that_hold_no_domain(tmp_path, folder):
    with pytest.raises(SlimError, match=r"no items\.jsonl"):
        load_domain(tmp_path, FakeEncoder())
    with pytest.raises(SlimError, match=r"No domain in .*: a domain is a folder with an items.jsonl"):
        load_domains([tmp_path], FakeEncoder())
    with pytest.raises(SlimError, match="There is no folder"):
        load_domains([tmp_path / "nowhere"], FakeEncoder())
    with pytest.raises(SlimError, match="not valid JSON"):
        path = folder()
        (path / "meta.json").write_text("{")
        load_domain(path, FakeEncoder())


def test_adding_a_domain_is_adding_a_folder(tmp_path, folder):
    shop = folder("my_shop")
    shutil.copytree(shop, tmp_path / "all" / "zoo")
    shutil.copytree(shop, tmp_path / "all" / "art")
    found = load_domains([shop, tmp_path / "all"], FakeEncoder())
    assert [(name, domain.label) for name, domain in found.items()] == [
        ("my_shop", "My shop"), ("art", "Art"), ("zoo", "Zoo"),
    ]  # fmt: skip
    with pytest.raises(SlimError, match="Two domains are named “zoo”"):
        load_domains([tmp_path / "all", tmp_path / "all" / "zoo"], FakeEncoder())


def test_a_visitors_domain_reports_progress():
    items = [Item(str(n), f"Thing {n}", "Ikea") for n in range(300)]
    *progress, domain = build_domain("own", "Own", items, FakeEncoder(dimension=4))
    assert progress == [256, 300]
    assert (domain.name, domain.label, len(domain.vectors)) == ("own", "Own", 300)
    assert len(domain.group_vectors) == 1
