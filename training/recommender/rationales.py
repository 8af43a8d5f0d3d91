"""All rationales of a file as vectors, and which of them may score which target."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from slim_app.encoder import TextEncoder
from slim_app.errors import SlimError
from slim_app.prompts import PROMPT_VERSION
from slim_app.rationale import format_rationale, parse
from slim_app.recommenders.rationale_vectors import rationale_texts
from training.files import read_jsonl
from training.positions import upto_of
from training.recommender.sequences import Sequences
from training.recommender.vectors import encode_once

log = logging.getLogger("recommend")


@dataclass(frozen=True)
class RationaleTable:
    """r rationales, sorted by user and `upto`; each is m vectors (one when pooled)."""

    file: Path
    model: str
    user: np.ndarray
    """(r,) number of the user in the sequences."""
    upto: np.ndarray
    """(r,) how many items its writer saw."""
    texts: torch.Tensor
    """(r, m) rows of `vectors`, -1 for no further segment."""
    vectors: torch.Tensor = field(repr=False)
    """(v, d) of all different texts."""
    sha256: str = ""

    def newest(self, sequences: Sequences, position: str) -> tuple[np.ndarray, np.ndarray]:
        """The rationale of each user that saw most, but nothing from the target of `position` on.

        Returns:
            (u,) row, -1 where there is none; (u,) its `upto`, 0 where there is none.
        """
        row = np.full(len(sequences.users), -1)
        allowed = np.flatnonzero(self.upto <= upto_of(position, sequences.lengths)[self.user])
        np.maximum.at(row, self.user[allowed], allowed)
        return row, np.where(row >= 0, self.upto[row], 0)

    def gather(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(P,) rationale rows → (P, m, d) vectors and (P, m) which of them are segments; m as the longest needs."""
        texts = self.texts[rows]
        mask = texts >= 0
        width = int(mask.sum(dim=1).max()) if len(rows) else 1
        return self.vectors[texts[:, :width].clamp(min=0)], mask[:, :width]

    def to(self, device: torch.device | str) -> RationaleTable:
        return RationaleTable(
            self.file, self.model, self.user, self.upto, self.texts.to(device), self.vectors.to(device), self.sha256
        )


def read_table(
    file: Path, sequences: Sequences, encoder: TextEncoder, ranker: str, steps: Sequence[int], cache: Path | None = None
) -> RationaleTable:
    """Reads and encodes a rationale file. A rationale without a word in these steps counts as missing.

    Raises:
        SlimError: an unreadable row, one of another prompt version or dataset, rows by several models, or no row.
    """
    number = {user: n for n, user in enumerate(sequences.users)}
    found: dict[tuple[int, int], list[str]] = {}
    models, empty = set(), 0
    for place, row in read_jsonl(file):
        version = row.get("prompt_version", PROMPT_VERSION)  # rationales written by hand carry none
        if version != PROMPT_VERSION:
            raise SlimError(f"{place}: written for prompt version {version!r}, not {PROMPT_VERSION!r}. Generate again.")
        try:
            user, upto = str(row["user_id"]), int(row["upto"])
            text = row.get("text") or format_rationale(row["step1"], row["step2"], row["step3"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SlimError(f"{place}: not a rationale ({error!r}). Repair or remove the line.") from None
        if user not in number:
            raise SlimError(f"{place}: user “{user}” is not in this dataset. Use the one the rationales came from.")
        if not 1 <= upto <= sequences.lengths[number[user]]:
            length = sequences.lengths[number[user]]
            raise SlimError(f"{place}: `upto` is {upto}, but must be from 1 to {length}. Correct the row.")
        models.add(str(row.get("model", "")))
        texts = rationale_texts(parse(text, cut=row.get("finish_reason") == "length"), ranker, steps)
        empty += not texts
        if texts:
            found[number[user], upto] = texts
    if len(models) > 1:
        raise SlimError(f"{file} holds rationales by several models: {', '.join(sorted(models))}. Give one file each.")
    if not found:
        raise SlimError(f"{file} holds no rationale that says anything. Check --rationales and --steps.")
    if empty:
        log.warning("%s: %d rationales say nothing in these steps and count as missing", file, empty)
    keys = sorted(found)
    flat, vectors = encode_once([text for key in keys for text in found[key]], encoder, cache)
    counts = np.array([len(found[key]) for key in keys])
    texts_of = np.full((len(keys), counts.max()), -1)
    texts_of[np.arange(counts.max()) < counts[:, None]] = flat
    user, upto = np.array(keys).T
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    tensors = torch.from_numpy(texts_of), torch.from_numpy(vectors)
    return RationaleTable(file, models.pop(), user, upto, *tensors, digest)


def require(
    row: np.ndarray, users: np.ndarray, sequences: Sequences, position: str, file: Path, data: Path, missing: str
) -> np.ndarray:
    """The users of `users` that have a rationale, or all of them with `missing` = `none`.

    Raises:
        SlimError: `missing` = `refuse` and a user without one, who is named; or nobody is left.
    """
    lack = users[row[users] < 0]
    if not len(lack):
        return users
    first = f"e.g. user {sequences.users[lack[0]]}"
    if missing == "refuse":
        limit = int(upto_of(position, int(sequences.lengths[lack[0]])))
        raise SlimError(
            f"{file} lacks a rationale for {len(lack)} of {len(users)} users at the {position} position, {first} "
            f"(from at most {limit} items). Generate them: python -m training.generate_rationales --data {data} "
            f"--positions {position} --out {file}; or say with --missing what to do without."
        )
    if len(lack) == len(users):
        raise SlimError(f"{file} holds no rationale for the {position} position. Generate some, or use --variant plus.")
    what = "are scored without one" if missing == "none" else "are left out"
    log.warning("%d of %d users without a rationale at the %s position %s, %s", len(lack), len(users), position, what,
                first)
    return users if missing == "none" else users[row[users] >= 0]


def scored_users(
    table: RationaleTable | None, sequences: Sequences, position: str, variant: str, missing: str, data: Path
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """The users that a recommender ranks for at a position, and each user's rationale row and its `upto`.

    Raises:
        SlimError: see `require`; or no sequence is long enough.
    """
    users = sequences.users_for(position)
    if not len(users):
        raise SlimError(f"No sequence is long enough for the {position} position. Give longer ones.")
    if table is None:
        return users, None, None
    row, upto = table.newest(sequences, position)
    # nothing else ranks in text matching, so there a user without a rationale is left out
    missing = "skip" if missing == "none" and variant == "text" else missing
    return require(row, users, sequences, position, table.file, data, missing), row, upto
