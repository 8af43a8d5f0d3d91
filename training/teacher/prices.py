"""What a run costs: its price, token counts before the answers are there, and a limit that is not exceeded."""

from __future__ import annotations

import asyncio
import math

from slim_app.errors import SlimError
from slim_app.prices import ANSWER_TOKENS, BYTES_PER_TOKEN, LIST_PRICES, LIST_SOURCE, MARGIN, Price

BATCH_SHARE = 0.5
"""OpenAI charges half the list price for batches."""


def price_of(model: str, prompt: float | None, answer: float | None, batch: bool) -> Price | None:
    """The price given by flags, else the list price; None where neither is known.

    Raises:
        SlimError: only one of the two flags was given.
    """
    if (prompt is None) != (answer is None):
        raise SlimError("A price needs both --price-in and --price-out (USD for a million tokens). Give the other one.")
    if prompt is not None and answer is not None:
        return Price(prompt, answer, "as given")
    if model not in LIST_PRICES:
        return None
    share = BATCH_SHARE if batch else 1.0
    listed = (share * price for price in LIST_PRICES[model])
    return Price(*listed, LIST_SOURCE + (", half for a batch" if batch else "") + "; check it")


class Forecast:
    """Tokens of requests that were not answered yet; corrected by the usage that answers report."""

    def __init__(self) -> None:
        self._bytes = self._prompt = self._answers = self._answer = 0

    def learn(self, size: int, prompt_tokens: int, answer_tokens: int) -> None:
        """Usage of one request whose prompt has `size` bytes."""
        self._bytes, self._prompt = self._bytes + size, self._prompt + prompt_tokens
        self._answers, self._answer = self._answers + 1, self._answer + answer_tokens

    def prompt_tokens(self, size: int) -> float:
        """Of a prompt of `size` bytes."""
        return size / BYTES_PER_TOKEN if not self._prompt else size * self._prompt / self._bytes

    def answer_tokens(self, most: int) -> float:
        """Of a usual answer that has at most `most`."""
        return min(most, self._answer / self._answers if self._answers else ANSWER_TOKENS)

    @property
    def basis(self) -> str:
        """Where the counts come from, in words."""
        if self._answers:
            return f"counted from {self._answers} earlier answers"
        return f"counted as {BYTES_PER_TOKEN:g} bytes a token and {ANSWER_TOKENS} tokens an answer"


class OverBudget(SlimError):
    """The next request could exceed --max-cost."""


class Budget:
    """Keeps a run at or under `limit` USD: each request reserves the most it may cost before it is sent."""

    def __init__(self, limit: float | None, price: Price | None) -> None:
        self.limit, self.price = limit, price
        self.spent = 0.0
        """Reported by answers, or the reserved amount where the usage is not known."""
        self.unsure = 0.0
        """The part of `spent` that was reserved by requests without an answer: the provider may charge for them."""
        self._reserved = 0.0
        self._settled = asyncio.Event()

    def most(self, prompt_tokens: float, max_tokens: int) -> float:
        """The most that one request may cost; 0 without a price."""
        return self.price.of(math.ceil(MARGIN * prompt_tokens), max_tokens) if self.price else 0.0

    @property
    def left(self) -> float:
        """USD that are neither spent nor reserved."""
        return math.inf if self.limit is None else self.limit - self.spent - self._reserved

    async def reserve(self, amount: float) -> None:
        """Waits for requests in flight, which may turn out cheaper, where that can help.

        Raises:
            OverBudget: there is no room for `amount`.
        """
        while amount > self.left + 1e-12:  # sums of floats
            if self._reserved <= 0:
                raise self.exceeded()
            self._settled.clear()
            await self._settled.wait()
        self._reserved += amount

    def settle(self, reserved: float, cost: float, unsure: bool = False) -> None:
        """Turns a reservation into what the request did cost."""
        self._reserved = max(0.0, self._reserved - reserved)
        self.spent += cost
        self.unsure += cost if unsure else 0.0
        self._settled.set()

    def exceeded(self) -> OverBudget:
        """What to say when nothing more fits."""
        return OverBudget(
            f"Stopped before --max-cost {self.limit:g} USD is exceeded: {self.spent:.4f} USD are spent. "
            "Run the same command again to go on with the same limit for the rest, or raise it."
        )
