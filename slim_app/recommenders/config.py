"""What a trained recommender is made of: the part of its `meta.json` that its weights cannot be read without."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from slim_app.errors import SlimError

BACKBONE_NAMES = ("sasrec", "gru4rec", "srgnn")
VARIANTS = {
    "id": "item IDs only",
    "plus": "item ID and item text, without a rationale (backbone+)",
    "fused": "Eq. 6: ID and text of items, sequence and rationale of users",
    "gated": "beyond Eq. 6: plus, and the rationale added to the sequence with a weight learned for each user",
    "text": "Eq. 7: rationale against item texts, without IDs and without a backbone",
}
READS = {"id": "z_i^id, the original backbone", "items": "z_i of Eq. 6, with text"}
RANKERS = {"pooled": "one vector for the whole rationale", "late": "the nearest of its segments decides"}
USES_RATIONALE = ("fused", "gated", "text")


@dataclass(frozen=True)
class RecommenderConfig:
    """Shape of a recommender.

    Raises:
        SlimError: a name or a number that no recommender can have.
    """

    backbone: str
    """`sasrec`, `gru4rec`, `srgnn`, or `none` for the variant `text`."""
    variant: str
    n_items: int
    text_dim: int = 0
    """Width d of the text vectors; 0 for the variant `id`."""
    ranker: str = "pooled"
    steps: tuple[int, ...] = (1, 2, 3)
    """The steps of a rationale that are read."""
    reads: str = "id"
    """What the backbone of `fused` reads of the history, which the paper leaves open; see `READS`."""
    hidden: int = 64
    """Width h of item and user vectors."""
    layers: int = 2
    """Blocks of SASRec, layers of GRU4Rec, propagation steps of SR-GNN."""
    heads: int = 1
    dropout: float = 0.2
    max_length: int = 50
    """Newest items that are read."""

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise SlimError(f"Unknown variant “{self.variant}”. Choose one of: {', '.join(VARIANTS)}.")
        if self.ranker not in RANKERS:
            raise SlimError(f"Unknown ranker “{self.ranker}”. Choose one of: {', '.join(RANKERS)}.")
        if self.reads not in READS:
            raise SlimError(f"A backbone cannot read “{self.reads}”. Choose one of: {', '.join(READS)}.")
        wanted = ("none",) if self.variant == "text" else BACKBONE_NAMES
        if self.backbone not in wanted:
            what = f"The variant {self.variant} has no backbone “{self.backbone}”"
            raise SlimError(f"{what}. Choose one of: {', '.join(wanted)}.")
        if not self.steps or not set(self.steps) <= {1, 2, 3}:
            raise SlimError(f"The steps are {self.steps}, but must be some of 1, 2, 3, e.g. --steps 1,2,3.")
        if self.backbone == "sasrec" and self.hidden % self.heads:
            raise SlimError(f"The width {self.hidden} cannot be shared out to {self.heads} heads. Change --hidden.")
        if min(self.n_items, self.hidden, self.layers, self.heads, self.max_length) < 1 or not 0 <= self.dropout < 1:
            raise SlimError(f"A size is below 1, or the dropout is not from 0 to 1: {asdict(self)}.")
        if self.uses_text != (self.text_dim > 0):
            raise SlimError(f"The variant {self.variant} cannot have text vectors of width {self.text_dim}.")

    @property
    def uses_text(self) -> bool:
        return self.variant != "id"

    @property
    def uses_rationale(self) -> bool:
        return self.variant in USES_RATIONALE

    def as_dict(self) -> dict[str, Any]:
        """For `meta.json`; `from_dict` reads it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RecommenderConfig:
        """Raises TypeError for missing or unknown fields."""
        return cls(**{**values, "steps": tuple(values["steps"])})
