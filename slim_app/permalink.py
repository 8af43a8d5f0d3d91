"""Links that rebuild a page: a whole state in one query parameter, nothing on the server.

`1.` and base64url(zlib(JSON)): the format's version, then the fields of `Link` under one-letter names. A link comes
from anybody, so it is bounded at every step, and whatever is not exactly such a link raises a SlimError.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from slim_app.catalog import Catalog
from slim_app.errors import SlimError
from slim_app.history import MAX_PURCHASES
from slim_app.prompts import clean_title
from slim_app.rationale import parse
from slim_app.rationale_edits import Edits
from slim_app.schema import MAX_HISTORY, Item
from slim_app.versions import Digests

PARAMETER = "s"
VERSION = "1"
MAX_CHARS = 6_000
"""Of the parameter: browsers take more, but many servers and messengers cut a line at 8,192."""
MAX_BYTES = 200_000
"""Of the JSON in it."""
MAX_RATIONALE = 20_000
MAX_TITLE = 300
"""Characters of a purchase's title, and of its id."""
MAX_NAME = 100
"""Characters of the names of a domain, ranker or writer, and of a digest."""
_EDIT = {"k": "key", "w": "weight", "s": "step", "t": "text"}
_FORM = re.compile(r"[A-Za-z0-9_-]+")
_BROKEN = "This link is broken: {what}. Ask for it again, or start from a sample shopper."


@dataclass(frozen=True)
class Link:
    """What a page shows, as far as it is needed to show it again."""

    domain: str
    history: tuple[Item, ...]
    """Only `id` and `title` travel; `restore` looks the rest up."""
    ranker: str
    k: int = 10
    writer: str = ""
    """Id among the app's writers; empty: whoever writes by default."""
    rationale: str = ""
    """The text as it was written; empty to let the model write again."""
    edits: tuple[dict[str, Any], ...] = ()
    """Rows for `Edits.from_rows`: only segments that were edited."""
    seed: int | None = None
    digests: Digests = field(default_factory=Digests)
    bound: bool = False
    """Whether the products were bound to the catalogue."""
    cut: bool = False
    """Whether the text, whole as it may look, was cut off."""

    def edited(self) -> Edits | None:
        """The edited rationale; None where there is no text that could be edited.

        Raises:
            SlimError: edits that this text cannot have.
        """
        rationale = parse(self.rationale)
        return Edits.from_rows(rationale, list(self.edits)) if self.edits or any(rationale.segments()) else None


def edit_rows(edits: Edits) -> tuple[dict[str, Any], ...]:
    """What a `Link` keeps of edits."""
    rows = []
    for part in edits.now:
        if part.marks:
            row: dict[str, Any] = {"key": part.key, "weight": part.weight}
            row |= {"step": part.step} if not part.original else {}
            rows.append(row | ({"text": part.text} if part.text != part.original else {}))
    return tuple(rows)


def encode(link: Link) -> str:
    """The parameter's value.

    Raises:
        SlimError: the state is too large for a link.
    """
    newest = len(link.history) - MAX_HISTORY
    value = {
        "d": link.domain, "r": link.ranker, "k": link.k, "w": link.writer, "t": link.rationale, "n": link.seed,
        # titles as well as ids for what the model reads: a purchase outlives its place in the catalogue
        "h": [[i.id, i.title] if n >= newest or not i.id else [i.id] for n, i in enumerate(link.history)],
        "e": [{short: row[name] for short, name in _EDIT.items() if name in row} for row in link.edits],
        "v": list(link.digests.as_dict().values()), "b": int(link.bound),
        "c": int(link.cut),
    }  # fmt: skip
    packed = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    text = f"{VERSION}." + base64.urlsafe_b64encode(zlib.compress(packed, 9)).decode().rstrip("=")
    try:
        decode(text)  # the limits stand there; no link leaves that would not come back
    except SlimError:
        raise SlimError(
            "This is too much for a link. Shorten the history or the text, or download the report instead."
        ) from None
    return text


def decode(text: object) -> Link:
    """The state in a parameter's value.

    Raises:
        SlimError: anything that `encode` cannot have made; the message is safe to show.
    """
    if not isinstance(text, str) or not text:
        raise SlimError(_BROKEN.format(what="it holds no state"))
    if len(text) > MAX_CHARS:
        raise SlimError(_BROKEN.format(what="it is longer than any link of this app"))
    version, _, body = text.partition(".")
    if version != VERSION:
        raise SlimError("This link was made by another version of this app and cannot be read here.")
    value = _unpacked(body)
    try:
        link = Link(
            domain=_text(value["d"], MAX_NAME),
            history=tuple(map(_item, _list(value["h"], MAX_PURCHASES))),
            ranker=_text(value["r"], MAX_NAME),
            k=_number(value["k"]),
            writer=_text(value["w"], MAX_NAME),
            rationale=_text(value["t"], MAX_RATIONALE),
            edits=tuple(map(_edit, _list(value["e"], 200))),
            seed=None if value["n"] is None else _number(value["n"]),
            digests=_digests(value["v"]),
            bound=(False, True)[_number(value["b"])],
            cut=(False, True)[_number(value.get("c", 0))],
        )
        link.edited()
    except (LookupError, TypeError, ValueError) as error:
        raise SlimError(_BROKEN.format(what="what it holds is not a state of this page")) from error
    return link


