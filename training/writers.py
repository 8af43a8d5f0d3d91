"""Measures writers of rationales against each other on the same users (see `evaluate_rationales`)."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from slim_app.catalog import Catalog
from slim_app.domain import Domain, texts_of, vectors_key
from slim_app.encoder import TextEncoder
from slim_app.errors import SlimError
from slim_app.prompts import PROMPT_VERSION
from slim_app.quality import form
from slim_app.rationale import format_rationale, parse
from slim_app.recommenders.index import build_index
from slim_app.recommenders.text_match import RANKERS
from slim_app.schema import Item, Rationale, shown
from training.data import Row
from training.dataset import Dataset
from training.files import read_jsonl
from training.metrics import paired_interval
from training.next_item import Case, Ranks, make_case, rank_targets
from training.rationale_quality import grounding, likeness, top_overlap

log = logging.getLogger("evaluate")
TEACHER = "teacher"
LEAD = "late interaction + history"
"""The ranker on which a student's share of its teacher's lead is measured."""
BASELINE = "mean of the history"


@dataclass(frozen=True)
class Written:
    """One user's rationale by one writer."""

    rationale: Rationale
    text: str


def cases_of(file: Path, dataset: Dataset, only_held_out: bool) -> list[tuple[str, int]]:
    """The (user, upto) pairs of a rationale file, in its order.

    Raises:
        SlimError: an empty file, or rows without `user_id` and `upto`.
    """
    cases = []
    for place, row in read_jsonl(file):
        try:
            user, upto = str(row["user_id"]), int(row["upto"])
        except (KeyError, TypeError, ValueError):
            raise SlimError(f"{place}: a rationale needs user_id and upto. Repair or remove the line.") from None
        if not only_held_out or Row(user, dataset.name, (), "").held_out:
            cases.append((user, upto))
    if not cases:
        raise SlimError(f"{file} holds no case to evaluate. Check --teacher and --only-held-out.")
    return cases


def read_writer(file: Path, wanted: Sequence[tuple[str, int]]) -> list[Written]:
    """The rationales of the `wanted` (user, upto) pairs, in their order.

    Raises:
        SlimError: another prompt version, an unreadable row, or pairs without a rationale (the first is named).
    """
    found: dict[tuple[str, int], Written] = {}
    for place, row in read_jsonl(file):
        if row.get("prompt_version", PROMPT_VERSION) != PROMPT_VERSION:
            raise SlimError(
                f"{place}: written for prompt version {row['prompt_version']!r}, not {PROMPT_VERSION!r}. "
                "Generate it again."
            )
        try:
            key = str(row["user_id"]), int(row["upto"])
            text = row.get("text") or format_rationale(row["step1"], row["step2"], row["step3"])
        except (KeyError, TypeError, ValueError) as error:
            raise SlimError(f"{place}: not a rationale ({error!r}). Repair or remove the line.") from None
        found[key] = Written(parse(text, cut=row.get("finish_reason") == "length"), text)
    missing = [key for key in wanted if key not in found]
    if missing:
        user, upto = missing[0]
        raise SlimError(
            f"{file} lacks {len(missing)} of {len(wanted)} rationales, e.g. user {user} with upto {upto}. "
            "Generate them with training.generate_rationales --users-file."
        )
    return [found[key] for key in wanted]


def domain_of(dataset: Dataset, encoder: TextEncoder, cache: Path | None) -> Domain:
    """The dataset's items as a catalogue with vectors; these are kept in `cache` for the next run."""
    catalog = Catalog(dataset.name, [item for item in dataset.items.values() if item.title])
    texts = texts_of(catalog)
    file = cache / f"vectors-{vectors_key(encoder.name, texts)}.npy" if cache else None
    if file and file.is_file():
        vectors = np.load(file, allow_pickle=False)
    else:
        log.info("encoding %d items …", len(texts))
        vectors = np.concatenate([part for _, part in encoder.encode_many(texts)])
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, vectors)
    items, groups = vectors[: len(catalog)], vectors[len(catalog) :]
    return Domain(dataset.name, dataset.name, catalog, items, groups, build_index(items, len(items) + 1))


