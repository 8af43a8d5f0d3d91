"""Which addresses of model servers are accepted."""

from __future__ import annotations

import contextlib
from urllib.parse import urlsplit

from slim_app.errors import SlimError


def checked_url(base_url: str, flag: str) -> tuple[str, str, str]:
    """The URL, its host, and its host with port.

    Raises:
        SlimError: it is no http(s) URL with a host, or holds more than an address. It names `flag` and repeats
            nothing of the URL, which may hold a password.
    """
    url = base_url.strip()
    with contextlib.suppress(ValueError):  # a port that is no number, or half an IPv6 address
        parts = urlsplit(url)
        plain = "@" not in parts.netloc and not parts.query and not parts.fragment
        plain = plain and url.isprintable() and " " not in url
        if plain and parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0:
            return url, parts.hostname, parts.netloc
    raise SlimError(f"{flag} must look like https://host/v1 or http://host:port/v1, with no key or password in it.")
