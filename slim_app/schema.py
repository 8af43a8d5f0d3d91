"""The records that travel through SLIM. Their fields are also the JSONL formats on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

MAX_HISTORY = 20
"""Newest purchases that a prompt shows; older ones are left out, and the page says so (METHOD: `upto`)."""


@dataclass(frozen=True)
class Item:
    """One product. `id` is empty for a purchase typed in a person's own words (not in the catalogue)."""

    id: str
    title: str
    brand: str = ""
    category: str = ""
    description: str = ""

    @property
    def text(self) -> str:
        """f_i, what the encoder reads (Eq. 5): the title, with category and brand where they are known."""
        extras = [part for part in (self.category, self.brand) if part and part.casefold() not in self.title.casefold()]
        return f"{self.title} ({', '.join(extras)})" if extras else self.title


def shown(history: Sequence[Item]) -> Sequence[Item]:
    """The newest `MAX_HISTORY` purchases, oldest first: what every prompt and every ranker sees."""
    return history[-MAX_HISTORY:]


@dataclass(frozen=True)
class Segment:
    """One separately encoded piece of what ranks: a sentence of Step 1, an entry of Step 2 or 3, or a purchase."""

    step: int
    """1, 2, 3 = the rationale's steps; 0 = a purchase of the history."""
    index: int
    """Position within its step, from 0."""
    text: str

    @property
    def key(self) -> str:
        """Stable short name, e.g. `3.2` = the second product of Step 3; `0.1` = the oldest purchase shown."""
        return f"{self.step}.{self.index + 1}"


@dataclass(frozen=True)
class Rationale:
    """r_u: what a language model wrote about a history, in three steps.

    `problems` says in words what could not be parsed; `complete` is true when all three steps hold
    something and the writer was not cut off.
    """

    step1: tuple[str, ...] = ()
    """Sentences."""
    step2: tuple[str, ...] = ()
    """Categories or brands (five when complete)."""
    step3: tuple[str, ...] = ()
    """Products (five when complete)."""
    text: str = ""
    """Exactly what was written."""
    complete: bool = False
    problems: tuple[str, ...] = ()
    open: str = ""
    """Key of the segment that is still being written (`3.2`), empty when nothing is."""

    def segments(self) -> Iterator[Segment]:
        """All segments in reading order."""
        for step, entries in enumerate((self.step1, self.step2, self.step3), start=1):
            for index, text in enumerate(entries):
                yield Segment(step, index, text)

    def as_dict(self) -> dict[str, Any]:
        """The API's `rationale` object."""
        return {
            "step1": " ".join(self.step1),
            "step2": list(self.step2),
            "step3": list(self.step3),
            "text": self.text,
            "complete": self.complete,
            "problems": list(self.problems),
        }


@dataclass(frozen=True)
class ModelInfo:
    """Who wrote a rationale, in words that the page repeats."""

    name: str
    base: str = ""
    adapter: str = ""
    """Path or id of the LoRA adapter; empty when there is none."""
    tuned: bool = False
    """True when distilled for this task; an untuned model says so wherever it appears."""
    prompt_version: str = ""
    kind: str = "live"
    """`live`, or `recorded` for a stored rationale that is replayed; `link` for a text that a permalink brought; `none`
    when no language model took part."""
    device: str = ""
    note: str = ""
    """One sentence that must stand beside the text, e.g. how a recorded rationale came to be."""
    bound: bool = False
    """True when it could name no product that the catalogue does not hold."""


@dataclass
class RunStats:
    """Filled in by a reasoner while it writes; one object for each run, so visitors never share one."""

    tokens: int = 0
    seconds: float = 0.0
    """Wall time from the request to the last token."""
    first_token_seconds: float = 0.0
    prompt_tokens: int = 0
    billed_tokens: int = 0
    """Answer tokens that a server charges for, hidden thoughts included; 0 where it does not say."""
    decode_tokens_per_second: float = 0.0
    """The engine's own figure, without prompt reading; 0 where it gives none."""
    finish_reason: str = ""
    """`stop` (finished), `length` (cut at the token limit), `cancelled` or `error`."""

    @property
    def tokens_per_second(self) -> float:
        """Tokens after the first, over the time they took: what a viewer sees streaming."""
        span = self.seconds - self.first_token_seconds
        return (self.tokens - 1) / span if self.tokens > 1 and span > 0 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The API's `stats` object (seconds, tokens per second)."""
        return {
            "tokens": self.tokens,
            "seconds": round(self.seconds, 3),
            "tokens_per_second": round(self.tokens_per_second, 1),
            "first_token_seconds": round(self.first_token_seconds, 3),
            "prompt_tokens": self.prompt_tokens,
            "finish_reason": self.finish_reason,
        }


