"""From what a server answers to the fields of a row: the text, its three steps, its usage, or what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slim_app.prompts import clean_title
from slim_app.rationale import EXPECTED, parse
from slim_app.reasoners.faults import Broken
from slim_app.reasoners.think import ThinkFilter


@dataclass(frozen=True)
class Answer:
    """One chat completion."""

    text: str
    """Exactly what was answered; may start with a block of thoughts."""
    finish_reason: str
    prompt_tokens: int | None
    """None where the server does not say."""
    completion_tokens: int | None
    model: str
    """What the server calls the model that answered: an alias names its snapshot here."""
    refusal: str = ""


def read_answer(body: Any) -> Answer:
    """The answer in a response's JSON; any field may be missing or of another type.

    Raises:
        Broken: this is no chat completion.
    """
    choices = body.get("choices") if isinstance(body, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise Broken("sent no answer that an OpenAI-compatible server sends." + _said(body))
    usage = body["usage"] if isinstance(body.get("usage"), dict) else {}
    counts = (usage.get(name) for name in ("prompt_tokens", "completion_tokens"))
    prompt, completion = (n if isinstance(n, int) and n >= 0 else None for n in counts)
    return Answer(
        _text(message.get("content")), _string(choice.get("finish_reason")), prompt, completion,
        clean_title(_string(body.get("model")), 120), clean_title(_string(message.get("refusal")), 160),
    )  # fmt: skip


def steps_of(answer: Answer) -> dict[str, Any]:
    """`step1`, `step2` and `step3`, cut to five entries each; and `problem` where they are not whole."""
    think, cut = ThinkFilter(), answer.finish_reason == "length"
    text = think.feed(answer.text) + think.flush()
    found = parse(text, cut=cut)
    # The last entry of an answer that was cut off may be half a name.
    whole = len(found.step3) - cut >= EXPECTED and len(found.step2) >= EXPECTED and bool(found.step1)
    steps = {
        "step1": " ".join(found.step1), "step2": list(found.step2[:EXPECTED]), "step3": list(found.step3[:EXPECTED]),
    }  # fmt: skip
    problem = ""
    if answer.finish_reason == "content_filter":
        problem = "The server's content filter stopped the answer."
    elif answer.refusal and not text.strip():
        problem = f"The model refused: “{answer.refusal}”"
    elif not text.strip() and cut:
        problem = "There is no text: all tokens went into thinking. A larger --max-tokens may help."
    elif not whole:
        problem = " ".join(found.problems) or f"The steps do not hold {EXPECTED} entries each."
    return steps | ({"problem": problem} if problem else {})


def _text(content: Any) -> str:
    """Some servers send a list of parts, thoughts among them."""
    if isinstance(content, list):
        parts = (part for part in content if isinstance(part, dict) and part.get("type") == "text")
        return "".join(_string(part.get("text")) for part in parts)
    return _string(content)


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _said(body: Any) -> str:
    """The message of an error that came as a success."""
    error = body.get("error") if isinstance(body, dict) else None
    words = error.get("message") if isinstance(error, dict) else error
    return f" It said: “{clean_title(words[:2000], 160)}”" if isinstance(words, str) and words.strip() else ""
