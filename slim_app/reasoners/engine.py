"""llama.cpp's own server inside the process (xllamacpp): one loaded model, shared by all who write with it.

Requests share `slots` by continuous batching; a request beyond that waits inside the engine.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slim_app import weights
from slim_app.errors import SlimError
from slim_app.prompts import MAX_NEW_TOKENS, student_prompt
from slim_app.reasoners.running import exiting, inside_engine
from slim_app.schema import Item

CONTEXT_PER_SLOT = 1_536
"""The template, 300 new tokens and 20 English titles of 120 characters; other scripts may fill it with fewer."""
PROMPT_BUDGET = CONTEXT_PER_SLOT - MAX_NEW_TOKENS - 64
"""Tokens that T_s may take; 64 are the chat template's."""


class Engine:
    """One llama.cpp server with its model and, optionally, one adapter; shared by all reasoners on it.

    Raises:
        SlimError: missing weights, or an adapter that is corrupt or was trained for another base.
    """

    def __init__(self, base: str = "", adapter: Path | None = None, threads: int = 0, slots: int = 8) -> None:
        self.model_path = weights.resolve(weights.STUDENT_BASE, base)
        self.adapter = adapter
        if adapter is not None:
            from slim_app.reasoners.adapter import check_adapter

            check_adapter(adapter, self.model_path)
        self.slots = slots
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(self.model_path)
        params.n_parallel = slots
        params.n_ctx = CONTEXT_PER_SLOT * slots
        cores = os.cpu_count() or 1
        # One core stays free for everything else (the encoder, the page): the engine's threads wait for each other
        # after every layer, and one that loses its core stalls them all. Reading prompts is worth all cores.
        params.cpuparams.n_threads = threads or max(1, cores - 1)
        params.cpuparams_batch.n_threads = threads or cores
        params.verbosity = -1
        # the server also listens on a loopback port: nobody else on the machine needs to reach it
        self._key = secrets.token_hex(16)
        params.api_keys = [self._key]
        params.ui = False
        params.cache_ram_mib = 0  # its store of earlier prompts may grow to 8 GiB, and these prompts share nothing
        if adapter is not None:
            params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(adapter), 1.0)]
        try:
            self._server = xllamacpp.Server(params)
        except RuntimeError as error:
            what = f" with the adapter {adapter}" if adapter else ""
            raise SlimError(
                f"The model {self.model_path.name}{what} could not be loaded ({error}). "
                "The file may be incomplete: install the weights again, or start without the adapter."
            ) from None

    def chat(self, request: dict, on_event: Callable[[Any], object]) -> None:
        """Blocks until the answer has ended; `on_event(dict)` gets each chunk and returns True to stop."""
        with inside_engine():
            self._server.handle_chat_completions(request, lambda event: on_event(event) or exiting.is_set())

    def fits(self, prompt: str) -> bool:
        """Whether a prompt leaves room for a rationale; counted by the server, the binding has no tokenizer.

        Raises:
            SlimError: the engine does not answer.
        """
        if len(prompt.encode()) <= PROMPT_BUDGET:
            return True  # a token is at least one byte
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        body = json.dumps({"content": prompt}).encode()
        request = urllib.request.Request(f"{self._server.listening_address}/tokenize", body, headers)
        try:  # straight to loopback, whatever proxy the environment names
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
                return len(json.load(answer)["tokens"]) <= PROMPT_BUDGET
        except OSError as error:
            raise SlimError(f"The student does not answer ({error}). Restart the app.") from None

    def warm_up(self) -> None:
        """One token in every slot, so that the first visitor finds code and weights in memory."""
        request = {"messages": [{"role": "user", "content": student_prompt([Item("", "warm-up")])}], "max_tokens": 1}
        threads = [threading.Thread(target=self.chat, args=(dict(request), lambda _: None)) for _ in range(self.slots)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
