"""What smoke.sh starts from: reviews of the demo shoppers in Amazon's 2018 form, and a teacher that knows them.

    python training/runs/smoke_data.py FOLDER              # reviews.json.gz, meta_reviews.json.gz
    python training/runs/smoke_data.py FOLDER --teach      # prints a URL, then answers until it is killed
"""

from __future__ import annotations

import argparse
import gzip
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from slim_app.prompts import prompt_title
from slim_app.rationale import format_rationale

DEMO = Path(__file__).resolve().parents[2] / "assets/domains/games"


def read(name: str) -> list[dict]:
    return [json.loads(line) for line in (DEMO / name).read_text("utf-8").splitlines()]


def write_reviews(folder: Path) -> None:
    """Every demo shopper's purchases, a day apart, the held-out one last; and all items' metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(folder / "reviews.json.gz", "wt", encoding="utf-8") as stream:
        for shopper in read("shoppers.jsonl"):
            for day, item in enumerate([*shopper["history"], shopper["next"]]):
                review = {"reviewerID": shopper["shopper_id"], "asin": item, "overall": 5.0,
                          "unixReviewTime": 1_500_000_000 + 86_400 * day}
                stream.write(json.dumps(review) + "\n")
    with gzip.open(folder / "meta_reviews.json.gz", "wt", encoding="utf-8") as stream:
        for item in read("items.jsonl"):
            stream.write(json.dumps({"asin": item["id"], "title": item["title"]}) + "\n")


TITLES = {item["id"]: prompt_title(item["title"]) for item in read("items.jsonl")}


class Teacher(BaseHTTPRequestHandler):
    """Answers with the recorded rationale of the shopper of whose purchases the prompt lists most."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["messages"][-1]["content"]
        best = max(read("shoppers.jsonl"), key=lambda s: sum(TITLES[item] in prompt for item in s["history"]))
        text = format_rationale(best["step1"], best["step2"], best["step3"])
        usage = {"prompt_tokens": len(prompt) // 4, "completion_tokens": len(text) // 4, "total_tokens": 0}
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice],
                  "usage": usage}
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Silent."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--teach", action="store_true", help="serve the teacher instead of writing the reviews")
    args = parser.parse_args()
    if args.teach:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Teacher)
        (args.folder / "teacher.url").write_text(f"http://127.0.0.1:{server.server_address[1]}/v1\n", "utf-8")
        server.serve_forever()
    write_reviews(args.folder)
