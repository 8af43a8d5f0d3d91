"""The teacher's server through the `openai` client; its failures are told apart by what to do next."""

from __future__ import annotations

import asyncio
import json
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from slim_app.errors import SlimError
from slim_app.prompts import clean_title
from slim_app.reasoners.address import checked_url
from slim_app.reasoners.dialect import without_refused
from slim_app.reasoners.faults import Broken, Faults, asked_wait
from slim_app.reasoners.secret import Secret, quiet_clients
from training.teacher.answers import Answer, read_answer
from training.teacher.pace import backoff

if TYPE_CHECKING:
    import openai

KEY_VARIABLE = "SLIM_TEACHER_KEY"
CONNECT_TIMEOUT = 10.0
SECOND_TEMPERATURE = 0.7
"""For an answer that did not parse: at 0 the same words would come back."""
HALTING = {401, 402, 403, 404, 405, 410}
"""Key, quota, address or model: no other request would fare better."""
LONGEST_WAIT = 900.0
"""Seconds; a server that asks to wait longer (a daily quota) ends the run."""
PASSING = {408, 409, 425, 429}
T = TypeVar("T")


class Halt(SlimError):
    """No request can succeed until something was set right."""


class Refused(SlimError):
    """This one request is not accepted, now or later."""


class Transient(SlimError):
    """The same request may succeed later."""

    def __init__(self, message: str, wait: float = math.nan, charged: bool = False) -> None:
        super().__init__(message)
        self.wait = wait
        """Seconds that the server asks to wait; NaN where it asks for nothing."""
        self.charged = charged
        """The provider may charge for it all the same."""


def pause_before(retry: int, failure: Transient, rng: random.Random) -> float:
    """Seconds before retry number `retry` (from 0): what the server asks for, else the usual back-off.

    Raises:
        Halt: the server asks to wait so long that it is better to come back later.
    """
    if math.isnan(failure.wait):
        return backoff(retry, rng)
    if failure.wait > LONGEST_WAIT:
        raise Halt(f"{failure} It asks to wait {failure.wait / 60:.0f} minutes: run the same command again then.")
    return failure.wait + backoff(0, rng) * min(1.0, failure.wait)  # those who wait do not all come back at once


class Teacher:
    """An async context manager. The key stays inside: no repr, message, row or log line shows it.

    Raises:
        SlimError: the URL, the model name or the key cannot be right.
    """

    def __init__(self, url: str, model: str, key: str = "", timeout: float = 60.0, max_tokens: int = 512) -> None:
        self._url, _, self.host = checked_url(url, "--url")
        self.model = clean_title(model)
        if not self.model:
            raise SlimError("--model is empty. Give the model's name as the server knows it.")
        key = key.strip()  # pasted keys often end in a line break
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise SlimError(f"The key for {self.host} holds characters that no key has. Set {KEY_VARIABLE} again.")
        self._key = Secret(key)
        self.timeout, self.max_tokens = timeout, max_tokens
        self._faults = Faults(
            f"{self.model} at {self.host}", "--url", KEY_VARIABLE, timeout, CONNECT_TIMEOUT, self._key
        )
        self._reached = False
        self._params: dict[str, Any] = {"model": self.model, "temperature": 0, "max_tokens": max_tokens}

    def __repr__(self) -> str:
        return f"Teacher({self._faults.where})"

    async def __aenter__(self) -> Teacher:
        import openai

        quiet_clients()
        self._client = openai.AsyncOpenAI(
            base_url=self._url,
            api_key=self._key.reveal() or "none",  # an empty one would make the client look for OPENAI_API_KEY
            max_retries=0,
            timeout=openai.Timeout(self.timeout, connect=CONNECT_TIMEOUT),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    def params(self, prompt: str, again: bool) -> dict[str, Any]:
        """The request; `again` for the second answer to the same prompt."""
        params = {**self._params, "messages": [{"role": "user", "content": prompt}]}
        return params | ({"temperature": SECOND_TEMPERATURE} if again and "temperature" in params else {})

    def adapt(self, params: dict[str, Any], complaint: str) -> bool:
        """From now on without the optional parameter of `params` that a server complained about, if there is one."""
        kept = {name: value for name, value in params.items() if name != "messages"}
        changed = without_refused(kept, complaint)
        if changed:
            self._params = kept | ({"temperature": 0} if "temperature" in kept else {})
        return changed

    async def ask(self, prompt: str, again: bool = False) -> tuple[Answer, float]:
        """The answer, and the seconds that it took.

        Raises:
            Halt, Refused, Transient: see there.
        """
        while True:
            params, start = self.params(prompt, again), time.monotonic()
            try:
                return await self.call(lambda client, sent=params: _chat(client, sent)), time.monotonic() - start
            except Refused as error:
                if not self.adapt(params, str(error)):
                    raise

    async def call(self, work: Callable[[openai.AsyncOpenAI], Awaitable[T]], timeout: float | None = None) -> T:
        """One exchange with the server; `timeout` bounds it as a whole.

        Raises:
            Halt, Refused, Transient: see there.
        """
        limit = timeout or self.timeout + CONNECT_TIMEOUT
        try:
            result = await asyncio.wait_for(work(self._client), limit)
        except asyncio.TimeoutError:
            failure = Transient(f"{self._faults.where} did not end its answer within {limit:g} s.", charged=True)
        except Exception as error:  # the edge: whatever the client raises becomes words
            failure = self._failure(error)
        else:
            self._reached = True
            return result
        raise failure  # outside the handler: a traceback must not carry what the client knows

    def hide(self, text: str) -> str:
        """`text` without the key, which some servers repeat."""
        return self._key.hide(text)

    def _failure(self, error: Exception) -> SlimError:
        import openai

        words = self.hide(str(self._faults.explain(error, False)))
        if isinstance(error, openai.APIStatusError):
            status = error.status_code
            if status in HALTING or status < 400 or error.code == "insufficient_quota":
                return Halt(words)
            if status in PASSING or status >= 500:
                return Transient(words, asked_wait(error))
            return Refused(words)
        if isinstance(error, openai.APIConnectionError):
            unconnected = _unconnected(error)
            if unconnected and not self._reached:  # more likely a wrong address than a passing trouble
                return Halt(words)
            return Transient(words, charged=not unconnected)
        if isinstance(error, _Page) and not self._reached:
            return Halt(words)
        return Transient(words, charged=True) if isinstance(error, Broken | ValueError) else Halt(words)


class _Page(Broken):
    """A web page instead of an answer."""


async def _chat(client: openai.AsyncOpenAI, params: dict[str, Any]) -> Answer:
    raw = await client.chat.completions.with_raw_response.create(**params)
    media = raw.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media in {"text/html", "text/event-stream"}:
        raise _Page(f"answered with {media} instead of JSON. Check that --url ends in /v1 and leads to a model server.")
    try:
        body = json.loads(raw.content)
    except ValueError:
        raise Broken("sent something that is not JSON. Check that --url leads to a model server.") from None
    return read_answer(body)


def _unconnected(error: BaseException | None) -> bool:
    """Whether no connection came about; the client hides the reason several levels down."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if type(error).__name__ in {"ConnectError", "ConnectTimeout"}:
            return True
        seen.append(error)
        error = error.__cause__ or error.__context__
    return False
