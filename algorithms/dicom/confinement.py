"""Run a function over untrusted items in a child process with a memory limit and a time limit for each item.

A hostile file can make a parser take all memory, recurse without end or abort the process (a deflated megabyte becomes
gigabytes, a nested sequence breaks the stack).  Here that costs one child: the item is reported as failed and a new
child goes on with the next one.  Items and answers cross as lines of JSON, never as pickles, and the child's standard error
is thrown away, because a parser's warnings repeat the values that it reads.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from algorithms.contract.errors import DataError, TransientError, failure_kind

MOST_DEATHS = 8
"""Children that one call may lose before it gives up: a folder in which so many files kill the parser is an attack."""

KILLED = "the parser was killed: the item takes too much memory or time"


@dataclass(frozen=True)
class Answer:
    """What the function returned for one item, or why it did not (``failure``, no value of the item in it)."""

    value: Any = None
    failure: str = ""


class Confinement:
    """A child process that calls functions on untrusted items; started when first needed, and again after each death.

    Parameters
    ----------
    memory_gib
        Address space of the child.
    item_seconds
        Wall time for one item.
    most_deaths
        Children that one call may lose before it gives up.
    """

    def __init__(self, *, memory_gib: float = 1.5, item_seconds: int = 60, most_deaths: int = MOST_DEATHS) -> None:
        self._limits = (str(int(memory_gib * 2**30)), str(item_seconds))
        self._most_deaths = most_deaths
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> Confinement:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def map(self, function: str, context: Any, items: Sequence[Any]) -> Iterator[Answer]:
        """Yield ``function(context, item)`` for every item, in order.

        Parameters
        ----------
        function
            ``"package.module:name"``; takes and returns values that JSON can carry.  If it is a class, each child makes
            one of it with the context, and calls that with every item.
        context
            Given to every call.
        items
            What the function is called with, one after the other.

        Raises
        ------
        DataError
            If the function raises it, or if more than ``most_deaths`` items kill their child.
        TransientError
            If the function meets an error of the operating system that passes, such as a full disk.
        RuntimeError
            If the function has a bug; names the exception's type and its place, not its text.
        """
        done = deaths = 0
        while done < len(items):
            for answer in self._until_death(function, context, items[done:]):
                done += 1
                yield answer
            if done < len(items):
                deaths += 1
                if deaths > self._most_deaths:
                    raise DataError(
                        f"{deaths} files kill the parser (too much memory or time); send a study without damaged files"
                    )
                done += 1
                yield Answer(failure=KILLED)

    def _until_death(self, function: str, context: Any, items: Sequence[Any]) -> Iterator[Answer]:
        """Yield the answers of one child; fewer than ``items`` if it dies."""
        child = self._started()
        assert child.stdin is not None
        assert child.stdout is not None
        # A thread, because the child answers while it is still being asked: both pipes would fill up.
        asked = [{"function": function, "context": context}, *({"item": item} for item in items)]
        asking = threading.Thread(target=_ask, args=(child.stdin, asked), daemon=True)
        asking.start()
        answered = 0
        try:
            for _ in items:
                line = child.stdout.readline()
                if not line.endswith("\n"):
                    return
                yield _answer(json.loads(line))
                answered += 1
        finally:
            if answered < len(items):
                self._stop()
            asking.join()

    def _started(self) -> subprocess.Popen[str]:
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "algorithms.dicom.confinement", *self._limits],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
            )
        return self._child

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()


def _ask(stdin: IO[str], lines: Sequence[Any]) -> None:
    # A child that died does not listen; whoever reads its answers sees that.
    with suppress(BrokenPipeError, ValueError):
        for line in lines:
            stdin.write(json.dumps(line) + "\n")
        stdin.flush()


def _answer(message: dict[str, Any]) -> Answer:
    if "data" in message:
        raise DataError(message["data"])
    if "transient" in message:
        raise TransientError(message["transient"])
    if "bug" in message:
        raise RuntimeError(f"confined function failed: {message['bug']}")
    return Answer(message.get("value"), message.get("failure", ""))


def _serve(memory_bytes: int, item_seconds: int) -> None:
    # Answers go to the real standard output; whatever a library prints goes where standard error went.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.excepthook = lambda kind, _, trace: answers.write(json.dumps({"bug": f"{kind.__name__} at {_place(trace)}"}) + "\n")
    call: Callable[[Any, Any], Any] | None = None
    context: Any = None
    for line in sys.stdin:
        asked = json.loads(line)
        if "function" in asked:
            module, name = asked["function"].split(":")
            call, context = getattr(importlib.import_module(module), name), asked["context"]
            if isinstance(call, type):
                call = _Made(call(context))
            resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
            continue
        assert call is not None
        signal.alarm(item_seconds)
        message = _message(call, context, asked["item"])
        signal.alarm(0)
        answers.write(json.dumps(message) + "\n")
        answers.flush()


class _Made:
    """Calls an object that was made for a context."""

    def __init__(self, made: Callable[[Any], Any]) -> None:
        self._made = made

    def __call__(self, _context: Any, item: Any) -> Any:
        return self._made(item)


def _message(call: Callable[[Any, Any], Any], context: Any, item: Any) -> dict[str, Any]:
    try:
        return {"value": call(context, item)}
    except DataError as error:
        return {"data": str(error)}
    except MemoryError:
        return {"failure": KILLED}
    except RecursionError:
        return {"failure": "nested too deeply"}
    except OSError as error:
        if failure_kind(error) != "transient":
            raise
        # Its own text names a file; its reason alone does not.
        return {"transient": f"{error.strerror}, while a file was read or written"}


def _place(trace: TracebackType | None) -> str:
    """Return file and line of the innermost frame; the exception's own text may hold a patient's values."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else "unknown place"


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
