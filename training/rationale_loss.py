"""How much the teacher's words surprise a student and its untuned base: what distillation lowers (Eq. 4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from training.batches import collate, encode
from training.data import Row
from training.engines import STUDENTS
from training.trainer import rationale_loss


@torch.no_grad()
def losses(student: str, rows: Sequence[Row], batch: int = 4) -> dict[str, float]:
    """Mean negative log-likelihood (nats) a rationale token, over all tokens of `rows`: `base` and `student`.

    Raises:
        SlimError: no such student, or one that does not fit its base.
    """
    from slim_app.reasoners.hf_students import open_student

    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = open_student(student, STUDENTS, device, dtype=torch.bfloat16).engine.loaded
    examples = sorted((encode(row, loaded.tokenizer) for row in rows), key=len)
    pad = loaded.tokenizer.eos_token_id
    found = {}
    for name, tuned in (("base", False), ("student", True)):
        loaded.switch(tuned)
        total = sum(
            rationale_loss(loaded.model, *(t.to(device) for t in collate(examples[n : n + batch], pad))).item()
            for n in range(0, len(examples), batch)
        )
        found[name] = round(total / sum(len(example.target) for example in examples), 4)
    return found
