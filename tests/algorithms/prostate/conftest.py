"""The artefacts and pictures of one invented case, made once for all tests that read them."""

from __future__ import annotations

import pytest

from algorithms.prostate import render
from tests.algorithms.prostate.artefacts import build


@pytest.fixture(scope="session")
def invented(tmp_path_factory):
    """Return the artefacts of a case that can be answered, with its pictures."""
    made = build(tmp_path_factory.mktemp("invented"))
    out = tmp_path_factory.mktemp("drawn")
    render.run(made, out)
    return made | {"pictures": out / "pictures"}
