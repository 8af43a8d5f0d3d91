"""Between histories, token ids and text: the prompt as it was trained on, and text that grows by whole characters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slim_app.prompts import student_prompt
from slim_app.schema import Item

UNFINISHED = "\ufffd"
"""What a tokenizer writes for bytes that are no character (yet)."""


def prompt_ids(history: Sequence[Item], tokenizer: Any) -> list[int]:
    """T_s as token ids: in the model's chat template when it has one, else followed by an empty line.

    Distillation reads prompts through this form; a student that gets them in another one is out of practice.
    """
    prompt = student_prompt(history)
    if tokenizer.chat_template:
        turn = [{"role": "user", "content": prompt}]
        prompt = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
        return tokenizer(prompt, add_special_tokens=False).input_ids
    return tokenizer(prompt + "\n\n").input_ids


def decoded(ids: Sequence[int], tokenizer: Any) -> str:
    """The text of these tokens, control tokens left out."""
    return tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)


class TextStream:
    """Tokens in, text out; a character whose bytes are spread over several tokens comes with the last of them.

    A token's text depends on its neighbours (spaces, bytes), so a few earlier tokens are decoded again with each new
    one, and what they gave before is cut off.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._before = 0
        """Index of the first token that is decoded again."""
        self._done = 0
        """Tokens before this one have been given out."""

    def add(self, token: int) -> str:
        """The text that this token completes, often empty."""
        self._ids.append(token)
        return self._new(last=False)

    def end(self) -> str:
        """What is still held back."""
        return self._new(last=True)

    def _new(self, last: bool) -> str:
        given = decoded(self._ids[self._before : self._done], self._tokenizer)
        text = decoded(self._ids[self._before :], self._tokenizer)
        if not last and (len(text) <= len(given) or text.endswith(UNFINISHED)):
            return ""
        self._before, self._done = self._done, len(self._ids)
        return text[len(given) :]
