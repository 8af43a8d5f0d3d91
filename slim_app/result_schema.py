"""What is in the JSON of `training.evaluate` and `training.evaluate_rationales`, as far as the app shows it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

MEASURES = ("ndcg@10", "hr@10", "hr@20")
Where = Literal["101", "full"]
"""Among 101 candidates, or over the full catalogue."""


def _all_measures(found: dict[str, Any]) -> dict[str, Any]:
    missing = [name for name in MEASURES if name not in found]
    if missing:
        raise ValueError(f"lacks {missing[0]}")
    return found


class Part(BaseModel):
    """A piece of a report. What it does not name is ignored; numbers are finite."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, populate_by_name=True)


class Spread(Part):
    mean: float
    sd: float | None = None
    sd_training: float | None = None


Interval = tuple[float, float]
Spreads = Annotated[dict[str, Spread], AfterValidator(_all_measures)]
Means = Annotated[dict[str, float], AfterValidator(_all_measures)]


class Accuracy(Part):
    protocol: str
    few: Spreads = Field(alias="101")
    full: Spreads


class Group(Part):
    """A fifth of the users, by the length of their sequences."""

    group: str
    users: int
    interactions: tuple[int, int]
    few: Means = Field(alias="101")
    full: Means
    interval_95: dict[Where, dict[str, Interval | None]] = {}


class Sparsity(Part):
    protocol: str
    groups: list[Group]


class Texts(Part):
    """Whose rationales a run read."""

    model: str | None = None
    writer: str = ""


class Run(Part):
    variant: str
    backbone: str = ""
    ranker: str = ""
    steps: tuple[int, ...] = ()
    start: str = ""
    rationales: Texts | None = None
    runs: int
    candidate_seeds: int
    users: int
    with_rationale: int
    with_older_rationale: int = 0
    accuracy: Accuracy
    beyond_accuracy: dict[str, Spread | str]
    sparsity: Sparsity
    frequency: list[float]


class DatasetFacts(Part):
    name: str
    users: int
    items: int
    interactions: int
    simulated: bool = False


class Popularity(Part):
    training: list[float]
    protocol: str


class PairedTest(Part):
    difference: float
    interval_95: Interval
    p_t_test: float
    p_wilcoxon: float


class Pair(Part):
    first: str
    second: str
    users: int
    protocol: str
    few: dict[str, PairedTest] = Field(alias="101")
    full: dict[str, PairedTest]


class Price(Part):
    source: str


class Cost(Part):
    """Of 1,000 rationales by the student or the teacher; both kinds of the report's block."""

    seconds_per_1000_users: float | None
    usd_per_1000_users: float | None
    protocol: str
    model: str | None = None
    engine: str | None = None
    device: str | None = None
    parts_side_by_side: int | None = None
    measured_rationales: int | None = None
    priced_as: str | None = None
    rationales: int | None = None
    requests_estimated: int = 0
    price_usd_per_million: Price | None = None
    usd_per_hour_of_machine: float | None = None


class CaseUser(Part):
    group: str
    purchases: int
    target_interactions: int
    target_bin: int


class CaseRanks(Part):
    few: list[float] = Field(alias="101")
    full: list[float]


class Cases(Part):
    protocol: str
    users: list[CaseUser]
    ranks: dict[str, CaseRanks]


class PaperRun(Part):
    row: str
    accuracy: Spreads
    beyond_accuracy: dict[str, float] = {}


class Paper(Part):
    title: str
    same_users: bool
    runs: dict[str, PaperRun]
    seconds_per_rationale: dict[str, float]


class Evaluation(Part):
    """What `training.evaluate` writes."""

    made_by: Literal["training.evaluate"]
    dataset: DatasetFacts
    candidate_seeds: list[int]
    note: str = ""
    common_users: bool = False
    popularity: Popularity
    runs: dict[str, Run]
    significance: list[Pair] = []
    cost: dict[Literal["student", "teacher"], Cost] = {}
    cases: Cases | None = None
    paper: Annotated[Paper | None, BeforeValidator(lambda found: found or None)] = None


class Protocol(Part):
    dataset: str
    users: int
    catalogue: int
    candidates: str
    seeds: list[int]
    note: str = ""


class Written(Part):
    """One writer's texts: how good, and how well they rank."""

    quality: dict[str, float]
    quality_interval_95: dict[str, Interval] = {}
    ranking: dict[str, dict[Where, Means]]


class Lead(Part):
    ranker: str


class Difference(Part):
    first: str
    second: str
    mean: float
    interval_95: Interval


class RationaleReport(Part):
    """What `training.evaluate_rationales` writes."""

    protocol: Protocol
    baselines: dict[str, dict[Where, Means]]
    writers: dict[str, Written]
    share_of_teacher_lead: Lead
    differences: list[Difference]
