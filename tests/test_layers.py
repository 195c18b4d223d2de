"""The arrows of docs/architecture.md: who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from algorithms.contract.catalogue import pipelines

PROJECT = Path(__file__).resolve().parents[1]
GENERIC = {"dicom", "slide", "report", "phantom", "segmentation"}
"""The rooms that every diagnostic may use and that know none of them."""

HEAVY = {"numpy", "scipy", "SimpleITK", "torch", "vtk", "pydicom", "skimage", "numba", "matplotlib", "openslide"}


@cache
def imported(path: Path) -> frozenset[str]:
    """Return the dotted names that the file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return frozenset(names)


def files(room: str) -> list[Path]:
    """Return the Python files below a folder of the project."""
    return sorted((PROJECT / room).rglob("*.py"))


def violations(room: str, forbidden: set[str]) -> list[str]:
    """Return "file imports name" for every import of ``room`` that starts with a forbidden name."""
    return [
        f"{path.relative_to(PROJECT)} imports {name}"
        for path in files(room)
        for name in sorted(imported(path))
        if any(name == top or name.startswith(top + ".") for top in forbidden)
    ]


def test_the_files_of_the_project_are_found():
    """Guards the tests below against passing because they looked at nothing."""
    assert len(files("algorithms")) > 20


def test_algorithms_know_no_airflow():
    """Everything in algorithms runs from a shell where Airflow is not installed."""
    assert violations("algorithms", {"airflow", "operators", "dags", "plugins", "infra", "edge"}) == []


def test_the_contract_knows_nobody():
    """It is the lowest room: every other one stands on it."""
    others = {f"algorithms.{p.name}" for p in (PROJECT / "algorithms").iterdir() if p.is_dir() and p.name != "contract"}

    assert violations("algorithms/contract", others) == []


@pytest.mark.parametrize("room", sorted(GENERIC))
def test_generic_rooms_know_no_diagnostic(room):
    """What serves every diagnostic may not lean on one of them, nor on a room beside it."""
    forbidden = {f"algorithms.{name}" for name in set(pipelines()) | GENERIC - {room}}

    assert violations(f"algorithms/{room}", forbidden) == []


@pytest.mark.parametrize("diagnostic", sorted(pipelines()))
def test_a_diagnostic_never_imports_another(diagnostic):
    """A third diagnostic is a new folder that touches no other."""
    others = {f"algorithms.{name}" for name in pipelines() if name != diagnostic}

    assert violations(f"algorithms/{diagnostic}", others) == []


@pytest.mark.parametrize("diagnostic", sorted(pipelines()))
def test_pipeline_declarations_import_nothing_heavy(diagnostic):
    """The scheduler reads them on every parse, many times a minute."""
    names = imported(PROJECT / "algorithms" / diagnostic / "pipeline.py")

    assert all(name.startswith("algorithms.contract.pipeline") or name == "__future__" for name in names)


def test_the_contract_imports_nothing_heavy_when_a_pipeline_is_read():
    """Same reason; the store's boto3 and the stages' libraries are imported where they are used."""
    read = {"case", "catalogue", "digest", "errors", "manifest", "pipeline", "record"}

    for path in files("algorithms/contract"):
        if path.stem in read:
            assert not {name.partition(".")[0] for name in imported(path)} & HEAVY


def test_operators_reach_algorithms_only_through_the_contract_and_declarations():
    """Airflow's side starts stages as processes; it never calls an implementation."""
    allowed = ("algorithms.contract", "algorithms")

    for room in ("operators", "dags", "plugins"):
        for path in files(room):
            names = {n for n in imported(path) if n.partition(".")[0] == "algorithms"}
            strangers = {n for n in names if not (n.startswith(allowed[0]) or n == allowed[1] or n.endswith(".pipeline"))}
            assert not strangers, f"{path.relative_to(PROJECT)} imports {strangers}"


def test_the_edge_knows_the_contract_and_the_readers_of_images_only():
    """It runs in a hospital and in AWS Lambda, where neither Airflow nor a diagnostic is installed."""
    allowed = ("algorithms.contract", "algorithms.dicom", "algorithms.slide", "edge")

    for path in files("edge"):
        own = {
            n
            for n in imported(path)
            if n.partition(".")[0] in {"algorithms", "edge", "operators", "dags", "plugins", "airflow"}
        }
        strangers = {n for n in own if not n.startswith(allowed)}
        assert not strangers, f"{path.relative_to(PROJECT)} imports {strangers}"


def test_what_runs_in_lambda_imports_nothing_heavy():
    """A function starts cold: the contract and boto3 are all that is packed with it."""
    program = "import sys, edge.lambda_handler; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.split()

    assert not set(loaded) & (HEAVY | {"airflow", "sqlalchemy"})


def test_dags_only_wire():
    """A diagnostic's DAG file knows its operators and nothing else."""
    for path in files("dags"):
        assert not {n for n in imported(path) if n.partition(".")[0] not in {"airflow", "operators", "__future__"}}
