"""A pipeline of two stages and a report, small enough to see what the executor does and nothing else."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from algorithms.contract.errors import DataError
from algorithms.contract.pipeline import Output, Parameter, Pipeline, Stage

HERE = "tests.algorithms.contract.toy"


def count(inputs: Mapping[str, Path], out: Path, *, slow_s: float, fault: str) -> dict[str, int]:
    """Write how many bytes the study has; ``fault`` makes it go wrong in the way that it names."""
    time.sleep(slow_s)
    if fault == "data":
        raise DataError("found 0 slices, wanted 100 or more; send the whole study")
    if fault == "bug":
        raise ZeroDivisionError("division by zero")
    if fault == "disk":
        raise OSError(28, "No space left on device", "some/file")
    if fault == "killed":
        (out / "half.json").write_text("{")
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "forgets":
        return {}
    total = sum(path.stat().st_size for path in inputs["study"].iterdir())
    (out / "count.json").write_text(json.dumps({"bytes": total}))
    return {"bytes": total}


def double(inputs: Mapping[str, Path], out: Path, *, factor: int) -> dict[str, int]:
    """Write ``factor`` times the count."""
    total = factor * json.loads(inputs["count"].read_text())["bytes"]
    (out / "folder").mkdir()
    (out / "folder" / "double.json").write_text(json.dumps(total))
    return {"double": total}


def tell(inputs: Mapping[str, Path], out: Path) -> dict[str, int]:
    """Write what happened, whatever happened."""
    states = {s["name"]: s["state"] for s in json.loads(inputs["record"].read_text())["stages"]}
    answered = "double" in inputs
    (out / "told.json").write_text(json.dumps({"verdict": "answered" if answered else "rejected", "states": states}))
    return {}


COUNT = Stage(
    "count",
    f"{HERE}:count",
    1,
    "Count.",
    ("study",),
    (Output("count", "count.json", "bytes"),),
    "none",
    (
        Parameter("slow_s", 0.0, "sleep first", "none", "s", 0, 60),
        Parameter("fault", "none", "what goes wrong", "none", choices=("none", "data", "bug", "disk", "killed", "forgets")),
    ),
)
DOUBLE = Stage(
    "double",
    f"{HERE}:double",
    1,
    "Double.",
    ("count",),
    (Output("double", "folder", "twice the count"),),
    "none",
    (Parameter("factor", 2, "how often", "none", "1", 1, 9),),
    consumes=("study",),
)
TELL = Stage("tell", f"{HERE}:tell", 1, "Tell.", ("double",), (Output("result", "told.json", "x"),), "none", always=True)
TOY = Pipeline("toy", "Toy", "A toy.", "anything", (COUNT, DOUBLE, TELL))
