"""What an endpoint refuses before anything is sent, and what it never tells."""

from __future__ import annotations

import logging

import pytest

from slim_app.errors import SlimError
from slim_app.reasoners.endpoint import Endpoint
from slim_app.schema import Item, RunStats
from tests.loopback import DONE, Loopback, answer, delta, error, finish, stream

KEY = "sk-Secret-0123456789"


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8000/v1", "ftp://host/v1", "http://", "http://h:port/v1", f"http://u:{KEY}@h/v1", "http://[::1"],
)
def test_a_url_that_cannot_be_right_names_the_flag(url: str) -> None:
    with pytest.raises(SlimError, match="--teacher-url") as caught:
        Endpoint(base_url=url, model="m", api_key=KEY)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(("changes", "words"), [({"model": " "}, "model name"), ({"api_key": f"{KEY}\u200b"}, "_KEY")])
def test_a_key_and_a_model_that_cannot_be_right_are_refused(changes: dict[str, str], words: str) -> None:
    with pytest.raises(SlimError, match=words) as caught:
        Endpoint(**{"base_url": "http://h/v1", "model": "m", "api_key": "", **changes})
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("url", [" https://h/v1\n", "http://127.0.0.1:8000/v1/", "http://[::1]:80/v1", "HTTPS://h"])
def test_usual_urls_are_accepted_and_name_their_host(url: str) -> None:
    assert Endpoint(base_url=url, model="m").info.device in {"h", "127.0.0.1", "::1"}


def test_the_key_appears_nowhere(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    replies = stream(delta("x"), finish(), DONE), answer(401, error(f"bad {KEY}", 401)), stream(delta("x"), error(KEY))
    with Loopback(*replies) as server, caplog.at_level(logging.DEBUG):
        reasoner = Endpoint(base_url=server.url, model="m", api_key=f" {KEY}\n")
        seen = [repr(reasoner), repr(reasoner.info), repr(vars(reasoner)["_faults"])]
        for _ in range(3):
            try:
                list(reasoner.stream([Item("1", "Desk lamp")], RunStats()))
            except SlimError as problem:
                seen.append(str(problem))
    assert len(seen) == 5 and KEY not in "".join(seen) and caplog.text and KEY not in caplog.text
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
