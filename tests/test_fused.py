"""Eq. 6 and Eq. 7 worked out by hand, late interaction, and a trained recommender on disk."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from conftest import FakeEncoder

from slim_app.errors import SlimError
from slim_app.rationale import format_rationale, parse
from slim_app.recommenders.checkpoint import ids_digest, load_recommender, save_recommender, trained
from slim_app.recommenders.config import VARIANTS, RecommenderConfig
from slim_app.recommenders.fused import FusedRecommender, scores
from slim_app.recommenders.rationale_vectors import rationale_texts, rationale_vectors
from slim_app.schema import Rationale

N, D, H = 9, 5, 4
IDS = [f"i{n}" for n in range(N)]
TEXT = torch.nn.functional.normalize(torch.randn(N, D, generator=torch.Generator().manual_seed(3)), dim=1)
RATIONALE = np.array([[1, 0, 0, 0, 0], [0, 0.6, 0.8, 0, 0]], np.float32)
HISTORY = [2, 5, 7]


pytestmark = pytest.mark.usefixtures("one_thread")


def build(variant: str, backbone: str = "gru4rec", text: torch.Tensor = TEXT, **values) -> FusedRecommender:
    torch.manual_seed(0)
    backbone = "none" if variant == "text" else backbone
    width = 0 if variant == "id" else D
    values = {"hidden": H, "layers": 1, "dropout": 0.5, "max_length": 6, **values}
    model = FusedRecommender(RecommenderConfig(backbone, variant, N, width, **values), None if not width else text)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
    return model.eval()


def meta(encoder: str = "fake") -> dict:
    dataset = {"name": "toys", "items_sha256": ids_digest(IDS)}
    return {"dataset": dataset, "encoder": {"name": encoder, "dimension": D}}


def linear(layer, x: np.ndarray) -> np.ndarray:
    return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


@pytest.mark.parametrize("reads", ["id", "items"])
def test_eq_6_by_hand(reads):
    model = build("fused", reads=reads)
    ids = model.id.weight[:N].detach().numpy()
    z = linear(model.g_f, np.concatenate([linear(model.g_l, TEXT.numpy()), ids], 1))
    rows = torch.tensor([HISTORY])
    with torch.no_grad():
        s_seq = model.backbone(torch.from_numpy({"id": ids, "items": z}[reads])[rows], rows)[0, -1].numpy()
    s = linear(model.g_f, np.concatenate([linear(model.g_l, RATIONALE[0]), s_seq]))
    found = trained(model, meta()).scores(HISTORY, RATIONALE[:1])
    np.testing.assert_allclose(found, z @ s, rtol=1e-4, atol=1e-5)


def test_eq_7_by_hand():
    model = build("text")
    expected = linear(model.g_t, RATIONALE) @ linear(model.g_t, TEXT.numpy()).T
    found = trained(model, meta()).segment_scores([], RATIONALE)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_late_interaction_is_the_best_segment_and_an_exact_rescoring():
    ready = trained(build("fused", ranker="late"), meta())
    both = ready.segment_scores(HISTORY, RATIONALE)
    np.testing.assert_allclose(ready.scores(HISTORY, RATIONALE), both.max(axis=0))
    for n in range(2):
        np.testing.assert_allclose(ready.scores(HISTORY, RATIONALE[n : n + 1]), both[n], rtol=1e-5, atol=1e-6)


def test_masked_segments_never_win():
    queries, items = torch.tensor([[[1.0, 0], [9, 9]]]), torch.eye(2)
    assert scores(queries, items).tolist() == [[9, 9]]
    assert scores(queries, items, torch.tensor([[True, False]])).tolist() == [[1, 0]]
    assert scores(queries, items[None, 1:], torch.tensor([[True, False]])).tolist() == [[0]]


@pytest.mark.parametrize("backbone", ["sasrec", "gru4rec", "srgnn"])
def test_without_a_rationale_a_learned_input_stands_for_it(backbone):
    model = build("fused", backbone)
    ready = trained(model, meta())
    without = ready.scores(HISTORY)
    with torch.no_grad():
        model.no_rationale.add_(1.0)
    assert np.abs(ready.scores(HISTORY) - without).max() > 1e-3
    assert np.abs(ready.scores(HISTORY, RATIONALE[:1]) - without).max() > 1e-3


def test_plus_is_gated_without_the_rationale():
    plus, gated = build("plus"), build("gated")
    gated.load_state_dict(gated.state_dict() | plus.state_dict())
    ready, more = trained(plus, meta()), trained(gated, meta())
    np.testing.assert_array_equal(ready.scores(HISTORY), more.scores(HISTORY))
    assert np.abs(more.scores(HISTORY, RATIONALE) - ready.scores(HISTORY)).max() > 1e-3
    np.testing.assert_array_equal(ready.scores(HISTORY, RATIONALE), ready.scores(HISTORY))  # it reads none


def test_the_gate_weighs_the_rationale():
    model = build("gated")
    with torch.no_grad():
        model.gate.weight.zero_()
        model.gate.bias.fill_(-60.0)  # softplus → 0: what was written no longer counts
    ready = trained(model, meta())
    for scores_of in ready.segment_scores(HISTORY, RATIONALE):
        np.testing.assert_allclose(scores_of, ready.scores(HISTORY), atol=1e-5)


def test_an_item_without_text_has_a_learned_vector_in_its_place():
    text = TEXT.clone()
    text[4] = 0
    model = build("plus", text=text)
    before = model.items(torch.arange(N)).detach()
    with torch.no_grad():
        model.no_text.add_(1.0)
    changed = (model.items(torch.arange(N)) - before).abs().sum(dim=1) > 1e-4
    assert changed.nonzero()[:, 0].tolist() == [4]


def test_only_the_newest_items_are_read():
    ready = trained(build("id", max_length=3), meta())
    np.testing.assert_array_equal(ready.scores([1, 8, *HISTORY]), ready.scores(HISTORY))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_history_of_one_item(variant):
    ready = trained(build(variant), meta())
    assert ready.scores([3], RATIONALE).shape == (N,) and np.isfinite(ready.scores([3], RATIONALE)).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_saved_and_loaded_it_scores_the_same(variant, tmp_path):
    model = build(variant)
    save_recommender(tmp_path / "r", model, meta())
    loaded = load_recommender(tmp_path / "r", IDS, TEXT.numpy(), "fake")
    expected = trained(model, meta()).scores(HISTORY, RATIONALE)
    np.testing.assert_array_equal(loaded.scores(HISTORY, RATIONALE), expected)
    assert loaded.config == model.config and sorted(p.name for p in (tmp_path / "r").iterdir()) == [
        "meta.json", "model.safetensors",
    ]  # fmt: skip


@pytest.mark.parametrize("call, message", [
    (lambda r: r.scores([]), "holds no item of this catalogue"),
    (lambda r: r.scores([N]), "has the row 9; the catalogue has 9 items"),
    (lambda r: r.scores([-1, 2]), "Give rows of this catalogue"),
    (lambda r: r.scores(HISTORY, np.zeros((1, 3), np.float32)), r"shape \(1, 3\), not \(m, 5\)"),
    (lambda r: r.scores(HISTORY, np.zeros((0, D), np.float32)), "Use its encoder"),
])  # fmt: skip
def test_what_cannot_be_scored(call, message):
    with pytest.raises(SlimError, match=message):
        call(trained(build("fused"), meta()))


def test_text_matching_without_a_rationale_is_refused():
    with pytest.raises(SlimError, match="nothing to rank by without a rationale"):
        trained(build("text"), meta()).scores(HISTORY)


@pytest.mark.parametrize("change, message", [
    (lambda f, a: a.update(item_ids=IDS[::-1]), "trained on 9 items of toys, and this catalogue of 9 is another one"),
    (lambda f, a: a.update(item_ids=IDS[:3]), "Train it again: python -m training.train_recommender"),
    (lambda f, a: a.update(encoder_name="bert"), "reads vectors of the encoder fake, not of bert"),
    (lambda f, a: a.update(item_text=None), "shape None"),
    (lambda f, a: a.update(item_text=TEXT.numpy()[:, :2]), r"shape \(9, 2\)"),
    (lambda f, a: (f / "meta.json").unlink(), "no readable recommender"),
    (lambda f, a: (f / "meta.json").write_text("{"), "no readable recommender"),
    (lambda f, a: (f / "model.safetensors").unlink(), "no readable recommender"),
    (lambda f, a: (f / "model.safetensors").write_bytes(b"cut"), "is not what meta.json beside it describes"),
    (lambda f, a: save_recommender(f, build("plus"), meta()) or _claim(f, "fused"), "another version of this program"),
])  # fmt: skip
def test_what_cannot_be_loaded_names_the_repair(tmp_path, change, message):
    folder = tmp_path / "r"
    save_recommender(folder, build("fused"), meta())
    given = {"item_ids": IDS, "item_text": TEXT.numpy(), "encoder_name": "fake"}
    change(folder, given)
    with pytest.raises(SlimError, match=message) as raised:
        load_recommender(folder, **given)
    assert "training.train_recommender" in str(raised.value)


def _claim(folder, variant: str) -> None:
    content = json.loads((folder / "meta.json").read_text("utf-8"))
    content["config"]["variant"] = variant
    (folder / "meta.json").write_text(json.dumps(content), "utf-8")


def test_the_id_variant_needs_no_text_vectors(tmp_path):
    save_recommender(tmp_path, build("id"), meta() | {"encoder": None})
    assert load_recommender(tmp_path, IDS).scores(HISTORY).shape == (N,)


@pytest.mark.parametrize("values, message", [
    ({"variant": "best"}, "Unknown variant"), ({"ranker": "x"}, "Unknown ranker"), ({"reads": "x"}, "cannot read"),
    ({"backbone": "none"}, "has no backbone"), ({"variant": "text"}, "has no backbone"),
    ({"steps": (4,)}, "must be some of 1, 2, 3"), ({"steps": ()}, "must be some of"),
    ({"hidden": 6, "heads": 4}, "cannot be shared out to 4 heads"), ({"dropout": 1.0}, "dropout"),
    ({"hidden": 0}, "below 1"), ({"text_dim": 0}, "cannot have text vectors"),
])  # fmt: skip
def test_configurations_that_cannot_be(values, message):
    with pytest.raises(SlimError, match=message):
        RecommenderConfig(**{"backbone": "sasrec", "variant": "fused", "n_items": N, "text_dim": D, **values})


WRITTEN = parse(format_rationale("You like A. You like B.", ["C", "D"], ["Step 2: the game", "F"]))


def test_what_is_read_of_a_rationale():
    assert rationale_texts(WRITTEN, "late") == ["You like A.", "You like B.", "C", "D", "Step 2: the game", "F"]
    assert rationale_texts(WRITTEN, "late", (2,)) == ["C", "D"]
    whole = "Step 1: You like A. You like B.\nStep 2:\n1. C\n2. D\nStep 3:\n1. Step 2: the game\n2. F"
    assert rationale_texts(WRITTEN, "pooled") == [whole]
    assert rationale_texts(WRITTEN, "pooled", (1,)) == ["Step 1: You like A. You like B."]
    assert rationale_texts(WRITTEN, "pooled", (3,)) == ["Step 3:\n1. Step 2: the game\n2. F"]
    assert rationale_texts(parse("Step 1: Hm."), "pooled", (2, 3)) == []


def test_an_empty_rationale_is_no_vector_of_zeros():
    encoder = FakeEncoder(dimension=D)
    assert rationale_vectors(WRITTEN, encoder, "late").shape == (6, D)
    assert rationale_vectors(WRITTEN, encoder, "pooled").shape == (1, D)
    with pytest.raises(SlimError, match="says nothing in step 1, 2, 3"):
        rationale_vectors(Rationale(), encoder, "pooled")
