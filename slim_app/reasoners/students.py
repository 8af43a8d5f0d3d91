"""Student folders: a GGUF adapter with the `meta.json` that says what made it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from slim_app.errors import SlimError
from slim_app.prompts import PROMPT_VERSION

DEFAULT_STUDENT = "smollm2-135m"


@dataclass(frozen=True)
class Student:
    """A student folder: `meta.json` and the GGUF adapter that it names."""

    name: str
    adapter: Path
    meta: dict


def read_student(name: str, folder: Path) -> Student | None:
    """The student of this name under `folder`, or at this path; None when the named one is not shipped.

    Raises:
        SlimError: an unreadable meta.json, a missing adapter file, or another prompt version.
    """
    path = Path(name) if Path(name).is_dir() else folder / name
    if not (path / "meta.json").is_file():
        if name == DEFAULT_STUDENT:
            return None  # nothing shipped: the caller uses the untuned base and says so
        raise SlimError(
            f"There is no student “{name}” (looked in {path}). Give --student a folder with a meta.json, or base."
        )
    try:
        meta = json.loads((path / "meta.json").read_text("utf-8"))
        adapter = path / meta["adapter"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SlimError(
            f"The student folder {path} has no usable meta.json ({error!r}). Export the adapter again."
        ) from None
    if meta.get("prompt_version") != PROMPT_VERSION:
        raise SlimError(
            f"The student in {path} was trained with prompt version {meta.get('prompt_version')!r}; this app writes "
            f"version {PROMPT_VERSION!r}. Distil it again, or start with --student base."
        )
    return Student(str(meta.get("name") or path.name), adapter, meta)
