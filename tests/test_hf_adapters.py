"""Adapters and bases of the in-process student: merged, switched off, refused; and what `--student` may name."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from gguf import GGUFWriter
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
)

from benchmarks import gpu_student
from slim_app import services as services_module
from slim_app import weights
from slim_app.errors import SlimError
from slim_app.prompts import PROMPT_VERSION, student_prompt
from slim_app.reasoners.hf import HfReasoner
from slim_app.reasoners.hf_engine import HfEngine
from slim_app.reasoners.hf_gguf import read_gguf_adapter
from slim_app.reasoners.hf_load import load
from slim_app.reasoners.hf_students import find_student, needs_transformers, open_student
from slim_app.reasoners.penalties import Penalties
from slim_app.services import STUDENTS, Settings, build_services
from tests.hf_models import FAMILIES, HISTORIES, LIMIT, generated, tiny_models, written
from training.export_adapter import gguf_tensors


@pytest.fixture(scope="module")
def tiny():
    with tiny_models() as folders:
        yield folders


@pytest.mark.parametrize("family", FAMILIES)
def test_merged_is_unmerged_and_the_base_is_a_switch_away(tiny, family):
    engine = HfEngine(load(str(tiny[family]), tiny[f"{family}-lora"]), limit=LIMIT)
    student, base = HfReasoner(engine, tuned=True, name="mine"), HfReasoner(engine, tuned=False)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny[family]), engine.loaded.tokenizer
    untuned = generated(model, tokenizer, HISTORIES[0])
    tuned = generated(PeftModel.from_pretrained(model, tiny[f"{family}-lora"]), tokenizer, HISTORIES[0])
    assert tuned != untuned
    for reasoner, expected in ((student, tuned), (base, untuned), (student, tuned), (base, untuned)):
        assert written(reasoner) == expected
    assert (student.info.name, student.info.tuned, student.info.kind) == ("mine", True, "live")
    assert (base.info.name, base.info.tuned, base.info.adapter) == (f"tiny-{family}", False, "")
    assert student.info.base == f"tiny-{family}" and student.info.adapter and student.info.device == "CPU"
    assert student.info.prompt_version == PROMPT_VERSION
    assert student.prompt(HISTORIES[0]) == student_prompt(HISTORIES[0])


@pytest.mark.parametrize("other", ["wide", "deep", "bloom"])
def test_an_adapter_for_another_base_names_both(tiny, other):
    with pytest.raises(SlimError, match=r"llama-lora was trained for .*tiny-llama and does not fit tiny-" + other):
        load(str(tiny[other]), tiny["llama-lora"])


def test_a_damaged_adapter_gets_words(tiny, tmp_path):
    with pytest.raises(SlimError, match="holds no readable PEFT adapter"):
        load(str(tiny["llama"]), tmp_path)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).write_bytes((tiny["llama-lora"] / name).read_bytes()[:-1000])
    with pytest.raises(SlimError, match="holds no readable PEFT adapter"):
        load(str(tiny["llama"]), tmp_path)
    settings = json.loads((tiny["llama-lora"] / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings | {"peft_type": "IA3"}))
    shutil.copy(tiny["llama-lora"] / "adapter_model.safetensors", tmp_path)
    with pytest.raises(SlimError, match=r"another kind \(IA3\)"):
        load(str(tiny["llama"]), tmp_path)


def test_missing_models_and_gpus_get_words(tiny, tmp_path):
    with pytest.raises(SlimError, match="No weights at"):
        load(str(tmp_path / "nothing"))
    with pytest.raises(SlimError, match="There is no usable model in"):
        load(str(tmp_path))
    if not torch.cuda.is_available():
        with pytest.raises(SlimError, match=r"no CUDA GPU.*--device cpu"):
            load(str(tiny["llama"]), device="cuda")


def test_a_gguf_adapter_becomes_peft_weights(tmp_path):
    generator = np.random.default_rng(0)
    shapes = {"self_attn.q_proj": (576, 576), "self_attn.k_proj": (192, 576), "mlp.down_proj": (576, 1536)}
    tensors = {}
    for module, (rows, columns) in shapes.items():
        name = f"base_model.model.model.layers.3.{module}"
        tensors[f"{name}.lora_A.weight"] = generator.normal(size=(4, columns)).astype(np.float32)
        tensors[f"{name}.lora_B.weight"] = generator.normal(size=(rows, 4)).astype(np.float32)
    writer = GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    for name, value in gguf_tensors(tensors, heads=9, kv_heads=3).items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    settings, found = read_gguf_adapter(tmp_path / "a.gguf", weights.resolve(weights.STUDENT_BASE), 9, 3)
    assert settings["target_modules"] == ["down_proj", "k_proj", "q_proj"]
    assert (settings["r"], settings["lora_alpha"]) == (4, 8.0)
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        np.testing.assert_array_equal(found[name].numpy(), value.astype(np.float16).astype(np.float32))


def test_what_a_student_may_be(tiny, tmp_path):
    run = tmp_path / "run"
    (run / "adapter").mkdir(parents=True)
    for file in tiny["llama-lora"].iterdir():
        (run / "adapter" / file.name).write_bytes(file.read_bytes())
    (run / "meta.json").write_text(json.dumps({"base": "", "name": "Mine", "prompt_version": PROMPT_VERSION}))
    assert needs_transformers(str(tiny["llama-lora"]), tmp_path)
    assert needs_transformers("run", tmp_path) and needs_transformers("owner/model", tmp_path)
    assert needs_transformers(str(tiny["bloom"]), tmp_path)
    assert not any(needs_transformers(name, STUDENTS) for name in ("smollm2-135m", "base", "none", "./x/y", "a/b/c"))
    assert find_student(str(tiny["llama-lora"]), tmp_path).base == str(tiny["llama"])
    for name in ("run", str(run), str(run / "adapter")):
        source = find_student(name, tmp_path)
        assert (source.base, source.adapter, source.name) == ("", run / "adapter", "Mine"), name
    (run / "meta.json").write_text(json.dumps({"base": "", "prompt_version": "0"}))
    with pytest.raises(SlimError, match="prompt version '0'"):
        find_student("run", tmp_path)
    shipped = find_student("smollm2-135m", STUDENTS)
    assert shipped.base == "" and (shipped.adapter is None or shipped.adapter.suffix == ".gguf")
    assert find_student("base", STUDENTS).adapter is None
    with pytest.raises(SlimError, match="no student “mine”"):
        find_student("mine", tmp_path)


def test_a_whole_model_is_untuned_unless_it_says_otherwise(tiny, tmp_path):
    reasoner = open_student(str(tiny["bloom"]))
    assert (reasoner.info.name, reasoner.info.tuned, reasoner.engine.penalties) == ("tiny-bloom", False, Penalties())
    for file in tiny["bloom"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "meta.json").write_text(json.dumps({"tuned": True, "name": "Mine", "prompt_version": PROMPT_VERSION}))
    reasoner = open_student(str(tmp_path))
    assert (reasoner.info.name, reasoner.info.tuned) == ("Mine", True)
    assert written(reasoner)


def test_the_app_runs_a_peft_folder(tiny, monkeypatch):
    monkeypatch.setattr(services_module, "load_domains", lambda *_: {})
    monkeypatch.setattr(services_module.TextEncoder, "load", lambda self: None)
    services = build_services(Settings(student=str(tiny["llama-lora"])))
    for thread in services.warming:
        thread.join()
    assert services.missing == "" and set(services.reasoners) == {"student", "base"}
    student, base = (services.reasoner(name, "") for name in ("student", "base"))
    assert student.engine is base.engine and (student.info.tuned, base.info.tuned) == (True, False)
    assert written(student) != written(base)
    if not torch.cuda.is_available():
        services = build_services(Settings(device="cuda"))
        assert "no CUDA GPU" in services.missing and not services.reasoners
        assert services_module._device("auto") == "cpu"


def test_the_benchmark_runs_on_a_toy_and_refuses_without_a_gpu(tmp_path):
    flags = "--tiny --device cpu --batches 1,3 --runs 1 --prompt 20 --tokens 8 --out"
    result = gpu_student.main(gpu_student.make_parser().parse_args([*flags.split(), str(tmp_path / "out.json")]))
    assert json.loads((tmp_path / "out.json").read_text()) == result
    assert [b["batch"] for b in result["batches"] if b["fits"]] == [1, 3]
    assert set(result["one_stream"]) == {"kernel by kernel"}
    assert gpu_student.bytes_per_token(gpu_student.random_model(gpu_student.TINY, "cpu").model) > 4 * 320 * 64
    if not torch.cuda.is_available():
        with pytest.raises(SlimError, match="needs a CUDA GPU"):
            gpu_student.main(gpu_student.make_parser().parse_args([]))
