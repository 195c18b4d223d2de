"""No number in README or docs is typed by hand."""

from __future__ import annotations

import pytest

from benchmarks.table import DOCUMENTS, MARK, PROJECT, filled


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_tables_say_what_the_benchmarks_kept(name):
    """``python -m benchmarks.table`` writes them; an edited figure is found here."""
    text = (PROJECT / name).read_text()

    assert filled(text) == text


def test_the_readme_has_a_table_of_evidence():
    """It must not pass by having lost its markers."""
    assert MARK.search((PROJECT / "README.md").read_text())
