"""Products bound to a catalogue: GBNF rules under which a product of Step 3 is exactly a title that exists.

llama.cpp follows every alternative of a rule at once, so a plain list of thousands of titles would cost thousands of
comparisons for each candidate token. Here the titles form a prefix tree: wherever the text stands, the alternatives
differ in their next character, and there are at most as many as characters. Equal branches ("(PS4 | PS5)" behind many
titles) are one rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from slim_app.catalog import Catalog, normal
from slim_app.errors import SlimError
from slim_app.prompts import MAX_TITLE_CHARS, clean_title
from slim_app.rationale import format_rationale, parse
from slim_app.schema import Item

BATCH = 5
"""Titles that are read back together: as many as Step 3 has."""
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"'})


@dataclass(frozen=True)
class CatalogueGrammar:
    """The titles of one catalogue that can be written and read back, as a rule `product` of the rationale grammar."""

    titles: tuple[str, ...]
    """Sorted, each once."""
    left_out: int
    """Titles that cannot be products: longer than a prompt shows, or read back as something else."""

    @classmethod
    def of(cls, catalog: Catalog) -> CatalogueGrammar:
        """Reads every title back through the parser once: 0.14 s for 5,000 titles.

        Raises:
            SlimError: no title of the catalogue can be written.
        """
        lines = sorted({line for item in catalog.items if (line := clean_title(item.title))})
        short = [line for line in lines if len(line) <= MAX_TITLE_CHARS]
        kept: list[str] = []
        for start in range(0, len(short), BATCH):
            batch = short[start : start + BATCH]
            kept += batch if _read_back(batch) else [line for line in batch if _read_back([line, "Zyx", "Xyz"])]
        if not kept:
            raise SlimError("No title of this catalogue can be written as a product: each is too long or has no words.")
        return cls(tuple(kept), len(lines) - len(kept))

    def rules(self, history: Sequence[Item] = ()) -> str:
        """`product ::= …` and the rules that it needs, without the titles of a history.

        Raises:
            SlimError: the history holds every title.
        """
        bought = {normal(clean_title(item.title)) for item in history}
        titles = [title for title in self.titles if normal(title) not in bought] if bought else list(self.titles)
        if not titles:
            raise SlimError("Every product of this catalogue is already in the history, so none can be suggested.")
        return title_rules(titles)


def title_rules(titles: Sequence[str]) -> str:
    """GBNF rules by which `product` is exactly one of the titles.

    Args:
        titles: sorted, each once, none empty, without control characters.
    """
    names: dict[str, str] = {}
    product = _branch(titles, 0, names)
    return "\n".join([f"product ::= {product}", *(f"{name} ::= {body}" for body, name in names.items())])


def _branch(titles: Sequence[str], depth: int, names: dict[str, str]) -> str:
    """The alternatives of what follows the first `depth` characters, which all titles share."""
    ends = len(titles[0]) == depth
    alternatives = []
    for _, group in groupby(titles[1:] if ends else titles, key=lambda title: title[depth]):
        alike = list(group)
        first, last = alike[0], alike[-1]
        shared = depth + 1  # of a sorted group, the first and the last agree on what all share
        while shared < min(len(first), len(last)) and first[shared] == last[shared]:
            shared += 1
        literal = f'"{first[depth:shared].translate(_ESCAPES)}"'
        if len(alike) > 1:
            body = _branch(alike, shared, names)
            literal += f" {names.setdefault(body, f'title{len(names)}')}"
        alternatives.append(literal)
    return " | ".join(['""'] * ends + alternatives)


def _read_back(titles: Sequence[str]) -> bool:
    """Whether the parser finds exactly these products in a text that names them, whatever its Step 2 says.

    "Halo: Reach, Legendary Edition" below the entry "Halo" would be read as two products of that group.
    """
    groups = [title.partition(": ")[0] for title in titles if ": " in title]
    text = format_rationale("You like them.", groups or ["Alpha", "Beta"], titles)
    return parse(text).step3 == tuple(titles)
