"""A model server on loopback that speaks OpenAI's chat completions: plain, streamed, and failing.

    python -m tests.integration.fake_openai     prints its port, serves until its input ends

Tokens follow from the request alone: one for every word of the prompt, and as many as `max_tokens`
for the answer, so that whoever asks knows what the truth is. A model called `broken` fails.
"""

import itertools
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BROKEN = "broken"


def tokens_of(asked):
    words = sum(len(message["content"].split()) for message in asked["messages"])
    return {
        "prompt_tokens": words,
        "completion_tokens": asked["max_tokens"],
        "total_tokens": words + asked["max_tokens"],
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if asked["model"] == BROKEN:
            self.answer(
                500, {"error": {"message": "the model is broken", "type": "server_error", "code": None}}
            )
        elif asked.get("stream"):
            self.stream(asked)
        else:
            choice = {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "word " * asked["max_tokens"]},
            }
            self.answer(
                200, head(asked, "chat.completion") | {"choices": [choice], "usage": tokens_of(asked)}
            )

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, asked):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        about = head(asked, "chat.completion.chunk")
        for number in range(asked["max_tokens"]):
            delta = {"role": "assistant", "content": "word "} if number == 0 else {"content": "word "}
            self.event(about | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        self.event(about | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if (asked.get("stream_options") or {}).get("include_usage"):
            self.event(about | {"choices": [], "usage": tokens_of(asked)})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def event(self, body):
        self.wfile.write(b"data: " + json.dumps(body).encode() + b"\n\n")

    def log_message(self, *_arguments):
        """Say nothing: standard output carries the port."""


NUMBERS = itertools.count(1)


def head(asked, kind):
    return {
        "id": f"chatcmpl-{next(NUMBERS)}",
        "object": kind,
        "created": 1_700_000_000,
        "model": asked["model"],
    }


def main():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_port, flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
