"""Which rationales are wanted: users, and how much of each user's history may be read."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from slim_app.errors import SlimError
from training.dataset import Dataset
from training.positions import POSITIONS, upto_of

log = logging.getLogger(__name__)


class Job(NamedTuple):
    """One rationale: from the first `upto` purchases of `user`."""

    user: str
    upto: int


def choose_users(dataset: Dataset, count: int | None, file: Path | None, seed: int) -> list[str]:
    """All users, those that `file` names (one id a line), or `count` drawn at random.

    With the same seed a larger draw contains every smaller one, so that a collection can grow.

    Raises:
        SlimError: a file that cannot be read or is empty, or a user that the dataset does not have.
    """
    if file:
        return _named(dataset, file)
    users = list(dataset.sequences)
    if count is not None:
        if count > len(users):
            log.warning("--users %d: %s has %d users; all of them are taken", count, dataset.name, len(users))
        random.Random(seed).shuffle(users)
    return users[:count]


def choose_jobs(dataset: Dataset, users: Sequence[str], positions: Sequence[str]) -> list[Job]:
    """One job for every user and position; users of whom nothing may be read are left out and named in the log."""
    jobs = [Job(user, upto_of(position, len(dataset.sequences[user]))) for user in users for position in positions]
    for position in positions:
        held = POSITIONS[position]
        short = [user for user in users if len(dataset.sequences[user]) <= held]
        if short:
            names = ", ".join(short[:5]) + (", …" if len(short) > 5 else "")
            log.warning("%d of %d users skipped at position %s: %d purchases or fewer, all held back (%s)",
                        len(short), len(users), position, held, names)
    return [job for job in jobs if job.upto > 0]


def _named(dataset: Dataset, file: Path) -> list[str]:
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SlimError(f"--users-file: cannot read {file} as UTF-8 text ({error}). Check the path.") from None
    users: dict[str, None] = {}
    for number, user in enumerate(map(str.strip, lines), start=1):
        if user and user not in dataset.sequences:
            where = f"{file}, line {number}: user “{user[:80]}” is not in the dataset {dataset.name}"
            raise SlimError(f"{where}. Correct or remove the line: each holds one user id.")
        if user in users:
            log.warning("%s, line %d: user %s stands here again; taken once", file, number, user)
        elif user:
            users[user] = None
    if not users:
        raise SlimError(f"--users-file: {file} names no user. Write one user id a line.")
    return list(users)
