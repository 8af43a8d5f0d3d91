"""Any OpenAI-compatible server as a writer of rationales: the teacher, or a student behind vLLM."""

from __future__ import annotations

import asyncio
import codecs
import queue
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from slim_app.errors import SlimError
from slim_app.prompts import MAX_NEW_TOKENS, PROMPT_VERSION, TEMPLATES, clean_title
from slim_app.reasoners.address import checked_url
from slim_app.reasoners.call import Call, Put
from slim_app.reasoners.dialect import without_refused
from slim_app.reasoners.faults import Broken, Faults, retry_pause
from slim_app.reasoners.secret import Redactor, Secret, quiet_clients
from slim_app.reasoners.think import ThinkFilter
from slim_app.schema import Item, ModelInfo, RunStats, shown

HEARTBEAT = 0.1
"""Seconds after which the generator wakes up even though nothing arrived, so that it can be closed."""
MAX_WAIT = 10.0
"""Seconds that all retries together may wait: a person is watching."""
CHARACTERS = 40
"""Most characters of a text for each token that it may have; common ones have four."""
MAX_COUNT = 10**9
"""More tokens than any call has: a server that tells more, or fewer than none, tells nothing."""
LINGER = 2.0
"""Seconds to wait for the usage figures after the server said that it has finished; some never hang up."""


