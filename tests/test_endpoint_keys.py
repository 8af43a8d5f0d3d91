"""Keys of visitors and of the operator: who may name which server, whose key goes where, where none ever appears."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slim_app.errors import SlimError
from slim_app.prices import Price
from slim_app.reasoners.endpoint import Endpoint
from slim_app.reasoners.live_teacher import call_estimate, live_teacher, reach_of
from slim_app.reasoners.secret import Redactor, Secret
from slim_app.schema import RunStats
from tests.loopback import DONE, answer, delta, error, finish, stream, usage
from tests.two_networks import HISTORY, KEY, PUBLIC, Serve, ask, teacher, the_internet, the_servers  # noqa: F401 (fixtures)

# ---- who may name what, and whose key goes where --------------------------------------------------------------------


def test_custom_servers_are_off_where_others_visit_unless_allowed() -> None:
    alone = [("127.0.0.1", {}), ("localhost", {}), ("::1", {})]
    visited = [("0.0.0.0", {}), ("::", {}), ("app.host", {}), ("127.0.0.1", {"SPACE_ID": "me/slim"})]
    assert {reach_of("auto", *place) for place in alone} == {"any"}
    assert {reach_of("auto", *place) for place in visited} == {"off"}
    for place in alone + visited:  # also behind a reverse proxy, which makes every visitor look like the owner
        assert (reach_of("off", *place), reach_of("on", *place)) == ("off", "public")


def test_the_policy_of_a_public_app() -> None:
    operators = Endpoint(base_url="http://10.0.0.5/v1", model="big", api_key="sk-operator")
    given = {"default_url": "http://10.0.0.5/v1", "default": operators}
    with pytest.raises(SlimError, match="calls no servers that visitors name"):
        live_teacher("https://host/v1", "m", KEY, reach="off", **given)
    with pytest.raises(SlimError, match="must begin with https"):
        live_teacher("http://host/v1", "m", KEY, reach="public", **given)
    with pytest.raises(SlimError, match="“Server address” must look like"):
        live_teacher("https://u:p@host/v1", "m", KEY, reach="public", **given)
    with pytest.raises(SlimError, match="characters each"):
        live_teacher("https://" + "h" * 600, "m", KEY, reach="public", **given)
    assert live_teacher("HTTPS://host/v1", "m", KEY, reach="public", **given).public_only
    assert not live_teacher("http://127.0.0.1:11434/v1", "m", "", reach="any").public_only
    assert live_teacher("", "", "", reach="off", **given) is operators
    assert live_teacher("http://10.0.0.5/v1/", "big", "", reach="off", **given) is operators
    with pytest.raises(SlimError, match="needs a key of your own"):
        live_teacher("", "dearer", "", reach="off", **given)
    mine = live_teacher("", "", KEY, reach="off", **given)
    assert mine is not operators and mine.model == "big" and not mine.public_only
    with pytest.raises(SlimError, match="No teacher is set up"):
        live_teacher("", "m", KEY, reach="public")
    with pytest.raises(SlimError, match="needs a key"):
        live_teacher("", "m", "", reach="public", default_url="https://host/v1")


def test_nothing_of_the_operators_goes_to_a_visitors_server(serve: Serve, internet, monkeypatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "SLIM_TEACHER_KEY"):
        monkeypatch.setenv(name, f"operators-{name}")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer operators-own\nX-Gateway: operators-gateway")
    outside = serve(host=PUBLIC)
    ask(teacher(outside.url, api_key=""))
    ask(teacher(outside.url))
    first, second = (request.headers for request in outside.requests)
    assert "operators" not in json.dumps([first, second])
    assert "authorization" not in first and second["authorization"] == f"Bearer {KEY}"


def test_the_cost_of_a_call_is_known_before_and_after(serve: Serve) -> None:
    endpoint = live_teacher(serve().url, "gpt-4o", KEY, reach="any")
    before = call_estimate(endpoint, HISTORY)
    assert 0 < before.usual < before.most and "list price" in before.source
    stats = RunStats()
    "".join(endpoint.stream(HISTORY, stats))
    assert Price(1.0, 10.0, "s").cost(stats) == pytest.approx((17 + 420) / 1e6)
    assert call_estimate(live_teacher("http://h/v1", "unheard-of", KEY, reach="any"), HISTORY).usual is None


def test_hidden_thoughts_are_charged_but_not_counted_as_speed(serve: Serve) -> None:
    thought = usage(100, 17, completion_tokens_details={"reasoning_tokens": 90})
    stats = RunStats()
    endpoint = live_teacher(serve(stream(delta("a"), finish(), thought, DONE)).url, "m", KEY, reach="any")
    list(endpoint.stream(HISTORY, stats))
    assert (stats.tokens, stats.billed_tokens) == (10, 100)


# ---- where the key never appears ------------------------------------------------------------------------------------


def test_no_dump_of_an_endpoint_holds_the_key() -> None:
    endpoint = live_teacher("https://host/v1", "m", f" {KEY}\n", reach="public")
    dumps = [repr(endpoint), str(vars(endpoint)), repr(endpoint.info), str(asdict(endpoint._faults)), f"{endpoint}"]
    assert KEY not in "".join(dumps)
    assert copy.deepcopy(endpoint)._key.reveal() == copy.copy(endpoint)._key.reveal() == KEY, "a session may copy it"
    for way in (pickle.dumps, json.dumps):
        with pytest.raises(TypeError):
            way(endpoint)
    secret = Secret(KEY)
    assert (repr(secret), str(secret), f"{secret}", bool(secret)) == ("Secret(set)",) * 3 + (True,)
    with pytest.raises(TypeError, match="stays in memory"):
        pickle.dumps(secret)


@pytest.mark.parametrize("guarded", [True, False])
def test_a_server_that_repeats_the_key_everywhere_does_not_bring_it_out(
    serve: Serve, internet, caplog: pytest.LogCaptureFixture, capfd, guarded: bool
) -> None:
    middle = len(KEY) // 2
    pieces = (delta("Step 1: "), delta(KEY[:middle]), delta(KEY[middle:]), delta(f" and {KEY}!"), finish(), DONE)
    invisible = KEY[:5] + "\u200b" + KEY[5:]
    replies = (
        stream(*pieces), stream(delta("Half"), error(KEY)), answer(401, error(f"bad key {KEY}", 401), {"X-Key": KEY}),
        answer(400, error(invisible, 400)), answer(404, error("x" * 150 + KEY, 404)),
        answer(307, b"", {"Location": f"http://h/{KEY}"}), answer(200, KEY.encode(), {"Set-Cookie": KEY}, KEY),
        stream(f"data: {KEY}\n\n".encode()), stream(delta(f"<think>{KEY}</think>Fine {KEY}"), finish(KEY), DONE),
    )  # fmt: skip
    server = serve(*replies, host=PUBLIC)
    seen: list[str] = []
    with caplog.at_level(logging.DEBUG):
        for _ in replies:
            stats = RunStats()
            endpoint = teacher(server.url, public_only=guarded, timeout=1.0)
            try:
                for piece in endpoint.stream(HISTORY, stats):
                    seen.append(piece)
            except SlimError as problem:
                seen += [str(problem), repr(problem), repr(problem.__dict__)]
            seen += [repr(stats), "\n"]
    records = [str(record.__dict__) for record in caplog.records]
    out = "".join([*seen, caplog.text, *records, *capfd.readouterr()])
    assert len(server.requests) >= len(replies) - 1
    assert "Step 1: [key] and [key]!" in out and KEY not in out


LETTERS = "abk-sy"


@given(st.text(LETTERS, min_size=4, max_size=8), st.lists(st.text(LETTERS, max_size=6), max_size=12), st.integers(0, 5))
def test_a_key_in_pieces_is_hidden_and_nothing_else_is_lost(key: str, pieces: list[str], place: int) -> None:
    pieces[place:place] = [key[:2], key[2:]]
    redactor = Redactor(Secret(key))
    shown = [redactor.feed(piece) for piece in pieces]
    shown.append(redactor.flush())
    assert key not in "".join(shown)
    assert "".join(shown) == "".join(pieces).replace(key, "[key]")


def test_placeholders_tear_no_words_apart() -> None:
    redactor = Redactor(Secret("x"))
    assert redactor.feed("Xbox ex") + redactor.flush() == "Xbox ex" and Secret("x").hide("Xbox") == "Xbox"
    assert Redactor(Secret()).feed("text") == "text"
