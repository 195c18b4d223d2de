"""What each fault costs, from the tests that make it happen: ``python -m benchmarks.faults``, about a quarter of an hour.

The figures are those that the tests themselves recorded.  ``python -m benchmarks.faults RUN.xml ...`` takes them from earlier
runs of ``pytest -m "slow or not slow" -o junit_family=xunit1 --junit-xml=RUN.xml``, the later run of a test counting.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from benchmarks.evidence import keep

log = logging.getLogger("benchmarks.faults")

PROJECT = Path(__file__).parents[1]

CLUSTER = "tests/faults/test_celery.py"


@dataclass(frozen=True)
class Fault:
    """One kind of fault and the tests that make it happen: files, or tests by the beginning of their id."""

    name: str
    tests: tuple[str, ...]

    @property
    def files(self) -> list[str]:
        """The files that hold the tests."""
        return list(dict.fromkeys(test.partition("::")[0] for test in self.tests))


FAULTS = (
    Fault("KILL for a stage, at random moments", ("tests/faults/test_kills.py::test_stages",)),
    Fault("KILL for a stage that goes on (slides are encoded)", ("tests/faults/test_kills.py::test_a_stage",)),
    Fault("KILL for a worker with all below it", ("tests/faults/test_outages.py::test_a_worker",)),
    Fault("KILL for the scheduler", ("tests/faults/test_outages.py::test_a_scheduler",)),
    Fault("PostgreSQL stopped at once, and started again", ("tests/faults/test_outages.py::test_a_database",)),
    Fault("PostgreSQL stopped at once while a case is published", ("tests/faults/test_database_faults.py::test_a_database",)),
    Fault("all three, one after the other, under one case of slides", ("tests/faults/test_outages.py::test_a_case",)),
    Fault("disk full under a stage", ("tests/faults/test_disk_full.py::test_a_full",)),
    Fault(
        "disk full that a library keeps to itself",
        ("tests/faults/test_disk_full.py::test_what", "tests/faults/test_disk_full.py::test_a_volume"),
    ),
    Fault("disk full while a case is received", ("tests/faults/test_disk_full.py::test_an_admission",)),
    Fault("equal runs at once", ("tests/faults/test_equal_runs.py",)),
    Fault("half-written results, drafts, descriptions", ("tests/faults/test_half_written.py",)),
    Fault("clocks behind, ahead, and jumping", ("tests/faults/test_clock.py",)),
    Fault("50 copies of one message, in any order", ("tests/operators/intake/test_admission.py::test_fifty",)),
    Fault("poison messages", ("tests/operators/intake/test_admission.py::test_a_poison",)),
    Fault("S3: 503, cut bodies, lost acknowledgements, outage", ("tests/faults/test_s3.py", "tests/faults/test_publish.py")),
)


def main() -> None:
    """Measure, or read what was measured, and keep the evidence."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    if runs := [Path(argument) for argument in sys.argv[1:]]:
        log.info("kept in %s", keep("faults", results(runs)))
        return
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run.xml"
        files = dict.fromkeys([CLUSTER, *(file for fault in FAULTS for file in fault.files)])
        options = ["-m", "slow or not slow", "-o", "junit_family=xunit1", f"--junit-xml={run}"]
        subprocess.run([sys.executable, "-m", "pytest", "-q", *options, *files], cwd=PROJECT, check=False)
        log.info("kept in %s", keep("faults", results([run])))


def results(runs: Iterable[Path]) -> dict[str, Any]:
    """Return what the tests of each fault recorded.

    Raises
    ------
    RuntimeError
        If one has failed, was skipped or did not run: there is no evidence then.
    """
    recorded: dict[str, dict[str, float]] = {}
    for run in runs:
        recorded |= _recorded(run)
    faults: list[dict[str, Any]] = []
    for fault in FAULTS:
        theirs = {test: figures for test, figures in recorded.items() if test.startswith(fault.tests)}
        missing = [test for test in fault.tests if not any(name.startswith(test) for name in theirs)]
        if missing:
            raise RuntimeError(f"no run of {', '.join(missing)} has passed")
        struck = sum(int(figures.get("struck", 1)) for figures in theirs.values())
        waits = [figures["recovery_s"] for figures in theirs.values() if "recovery_s" in figures]
        faults.append(
            {"name": fault.name, "tests": len(theirs), "struck": struck, "files": fault.files}
            | {"recovery_s": max(waits, default=None)}
        )
    cluster = next(figures for test, figures in recorded.items() if test.startswith(CLUSTER))
    return {"faults": faults, "cluster": cluster}


def _recorded(run: Path) -> dict[str, dict[str, float]]:
    """Return the properties of every test that passed, by its id."""
    passed: dict[str, dict[str, float]] = {}
    for case in ElementTree.parse(run).iter("testcase"):
        test = f"{case.attrib['classname'].replace('.', '/')}.py::{case.attrib['name']}"
        outcomes = [kind for kind in ("failure", "error", "skipped") if case.find(kind) is not None]
        if outcomes:
            log.warning("%s of %s", outcomes[0], test)
            continue
        passed[test] = {p.attrib["name"]: float(p.attrib["value"]) for p in case.iter("property")}
    return passed


if __name__ == "__main__":
    main()
