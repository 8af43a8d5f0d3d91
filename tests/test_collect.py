"""Collecting the teacher's rationales over HTTP: the rows, what is never asked twice, the estimate and the limits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slim_app.prompts import PROMPT_VERSION
from tests.collect_bench import KEY, PRICES, Bench, bench, write_users
from tests.loopback import answer, error, silence
from tests.teacher_server import GOOD, NO_STEPS, NONSENSE, says, write_dataset
from training import data
from training.store import RationaleStore

__all__ = ["bench"]


def test_a_row_says_who_wrote_what_from_how_much_and_at_what_price(bench: Bench) -> None:
    server = bench.serve()
    assert bench.run(server, *PRICES) == 0
    rows = bench.rows()
    assert len(rows) == len(bench.lines()) == 10
    row = rows["u3"]
    assert (row["upto"], row["prompt_version"], row["model"], row["attempts"]) == (2, PROMPT_VERSION, "m", 1)
    assert row["step1"] == "You like quiet games." and len(row["step2"]) == len(row["step3"]) == 5
    assert row["text"] == GOOD and row["finish_reason"] == "stop" and row["served_model"] == "m-2024"
    assert row["usage"] == {"prompt_tokens": 200, "completion_tokens": 60}
    assert row["cost_usd"] == pytest.approx((200 * 1 + 60 * 2) / 1e6)
    assert 0 < row["seconds"] < 5 and row["created"].endswith("+00:00") and "problem" not in row
    body = server.requests[0].body
    assert (body["temperature"], body["max_tokens"], body.get("stream")) == (0, 512, None)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert (bench.meta["rationales"], bench.meta["problems"]) == (10, 0)
    assert bench.meta["cost_usd"] == pytest.approx(10 * 320 / 1e6) and bench.meta["data"]["name"] == "toys"


def test_the_rows_are_what_the_student_learns_from(bench: Bench) -> None:
    assert bench.run(bench.serve({"u1": [NONSENSE] * 2}), "--positions", "test") == 0
    rows = data.load(f"{bench.out}={bench.data}").rows
    assert len(rows) == 9 and all(row.text == GOOD and len(row.history) == 4 for row in rows)


@pytest.mark.parametrize(("answered", "sent"), [("n", 0), ("", 0), ("y", 1)])
def test_somebody_at_a_terminal_is_asked_first(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, answered: str, sent: int
) -> None:
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda _: True})())
    monkeypatch.setattr("builtins.input", lambda _: answered)
    server = bench.serve()
    assert bench.run(server, "--users", "1") == 0
    assert len(server.asked) == sent and ("Nothing was sent" in bench.said) == (not sent)
    assert bench.run(server, "--users", "2", "--yes") == 0 and len(bench.rows()) == 2


def test_positions_follow_the_leakage_rule(bench: Bench) -> None:
    server = bench.serve()
    assert bench.run(server, "--positions", "all", "--users", "2") == 0
    assert sorted(upto for _, upto in server.asked) == [2, 2, 4, 4]  # of 5: without the last three, without the last


def test_a_rerun_asks_for_nothing_again_and_more_users_include_the_fewer(bench: Bench) -> None:
    server = bench.serve()
    assert bench.run(server, "--users", "4") == 0
    assert bench.run(server, "--users", "7") == 0
    assert bench.run(server, "--users", "7") == 0
    assert set(server.times.values()) == {1} and len(server.asked) == 7
    assert "nothing to send" in bench.said


def test_the_dry_run_sends_and_writes_nothing(bench: Bench) -> None:
    server = bench.serve()
    assert bench.run(server, "--dry-run", *PRICES) == 0
    assert not server.requests and not bench.out.parent.exists()
    assert "10 requests to m" in bench.said and "USD, at most" in bench.said and "as given" in bench.said
    assert bench.run(server, "--dry-run") == 0
    assert "Cost: unknown" in bench.said and "--price-in" in bench.said


def test_without_a_price_the_cost_is_unknown_not_nothing(bench: Bench) -> None:
    assert bench.run(bench.serve(), "--users", "1") == 0
    assert bench.lines()[0]["cost_usd"] is None and bench.meta["cost_usd"] is None


def test_an_answer_that_does_not_parse_is_asked_for_once_more_over_all_runs(bench: Bench) -> None:
    server = bench.serve({"u1": [NONSENSE], "u2": [NONSENSE] * 9})
    assert bench.run(server) == 0
    assert bench.run(server) == 0
    assert (server.times["u1", 2], server.times["u2", 2]) == (2, 2)
    rows = bench.rows()
    assert "problem" not in rows["u1"] and rows["u1"]["attempts"] == 2
    assert rows["u2"]["text"] == NO_STEPS and "None of the three steps" in rows["u2"]["problem"]
    assert len(bench.lines()) == 12 and "1 skipped: two answers could not be used" in bench.said
    assert (bench.meta["rationales"], bench.meta["problems"], bench.meta["rows"]) == (9, 1, 12)
    asked = [r.body["temperature"] for r, (user, _) in zip(server.requests, server.asked, strict=True) if user == "u2"]
    assert asked == [0, 0.7]  # at 0 the same words would come back


def test_answers_of_every_kind_are_kept_with_their_reason(bench: Bench) -> None:
    cut = GOOD.rsplit("\n", 1)[0] + "\n5. Gran Tur"
    server = bench.serve({
        "u0": [says("", finish="length"), says("<think>hm", finish="length")],
        "u1": [says(cut, finish="length")] * 2,
        "u2": [says("", finish="content_filter")] * 2,
        "u3": [says(None, refusal="I cannot help with that.")] * 2,
        "u4": [says("<think>Step 1: hm</think>\n" + GOOD)],
        "u5": [says([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": GOOD}])],
        "u6": [says(GOOD + "\n6. One more\n7. And more")],
        "u7": [says(GOOD, usage=None)],
        "u8": [says(f"{GOOD} {KEY}")],
    })  # fmt: skip
    assert bench.run(server, *PRICES) == 0
    rows = bench.rows()
    for user, words in {"u0": "thinking", "u1": "cut off", "u2": "content filter", "u3": "cannot help"}.items():
        assert words in rows[user]["problem"] and rows[user]["attempts"] == 2
    assert rows["u1"]["text"] == cut
    assert all(rows[f"u{n}"]["step3"][4].startswith("Gran Turismo") for n in range(4, 10))
    assert all("problem" not in rows[f"u{n}"] and len(rows[f"u{n}"]["step3"]) == 5 for n in range(4, 10))
    assert rows["u4"]["text"].startswith("<think>") and rows["u4"]["step1"] == "You like quiet games."
    assert rows["u7"]["cost_usd"] is None and "[key]" in rows["u8"]["text"]


def test_a_request_that_is_refused_is_kept_and_not_tried_without_end(bench: Bench) -> None:
    server = bench.serve({"u1": [answer(400, error(f"Flagged by policy, {KEY}", 400))] * 9})
    assert bench.run(server) == 0 and bench.rows()["u1"]["attempts"] == 1
    assert bench.run(server) == 1  # nothing else was asked for, and nothing could be used
    assert bench.run(server) == 0 and server.times["u1", 2] == 2
    assert "Flagged by policy" in bench.rows()["u1"]["problem"] and len(bench.rows()) == 10


def test_a_model_that_wants_other_parameters_gets_them(bench: Bench) -> None:
    refusals = [answer(400, error("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", 400)),
                answer(400, error("'temperature' does not support 0 with this model.", 400))]
    server = bench.serve({"u1": refusals})
    assert bench.run(server, "--users-file", write_users(bench, "u1 u2"), "--concurrency", "1") == 0
    assert server.times == {("u1", 2): 3, ("u2", 2): 1}
    last = server.requests[-1].body
    assert last["max_completion_tokens"] == 512 and not {"max_tokens", "temperature"} & set(last)


def test_the_cost_limit_is_not_exceeded_and_the_rest_follows(bench: Bench) -> None:
    server = bench.serve()
    one, most = 320 / 1e6, 2000 / 1e6
    assert bench.run(server, *PRICES, "--max-cost", str(4 * one + most)) == 1
    done = len(bench.rows())
    assert 1 <= done < 10 and bench.meta["cost_usd"] <= 4 * one + most
    assert "Stopped before --max-cost" in bench.said
    assert bench.run(server, *PRICES, "--max-cost", "1") == 0
    assert set(server.times.values()) == {1} and len(bench.rows()) == 10


def test_requests_that_may_have_been_charged_count_against_the_limit(bench: Bench) -> None:
    server = bench.serve({"u1": [silence] * 9})
    flags = ("--users-file", write_users(bench, "u1"), "--timeout", "0.1", "--retries", "9", "--max-cost", "0.005")
    assert bench.run(server, *PRICES, *flags) == 1
    assert 1 <= len(server.asked) <= 4 and "for requests without an answer" in bench.said


def test_no_more_requests_at_a_time_than_allowed(bench: Bench) -> None:
    server = bench.serve(delay=0.03)
    assert bench.run(server, "--concurrency", "3") == 0 and server.busiest == 3


def test_requests_a_minute_are_kept(bench: Bench) -> None:
    server = bench.serve()
    assert bench.run(server, "--users", "3", "--requests-per-minute", "120") == 0
    times = [request.at for request in server.requests]
    assert times[-1] - times[0] >= 0.5  # two gaps of half a second, less what a busy machine took for the first


def test_bad_input_names_the_flag_or_the_row(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = bench.serve()
    empty = tmp_path / "empty.txt"
    empty.write_text("\n")
    for flags, words in (
        (["--users-file", write_users(bench, "u1 nobody")], "line 2: user “nobody” is not in the dataset toys"),
        (["--users-file", str(empty)], "names no user"),
        (["--users-file", str(tmp_path / "none.txt")], "--users-file: cannot read"),
        (["--max-cost", "1"], "Add --price-in and --price-out"),
        (["--price-in", "1"], "Give the other one"),
        (["--model", " "], "--model is empty"),
        (["--url", f"https://user:{KEY}@host/v1"], "--url must look like"),
        (["--data", str(tmp_path / "none")], "items.tsv"),
        (["--users", "0"], "argument --users: '0' is not a whole number from 1"),
        (["--timeout", "nan"], "argument --timeout: 'nan' is not a number above 0"),
    ):
        assert bench.run(server, *flags) != 0 and words in bench.said, words
    monkeypatch.setenv("SLIM_TEACHER_KEY", "two words")
    assert bench.run(server) == 1 and "Set SLIM_TEACHER_KEY again" in bench.said and "two words" not in bench.said
    assert not server.requests


def test_short_users_are_skipped_and_named(bench: Bench) -> None:
    with (bench.data / "sequences.tsv").open("a") as file:
        file.write("short\t1-0 1-1\n")
    assert bench.run(bench.serve()) == 0
    assert "1 of 11 users skipped at position train" in bench.said and "short" in bench.said
    assert bench.run(bench.serve(), "--users-file", write_users(bench, "short")) == 1
    assert "has a history to read" in bench.said


def test_rows_of_another_prompt_version_dataset_or_writer_are_not_mixed(bench: Bench, tmp_path: Path) -> None:
    server = bench.serve()
    bench.out.parent.mkdir()
    bench.out.write_text(json.dumps({"user_id": "u1", "upto": 2, "prompt_version": "0", "model": "m"}) + "\n")
    assert bench.run(server) == 1 and "line 1: written for prompt version '0'" in bench.said
    bench.out.write_text('{"user_id": "u1"\n')
    assert bench.run(server) == 1 and "line 1: not valid JSON" in bench.said
    bench.out.unlink()
    with RationaleStore(bench.out):
        assert bench.run(server) == 1 and "Another process is writing" in bench.said
    assert not server.requests
    assert bench.run(server, "--users", "1") == 0
    bench.data = write_dataset(tmp_path / "others", 3)
    assert bench.run(server) == 1 and "was collected from the dataset toys" in bench.said
