"""A phantom's answer beside its truth."""

from __future__ import annotations

import re

from algorithms.coronary.truth import compare


def vessel(name: str, ffr: float | None, low: float | None = None, band: str | None = None) -> dict[str, object]:
    high = None if low is None or ffr is None else ffr + 0.05
    return {"vessel": name, "ffr": ffr, "ffr_low": low, "ffr_high": high, "band": band}


def test_the_table_shows_each_vessel_beside_its_truth(tmp_path):
    """Its tightest stenosis, its value with the interval, and what the true vessels have; absent values say so."""
    result = {
        "vessels": [vessel("LAD", 0.74, 0.68, "positive"), vessel("LCx", 0.93), vessel("RCA", None)],
        "stenoses": [{"vessel": "LAD", "diameter_stenosis": 0.41}, {"vessel": "LAD", "diameter_stenosis": 0.624}],
    }

    (tmp_path / "ffr.json").write_text('{"vessels": [{"vessel": "LAD", "ffr": 0.761}]}')

    lines = compare(result, tmp_path)

    assert [re.split(r"\s{2,}", line.strip()) for line in lines[1:]] == [
        ["vessel", "stenosis", "FFR (95 % interval)", "band", "true FFR"],
        ["LAD", "62 % (2 in all)", "0.74 (0.68 to 0.79)", "positive", "0.76"],
        ["LCx", "none", "0.93", "-", "-"],
        ["RCA", "none", "withheld", "-", "-"],
    ]
    assert compare({"vessels": [], "stenoses": []}, tmp_path) == []
