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
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from algorithms.contract.errors import DataError

MOST_DEATHS = 20
"""Children that one call may lose before it gives up: a folder in which so many files kill the parser is an attack."""

KILLED = "the parser was killed: the item takes too much memory or time"


@dataclass(frozen=True)
class Answer:
    """What the function returned for one item, or why it did not (``failure``, no value of the item in it)."""

    value: Any = None
    failure: str = ""


def confined(
    function: str, context: Any, items: Sequence[Any], *, memory_gib: float = 2.0, item_seconds: int = 60
) -> Iterator[Answer]:
    """Yield ``function(context, item)`` for every item, in order, each computed in a confined child process.

    Parameters
    ----------
    function
        ``"package.module:name"``; takes and returns values that JSON can carry.
    context
        Given to every call, sent to the child once.
    items
        What the function is called with, one after the other.
    memory_gib
        Address space of the child.
    item_seconds
        Wall time for one item.

    Raises
    ------
    DataError
        If the function raises it, or if more than ``MOST_DEATHS`` items kill their child.
    RuntimeError
        If the function has a bug; names the exception's type and its place, not its text.
    """
    done = deaths = 0
    while done < len(items):
        for answer in _answers_of_one_child(function, context, items[done:], memory_gib, item_seconds):
            done += 1
            yield answer
        if done < len(items):
            deaths += 1
            if deaths > MOST_DEATHS:
                raise DataError(f"{deaths} files kill the parser (too much memory or time); send a study without damaged files")
            done += 1
            yield Answer(failure=KILLED)


def _answers_of_one_child(
    function: str, context: Any, items: Sequence[Any], memory_gib: float, item_seconds: int
) -> Iterator[Answer]:
    command = [sys.executable, "-m", "algorithms.dicom.confinement", function, str(int(memory_gib * 2**30)), str(item_seconds)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        # A thread, because the child answers while it is still being asked: both pipes would fill up.
        asking = threading.Thread(target=_ask, args=(child.stdin, [context, *items]), daemon=True)
        asking.start()
        try:
            for line in child.stdout:
                if not line.endswith("\n"):
                    break
                yield _answer(json.loads(line))
        finally:
            child.kill()
            asking.join()


def _ask(stdin: IO[str], lines: Sequence[Any]) -> None:
    try:
        with stdin:
            for line in lines:
                stdin.write(json.dumps(line) + "\n")
    except BrokenPipeError:
        return  # the child died; whoever reads its answers sees that


def _answer(message: dict[str, Any]) -> Answer:
    if "data" in message:
        raise DataError(message["data"])
    if "bug" in message:
        raise RuntimeError(f"confined function failed: {message['bug']}")
    return Answer(message.get("value"), message.get("failure", ""))


def _serve(function: str, memory_bytes: int, item_seconds: int) -> None:
    # Answers go to the real standard output; whatever a library prints goes where standard error went.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.excepthook = lambda kind, _, trace: answers.write(json.dumps({"bug": f"{kind.__name__} at {_place(trace)}"}) + "\n")
    module, name = function.split(":")
    call: Callable[[Any, Any], Any] = getattr(importlib.import_module(module), name)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    context = json.loads(sys.stdin.readline())
    for line in sys.stdin:
        signal.alarm(item_seconds)
        message = _message(call, context, json.loads(line))
        signal.alarm(0)
        answers.write(json.dumps(message) + "\n")
        answers.flush()


def _message(call: Callable[[Any, Any], Any], context: Any, item: Any) -> dict[str, Any]:
    try:
        return {"value": call(context, item)}
    except DataError as error:
        return {"data": str(error)}
    except MemoryError:
        return {"failure": KILLED}
    except RecursionError:
        return {"failure": "nested too deeply"}


def _place(trace: TracebackType | None) -> str:
    """Return file and line of the innermost frame; the exception's own text may hold a patient's values."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else "unknown place"


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
