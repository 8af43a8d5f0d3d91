"""What one running app is made of: domains, encoder and the reasoners that could be started, and why others not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slim_app.catalog import Catalog
from slim_app.domain import Domain, load_domains
from slim_app.encoder import TextEncoder
from slim_app.errors import SlimError
from slim_app.prices import MachinePrice
from slim_app.reasoners import zerogpu
from slim_app.reasoners.base import Reasoner
from slim_app.reasoners.binding import Bindings
from slim_app.reasoners.hf_students import needs_transformers
from slim_app.reasoners.live_teacher import Reach
from slim_app.recommenders.rankers import check_name
from slim_app.recommenders.text_match import DEFAULT_RANKER
from slim_app.schema import ModelInfo, Shopper

log = logging.getLogger(__name__)
STUDENTS = Path(__file__).resolve().parent.parent / "assets/students"
RESULTS = STUDENTS.parent / "results"


@dataclass(frozen=True)
class Settings:
    """Everything that a flag of app.py can set; the defaults are app.py's."""

    domains: tuple[Path, ...] = (Path("assets/domains"),)
    student: str = "smollm2-135m"
    """A folder name under assets/students, a path to such a folder, `base` (no adapter) or `none`; for transformers
    also a PEFT or model folder, or a Hub id."""
    student_url: str = ""
    student_model: str = ""
    student_key: str = field(default="", repr=False)
    teacher_url: str = ""
    teacher_model: str = ""
    teacher_key: str = field(default="", repr=False)
    encoder: str = ""
    device: str = "cpu"
    """Where encoder and student run: `cpu`, `cuda`, `mps` (the encoder alone), `auto` (`cuda` where there is one)."""
    slots: int = 8
    threads: int = 0
    data: Path = Path("data")
    results: Path = RESULTS
    """Evaluations that the tab of that name draws."""
    ranker: str = DEFAULT_RANKER
    """What ranks until a visitor or a client chooses; catalogues without it fall back on plain text matching."""
    reach: Reach = "off"
    """Which servers a visitor may name as a teacher (`reach_of`)."""
    usd_per_hour: float | None = None
    """What an hour of this machine costs; None where that is not known."""


@dataclass
class Services:
    """The loaded parts. `reasoners` maps an id to a writer: student, free, base, teacher."""

    domains: dict[str, Domain]
    encoder: TextEncoder
    reasoners: dict[str, Reasoner] = field(default_factory=dict)
    recorded: dict[str, Reasoner] = field(default_factory=dict)
    """Domain name → its stored rationales."""
    missing: str = ""
    """Why no student runs; empty when one does."""
    slots: int = 8
    ranker: str = DEFAULT_RANKER
    student_card: str = ""
    """The shipped student's README, empty without one."""
    data: Path = Path("data")
    results: Path = RESULTS
    reach: Reach = "off"
    teacher_url: str = ""
    machine: MachinePrice | None = None
    """What an hour costs of the machine that runs the embedded models."""
    bindings: Bindings = field(default_factory=Bindings)
    warming: list[threading.Thread] = field(default_factory=list)
    """Threads that load and warm what the first visitor needs; to be joined before the process may end."""

    def warm(self, work) -> None:
        """Do something slow beside the start. Its failure ends nothing: the first use meets and reports it."""

        def quietly() -> None:
            try:
                work()
            except Exception as error:
                log.warning("Warming up failed: %s", error)

        thread = threading.Thread(target=quietly, daemon=True)
        self.warming.append(thread)
        thread.start()

    def domain(self, name: str, own: Domain | None = None) -> Domain:
        """A loaded domain, or the visitor's own (`own`) when its name is asked for; SlimError for an unknown one."""
        if own is not None and name == own.name:
            return own
        if not isinstance(name, str) or name not in self.domains:
            raise SlimError(f"Unknown domain “{str(name)[:40]}”. Choose one of: {', '.join(self.domains)}.")
        return self.domains[name]

    def samples(self, domain: str) -> tuple[Shopper, ...]:
        """The sample shoppers of a domain; none for a visitor's own."""
        return self.domains[domain].shoppers if domain in self.domains else ()

    def reasoner(self, writer: str, domain: str, bind: Catalog | None = None) -> Reasoner:
        """The writer with this id, its products bound to a catalogue where one is given.

        Raises:
            SlimError: says why it is not there, or why it cannot be bound.
        """
        found = self._reasoner(writer, domain)
        return found if bind is None else self.bindings.bind(found, bind)

    def _reasoner(self, writer: str, domain: str) -> Reasoner:
        known: Mapping[str, Reasoner] = self.reasoners
        if writer == "recorded" and domain in self.recorded:
            return self.recorded[domain]
        if writer in known:
            return known[writer]
        if writer in ("student", "free", "base") and self.missing:
            raise SlimError(self.missing)
        choices = ", ".join([*known, *(["recorded"] if domain in self.recorded else [])]) or "none"
        raise SlimError(f"The writer “{str(writer)[:40]}” is not available here. Available: {choices}.")

    @property
    def default_writer(self) -> str:
        return "student" if "student" in self.reasoners else "recorded"


