"""Hugging Face ZeroGPU: a GPU that is lent for one call at a time, through the decorator of the `spaces` package.

What it demands of the code: models are put on `cuda` by the main thread before the page starts; CUDA itself exists
only inside a decorated function, which runs in a forked process. Arguments and results are pickled on their way, so
threads, queues, locks and exceptions with a text of their own do not cross; a generator that yields plain values does.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

DURATION = 60
"""Seconds that one call may take, the move of the weights included; a shorter wish waits less in the queue."""

Function = TypeVar("Function", bound=Callable)


def active() -> bool:
    """Whether this is a Space on ZeroGPU."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in {"1", "t", "true"}


def prepare() -> ModuleType | None:
    """`spaces` where it is installed, else None; on ZeroGPU it must be imported before anything touches CUDA."""
    try:
        return importlib.import_module("spaces")
    except ImportError:
        return None


def gpu(function: Function, duration: int = DURATION) -> Function:
    """`function`, decorated by `spaces.GPU` where that package is installed and unchanged elsewhere.

    To be called before the page is launched: ZeroGPU then counts the functions that need it.
    """
    spaces = prepare()
    return spaces.GPU(function, duration=duration) if spaces else function