def restore(link: Link, catalog: Catalog, now: Digests) -> tuple[list[Item], tuple[str, ...]]:
    """The link's history as items of the catalogue, and sentences about what has changed since it was made.

    Args:
        now: the digests of what would write and rank today.
    """
    items: list[Item] = []
    gone = lost = renamed = 0
    for item in link.history:
        if item.id in catalog.row_of_id:
            found = catalog.items[catalog.row_of_id[item.id]]
            if item.title and item.title != clean_title(found.title, MAX_TITLE):
                row = catalog.row_by_name(item.title)  # ids that count rows move when a row is put between
                found = found if row is None else catalog.items[row]
                renamed += row is None
            items.append(found)
        elif item.title:
            gone += bool(item.id)
            items.append(Item("", item.title))
        else:
            lost += 1
    return items, tuple(_changes(link.digests, now, gone, lost, renamed))


def _changes(made: Digests, now: Digests, gone: int, lost: int, renamed: int) -> Iterator[str]:
    if _differ(made.model, now.model):
        yield "Another model, or another edition of it, writes here now: a new run may give another text."
    if _differ(made.prompt, now.prompt):
        yield "The prompt has changed since this link was made: a new run may give another text."
    if _differ(made.catalogue, now.catalogue):
        yield "The catalogue has changed since this link was made: the list may be another one."
    if _differ(made.ranker, now.ranker):
        yield "What ranks has been trained anew since this link was made: the list may be another one."
    if renamed:
        yield f"Under another name in the catalogue now: {renamed:,} of the purchases."
    if gone:
        yield f"No longer in the catalogue, so kept in its own words: {gone:,} of the purchases."
    if lost:
        yield f"No longer in the catalogue and left out: {lost:,} of the older purchases."


def _differ(made: str, now: str) -> bool:
    return bool(made and now) and made != now


def _unpacked(body: str) -> dict[str, Any]:
    """base64url(zlib(JSON object)) → the object, within `MAX_BYTES` whatever it would unpack to."""
    if not _FORM.fullmatch(body):
        raise SlimError(_BROKEN.format(what="it holds characters that no link has"))
    try:
        packed = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(packed, MAX_BYTES)
        if not unpacker.eof or unpacker.unused_data:
            what = "it unpacks to too much" if unpacker.unconsumed_tail else "a part of it is missing"
            raise SlimError(_BROKEN.format(what=what))
        value = json.loads(data.decode("utf-8"), parse_constant=_no_number)
    except (binascii.Error, zlib.error, ValueError, RecursionError) as error:
        raise SlimError(_BROKEN.format(what="it cannot be unpacked")) from error
    if not isinstance(value, dict):
        raise SlimError(_BROKEN.format(what="what it holds is not a state of this page"))
    return value


def _no_number(name: str) -> None:
    raise ValueError(name)  # JSON knows no NaN


def _text(value: object, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise TypeError(type(value))
    value.encode()  # a lone surrogate is a UnicodeEncodeError, which is a ValueError
    return value


def _list(value: object, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise TypeError(type(value))
    return value


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 53:
        raise TypeError(type(value))
    return value


def _item(value: object) -> Item:
    item_id, title = (*_list(value, 2), "")[:2]
    item = Item(_text(item_id, MAX_TITLE), clean_title(_text(title, 2_000), MAX_TITLE))
    if not item.id and not item.title:
        raise ValueError("a purchase without a name")
    return item


def _digests(value: object) -> Digests:
    model, prompt, catalogue, *ranker = _list(value, 4)  # links made before it was known what ranks have three
    return Digests(*(_text(digest, MAX_NAME) for digest in (model, prompt, catalogue, *ranker)))


def _edit(value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or not {"k", "w"} <= value.keys() <= _EDIT.keys():
        raise TypeError(type(value))
    return {_EDIT[short]: entry for short, entry in value.items()}


def from_query(parameters: Mapping[str, str]) -> Link | None:
    """The link among a page's query parameters; None without one.

    Raises:
        SlimError: as `decode`.
    """
    text = parameters.get(PARAMETER)
    return decode(text) if text else None