def build_services(settings: Settings) -> Services:
    """Load what the settings name. A student that cannot start is reported, not fatal: recorded examples still play.

    Raises:
        SlimError: no usable domain, or an explicit endpoint with a bad address.
    """
    device = _device(settings.device)
    # on ZeroGPU only decorated functions have a GPU, and an encoder that takes milliseconds is not worth the queue
    encoder = TextEncoder(settings.encoder, "cpu" if zerogpu.active() else device)
    domains = load_domains(settings.domains, encoder, settings.data / "vectors")
    services = Services(
        domains, encoder, slots=settings.slots, ranker=check_name(settings.ranker), data=settings.data,
        results=settings.results, reach=settings.reach, teacher_url=settings.teacher_url,
    )  # fmt: skip
    if settings.usd_per_hour is not None:
        services.machine = MachinePrice(settings.usd_per_hour, f"this machine at ${settings.usd_per_hour:g} an hour")
    services.warm(encoder.load)  # its imports take seconds: beside the loading of the student and the page
    from slim_app.reasoners.recorded import from_shoppers

    services.recorded = {
        name: from_shoppers(domain.shoppers)
        for name, domain in domains.items()
        if any(shopper.step1 for shopper in domain.shoppers)
    }
    if settings.student_url:
        from slim_app.reasoners.endpoint import Endpoint

        services.reasoners["student"] = Endpoint(
            base_url=settings.student_url, model=settings.student_model, role="student", api_key=settings.student_key
        )
    elif settings.student != "none":
        try:
            in_process = device == "cuda" or needs_transformers(settings.student, STUDENTS)
            services.reasoners |= (_transformers if in_process else _embedded)(settings, services)
        except SlimError as error:
            services.missing = str(error)
            log.warning("No student: %s", error)
    else:
        services.missing = "No student was started (--student none). Recorded rationales of the samples can be played."
    if settings.teacher_url:
        from slim_app.reasoners.endpoint import Endpoint

        services.reasoners["teacher"] = Endpoint(
            base_url=settings.teacher_url, model=settings.teacher_model, api_key=settings.teacher_key
        )
    return services


def _device(wanted: str) -> str:
    """`auto` decided; PyTorch is asked only then, since its import takes seconds."""
    if zerogpu.active():
        zerogpu.prepare()
    if wanted != "auto":
        return wanted
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _transformers(settings: Settings, services: Services) -> dict[str, Reasoner]:
    """The student on transformers, and its untuned base from the same loaded model."""
    from slim_app.reasoners.hf import HfReasoner
    from slim_app.reasoners.hf_students import find_student, open_student

    services.student_card = find_student(settings.student, STUDENTS).card
    device = _device(settings.device)
    student = open_student(settings.student, STUDENTS, device if device == "cuda" else "cpu")
    services.warm(student.engine.warm_up)
    reasoners: dict[str, Reasoner] = {"student": student}
    if student.engine.loaded.copies:
        reasoners["base"] = HfReasoner(student.engine, tuned=False)
    return reasoners


def _embedded(settings: Settings, services: Services) -> dict[str, Reasoner]:
    """The llama.cpp student: with its adapter where one is shipped, else the untuned base."""
    from slim_app.reasoners.engine import Engine
    from slim_app.reasoners.llama_cpp import LlamaCppReasoner
    from slim_app.reasoners.students import read_student

    student = None if settings.student == "base" else read_student(settings.student, STUDENTS)
    adapter = student.adapter if student else None
    engine = Engine(adapter=adapter, threads=settings.threads, slots=settings.slots)
    services.warm(engine.warm_up)
    tuned = student is not None
    if student and (card := student.adapter.parent / "README.md").is_file():
        services.student_card = card.read_text("utf-8")
    name = student.name if student else ""
    reasoners: dict[str, Reasoner] = {
        "student": LlamaCppReasoner(engine, tuned, name=name),
        "free": LlamaCppReasoner(engine, tuned, grammar=False, name=name),
    }
    if tuned:
        reasoners["base"] = LlamaCppReasoner(engine, tuned=False)
    return reasoners


def model_line(info: ModelInfo) -> str:
    """One line that says who writes, and whether it is tuned, live or recorded."""
    parts = [info.name]
    if info.kind == "recorded" and "recorded" not in info.name:
        parts.append("recorded")
    elif info.kind == "live":
        parts.append("distilled for this task" if info.tuned else "untuned")
        parts.append(f"live on {info.device}" if info.device else "live")
    return " · ".join(parts)
