"""What a server's failure is called: one sentence on what happened, one on what to do, never the key."""

from __future__ import annotations

import email.utils
import math
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slim_app.errors import SlimError
from slim_app.prompts import clean_title
from slim_app.reasoners.secret import Secret

if TYPE_CHECKING:
    import openai

RETRY_PAUSES = (0.25, 1.0)
"""Seconds before the first and the second retry, where the server names none."""


class Broken(Exception):
    """An answer that arrived but is of no use; its message completes the sentence "<model> at <host> …"."""


@dataclass(frozen=True)
class Faults:
    """Turns exceptions of one endpoint into `SlimError`."""

    where: str
    """Model and host."""
    flag: str
    """What sets the URL: a command-line flag, or a field of the page."""
    variable: str
    """What sets the key: an environment variable, or a field."""
    timeout: float
    connect_timeout: float
    key: Secret = field(default_factory=Secret, repr=False)

    @property
    def check_url(self) -> str:
        """What to do when something else than a model server seems to be there."""
        return f"Check that {self.flag} ends in /v1 and leads to a model server."

    def explain(self, error: Exception, partial: bool) -> SlimError:
        """The sentence for `error`; `partial` adds that the text which arrived before it is incomplete.

        Returned rather than raised, so that no traceback carries what the client knows (headers, the key).
        """
        return SlimError(self._sentence(error) + (" The text above is incomplete." if partial else ""))

    def _sentence(self, error: Exception) -> str:
        for cause in _causes(error):  # the client wraps what its transport raises
            if isinstance(cause, Broken):
                return f"{self.where} {cause}"
        if isinstance(error, ImportError):
            return "Calling a model server needs the `openai` package. Install it with `pip install openai`."
        import openai

        if isinstance(error, openai.APIStatusError):
            return self._status(error.status_code, asked_wait(error)) + self._said(error)
        if isinstance(error, openai.APIConnectionError):
            return self._connection(error)
        if isinstance(error, openai.APIError):  # an {"error": …} object within the stream
            return f"{self.where} reported an error while it was writing. Try again, or choose another model." + (
                self._said(error)
            )
        if type(error).__name__ == "InvalidURL":
            return f"{self.where} is not an address that can be called. Check {self.flag}."
        if isinstance(error, ValueError):  # what the client raises for JSON or UTF-8 that is none
            return f"{self.where} sent something that is not an OpenAI-compatible stream. {self.check_url}"
        # The type only: the words of an unforeseen exception may quote the request with its key.
        return f"The call to {self.where} failed ({type(error).__name__}). Try again, or choose another model."

    def _status(self, status: int, wait: float) -> str:
        where, flag = self.where, self.flag
        if status < 400:
            return f"{where} sends calls on to another address (HTTP {status}). Set {flag} to that address itself."
        if status == 401 or status == 403:
            problem = "rejected the key" if self.key else "asks for a key, and none is set"
            return f"{where} {problem} (HTTP {status}). Set {self.variable} to a key that may use this model."
        if status == 404:
            return f"{where} was not found (HTTP 404). Check that {flag} ends in /v1, and the model's name."
        if status == 429:
            after = f"{wait:.0f} s" if 1 <= wait < math.inf else "a little"
            return f"{where} has too many requests or no quota left (HTTP 429). Wait {after}, then try again."
        if status >= 500:
            return f"{where} failed on its side (HTTP {status}). Try again later, or choose another model."
        return f"{where} refused the request (HTTP {status}). Check {flag} and the model's name."

    def _connection(self, error: Exception) -> str:
        where, flag, causes = self.where, self.flag, _causes(error)
        names = {type(cause).__name__ for cause in causes}
        if "ConnectTimeout" in names:
            return f"{where} could not be reached within {self.connect_timeout:g} s. Check {flag} and the network."
        if is_timeout(error):
            return f"{where} sent nothing for {self.timeout:g} s. Try again, or choose a model that is less busy."
        if any(isinstance(cause, socket.gaierror) for cause in causes):
            return f"The host name of {where} is not known. Check {flag} and the network."
        if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
            return f"{where} refused the connection. Check {flag}, and that the server runs."
        if any(isinstance(cause, ssl.SSLError) for cause in causes):
            return f"No secure connection to {where} was possible. Check {flag} (http or https) and its certificate."
        if "ConnectError" in names:
            return f"{where} could not be reached. Check {flag} and the network."
        return f"The connection to {where} broke off. Try again."

    def _said(self, error: Exception) -> str:
        """The server's own words, shortened, without the key that some servers repeat; no HTML."""
        words = getattr(error, "body", None)
        if isinstance(words, dict):
            words = words.get("message") or words.get("detail")
        if not isinstance(words, str) or words.lstrip().startswith("<"):
            return ""
        words = clean_title(self.key.hide(words)[:2000])  # removed before any cut can halve it
        words = clean_title(self.key.hide(words), 160)  # and again: what was cleaned away may have stood inside it
        return f" It said: “{words}”" if words else ""


def retry_pause(error: Exception, retries: int) -> float | None:
    """Seconds to wait before trying again, or None where trying again is no use.

    A timeout is not tried again: the person has already waited for it once.
    """
    import openai

    if retries >= len(RETRY_PAUSES) or any(isinstance(cause, Broken) for cause in _causes(error)):
        return None
    if not isinstance(error, openai.APIStatusError):
        return RETRY_PAUSES[retries] if isinstance(error, openai.APIConnectionError) and not is_timeout(error) else None
    if error.status_code != 429 and error.status_code < 500:
        return None
    wait = asked_wait(error)
    return RETRY_PAUSES[retries] if math.isnan(wait) else wait


def asked_wait(error: openai.APIStatusError) -> float:
    """Seconds from now that the server's Retry-After header asks to wait; NaN where it asks for nothing."""
    asked = error.response.headers.get("retry-after", "")
    try:
        return max(0.0, float(asked))
    except ValueError:
        date = email.utils.parsedate_tz(asked)
        return max(0.0, email.utils.mktime_tz(date) - time.time()) if date else math.nan


def is_timeout(error: Exception) -> bool:
    """Whether the client gave up waiting, for a connection or for a byte."""
    import openai

    return isinstance(error, openai.APITimeoutError)


def _causes(error: BaseException | None) -> list[BaseException]:
    """The error and everything it was raised from; connection errors hide their reason several levels down."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain
