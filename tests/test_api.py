"""The endpoints through gradio_client and as MCP tools, and the app with a teacher or without a student."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from slim_app.prompts import PROMPT_VERSION
from slim_app.rationale import format_rationale
from tests.conftest import ROOT, App, start_app
from tests.loopback import CUT, DONE, STALL, Loopback, answer, delta, error, finish, stream, usage

ENDPOINTS = {"/recommend", "/rank", "/compare", "/search_catalog", "/domains", "/steer", "/report"}
ENDPOINTS |= {"/what_if", "/purchases_that_matter", "/faithfulness"}
BOUGHT = ["G311", "G165", "G332"]
TUNED = (ROOT / "assets/students/smollm2-135m/meta.json").is_file()
KEY = "sk-Secret-0123456789"
SAMPLE = json.loads((ROOT / "assets/domains/games/shoppers.jsonl").read_text("utf-8").splitlines()[0])
WRITTEN = format_rationale("You race.", "Racing Wheels Rally Kart Bike".split(), "Forza F1 Dirt Wreckfest GRID".split())
FINE = stream(delta(WRITTEN), finish(), usage(99, 40), DONE)


@pytest.fixture(scope="module")
def client(app_url: str) -> Client:
    return Client(app_url, verbose=False)


@pytest.fixture(scope="module")
def lone() -> Iterator[tuple[App, Loopback, Client]]:
    """The app without a student, with a teacher that the test scripts."""
    with Loopback(stream(DONE)) as teacher:
        flags = ("--student", "none", "--teacher-url", teacher.url, "--teacher-model", "scripted")
        with start_app(*flags, env={"SLIM_TEACHER_KEY": KEY}) as app:
            yield app, teacher, Client(app.url, verbose=False)


def fails(client: Client, endpoint: str, **arguments: Any) -> str:
    with pytest.raises(AppError) as caught:
        client.predict(api_name=endpoint, **arguments)
    return str(caught.value)


def test_recommend_streams_whole_states_and_ends_with_the_answer(client: Client) -> None:
    # texts that are written side by side share batches, whose rounding may change them: the engine's warm-up ends first
    client.predict(BOUGHT[:1], "games", "reasoning", 5, api_name="/recommend")
    states = list(client.submit(BOUGHT, "games", "reasoning", 5, api_name="/recommend"))
    last = states[-1]
    assert len(states) > 3 and all(state.keys() == last.keys() for state in states)
    assert states[0]["status"] == "reading" and any(state["status"] == "writing" for state in states)
    assert last["status"] == "done" and last["error"] == ""
    assert last.keys() >= {"rationale", "recommendations", "grounding", "stats", "model"}
    assert last["rationale"].keys() >= {"step1", "step2", "step3", "text"}
    assert last["rationale"]["step1"] and len(last["rationale"]["step2"]) == len(last["rationale"]["step3"]) == 5
    assert [r["rank"] for r in last["recommendations"]] == [1, 2, 3, 4, 5]
    for rec in last["recommendations"]:
        assert rec.keys() >= {"rank", "id", "title", "score", "evidence"} and rec["id"] not in BOUGHT
        assert rec["evidence"]["text"] and 1 <= rec["evidence"]["step"] <= 3
    assert last["stats"].keys() >= {"tokens", "seconds", "tokens_per_second", "first_token_seconds"}
    assert 0 < last["stats"]["first_token_seconds"] < last["stats"]["seconds"] and last["stats"]["tokens"] > 30
    assert last["model"].keys() >= {"name", "base", "adapter", "tuned", "prompt_version"}
    assert (last["model"]["tuned"], last["model"]["prompt_version"]) == (TUNED, PROMPT_VERSION)
    mentions = last["grounding"]["mentions"]
    assert mentions and sum(last["grounding"]["counts"].values()) == len(mentions)

    again = client.predict(BOUGHT, "games", "reasoning", 5, api_name="/recommend")
    for part in ("rationale", "recommendations", "grounding", "model", "status"):
        assert again[part] == last[part]  # greedy, so repeatable; and the last state is the answer of predict


def test_a_history_comes_as_list_json_text_or_lines(client: Client) -> None:
    forms = (BOUGHT, json.dumps(BOUGHT), "\n".join(BOUGHT), ["Xbox One S 1TB Console", "forza horizon 4", BOUGHT[2]])
    answers = [client.predict(form, ranker="history", k=3, api_name="/recommend") for form in forms]
    first = answers[0]["recommendations"]
    assert len(first) == 3 and all(a["recommendations"] == first for a in answers)
    assert {r["evidence"]["step"] for r in first} == {0} and answers[0]["stats"]["tokens"] == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"history": []}, "The purchase history is empty"),
        ({"history": " \n"}, "The purchase history is empty"),
        ({"history": {"a": 1}}, "The history must be a list of titles or ids"),
        ({"history": [["a"]]}, "A purchase is a title or an id"),
        ({"history": ["a"] * 10_000}, "at most 1,000 fit"),
        ({"domain": "moon"}, "Unknown domain “moon”. Choose one of: games, food, home."),
        ({"ranker": "magic"}, "Unknown ranker “magic”. Choose one of: reasoning"),
        ({"writer": "ghost"}, "The writer “ghost” is not available here"),
        ({"writer": "recorded"}, "only for the unchanged sample histories"),
        ({"k": 0}, "a whole number from 1 to 100, not “0”"),
        ({"k": -3}, "a whole number from 1 to 100"),
        ({"k": 101}, "a whole number from 1 to 100"),
        ({"k": 2.5}, "a whole number from 1 to 100"),
    ],
)
def test_wrong_arguments_get_a_sentence(client: Client, wrong: dict[str, Any], message: str) -> None:
    assert message in fails(client, "/recommend", **{"history": BOUGHT, **wrong})


def test_a_ranker_that_is_no_text_gets_a_sentence_too(client: Client) -> None:
    assert "Unknown ranker" in fails(client, "/recommend", history=BOUGHT, ranker=5)


def test_compare_streams_both_writers_and_ends_with_what_they_share(client: Client) -> None:
    states = list(client.submit(SAMPLE["history"], "games", ["recorded", "base"], "reasoning", 5, api_name="/compare"))
    last = states[-1]
    assert len(states) > 3 and all(state.keys() == last.keys() for state in states)
    assert states[0]["comparison"] is None and (last["status"], last["blind"]) == ("done", False)
    assert [(side["key"], side["writer"], side["kind"]) for side in last["sides"]] == [
        ("A", "recorded", "recorded"), ("B", "base", "untuned")
    ]  # fmt: skip
    assert last["sides"][0]["rationale"]["step1"] == SAMPLE["step1"] and last["sides"][1]["status"] == "finished"
    recorded, base = last["comparison"]["sides"]
    assert recorded["tokens_per_second"] is None and base["tokens_per_second"] > 0 and base["cost"] is None
    assert recorded["held_out_rank"] >= 1 and len(base["top"]) == 5 and last["comparison"]["held_out"]
    pair = last["comparison"]["pairs"][0]
    assert 0 <= pair["top_shared"] <= 5 and -1 <= pair["cosine"] <= 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"history": []}, "The purchase history is empty"),
        ({"writers": "student"}, "Choose two or three writers"),
        ({"writers": "base, base"}, "Choose two or three writers"),
        ({"writers": "base, ghost"}, "The writer “ghost” is not available here"),
        ({"writers": {"a": 1}}, "Name the writers in a list"),
        ({"ranker": "history"}, "reads no rationales"),
        ({"k": 0}, "a whole number from 1 to 100"),
    ],
)
def test_wrong_comparisons_get_a_sentence(client: Client, wrong: dict[str, Any], message: str) -> None:
    assert message in fails(client, "/compare", **{"history": BOUGHT, **wrong})


def test_search_rank_and_domains(client: Client) -> None:
    hits = client.predict("forza", limit=2, api_name="/search_catalog")
    assert len(hits) == 2 and all("Forza" in hit["title"] for hit in hits)
    assert all(hit.keys() == {"id", "title", "brand", "category", "score"} for hit in hits)
    assert client.predict(" ", api_name="/search_catalog") == []
    assert "from 1 to 100" in fails(client, "/search_catalog", query="forza", limit=0)
    assert "Unknown domain" in fails(client, "/search_catalog", query="forza", domain="moon")

    ranked = client.predict(WRITTEN, "games", ["G166"], 3, api_name="/rank")
    assert ranked["status"] == "done" and len(ranked["recommendations"]) == 3 and ranked["model"]["kind"] == "none"
    assert ranked["rationale"]["step3"][0] == "Forza" and "G166" not in str(ranked["recommendations"])
    assert "The rationale is empty" in fails(client, "/rank", rationale=" ")
    assert "at most 20,000 characters" in fails(client, "/rank", rationale="x" * 20_001)

    domains = client.predict(api_name="/domains")
    assert [d["name"] for d in domains] == ["games", "food", "home"]
    assert all(d.keys() >= {"name", "label", "items"} and d["items"] > 0 for d in domains)


def test_nothing_else_is_public(client: Client) -> None:
    info = client.view_api(print_info=False, return_format="dict")
    assert set(info["named_endpoints"]) == ENDPOINTS and not info["unnamed_endpoints"]
    assert all(endpoint["description"] for endpoint in info["named_endpoints"].values())


def with_tools(url: str, work: Callable[[Any], Any]) -> Any:
    """Run an async function on an MCP session; in a thread of its own, since playwright's loop may own this one."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client as connect

    async def session() -> Any:
        async with connect(f"{url}gradio_api/mcp/") as (read, write, _), ClientSession(read, write) as tools:
            await tools.initialize()
            return await work(tools)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, session()).result(120)


async def _use_tools(tools: Any) -> dict[str, Any]:
    listed = (await tools.list_tools()).tools
    find = next(tool.name for tool in listed if tool.name.endswith("search_catalog"))
    recommend = next(tool.name for tool in listed if tool.name.endswith("recommend"))
    return {
        "tools": listed,
        "hits": await tools.call_tool(find, {"query": "forza", "limit": 1}),
        "answer": await tools.call_tool(recommend, {"history": BOUGHT, "ranker": "history", "k": 2}),
        "error": await tools.call_tool(recommend, {"history": BOUGHT, "k": 0}),
    }


@pytest.fixture(scope="module")
def used(app_url: str) -> dict[str, Any]:
    return with_tools(app_url, _use_tools)


def test_the_endpoints_are_mcp_tools(used: dict[str, Any]) -> None:
    assert {name for tool in used["tools"] for name in ENDPOINTS if tool.name.endswith(name[1:])} == ENDPOINTS
    assert len(used["tools"]) == len(ENDPOINTS) and all(len(tool.description) > 40 for tool in used["tools"])
    recommend = next(tool for tool in used["tools"] if tool.name.endswith("recommend"))
    assert set(recommend.inputSchema["properties"]) == {"history", "domain", "ranker", "k", "writer", "bound"}
    assert recommend.inputSchema["required"] == ["history"]
    assert all(value.get("description") for value in recommend.inputSchema["properties"].values())
    assert not used["hits"].isError and "Forza" in used["hits"].content[0].text
    assert not used["answer"].isError and "recommendations" in used["answer"].content[0].text
    assert used["error"].isError and "a whole number from 1 to 100" in used["error"].content[0].text


