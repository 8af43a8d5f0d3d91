"""The compare tab without a browser: what its handlers let leave the server, and when."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import TINY, FakeEncoder, make_domain

from slim_app.errors import SlimError
from slim_app.prices import MachinePrice
from slim_app.reasoners.recorded import from_shoppers
from slim_app.schema import Item, Shopper
from slim_app.services import Services
from slim_app.ui import words_compare as said
from slim_app.ui.ballots import Ballots
from slim_app.ui.comparing import CompareHandlers, TeacherFields, Update
from tests.loopback import DONE, Loopback, answer, delta, error, finish, stream, usage
from tests.writers import GOOD, OTHER, STALL, Scripted

EVIL = '<img src=x onerror="alert(1)">{x}'
KEY = "sk-Secret-0123456789"
SAMPLE = Shopper("s1", "Rita", ("G1", "G7"), "G3", "You like racing.", ("Racing Games",), ("Forza Horizon 5",))
BOUGHT = [TINY[0], TINY[6]]
OWN_WORDS = [*BOUGHT, Item("", "A boat in a bottle")]
DRAWN = ("heads", "summary", "steps", "lists")


def make(tmp_path: Path, **more) -> tuple[CompareHandlers, Ballots]:
    encoder = FakeEncoder(dimension=16)
    domain = replace(make_domain(TINY, encoder), shoppers=(SAMPLE,))
    writers = {
        "student": Scripted(GOOD, "Student of mine", tuned=True),
        "base": Scripted(OTHER, "Base of mine", engine=object()),
    }
    services = Services(
        {"tiny": domain}, encoder, more.pop("reasoners", writers), {"tiny": from_shoppers([SAMPLE])},
        data=tmp_path / "data", **more,
    )  # fmt: skip
    handlers = CompareHandlers(services)
    return handlers, Ballots(handlers)


def begin(
    handlers: CompareHandlers, picked: Sequence[str] = ("student", "base"), history: list[Item] = BOUGHT,
    blind: bool = False, fields: TeacherFields | None = None, diff: bool = False, session: str = "me",
) -> Iterator[Update]:  # fmt: skip
    fields = fields or TeacherFields()
    return handlers.run(history, "tiny", None, picked, "reasoning", 3, blind, diff, fields, session)


def page(updates: Sequence[Update]) -> Update:
    """What the page shows after all updates."""
    shown: Update = {}
    for update in updates:
        shown |= update
    return shown


def test_a_comparison_is_streamed_summed_up_and_drawn(tmp_path) -> None:
    handlers, _ = make(tmp_path, machine=MachinePrice(3.6, "this machine"))
    updates = list(begin(handlers, ("base", "student", "recorded")))
    assert updates[0]["running"] is True and updates[-1]["running"] is False and len(updates) > 3
    shown = page(updates)
    for key, name, kind in (("A", "Teacher, recorded", "teacher"), ("B", "Student of mine", "student"),
                            ("C", "Base of mine", "base")):  # fmt: skip
        assert f'aria-label="{key}: {name}"' in shown["heads"] and f"w-{kind}" in shown["heads"]
        assert shown["steps"].count(f'aria-label="{key}: {name}"') == 3
    assert said.LINES["untuned"] in shown["heads"] and "knew the held-out next purchase" in shown["heads"]
    assert all(f'class="step card s{step}"' in shown["steps"] for step in (1, 2, 3))
    assert "in your history" in shown["steps"], "grounding marks"  # the Logitech wheel was bought
    assert "Forza Horizon 5 - Xbox Series X" in shown["summary"]
    assert all(label in shown["summary"] for label, _ in said.ROWS.values())
    for why in ("replay", "cost_replay", "price"):  # recorded: no speed, no cost; the student: another machine
        assert said.UNKNOWN_WHY[why] in shown["summary"]
    assert "$0.0" in shown["summary"] and "tokens/s" in shown["summary"] and " of 6" in shown["summary"]
    assert shown["summary"].count("alike in meaning") == 3 and "of the first 3" in shown["summary"]
    assert said.LISTS.format(k=3) in shown["lists"]
    assert handlers.desks.of("me").run is None


def test_the_summary_keeps_its_frame_while_the_texts_stream(tmp_path) -> None:
    handlers, _ = make(tmp_path)
    updates = list(begin(handlers))
    first = next(update["summary"] for update in updates if "summary" in update)
    assert said.PENDING in first and first.count("<tr>") == page(updates)["summary"].count("<tr>")
    assert '<div class="pair" aria-hidden="true">' in first
    heads = [update["heads"] for update in updates if "heads" in update]
    assert len(heads) <= 6, "redrawn when a side changes its state, so that its buttons can be pressed"


def test_blind_names_leave_the_server_with_the_vote_and_not_before(tmp_path) -> None:
    handlers, ballots = make(tmp_path)
    updates = []
    for update in begin(handlers, blind=True):
        updates.append(update)
    before = json.dumps([*updates, handlers.show_diff("me", True), handlers.show_diff("me", False)], default=str)
    for word in ("of mine", "w-student", "w-base", "tokens/s", said.LINES["untuned"], said.TUNED):
        assert word not in before, word
    assert "Writer A" in before and said.UNKNOWN_WHY["hidden"] in before and "alike in meaning" in before
    state = handlers.desks.of("me").state
    shown = ballots.vote("me", "A", "clear", keep=False)
    assert state.sides[0].name in shown["ballot"] and "Student of mine" in shown["heads"]
    assert all("of mine" in shown[part] for part in DRAWN) and "Student of mine" in shown["tallies"]
    vote = ballots.votes.all()[0]
    assert (vote.a_name, vote.verdict, vote.blind, vote.sample) == (state.sides[0].name, "A", True, "s1")
    assert vote.a_text and vote.history == (TINY[0].title, TINY[6].title)
    assert "counted already" in ballots.vote("me", "B", "", keep=False)["ballot"] and len(ballots.votes.all()) == 1


def test_a_vote_during_the_run_reveals_at_once(tmp_path) -> None:
    handlers, ballots = make(tmp_path)
    updates = begin(handlers, blind=True)
    while "steps" not in next(updates):
        pass
    assert "of mine" in ballots.vote("me", "both_bad", "", keep=False)["heads"]
    rest = page(list(updates))
    assert all("of mine" in rest[part] for part in DRAWN)


def test_a_vote_that_cannot_be_kept_reveals_nothing(tmp_path) -> None:
    handlers, ballots = make(tmp_path)
    assert said.NO_RUN in ballots.vote("me", "A", "", keep=False)["ballot"]
    list(begin(handlers, blind=True))
    (tmp_path / "data").write_text("a file where the folder should be")
    shown = ballots.vote("me", "A", "", keep=False)
    assert shown.keys() == {"ballot"} and "Name another one with --data" in shown["ballot"]
    assert not handlers.desks.of("me").voted
    list(begin(handlers, ("student", "base", "recorded"), session="other"))
    assert "Compare two of them" in ballots.vote("other", "A", "", keep=False)["ballot"]


@pytest.mark.parametrize("keep", [False, True])
def test_an_own_history_is_kept_only_where_the_visitor_says_so(tmp_path, keep) -> None:
    handlers, ballots = make(tmp_path)
    updates = list(begin(handlers, history=OWN_WORDS))
    assert updates[0]["keep"] is True and said.UNKNOWN_WHY["held_out"] in page(updates)["summary"]
    ballots.vote("me", "tie", "", keep=keep)
    vote = ballots.votes.all()[0]
    assert (bool(vote.a_text), bool(vote.history), vote.sample) == (keep, keep, "")


def test_the_tally_and_the_files(tmp_path) -> None:
    handlers, ballots = make(tmp_path)
    for n, verdict in enumerate(("A", "A", "B", "tie")):
        list(begin(handlers, session=str(n)))
        ballots.vote(str(n), verdict, EVIL, keep=False)
    found = ballots.tally()
    # student is A; the tally's first one is the base, by name: it won one of three that decided
    assert "33% (6% to 79%)" in found["tallies"] and len(found["pairs"]) == 1
    rows = list(csv.DictReader(io.StringIO(Path(ballots.export("csv", None)["file"]).read_text("utf-8"))))
    assert [row["verdict"] for row in rows] == ["A", "A", "B", "tie"]
    everything = json.loads(Path(ballots.export("json", None)["file"]).read_text("utf-8"))
    assert everything["tallies"][0]["decided"] == 3
    assert ballots.export("llm", None)["file"] is None and said.NO_PAIR in ballots.export("llm", None)["export_message"]
    theirs = json.loads(Path(ballots.export("llm", found["pairs"][0])["file"]).read_text("utf-8"))
    assert len(theirs["examples"]) == 4 and theirs["models"][0]["name"].startswith("Base of mine")


def test_texts_of_others_are_escaped_wherever_they_stand(tmp_path) -> None:
    text = GOOD.replace("You like racing.", f"You like {EVIL}.").replace("Wheels", EVIL).replace("Minecraft", EVIL)
    evil = {
        "student": Scripted(text, EVIL, device=EVIL, note=EVIL, tuned=True),
        "base": Scripted(GOOD[:60], EVIL, end=SlimError(EVIL)),
    }
    handlers, ballots = make(tmp_path, reasoners=evil)
    updates = list(begin(handlers))
    shown = page([*updates, handlers.show_diff("me", True), ballots.vote("me", "A", EVIL, keep=True)])
    for part in (*DRAWN, "ballot", "tallies"):
        assert "<img" not in shown[part] and "{x}" not in shown[part], part
        assert part == "lists" or "&lt;img" in shown[part]
    assert "<del>" in shown["steps"] and "<ins>" in shown["steps"] and said.ONLY_HERE in shown["steps"]


def test_each_side_stops_and_fails_alone(tmp_path) -> None:
    writers = {"student": Scripted(GOOD[:80], "One", end=STALL), "base": Scripted(OTHER, "Two")}
    handlers, _ = make(tmp_path, reasoners=writers)
    shown: Update = {}
    for update in begin(handlers):
        shown |= update
        if said.STATUSES["finished"] in shown.get("heads", ""):
            handlers.stop("someone else")
            handlers.stop("me", "A")
    assert said.STATUSES["stopped"] in shown["heads"] and said.STATUSES["finished"] in shown["heads"]
    writers["student"].end = SlimError("The server sent nothing.")
    shown = page(list(begin(handlers)))
    assert "The server sent nothing." in shown["heads"] and said.STATUSES["finished"] in shown["heads"]


def test_a_second_run_or_a_closed_tab_ends_the_first(tmp_path) -> None:
    handlers, _ = make(tmp_path, reasoners={"student": Scripted(end=STALL), "base": Scripted(end=STALL)})
    first = begin(handlers)
    while "steps" not in next(first):
        pass
    second = begin(handlers)
    next(second)
    assert all("steps" not in update for update in first)
    handlers.desks.leave("me")
    assert all("steps" not in update for update in second) and handlers.desks.of("me") is None


def test_what_cannot_be_compared_gets_a_sentence(tmp_path) -> None:
    handlers, _ = make(tmp_path)
    cases = (
        ({"picked": ("student",)}, "Choose two or three writers"),
        ({"picked": ("student", "base", "recorded"), "blind": True}, "Choose two writers"),
        ({"history": []}, "The purchase history is empty"),
        ({"picked": ("student", "teacher"), "fields": TeacherFields("http://127.0.0.1/v1", "m")}, "This public app"),
    )
    for wrong, message in cases:
        (update,) = begin(handlers, **wrong)
        assert message in update["message"] and update["running"] is False
    assert handlers.desks.of("me") is None


def test_who_can_take_part(tmp_path) -> None:
    handlers, _ = make(tmp_path)
    assert handlers.writers("tiny", BOUGHT) == ["recorded", "student", "base"]
    assert handlers.preset("tiny", BOUGHT) == ["recorded", "student"]
    assert handlers.writers("tiny", OWN_WORDS) == ["student", "base"]
    handlers.services.reach = "any"
    assert handlers.writers("tiny", OWN_WORDS) == ["teacher", "student", "base"]


def test_the_cost_is_estimated_before_and_shown_after_and_the_key_stays_inside(tmp_path, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    replies = (
        stream(delta(GOOD[:40]), delta(GOOD[40:] + f" {KEY}"), finish(), usage(100, 200), DONE),
        answer(401, error(f"Incorrect API key provided: {KEY}", 401)),
    )
    with Loopback(*replies) as server:
        handlers, ballots = make(tmp_path, reach="any")
        assert handlers.estimate(BOUGHT, ["student"], server.url, "gpt-4o-mini") == ""
        before = handlers.estimate(BOUGHT, ["student", "teacher"], server.url, "gpt-4o-mini")
        assert "One text will cost about $0.000" in before and "list price" in before
        unknown = handlers.estimate(BOUGHT, ["teacher"], server.url, "mine")
        assert "tokens to read" in unknown and "not known" in unknown
        assert not server.requests, "an estimate asks nobody"
        fields = TeacherFields(server.url, "gpt-4o-mini", KEY)
        fine = list(begin(handlers, ("teacher", "student"), fields=fields))
        voted = ballots.vote("me", "A", "good", keep=True)
        failed = list(begin(handlers, ("teacher", "student"), fields=fields))
    assert [request.headers["authorization"] for request in server.requests] == [f"Bearer {KEY}"] * 2
    cost = (200 * 0.15 + 100 * 0.60) / 1e6
    assert said.DOLLARS.format(value=cost) in page(fine)["summary"]
    assert said.VISITORS in page(fine)["heads"] and said.LINES["untuned"] not in page(fine)["heads"]
    assert said.STATUSES["failed"] in page(failed)["heads"] and said.STATUSES["finished"] in page(failed)["heads"]
    files = [Path(ballots.export(kind, None)["file"]).read_bytes() for kind in ("csv", "json")]
    kept = b"".join(file.read_bytes() for file in (tmp_path / "data").iterdir())
    left = json.dumps([fine, failed, voted], default=str) + repr(handlers.desks.of("me")) + repr(fields)
    assert KEY not in left and KEY.encode() not in kept + b"".join(files) and KEY not in caplog.text
    assert "[key]" in left, "a server that repeats the key"