class Evaluation:
    """The users, their targets and the catalogue; `writer` measures one writer, `baselines` those without one."""

    def __init__(
        self, dataset: Dataset, wanted: Sequence[tuple[str, int]], domain: Domain, encoder: TextEncoder
    ) -> None:
        self.domain, self.encoder = domain, encoder
        self.histories = [dataset.history(user, upto) for user, upto in wanted]
        rows = domain.catalog.row_of_id
        self.cases: list[Case] = []
        popularity: Counter[int] = Counter()
        for sequence in dataset.sequences.values():
            popularity.update(rows[item] for item in sequence[:-1] if item in rows)  # no test target
        self.popularity = np.array([popularity[row] for row in range(len(domain.catalog))], float)
        for user, upto in wanted:
            sequence = dataset.sequences[user]
            if upto >= len(sequence):
                raise SlimError(f"User {user} has no purchase after the first {upto}: nothing is left to predict.")
            self.cases.append(make_case(user, [rows[item] for item in sequence], upto, len(domain.catalog)))
        self.history_max = [self._scores("history items", history) for history in self.histories]

    def _scores(self, ranker: str, history: Sequence[Item], rationale: Rationale | None = None) -> np.ndarray:
        """(n_items,) scores of one of the app's rankers, or of a baseline."""
        vectors, encode = self.domain.vectors, self.encoder.encode
        if ranker == "last item":
            return vectors @ encode([history[-1].text])[0]
        if ranker == "history text":
            return vectors @ encode([". ".join(item.text for item in shown(history))])[0]
        if ranker == "history items":
            return (encode([item.text for item in shown(history)]) @ vectors.T).max(axis=0)
        return RANKERS[ranker].scores(history, rationale or Rationale(), vectors, self.encoder)

    def baselines(self) -> dict[str, Ranks]:
        """Rankings without a language model."""
        names = {BASELINE: "history", "nearest history item": "history items", "last item": "", "history text": ""}
        scores = {name: [self._scores(how or name, h) for h in self.histories] for name, how in names.items()}
        scores["popularity"] = [self.popularity] * len(self.cases)
        return {name: rank_targets(self.cases, values) for name, values in scores.items()}

    def rankings(self, written: Sequence[Written]) -> dict[str, Ranks]:
        """Rankings by what one writer wrote. A rationale without any segment ranks by a constant: it finds nothing."""
        def score(ranker: str, one: Written, history: Sequence[Item]) -> np.ndarray:
            if not any(one.rationale.segments()):
                return np.zeros(len(self.domain.catalog), np.float32)
            return self._scores(ranker, history, one.rationale)

        pairs = list(zip(written, self.histories, strict=True))
        late = [score("reasoning", *pair) for pair in pairs]
        pooled = [score("pooled", *pair) for pair in pairs]
        means = [self._scores("history", history) for history in self.histories]
        self.late = late
        scores = {
            "late interaction": late,
            "pooled": pooled,
            LEAD: [a + b for a, b in zip(late, self.history_max, strict=True)],
            "nearest of both": [np.maximum(*pair) for pair in zip(late, self.history_max, strict=True)],
            "pooled + history": [a + b for a, b in zip(pooled, means, strict=True)],
        }
        return {name: rank_targets(self.cases, values) for name, values in scores.items()}

    def quality(self, written: Sequence[Written], teacher: Sequence[Written], teacher_late) -> dict[str, Any]:
        """Every measure of `rationale_quality`: mean over the users, 95 % interval (normal approximation)."""
        rows = []
        for n, (one, history) in enumerate(zip(written, self.histories, strict=True)):
            rows.append(
                form(one.rationale, one.text, history)
                | grounding(one.rationale, history, self.domain, self.encoder)
                | likeness(one.rationale, teacher[n].rationale, self.encoder)
                | {"top10_overlap_with_teacher": top_overlap(self.late[n], teacher_late[n])}
            )
        names, values = list(rows[0]), np.array([list(row.values()) for row in rows], float)
        means = values.mean(axis=0)
        found: dict[str, Any] = {"quality": dict(zip(names, np.round(means, 4).tolist(), strict=True))}
        if len(rows) > 1:
            half = 1.96 * values.std(axis=0, ddof=1) / len(rows) ** 0.5
            ends = np.round(np.stack([means - half, means + half], axis=1), 4).tolist()
            found["quality_interval_95"] = dict(zip(names, ends, strict=True))
        return found


def evaluate(evaluation: Evaluation, writers: dict[str, list[Written]]) -> dict[str, Any]:
    """The report: each writer's quality and rankings, the baselines, and what is significant."""
    report: dict[str, Any] = {"baselines": {}, "writers": {}}
    per_user: dict[str, np.ndarray] = {}
    for name, found in evaluation.baselines().items():
        report["baselines"][name] = found.as_dict()
        per_user[name] = found.per_user()
    teacher = writers[TEACHER]
    order = [TEACHER, *(name for name in writers if name != TEACHER)]
    for name in order:
        rankings = evaluation.rankings(writers[name])
        if name == TEACHER:
            teacher_late = evaluation.late
        quality = evaluation.quality(writers[name], teacher, teacher_late)
        report["writers"][name] = quality | {"ranking": {r: v.as_dict() for r, v in rankings.items()}}
        per_user[name] = rankings[LEAD].per_user()
        log.info("%s: %s", name, json.dumps(quality["quality"]))
    mean = {name: float(values.mean() * 100) for name, values in per_user.items()}
    lead = mean[TEACHER] - mean[BASELINE]
    report["share_of_teacher_lead"] = {
        "ranker": LEAD, "metric": "ndcg@10, 101 candidates", BASELINE: round(mean[BASELINE], 2),
        TEACHER: round(mean[TEACHER], 2),
        "shares": {n: round((mean[n] - mean[BASELINE]) / lead, 3) for n in order if n != TEACHER} if lead > 0 else {},
    }  # fmt: skip
    report["differences"] = [
        {"first": a, "second": b, "mean": round(mean[a] - mean[b], 2),
         "interval_95": [round(100 * x, 2) for x in paired_interval(per_user[a], per_user[b])]}
        for n, a in enumerate(order) for b in [*order[n + 1 :], BASELINE]
    ]  # fmt: skip
    return report
