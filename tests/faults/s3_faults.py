"""An S3 that fails as a real one does: a proxy that says it is busy, cuts what it sends, loses what it was told.

Which request fails, and how, follows from the seed, what is asked for and how often it was asked, and not from the order in
which threads ask: a run of a test can be repeated.
"""

from __future__ import annotations

import hashlib
import http.client
import http.server
import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlsplit

BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"

KINDS = ("busy", "cut_request", "lost", "cut_answer", "damaged")
"""What can go wrong with one request.

===============  ======================================================================================
``busy``         503, and nothing was done
``cut_request``  the connection ends while the request is sent, and nothing was done
``lost``         what was asked for is done, and the connection ends before the answer
``cut_answer``   what was asked for is done, and the connection ends within the answer's body
``damaged``      what was asked for is done, and a byte of an object is another one when it arrives
===============  ======================================================================================
"""


@dataclass
class Faults:
    """How often each kind of fault strikes, from 0 to 1, and how often it did."""

    seed: int
    shares: Mapping[str, float]
    struck: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def kind(self, method: str, target: str) -> str | None:
        """Return what goes wrong with the next request of this kind, ``None`` if nothing does."""
        with self.lock:
            # The id of an upload is random, and no other thing about it is.
            what = f"{method} {target.partition('uploadId=')[0]}{target.partition('partNumber=')[2]}"
            self.asked[what] += 1
            identity = f"{self.seed} {what} {self.asked[what]}"
            draw = random.Random(hashlib.sha256(identity.encode()).digest()).random()
            for kind in KINDS:
                draw -= self.shares.get(kind, 0)
                if draw < 0:
                    self.struck[kind] += 1
                    return kind
            return None


class Proxy(http.server.BaseHTTPRequestHandler):
    """Hands a request on, unless a fault says otherwise."""

    protocol_version = "HTTP/1.1"
    faults: ClassVar[Faults]
    upstream: ClassVar[str]

    def answer(self) -> None:
        kind = self.faults.kind(self.command, self.path)
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length // 2 if kind == "cut_request" else length)
        if kind == "busy":
            self.give(503, {"Content-Type": "application/xml"}, BUSY, len(BUSY))
        elif kind == "cut_request":
            self.close_connection = True
        else:
            self.hand_on(body, kind)

    def hand_on(self, body: bytes, kind: str | None) -> None:
        connection = http.client.HTTPConnection(urlsplit(self.upstream).netloc, timeout=60)
        connection.request(self.command, self.path, body, {n: v for n, v in self.headers.items() if n != "Expect"})
        response = connection.getresponse()
        content = response.read()
        headers = {
            n: v for n, v in response.getheaders() if n.lower() not in {"content-length", "connection", "transfer-encoding"}
        }
        told = int(response.getheader("Content-Length", 0)) if self.command == "HEAD" else len(content)
        connection.close()
        if kind == "lost":
            self.close_connection = True
            return
        if kind == "damaged" and self.command == "GET" and "uploads" not in self.path and "list-type" not in self.path:
            content = content[:-1] + bytes([content[-1] ^ 1]) if content else content
        if kind == "cut_answer":
            self.close_connection = True
            content = content[: len(content) // 2]
        self.give(response.status, headers, content, told)

    def give(self, status: int, headers: Mapping[str, str], content: bytes, told: int) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(told))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - as http.server calls them

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    """Takes it for granted that connections end."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that is gone."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def failing(upstream: str, seed: int, **shares: float) -> Iterator[tuple[str, Faults]]:
    """Give the endpoint of a failing S3 in front of ``upstream``, and its faults, whose shares may be changed meanwhile."""
    faults = Faults(seed, shares)
    handler = type("OneProxy", (Proxy,), {"faults": faults, "upstream": upstream})
    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", faults
    finally:
        server.shutdown()
        server.server_close()
