"""A key that is used and never shown."""

from __future__ import annotations

import logging
from typing import Any

CLIENT_LOGS = ("openai", "httpx2", "httpcore2")
"""What a client logs of an exchange holds the server's headers, and a server may repeat the key in them."""
PLACEHOLDER = 3
"""Keys of at most so many characters ("x", "abc") are placeholders; hiding them would tear words apart."""


class Secret:
    """A key in memory: no repr, no attribute dump, no pickle holds it; copies are the same object."""

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself, for the client that sends it."""
        return self._value

    def hide(self, text: str) -> str:
        """`text` without the key, which some servers repeat."""
        return text.replace(self._value, "[key]") if len(self._value) > PLACEHOLDER else text

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return f"Secret({'set' if self._value else 'empty'})"

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: Any) -> Secret:
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("A key stays in memory: it cannot be written to a file or another process.")


class Redactor:
    """`Secret.hide` for a text that arrives in pieces, between any two of which the key may be cut."""

    def __init__(self, secret: Secret) -> None:
        self._secret, self._held = secret, ""

    def feed(self, piece: str) -> str:
        """What may be shown; the end that could still become the key is kept until it has turned out not to."""
        text = self._secret.hide(self._held + piece)
        key = self._secret.reveal()
        most = min(len(key) - 1, len(text)) if len(key) > PLACEHOLDER else 0
        held = next((n for n in range(most, 0, -1) if text.endswith(key[:n])), 0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def flush(self) -> str:
        """At the end of the text: what was kept."""
        text, self._held = self._held, ""
        return text


def quiet_clients() -> None:
    """Keep the clients' own log lines about an exchange out of every log, whatever level the app logs at."""
    for name in CLIENT_LOGS:
        logging.getLogger(name).setLevel(logging.WARNING)
