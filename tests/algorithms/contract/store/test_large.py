"""A large file goes to a real S3 server and back in bounded memory."""

from __future__ import annotations

import pytest

from benchmarks.store import transfers

GIB_IN_MIB = 1024


@pytest.mark.slow
def test_a_gibibyte_goes_up_and_down_in_bounded_memory() -> None:
    """Four parts of 16 MiB and what HTTP needs; a slide of 8 GiB must pass through a container of half a GiB."""
    cost = transfers("ours", GIB_IN_MIB)

    assert cost["put"]["growth_mib"] < 200
    assert cost["get"]["growth_mib"] < 200
