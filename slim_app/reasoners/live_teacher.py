"""The teacher that a visitor names on the page: which servers may be named, and whose key goes where.

A key belongs to those who gave it. The operator's (SLIM_TEACHER_KEY) goes to the operator's server only, with the
operator's model; a visitor's is held by that visitor's `Endpoint`, which lives in the session's memory and nowhere
else.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Literal

from slim_app.errors import SlimError
from slim_app.prices import Estimate, Price, estimate, list_price
from slim_app.reasoners.base import Reasoner
from slim_app.reasoners.endpoint import Endpoint
from slim_app.schema import Item

Reach = Literal["off", "public", "any"]
"""Which servers a visitor may name: none, those of the public internet over https, or any (the visitor's own app)."""
URL_LABEL, MODEL_LABEL, KEY_LABEL = "Server address", "Model", "Key"
"""The fields' names, as messages repeat them."""
MAX_CHARS = 500
"""Of an address or a model's name."""
MAX_KEY = 4_000
"""Characters of a key; those of some clouds are signed documents of 2,000."""


def reach_of(choice: str, host: str, environ: Mapping[str, str]) -> Reach:
    """What visitors may name, by where the app runs.

    Args:
        choice: the operator's `--visitor-teachers`: on, off, or auto. With auto an app that only this machine can
            reach is its owner's, who may name any server; behind a reverse proxy that is not so.
        host: the address that the app listens on; beyond loopback, others can visit.
        environ: SPACE_ID is set on every Hugging Face Space.
    """
    if choice == "on":
        return "public"
    return "any" if choice == "auto" and not environ.get("SPACE_ID") and _is_loopback(host) else "off"


def live_teacher(
    url: str, model: str, key: str, *, reach: Reach, default_url: str = "", default: Reasoner | None = None
) -> Reasoner:
    """The teacher for one session.

    Args:
        url: blank for the operator's server (`default_url`).
        model: blank for the operator's model, where the server is the operator's.
        key: the visitor's; blank to use the operator's teacher as it is.
        default: the operator's teacher, with the operator's key.

    Raises:
        SlimError: no server to ask, an address that may not be named here, a model or a key that cannot be right.
    """
    url, model, key = url.strip(), model.strip(), key.strip()
    if len(url) > MAX_CHARS or len(model) > MAX_CHARS:
        raise SlimError(f"“{URL_LABEL}” and “{MODEL_LABEL}” take at most {MAX_CHARS} characters each. Shorten them.")
    if len(key) > MAX_KEY:
        raise SlimError(f"“{KEY_LABEL}” takes at most {MAX_KEY:,} characters. Paste the key alone.")
    own = bool(url) and url.rstrip("/") != default_url.strip().rstrip("/")
    if own and reach == "off":
        raise SlimError(
            f"This public app calls no servers that visitors name. Leave “{URL_LABEL}” empty, or run the app yourself."
        )
    if own and reach == "public" and not url.lower().startswith("https:"):
        raise SlimError(f"“{URL_LABEL}” must begin with https:// here: your key would travel unprotected.")
    if not own and not default_url:
        raise SlimError(f"No teacher is set up here. Fill in “{URL_LABEL}”, “{MODEL_LABEL}” and “{KEY_LABEL}”.")
    if not own and not key:
        if default is None:
            raise SlimError(f"The teacher of this app needs a key. Fill in “{KEY_LABEL}”.")
        if model and model != default.info.base:
            raise SlimError(f"Another model than {default.info.base} needs a key of your own. Fill in “{KEY_LABEL}”.")
        return default
    if not own and not model and default is not None:
        model = default.info.base
    return Endpoint(
        base_url=url if own else default_url,
        model=model,
        api_key=key,
        public_only=own and reach == "public",
        flag=f"“{URL_LABEL}”",
        variable=f"“{KEY_LABEL}”",
    )


def call_estimate(teacher: Endpoint, history: list[Item], price: Price | None = None) -> Estimate:
    """What one call to this teacher may cost, by `price` or else by its model's list price."""
    return estimate(teacher.prompt(history), teacher.max_tokens, price or list_price(teacher.model))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