def test_mcp_answers_are_json(used: dict[str, Any]) -> None:
    assert json.loads(used["answer"].content[0].text)["recommendations"][0]["rank"] == 1


def test_a_cancelled_job_stops_the_writer(lone: tuple[App, Loopback, Client]) -> None:
    _, teacher, client = lone
    teacher.script(stream(delta("Step 1: You race."), delta(" So"), STALL), FINE)
    job = client.submit(BOUGHT, writer="teacher", api_name="/recommend")
    assert any("You race" in state["rationale"]["text"] for state in job)
    job.cancel()
    assert teacher.hung_up.wait(60)
    assert client.predict(BOUGHT, writer="teacher", api_name="/recommend")["status"] == "done"


def test_a_teacher_writes_and_its_failures_are_told(lone: tuple[App, Loopback, Client]) -> None:
    app, teacher, client = lone
    teacher.script(FINE)
    fine = client.predict(BOUGHT, writer="teacher", api_name="/recommend")
    assert (fine["status"], fine["model"]["name"], fine["stats"]["tokens"]) == ("done", "scripted", 99)
    assert fine["rationale"]["complete"] and fine["rationale"]["step2"][0] == "Racing"
    assert teacher.requests[0].headers["authorization"] == f"Bearer {KEY}"

    teacher.script(stream(delta("Step 1: You race.\nStep 2:\n1. Whe"), CUT))
    cut = client.predict(BOUGHT, writer="teacher", api_name="/recommend")
    assert cut["status"] == "failed" and re.search("scripted at 127.0.0.1.* broke off.*incomplete", cut["error"])
    assert cut["rationale"]["step1"] == "You race." and not cut["rationale"]["complete"]
    assert len(cut["recommendations"]) == 10  # ranked by what there is

    teacher.script(answer(401, error(f"Incorrect API key provided: {KEY}", 401)))
    refused = fails(client, "/recommend", history=BOUGHT, writer="teacher")
    assert "rejected the key (HTTP 401)" in refused and "SLIM_TEACHER_KEY" in refused
    teacher.script(answer(500, b"<html>oops " + KEY.encode()))
    broken = fails(client, "/recommend", history=BOUGHT, writer="teacher")
    assert "scripted at 127.0.0.1" in broken
    teacher.__exit__()  # nobody answers any more
    down = fails(client, "/recommend", history=BOUGHT, writer="teacher")
    assert "scripted at 127.0.0.1" in down and "--teacher-url" in down

    pages = [httpx.get(app.url + path, trust_env=False).text for path in ("", "config", "gradio_api/info")]
    for text in (str(fine), str(cut), refused, broken, down, *pages, *app.lines):
        assert KEY not in text


def test_without_a_student_recorded_rationales_answer(lone: tuple[App, Loopback, Client]) -> None:
    client = lone[2]
    recorded = client.predict(SAMPLE["history"], api_name="/recommend")
    assert recorded["model"]["kind"] == "recorded" and recorded["rationale"]["step3"] == SAMPLE["step3"]
    assert "Written in advance" in recorded["model"]["note"]
    assert "only for the unchanged sample histories" in fails(client, "/recommend", history=BOUGHT)
    assert "No student was started (--student none)" in fails(client, "/recommend", history=BOUGHT, writer="student")


@pytest.mark.browser
def test_without_a_student_the_page_plays_what_is_recorded(visit: Callable[..., Any], lone: tuple) -> None:
    v = visit(lone[0].url)
    assert "No model runs here" in v.page.inner_text("#header")
    assert "No student was started (--student none)" in v.page.inner_text("#message")
    v.run()
    assert v.page.locator("#reasoning .card.s3 .said").all_inner_texts() == SAMPLE["step3"]
    assert "recorded" in v.page.locator("#reasoning .figures").inner_text() and len(v.ranked) == 10
