"""What `--student` may name for the in-process engine on transformers, found without loading anything heavy."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from slim_app import weights
from slim_app.errors import SlimError
from slim_app.prompts import PROMPT_VERSION
from slim_app.reasoners.students import DEFAULT_STUDENT, read_student

if TYPE_CHECKING:
    import torch

    from slim_app.reasoners.hf import HfReasoner

STUDENTS = Path(__file__).resolve().parents[2] / "assets/students"


@dataclass(frozen=True)
class Source:
    """Where a student's parts are."""

    base: str = ""
    """Hub id, folder or .gguf file; empty = the embedded base."""
    adapter: Path | None = None
    """PEFT folder or GGUF adapter; None = the base alone."""
    name: str = ""
    card: str = ""
    meta: dict = field(default_factory=dict)


def needs_transformers(name: str, folder: Path) -> bool:
    """Whether `name` is a PEFT folder, a model folder or a Hub id: what the llama.cpp engine cannot run."""
    path = _local(name, folder)
    if path is None:
        return _is_hub_id(name)
    return _peft(path) is not None or (path / "config.json").is_file()


def find_student(name: str, folder: Path) -> Source:
    """The parts of the student with this name under `folder`, at this path or under this Hub id; `base` = embedded.

    Raises:
        SlimError: no such student, one of another prompt version, or a Hub id that could not be fetched.
    """
    if name == "base":
        return Source()
    path = _local(name, folder)
    if path is None and _is_hub_id(name):
        path = weights.resolve(weights.WeightSource(name, "", "", "", ""), name)
    if path is not None and (peft := _peft(path)):
        return _of_peft(peft, name if _is_hub_id(name) else path.name)
    if path is not None and (path / "config.json").is_file():
        meta = _meta(path)
        return Source(str(path), None, meta.get("name") or (name if _is_hub_id(name) else path.name), meta=meta)
    student = read_student(name, folder)  # a GGUF adapter; its errors name what may be given
    if student is None:
        return Source()
    card = student.adapter.parent / "README.md"
    text = card.read_text("utf-8") if card.is_file() else ""
    return Source(_base(student.meta), student.adapter, student.name, text, student.meta)


def open_student(
    name: str = DEFAULT_STUDENT,
    folder: Path = STUDENTS,
    device: str = "cpu",
    keep_base: bool = True,
    dtype: torch.dtype | None = None,
) -> HfReasoner:
    """Loads the student; its `engine` also serves the untuned base (`HfReasoner(engine, tuned=False)`) if kept.

    A model without an adapter counts as untuned unless its meta.json says otherwise.

    Raises:
        SlimError: see `find_student` and `hf_load.load`.
    """
    source = find_student(name, folder)
    from slim_app.reasoners.hf import HfReasoner
    from slim_app.reasoners.hf_engine import HfEngine
    from slim_app.reasoners.hf_load import load
    from slim_app.reasoners.llama_cpp import DRY
    from slim_app.reasoners.penalties import Penalties

    loaded = load(source.base, source.adapter, device, dtype, keep_base)
    if source.adapter is None and source.meta.get("tuned"):
        loaded.tuned, loaded.adapter = True, source.base
    small = not source.base or source.base.endswith(".gguf")
    # the embedded base repeats itself without them, on whatever engine; larger students decode as in the paper
    penalties = Penalties(dry=DRY["dry_multiplier"], dry_allowed=DRY["dry_allowed_length"])
    return HfReasoner(HfEngine(loaded, penalties if small else None), loaded.tuned, source.name if loaded.tuned else "")


def _local(name: str, folder: Path) -> Path | None:
    return next((path for path in (Path(name).expanduser(), folder / name) if path.is_dir()), None)


def _is_hub_id(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and not name.endswith("/")


def _peft(path: Path) -> Path | None:
    """The PEFT folder at `path`: itself, or the `adapter` in a folder that distil has written."""
    return next((p for p in (path, path / "adapter") if (p / "adapter_config.json").is_file()), None)


def _meta(path: Path) -> dict:
    """meta.json in this folder or, for distil's OUT/adapter, the one above; empty without one."""
    for place in (path, path.parent) if path.name == "adapter" else (path,):
        if (place / "meta.json").is_file():
            try:
                meta = json.loads((place / "meta.json").read_text("utf-8"))
                version = meta.get("prompt_version")
            except (OSError, ValueError, AttributeError) as error:
                raise SlimError(f"{place / 'meta.json'} cannot be read ({error!r}). Write it again.") from None
            if version not in (None, PROMPT_VERSION):
                raise SlimError(
                    f"The student in {place} was trained with prompt version {version!r}; this app writes version "
                    f"{PROMPT_VERSION!r}. Distil it again, or start with --student base."
                )
            return meta
    return {}


def _base(meta: dict) -> str:
    """The base that a meta.json names: distil writes what it was given, the export the name of the GGUF file, too."""
    base = str(meta.get("base_file") or meta.get("base") or "")
    return "" if base == weights.STUDENT_BASE.inside else base


def _of_peft(folder: Path, name: str) -> Source:
    meta = _meta(folder)
    if "base" in meta:  # distil's own word; peft's would be the folder in which the base lay on that machine
        base = _base(meta)
    else:
        try:
            settings = json.loads((folder / "adapter_config.json").read_text("utf-8"))
            base = str(settings.get("base_model_name_or_path") or "")
        except (OSError, ValueError, AttributeError) as error:
            raise SlimError(f"{folder / 'adapter_config.json'} cannot be read ({error!r}). Export it again.") from None
        if not base:
            raise SlimError(f"{folder / 'adapter_config.json'} names no base model. Add base_model_name_or_path to it.")
        if Path(base).name == weights.STUDENT_BASE.package:
            base = ""
    return Source(base, folder, meta.get("name") or name, meta=meta)
