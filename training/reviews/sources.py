"""The kinds of data that `prepare_data` reads: which files belong together, and what one line of each says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from slim_app.errors import SlimError
from training.reviews import amazon, tabular
from training.reviews.lines import BadLine, first_lines
from training.reviews.rows import Meta, Row

LOOKED_AT = 100
"""A file of which none of the first lines can be used is of another kind."""

RowParser = Callable[[bytes], Iterable[Row]]
MetaParser = Callable[[bytes], Meta]


@dataclass(frozen=True)
class Kind:
    """One kind of source. The parsers are made from a file's first line, which names the columns in tables."""

    name: str
    needs: str
    """What a line of interactions must hold, for messages."""
    has_header: bool
    rows: Callable[[bytes], RowParser]
    meta: Callable[[bytes], MetaParser]


KINDS = {
    kind.name: kind
    for kind in (
        Kind("amazon2018", "a JSON object with reviewerID, asin and unixReviewTime", False,
             lambda _: amazon.row_2018, lambda _: amazon.meta_2018),
        Kind("amazon2023", "a JSON object with user_id, parent_asin and timestamp", False,
             lambda _: amazon.row_2023, lambda _: amazon.meta_2023),
        Kind("recbole", "tab-separated user, item and time under a header like "
             "user_id:token, item_id:token, timestamp:float", True, tabular.recbole_rows, tabular.recbole_meta),
        Kind("tsv", "tab-separated user_id and item_ids under a header that says so", True,
             tabular.tsv_rows, tabular.tsv_meta),
    )
}


@dataclass(frozen=True)
class Source:
    kind: Kind
    reviews: Path
    meta: Path | None
    """None: nothing is known about the items but their ids."""


def find_source(name: str | None, reviews: Path, meta: Path | None, needs_meta: bool) -> Source:
    """The source that the flags mean; what they leave out is told from the files' names.

    Looks at the first lines, too, so that a wrong flag costs a moment and not the whole file.

    Raises:
        SlimError: a missing, empty or wrong file, a name that tells nothing, or no file with titles while `needs_meta`.
    """
    if reviews.is_dir():
        reviews = _inside(reviews)
    elif not reviews.exists():
        raise SlimError(f"There is no file {reviews}. Check --reviews.")
    kind = KINDS[name or _guess(reviews)]
    lines = first_lines(reviews, LOOKED_AT)
    if problem := _problem(kind, lines):
        fits = [other.name for other in KINDS.values() if not _problem(other, lines)]
        raise SlimError(
            f"{reviews} is not a file of --source {kind.name}: {problem}. "
            + (f"It looks like --source {fits[0]}." if fits else f"Its lines must be {kind.needs}.")
        )
    if meta is None:
        beside = _beside(kind.name, reviews)
        meta = next((file for file in beside if file.is_file()), None)
        if meta is None and needs_meta:
            raise SlimError(
                f"No metadata beside {reviews} (looked for {' and '.join(file.name for file in beside)}): titles are "
                "unknown. Give the file with --meta, or --min-title 0 to go on without titles, for ID models only."
            )
    elif not meta.is_file():
        raise SlimError(f"There is no file {meta}. Check --meta.")
    if meta and (problem := _problem(kind, first_lines(meta, LOOKED_AT), meta=True)):
        raise SlimError(f"{meta} is not metadata of --source {kind.name}: {problem}. Check --meta.")
    return Source(kind, reviews, meta)


def _problem(kind: Kind, lines: list[bytes], meta: bool = False) -> str:
    """Why a file that begins with these lines is not of this kind; empty when one of them can be used."""
    reasons: list[str] = []
    try:
        parse = (kind.meta if meta else kind.rows)(lines[0] if lines else b"")
    except BadLine as bad:
        return f"in its first line, {bad}"
    for line in lines[kind.has_header :]:
        try:
            parse(line)
            return ""
        except BadLine as bad:
            reasons.append(str(bad))
    return f"none of its first lines can be used ({reasons[0]})" if reasons else "it holds no lines of data"


def _guess(reviews: Path) -> str:
    name = reviews.name.lower().removesuffix(".gz")
    for suffix, kind in ((".inter", "recbole"), (".tsv", "tsv"), (".jsonl", "amazon2023"), (".json", "amazon2018")):
        if name.endswith(suffix):
            return kind
    raise SlimError(f"The name of {reviews} does not tell what it holds. Give --source: {', '.join(KINDS)}.")


def _inside(folder: Path) -> Path:
    """The file of interactions in a RecBole or TSV folder."""
    found = [file for pattern in ("sequences.tsv", "*.inter") for file in sorted(folder.glob(pattern))]
    if len(found) != 1:
        what = ", ".join(file.name for file in found) or "neither a sequences.tsv nor an .inter file"
        raise SlimError(f"The folder {folder} holds {what}. Give --reviews one file.")
    return found[0]


def _beside(kind: str, reviews: Path) -> list[Path]:
    """Where the metadata usually lies."""
    if kind == "tsv":
        return [reviews.with_name("items.tsv")]
    if kind == "recbole":
        return [reviews.with_suffix(".item")]
    packed = ".gz" if reviews.suffix == ".gz" else ""
    base = reviews.name.removesuffix(".gz").rsplit(".", 1)[0]
    ending = ".jsonl" if kind == "amazon2023" else ".json"
    names = [f"meta_{name}{ending}" for name in dict.fromkeys((base, base.removesuffix("_5").removeprefix("reviews_")))]
    return [reviews.with_name(name + end) for name in names for end in dict.fromkeys((packed, ".gz", ""))]
