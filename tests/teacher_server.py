"""A teacher on loopback: chat completions and batches, with a script for each user of the test's dataset.

    with TeacherServer({"u3": [answer(500), NONSENSE]}) as server:
        main([... "--url", server.url])

Who is asked about is read from the prompt: every first purchase of the dataset is named after its user.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.loopback import Loopback, Received, Reply, _Handler, answer, error

GOOD = (
    "Step 1: You like quiet games.\nStep 2:\n1. Puzzle\n2. Farming\n3. Nintendo\n4. Racing\n5. Sony\n"
    "Step 3:\n1. Tetris\n2. Stardew Valley\n3. Zelda\n4. Forza\n5. Gran Turismo"
)
NO_STEPS = "I would buy something nice."
PROMPT_TOKENS, ANSWER_TOKENS = 200, 60
USAGE = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": ANSWER_TOKENS, "total_tokens": 260}


def write_dataset(folder: Path, users: int, length: int = 5) -> Path:
    """A dataset of `users` users u0, u1 … with `length` purchases each, none shared."""
    folder.mkdir(parents=True, exist_ok=True)
    items = [(f"{u}-{n}", f"Thing {n} of u{u}") for u in range(users) for n in range(length)]
    (folder / "items.tsv").write_text("item_id\ttitle\n" + "".join(f"{i}\t{t}\n" for i, t in items), "utf-8")
    lines = "".join(f"u{u}\t{' '.join(f'{u}-{n}' for n in range(length))}\n" for u in range(users))
    (folder / "sequences.tsv").write_text("user_id\titem_ids\n" + lines, "utf-8")
    return folder


def completion(text: Any = GOOD, finish: str = "stop", usage: Any = USAGE, **message: Any) -> dict[str, Any]:
    """The body of a chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m-2024", "choices": [choice],
            "usage": usage}


def says(text: Any = GOOD, **more: Any) -> Reply:
    """A chat completion."""
    return answer(200, completion(text, **more))


def after(seconds: float, reply: Reply) -> Reply:
    """The same, later."""
    return lambda handler: reply(handler) if handler.idle(seconds) else None


NONSENSE = says(NO_STEPS)


class TeacherServer(Loopback):
    """Each request about a user takes the next reply of that user's script, then good answers for ever.

    In a batch, scripts hold (status, body) instead; `no_answer` are users that the batch's files leave out.
    """

    def __init__(self, script: Mapping[str, Sequence[Any]] | None = None, delay: float = 0.0) -> None:
        super().__init__()
        self.script = {user: list(replies) for user, replies in (script or {}).items()}
        self.delay = delay
        self.asked: list[tuple[str, int]] = []
        """(user, purchases shown) of each chat completion."""
        self.busy = self.busiest = 0
        self.batches: list[dict[str, Any]] = []
        self.no_answer: set[str] = set()
        self.create_replies: list[Reply | None] = []
        """What creating a batch answers, although it is created; then honest answers."""
        self.ends_as = "completed"
        self.looks = 1
        """How often a batch says that it is in progress before it ends."""
        self._files: dict[str, bytes] = {}
        self._guard = threading.Lock()

    @property
    def times(self) -> Counter[tuple[str, int]]:
        """How often each (user, upto) was asked about."""
        return Counter(self.asked)

    def take(self, request: Received) -> Reply:
        with self._guard:
            self.requests.append(request)
            path, _, query = request.path.removeprefix("/v1").partition("?")
            if path == "/chat/completions":
                return self._slowed(self._chat(request.body))
            if path == "/files":
                return self._upload(request.raw)
            if path.startswith("/files/"):
                return answer(200, self._files[path.split("/")[2]], kind="application/jsonl")
            if path == "/batches":
                return self._create(request.body) if request.method == "POST" else self._list(query)
            if path.startswith("/batches/"):
                return self._look(path.split("/")[2])
        return answer(404, error("no such page", 404))

    def _next(self, params: Mapping[str, Any], otherwise: Any) -> Any:
        prompt = params["messages"][0]["content"]
        titles = re.findall(r"^\d+\. (.+)$", prompt.split("\n\n")[0], re.M)
        user = titles[0].split()[-1]
        self.asked.append((user, len(titles)))
        replies = self.script.get(user)
        return user, replies.pop(0) if replies else otherwise

    def _chat(self, params: Mapping[str, Any]) -> Reply:
        return self._next(params, says())[1]

    def _slowed(self, reply: Reply) -> Reply:
        def slow(handler: _Handler) -> None:
            with self._guard:
                self.busy += 1
                self.busiest = max(self.busiest, self.busy)
            try:
                if not self.delay or handler.idle(self.delay):
                    reply(handler)
            finally:
                with self._guard:
                    self.busy -= 1

        return slow

    def _upload(self, raw: bytes) -> Reply:
        part = raw.split(b'name="file"', 1)[1].split(b"\r\n\r\n", 1)[1]
        name = f"file-{len(self._files)}"
        self._files[name] = part[: part.rindex(b"}") + 1]
        return answer(200, {"id": name, "object": "file", "purpose": "batch"})

    def _create(self, body: Mapping[str, Any]) -> Reply:
        lines = [json.loads(line) for line in self._files[body["input_file_id"]].splitlines()]
        batch = {
            "id": f"batch-{len(self.batches)}", "object": "batch", "status": "in_progress", "created_at": 2**40,
            "metadata": body["metadata"], "endpoint": body["endpoint"], "input_file_id": body["input_file_id"],
            "completion_window": "24h", "output_file_id": None, "error_file_id": None, "errors": None,
            "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
        }  # fmt: skip
        self.batches.append({"batch": batch, "lines": lines, "looks": self.looks})
        return (self.create_replies.pop(0) if self.create_replies else None) or answer(200, batch)

    def _list(self, query: str) -> Reply:
        newest = [entry["batch"] for entry in reversed(self.batches)]
        return answer(200, {"object": "list", "data": [] if "after=" in query else newest, "has_more": False})

    def _look(self, name: str) -> Reply:
        entry = next((entry for entry in self.batches if entry["batch"]["id"] == name), None)
        if entry is None:
            return answer(404, error("No such batch", 404))
        batch = entry["batch"]
        entry["looks"] -= 1
        if entry["looks"] < 0 and batch["status"] == "in_progress":
            batch["status"] = self.ends_as
            good, bad = [], []
            for line in entry["lines"]:
                user, (status, body) = self._next(line["body"], (200, completion()))
                response = {"status_code": status, "request_id": "r", "body": body}
                result = {"id": "x", "custom_id": line["custom_id"], "response": response, "error": None}
                if user not in self.no_answer:
                    (good if status == 200 else bad).append(json.dumps(result, ensure_ascii=False).encode())
            for kind, lines in (("output", good), ("error", bad)):
                if lines:
                    self._files[f"{kind}-{name}"] = b"\n".join(lines) + b"\n"
                    batch[f"{kind}_file_id"] = f"{kind}-{name}"
            if self.ends_as == "failed":
                batch["errors"] = {"object": "list", "data": [{"code": "x", "message": "Enqueued token limit reached"}]}
        return answer(200, batch)