@dataclass(frozen=True)
class Evidence:
    """Why an item stands where it stands: the segment that won it, and its rank were that segment dropped.

    Not a story told afterwards: the segments are what ranks, so the second rank is an exact re-scoring.
    """

    key: str
    step: int
    text: str
    similarity: float
    """Cosine between the segment and the item."""
    rank_without: int | None
    """1-based rank when the segment is left out; None when nothing would be left to rank by."""
    rank_without_is_floor: bool = False
    """True when the item leaves the approximate index's candidates: its rank is at least `rank_without`."""


@dataclass(frozen=True)
class Recommendation:
    rank: int
    id: str
    title: str
    score: float
    brand: str = ""
    category: str = ""
    evidence: Evidence | None = None
    rank_sequence: int | None = None
    """Of a fused recommender: the rank by the purchases alone; None for all others."""
    rank_reasoning: int | None = None
    """The same by the reasoning alone."""


@dataclass(frozen=True)
class Mention:
    """One product, brand or category named by a rationale, looked up in the history and the catalogue."""

    key: str
    """Key of the segment it stands in."""
    text: str
    kind: str
    """`product`, `brand`, `category` or `series`; `category or brand` where it may be either."""
    status: str
    """`history`, `catalogue`, `near` or `missing`."""
    match: str = ""
    """The title, brand or category it was matched with."""
    similarity: float = 0.0
    """1 for an exact match; for a near one the measure that found it, 0-1."""


@dataclass(frozen=True)
class Shopper:
    """A sample history. `next` is the held-out purchase; the recorded teacher rationale may be absent."""

    shopper_id: str
    name: str
    history: tuple[str, ...]
    next: str = ""
    step1: str = ""
    step2: tuple[str, ...] = ()
    step3: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """One displayable moment of the online path; each is whole, so the last one is also the API's answer."""

    status: str
    """`reading`, `writing`, `done`, `stopped` or `failed`."""
    rationale: Rationale = field(default_factory=Rationale)
    recommendations: tuple[Recommendation, ...] = ()
    grounding: tuple[Mention, ...] = ()
    stats: RunStats = field(default_factory=RunStats)
    model: ModelInfo = field(default_factory=lambda: ModelInfo("none", kind="none"))
    notices: tuple[str, ...] = ()
    """Sentences for the person: what was left out, cut or could not be parsed."""
    error: str = ""
    domain: str = ""
    ranker: str = ""
    ranker_notes: tuple[str, ...] = ()
    """Sentences that must stand beside the list: what a ranker was trained on, and which purchases it cannot read."""
    history: tuple[Item, ...] = ()
    """What was ranked for, so that the same moment can be ranked again; not part of the JSON object."""
    writer: str = ""
    """Id among the app's writers of who was asked, so that a link can ask again; not part of the JSON object."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON object of `/recommend`."""
        counts = {status: 0 for status in ("history", "catalogue", "near", "missing")}
        for mention in self.grounding:
            counts[mention.status] += 1
        return {
            "status": self.status,
            "error": self.error,
            "domain": self.domain,
            "ranker": self.ranker,
            "ranker_notes": list(self.ranker_notes),
            "rationale": self.rationale.as_dict(),
            "recommendations": [asdict(r) for r in self.recommendations],
            "grounding": {"counts": counts, "mentions": [asdict(m) for m in self.grounding]},
            "stats": self.stats.as_dict() | {"measured": self.model.kind == "live"},  # a replay's pace is made up
            "model": asdict(self.model),
            "notices": list(self.notices),
        }
