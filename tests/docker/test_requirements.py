"""What the image of a stage gets: all that ``algorithms`` needs, no Airflow, and the versions that the rest is tested with."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


def pins(name: str) -> dict[str, str]:
    """Return the version of each distribution that a file of requirements pins."""
    lines = (PROJECT / name).read_text().splitlines()
    return {normalised(n): version for n, _, version in (line.partition("==") for line in lines if "==" in line)}


def normalised(name: str) -> str:
    """Return a distribution's name in its one spelling, without extras."""
    return re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower()


def imported(folder: Path) -> set[str]:
    """Return the packages that any module below ``folder`` imports, at its head or inside a function."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"algorithms"}


def test_the_stage_set_has_all_that_algorithms_imports() -> None:
    """The image itself imports every module in tests/docker/test_images.py; here it takes a second and no image."""
    distributions = packages_distributions()
    wanted = {normalised(distributions[name][0]) for name in imported(PROJECT / "algorithms")}

    assert {"numpy", "pillow", "vtk"} <= wanted
    assert wanted <= set(pins("requirements-stage.txt"))


def test_the_stage_set_has_no_airflow() -> None:
    """Code that parses foreign files shares an image with as little as possible."""
    assert [
        name for name in pins("requirements-stage.txt") if "airflow" in name or name in {"celery", "fastapi", "docker"}
    ] == []


def test_a_stage_has_the_versions_of_the_rest() -> None:
    """Artefacts are byte-equal in every place only if the libraries are."""
    everything = pins("requirements.txt")

    assert {n: v for n, v in pins("requirements-stage.txt").items() if everything.get(n) != v} == {}


def test_a_name_in_the_stage_group_is_a_requirement_of_the_project() -> None:
    """The bounds stand there; the group only says which of them a stage needs."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    whole = {normalised(re.split(r"[<>=!~ \[]", text)[0]) for text in project["project"]["dependencies"]}

    assert {normalised(name) for name in project["dependency-groups"]["stage"]} <= whole


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-stage.txt", "requirements-dev.txt"])
def test_no_lock_has_cuda(name: str) -> None:
    """It comes with the torch that wants it; pinned here it would cost 3 GB on every machine without a GPU."""
    assert [pin for pin in pins(name) if pin.startswith(("nvidia", "cuda", "triton"))] == []
    assert pins(name)["torch"].count("+") == 0