class Endpoint:
    """A chat model behind `base_url`. The key stays inside: no repr, message, log line, text or `info` shows it.

    Args:
        public_only: a stranger named the address: see `public_only`.
        flag: what messages call the place where the URL is set; default: the role's command-line flag.
        variable: the same for the key; default: the role's environment variable.

    Raises:
        SlimError: the URL, the model name or the key cannot be right.
    """

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        api_key: str = "",
        role: Literal["teacher", "student"] = "teacher",
        timeout: float = 60.0,
        connect_timeout: float = 10.0,
        max_tokens: int | None = None,
        public_only: bool = False,
        flag: str = "",
        variable: str = "",
    ) -> None:
        flag, variable = flag or f"--{role}-url", variable or f"SLIM_{role.upper()}_KEY"
        self._base_url, host, address = checked_url(base_url, flag)
        self.role, self.model = role, clean_title(model)
        if not self.model:
            raise SlimError(f"The server at {address} needs a model name. Give one together with {flag}.")
        key = api_key.strip()  # pasted keys often end in a line break
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise SlimError(f"The key for {address} holds characters that no key has. Set {variable} again.")
        self._key, self.public_only = Secret(key), public_only
        self.timeout, self.connect_timeout = timeout, connect_timeout
        self.max_tokens = max_tokens or (512 if role == "teacher" else MAX_NEW_TOKENS)
        tuned, version = role == "student", PROMPT_VERSION
        self.info = ModelInfo(self.model, base=self.model, tuned=tuned, prompt_version=version, device=host)
        self._faults = Faults(f"{self.model} at {address}", flag, variable, timeout, connect_timeout, self._key)

    def __repr__(self) -> str:
        return f"Endpoint({self.role}, {self._faults.where})"

    def read(self, history: Sequence[Item]) -> Sequence[Item]:
        """The newest `MAX_HISTORY` purchases."""
        return shown(history)

    def prompt(self, history: Sequence[Item]) -> str:
        """T_t or T_s, filled."""
        return TEMPLATES[self.role](history)

    def stream(self, history: Sequence[Item], stats: RunStats) -> Iterator[str]:
        """Yield the answer's pieces (an empty one is a heartbeat); closing the iterator closes the connection.

        Raises:
            SlimError: the server could not be reached, refused, failed, fell silent or broke off, or its answer
                was empty or not of this protocol. After text has arrived it says that the text is incomplete.
        """
        call = Call(self._converse, self.prompt(history))
        start, finished, reason = time.monotonic(), 0.0, "cancelled"
        call.start()
        try:
            while True:
                try:
                    kind, at, value = call.events.get(timeout=HEARTBEAT)
                except queue.Empty:
                    if finished and time.monotonic() - finished > LINGER:
                        return
                    yield ""
                    continue
                if kind == "start":
                    start = at
                elif kind == "text":
                    stats.tokens += 1
                    stats.seconds = at - start
                    stats.first_token_seconds = stats.first_token_seconds or stats.seconds
                    yield value
                elif kind == "usage":
                    stats.tokens, stats.prompt_tokens, stats.billed_tokens = value[0] or stats.tokens, *value[1:]
                elif kind == "finish":
                    finished, reason = at, value
                elif finished:  # the end, or a connection that broke after the whole answer was here
                    return
                else:
                    reason = "error"
                    raise value or SlimError(f"The call to {self._faults.where} ended unexpectedly. Try again.")
        finally:
            call.stop()
            stats.finish_reason = reason

    async def _converse(self, prompt: str, put: Put) -> None:
        """Ask, again where that may help and nothing has arrived yet, and put events for `stream`."""
        heard = _Heard()
        try:
            import openai  # half a second, paid on this thread while the page already gets heartbeats

            quiet_clients()
            put("start", None)
            params: dict[str, Any] = {
                "model": self.model,
                "messages": [{"role": "user", "content": prompt}],
                "temperature": 0,
                "max_tokens": self.max_tokens,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
            retries, waited = 0, 0.0
            timeout, http = openai.Timeout(self.timeout, connect=self.connect_timeout), None
            if self.public_only:
                from slim_app.reasoners.public_only import public_client

                http = public_client(self._key, timeout, self.connect_timeout)
            async with openai.AsyncOpenAI(
                base_url=self._base_url,
                api_key=self._key.reveal() or "none",  # an empty one would make the client look for OPENAI_API_KEY
                max_retries=0,
                timeout=timeout,
                http_client=http,
            ) as client:
                while True:
                    try:
                        return await self._listen(client, params, heard, put)
                    except openai.APIError as error:
                        if getattr(error, "status_code", 0) in {400, 422} and without_refused(params, str(error.body)):
                            continue
                        pause = None if heard.pieces else retry_pause(error, retries)
                        if pause is None or waited + pause > MAX_WAIT:
                            raise
                    await asyncio.sleep(pause)
                    retries, waited = retries + 1, waited + pause
        except Exception as error:  # the edge of this thread: whatever happened, `stream` must hear of it
            put("error", self._faults.explain(error, heard.text))

    async def _listen(self, client: Any, params: dict[str, Any], heard: _Heard, put: Put) -> None:
        """Pass one streamed answer on. The client validates nothing: any field may be missing or of another type."""
        finish, understood, think, redact = "", False, ThinkFilter(), Redactor(self._key)
        # some servers cut a character into its UTF-16 halves: joined here; a lone half, which nothing can store, goes
        whole, room = codecs.getincrementaldecoder("utf-16-le")("ignore"), CHARACTERS * self.max_tokens
        async with await client.chat.completions.create(**params) as stream:
            media = stream.response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if media in {"text/html", "application/json"}:
                raise Broken(f"answered with {media} instead of a stream. {self._faults.check_url}")
            async for chunk in stream:
                if usage := getattr(chunk, "usage", None):
                    put("usage", _figures(usage, think.hidden))
                choices = getattr(chunk, "choices", None)
                if not isinstance(choices, list):
                    continue
                understood, choice = True, choices[0] if choices else None
                delta = getattr(choice, "delta", None)
                content = getattr(delta, "content", None)
                thought = any(getattr(delta, name, None) for name in ("reasoning_content", "reasoning"))
                heard.pieces += bool(content or thought)
                think.hidden = think.hidden or thought
                content = whole.decode(content.encode("utf-16-le", "surrogatepass")) if isinstance(content, str) else ""
                text = redact.feed(think.feed(content))
                finish = getattr(choice, "finish_reason", None) or finish
                # not every server keeps to max_tokens
                endless = heard.pieces > 8 * self.max_tokens + 64 or len(text) > room
                finish = "length" if endless else finish
                text += redact.feed(think.flush()) + redact.flush() if finish else ""
                text = text[:room]
                room -= len(text)
                if text:
                    heard.text = True
                    put("text", text)
                if finish and heard.text and finish != "content_filter":
                    put("finish", "length" if finish == "length" else "stop")
                if endless:
                    break
        if not understood:
            raise Broken(f"sent nothing that an OpenAI-compatible server sends. {self._faults.check_url}")
        if finish == "content_filter":
            raise Broken("stopped because of its content filter. Change the history, or choose another model.")
        if not heard.text:
            spent = f": its {self.max_tokens} tokens went into thinking" if finish == "length" and heard.pieces else ""
            raise Broken(f"answered without text{spent}. Try again, or choose another model.")
        if not finish:
            raise Broken("ended its answer half-way. Try again.")


@dataclass
class _Heard:
    """What has arrived: deltas with text or thought (after the first one nothing is tried again), any shown text."""

    pieces: int = 0
    text: bool = False


def _figures(usage: Any, hidden: bool) -> tuple[int, int, int]:
    """Tokens of the visible answer, of the prompt, and those charged as answer; 0 where the server does not say.

    Thoughts nobody saw would inflate the speed on the page, so they are taken off, or the deltas counted instead.
    """
    written, asked = getattr(usage, "completion_tokens", 0), getattr(usage, "prompt_tokens", 0)
    thought = getattr(getattr(usage, "completion_tokens_details", None), "reasoning_tokens", 0)
    written, asked, thought = map(_count, (written, asked, thought))
    return (0 if hidden and not thought else max(0, written - thought)), asked, written


def _count(told: Any) -> int:
    """A number of tokens as a server tells it; 0 for what cannot be one."""
    return told if isinstance(told, int) and 0 <= told <= MAX_COUNT else 0
