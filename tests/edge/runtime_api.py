"""AWS Lambda's Runtime API, so that a handler runs under Amazon's own runtime client as it does in Lambda."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
ANSWER_S = 60

INVOCATION = {
    "Content-Type": "application/json",
    "Lambda-Runtime-Aws-Request-Id": "1",
    "Lambda-Runtime-Deadline-Ms": "4102444800000",
    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:123456789012:function:announce",
}
"""What Lambda says of an invocation; the client crashes without one of them."""


class Function:
    """A Lambda function in a process of its own."""

    def __init__(self) -> None:
        self.events: queue.Queue[Any] = queue.Queue()
        self.answers: queue.Queue[tuple[str, Any]] = queue.Queue()

    def __call__(self, event: Any) -> tuple[str, Any]:
        """Return ("response" or "error", document) for one invocation."""
        self.events.put(event)
        return self.answers.get(timeout=ANSWER_S)


@contextmanager
def function(handler: str, environment: dict[str, str]) -> Iterator[Function]:
    """Give a handler run by ``python -m awslambdaric``, with nothing in its environment but what is named."""
    called = Function()

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # .../invocation/next
            event = called.events.get()
            self.answer(200, json.dumps(event).encode(), INVOCATION)

        def do_POST(self) -> None:  # .../invocation/<id>/response or .../error, .../init/error
            text = self.rfile.read(int(self.headers["Content-Length"]))
            called.answers.put((self.path.rpartition("/")[2], json.loads(text)))
            self.answer(202, b"", {})

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}", "PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen([sys.executable, "-m", "awslambdaric", handler], env=environment | address, cwd="/")
    try:
        yield called
    finally:
        process.kill()
        process.wait()
        server.shutdown()
        server.server_close()
