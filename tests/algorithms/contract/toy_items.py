"""A pipeline with a stage that runs once an item, goes on after an interruption and reads a file of the project."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from algorithms.contract.errors import DataError
from algorithms.contract.pipeline import Output, Parameter, Pipeline, Stage

HERE = "tests.algorithms.contract.toy_items"


def split(inputs: Mapping[str, Path], out: Path) -> dict[str, int]:
    """Write each file of the study as an item of two collections; the second one leaves out empty files."""
    for folder in ("texts", "sizes"):
        (out / folder).mkdir()
    for number, path in enumerate(sorted(inputs["study"].iterdir()), start=1):
        (out / "texts" / f"s{number}.txt").write_bytes(path.read_bytes())
        if path.stat().st_size:
            (out / "sizes" / f"s{number}.size.json").write_text(str(path.stat().st_size))
    return {}


def letters(inputs: Mapping[str, Path], out: Path, *, fault: str, rule: str) -> dict[str, int | str]:
    """Write a file a letter; ``fault`` kills the process after two letters, or refuses a text that holds a z."""
    text = inputs["texts"].read_text()
    assert len(text) == json.loads(inputs["sizes"].read_text())
    if fault == "data" and "z" in text:
        raise DataError("found a z, wanted none")
    folder = out / "letters"
    folder.mkdir(exist_ok=True)
    written = 0
    for number, letter in enumerate(text):
        if (folder / str(number)).exists():
            continue
        if fault == "killed" and number == 2 and not (out.parent / "was killed").exists():
            (out.parent / "was killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        (folder / str(number)).write_text(letter)
        written += 1
    return {"letters": len(text), "rule": rule, "written": written, "text": text}


def join(inputs: Mapping[str, Path], out: Path) -> dict[str, str]:
    """Write all letters of all items in order."""
    folders = sorted(inputs["letters"].iterdir())
    text = "-".join("".join(p.read_text() for p in sorted(folder.iterdir())) for folder in folders)
    (out / "joined.txt").write_text(text)
    return {"joined": text}


SPLIT = Stage(
    "split",
    f"{HERE}:split",
    1,
    "Split.",
    ("study",),
    (Output("texts", "texts", "a text an item", collection=True), Output("sizes", "sizes", "a size an item", collection=True)),
    "none",
)
LETTERS = Stage(
    "letters",
    f"{HERE}:letters",
    1,
    "Letters.",
    ("texts", "sizes"),
    (Output("letters", "letters", "letters", collection=True),),
    "none",
    (
        Parameter("fault", "none", "what goes wrong", "none", choices=("none", "killed", "data")),
        Parameter("rule", "README", "which file is read", "none", choices=("README", "LICENSE")),
    ),
    each=("texts", "sizes"),
    resumes=True,
    reads=("{rule}.md",),
)
JOIN = Stage("join", f"{HERE}:join", 1, "Join.", ("letters",), (Output("joined", "joined.txt", "all"),), "none")
TOY_ITEMS = Pipeline("toyitems", "Toy", "A toy.", "anything", (SPLIT, LETTERS, JOIN))
