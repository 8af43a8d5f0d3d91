"""The evaluations under assets/results: finds and reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from slim_app.errors import SlimError
from slim_app.result_schema import Evaluation, Part, RationaleReport

MAX_BYTES = 20_000_000
T = TypeVar("T", bound=Part)


@dataclass(frozen=True)
class Result:
    """What there is on one dataset."""

    key: str
    evaluation: Evaluation | None = None
    rationales: RationaleReport | None = None

    @property
    def dataset(self) -> str:
        return self.evaluation.dataset.name if self.evaluation else self.rationales.protocol.dataset

    @property
    def users(self) -> int:
        if self.evaluation is None:
            return self.rationales.protocol.users
        runs = self.evaluation.runs.values()
        return max((run.users for run in runs), default=self.evaluation.dataset.users)


def load_results(folder: Path) -> tuple[list[Result], list[SlimError]]:
    """All evaluations of a folder, and what is wrong with the files that cannot be read: one does not hide the others.

    The rationales of a dataset stand beside each evaluation of it (`recommenders_NAME.json`, `rationales_NAME.json`).
    Those that have both come first: they fill every figure.
    """
    errors: list[SlimError] = []
    evaluations = _read_all(folder, "recommenders_", Evaluation, errors)
    reports = _read_all(folder, "rationales_", RationaleReport, errors)
    by_dataset = {report.protocol.dataset: report for report in reports.values()}
    found = [Result(key, one, by_dataset.get(one.dataset.name)) for key, one in evaluations.items()]
    shown = {one.dataset for one in found}
    found += [Result(key, None, one) for key, one in reports.items() if one.protocol.dataset not in shown]
    return sorted(found, key=lambda one: one.evaluation is None or one.rationales is None), errors


def _read_all(folder: Path, prefix: str, kind: type[T], errors: list[SlimError]) -> dict[str, T]:
    found = {}
    for file in sorted(folder.glob(f"{prefix}*.json")):
        try:
            found[file.stem.removeprefix(prefix)] = read_report(file, kind)
        except SlimError as error:
            errors.append(error)
    return found


def read_report(file: Path, kind: type[T]) -> T:
    """One file as `kind`.

    Raises:
        SlimError: it cannot be read, is too large, or is no such report; says where in it.
    """
    again = "training.evaluate" if kind is Evaluation else "training.evaluate_rationales"
    repair = f"Write it again with python -m {again}, or remove the file."
    try:
        if file.stat().st_size > MAX_BYTES:
            raise SlimError(f"{file.name} is larger than {MAX_BYTES // 1_000_000} MB, so it is no evaluation. {repair}")
        return kind.model_validate_json(file.read_bytes())
    except OSError as error:
        raise SlimError(f"{file.name} cannot be read ({error.strerror}). {repair}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise SlimError(f"{file.name} is no evaluation: {_place(first['loc'])}{first['msg']}. {repair}") from None


def _place(loc: Sequence[int | str]) -> str:
    path = ".".join(str(part)[:40] for part in loc)
    return f"at {path}: " if path else ""
