"""What a call costs: the one list of prices, an estimate before it, the bill after it. Unknown is None, never 0."""

from __future__ import annotations

from dataclasses import dataclass

from slim_app.schema import RunStats

LIST_PRICES = {
    "gpt-3.5-turbo": (0.50, 1.50),
    "gpt-4o-mini": (0.15, 0.60),
    "gpt-4o": (2.50, 10.00),
}
"""USD for a million (prompt, answer) tokens: OpenAI's list prices as of March 2025, from its pricing page. They
change: whatever shows one says where it is from. Dated snapshots of a model have prices of their own."""
LIST_SOURCE = "OpenAI's list price of March 2025"
BYTES_PER_TOKEN = 4.0
"""UTF-8 bytes, not characters: scripts that take more tokens a character take more bytes a character, too."""
ANSWER_TOKENS = 200
"""A rationale in the form that T_t asks for has 150 to 250."""
MARGIN = 1.5
"""What a prompt may have over its estimate, where the most is asked for."""


@dataclass(frozen=True)
class Price:
    """USD for a million tokens."""

    prompt: float
    answer: float
    source: str

    def of(self, prompt_tokens: float, answer_tokens: float) -> float:
        """USD for one request."""
        return (prompt_tokens * self.prompt + answer_tokens * self.answer) / 1e6

    def cost(self, stats: RunStats) -> float | None:
        """USD that a finished call cost; None where the server reported no usage. Hidden thoughts are charged."""
        if not (stats.prompt_tokens and stats.billed_tokens):
            return None
        return self.of(stats.prompt_tokens, stats.billed_tokens)


@dataclass(frozen=True)
class MachinePrice:
    """USD for an hour of the machine that a model runs on, one rationale after the other."""

    usd_per_hour: float
    source: str

    def cost(self, stats: RunStats) -> float | None:
        """USD for the seconds that a finished run took; None where they were not measured."""
        return stats.seconds / 3600 * self.usd_per_hour if stats.seconds > 0 else None


@dataclass(frozen=True)
class Estimate:
    """What one call may cost, before it is made. The amounts in USD are None without a price."""

    prompt_tokens: int
    answer_tokens: int
    usual: float | None
    most: float | None
    """If the answer takes all the tokens that it may have."""
    source: str


def list_price(model: str) -> Price | None:
    """The list price of a model; None where it has none here."""
    return Price(*LIST_PRICES[model], f"{LIST_SOURCE}; check it") if model in LIST_PRICES else None


def estimated_tokens(text: str) -> float:
    """Tokens of a text that no tokenizer has counted."""
    return len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN


def estimate(prompt: str, max_tokens: int, price: Price | None) -> Estimate:
    """For one call with this prompt, whose answer may have `max_tokens`."""
    asked, answer = estimated_tokens(prompt), min(ANSWER_TOKENS, max_tokens)
    return Estimate(
        prompt_tokens=round(asked),
        answer_tokens=answer,
        usual=price.of(asked, answer) if price else None,
        most=price.of(MARGIN * asked, max_tokens) if price else None,
        source=price.source if price else "The price of this model is not known.",
    )
