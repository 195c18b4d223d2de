"""The stage aggregate on cases of stand-in features."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.prostate.aggregate import aggregate
from algorithms.prostate.risk.answer import LEAST_TILES, adt
from tests.algorithms.prostate.risk.stand_in import DIMENSION, of_man
from tests.algorithms.prostate.risk.trained import StandIn, trained

MAN = {
    "age_years": 67,
    "psa_ng_ml": 8.0,
    "gleason_primary": 3,
    "gleason_secondary": 4,
    "t_stage": "T2a",
    "percent_positive_cores": 40.0,
}


def slide(folder: Path, features: np.ndarray, *, rows: int = 64, **facts: Any) -> None:
    """Write the features of a slide as the stage encode does."""
    folder.mkdir(parents=True)
    shards = []
    for number, start in enumerate(range(0, len(features), rows)):
        path = folder / f"shard-{number:05d}.npy"
        np.save(path, features[start : start + rows].astype(np.float16))
        shards.append({"file": path.name, "rows": len(features[start : start + rows]), "sha256": sha256_path(path)})
    whose = {"encoder": StandIn.name, "weights_sha256": StandIn.weights_sha256, "dimension": DIMENSION}
    document = {**whose, "tiles": len(features), "shards": shards, "corrupt": [], **facts}
    (folder / "features.json").write_text(json.dumps(document))


def clinical(folder: Path, group: str | None = "favorable intermediate", **values: Any) -> Path:
    """Write a ``clinical.json``."""
    everything = {**MAN, **values}
    path = folder / "clinical.json"
    path.write_text(json.dumps({"values": {k: {"value": v} for k, v in everything.items()}, "nccn": {"group": group}}))
    return path


def tiles(seed: int = 1, count: int = 200) -> np.ndarray:
    """Return the stand-in features of a synthetic man."""
    return of_man(trained().judges.men[seed], np.random.default_rng(seed), count).astype(np.float16)


def answer(folder: Path, name: str = "out", **values: Any) -> dict[str, Any]:
    """Return ``risk.json`` of the case below ``folder``."""
    aggregate(folder / "features", clinical(folder, **values), folder / name, trained().model)
    document: dict[str, Any] = json.loads((folder / name / "risk.json").read_text())
    return document


def failed(risk: dict[str, Any]) -> list[str]:
    """Return the names of the checks that failed."""
    return [check["name"] for check in risk["checks"] if not check["passed"]]


def test_a_case_of_two_slides_has_a_risk_and_attention(tmp_path):
    """Attention sums to 1 over the case, is NaN exactly where a tile could not be decoded, and each slide has its share."""
    first, second = tiles()[:120].copy(), tiles()[120:]
    first[[3, 100]] = np.nan
    slide(tmp_path / "features" / "s01", first)
    slide(tmp_path / "features" / "s02", second)

    risk = answer(tmp_path)
    attention = [np.load(tmp_path / "out" / "attention" / f"{name}.npy") for name in ("s01", "s02")]

    assert [len(a) for a in attention] == [120, 80]
    assert np.flatnonzero(np.isnan(attention[0])).tolist() == [3, 100]
    assert sum(np.nansum(a, dtype=float) for a in attention) == pytest.approx(1.0, abs=1e-5)  # 200 numbers in single precision
    assert risk["slides"]["s01"] == {"tiles": 118, "attention": pytest.approx(np.nansum(attention[0]), abs=1e-6)}
    assert risk["tiles"] == 198
    assert [(e["endpoint"], e["horizon_years"]) for e in risk["endpoints"]] == [
        ("distant_metastasis", 5),
        ("distant_metastasis", 10),
        ("prostate_cancer_death", 5),
        ("prostate_cancer_death", 10),
    ]
    assert all(0 < e["risk_low"] <= e["risk"] <= e["risk_high"] < 1 for e in risk["endpoints"])
    assert risk["percentile"]["nccn_group"] == "favorable intermediate"
    assert 0 <= risk["percentile"]["value"] <= 100
    assert risk["imputed"] == []
    assert failed(risk) == []


def test_the_risk_does_not_hang_on_the_order_of_tiles_or_slides(tmp_path):
    """A case is a bag: the same tiles on one slide or three, in any order, are the same man."""
    features = tiles()
    slide(tmp_path / "one" / "features" / "s01", features)
    turned = features[::-1]
    for number, part in enumerate(np.array_split(turned, 3), 1):
        slide(tmp_path / "three" / "features" / f"s{number:02d}", part, rows=17)

    one, three = answer(tmp_path / "one"), answer(tmp_path / "three")

    for a, b in zip(one["endpoints"], three["endpoints"], strict=True):
        assert a["risk"] == pytest.approx(b["risk"], abs=2e-6)  # rounded to the sixth digit


def test_the_same_case_gives_the_same_bytes(tmp_path):
    """The key of a result names its content."""
    slide(tmp_path / "features" / "s01", tiles())

    answer(tmp_path, "first")
    answer(tmp_path, "second")

    assert sha256_path(tmp_path / "first") == sha256_path(tmp_path / "second")


def test_missing_variables_are_said(tmp_path):
    """They are imputed by the mean of the training men, and the answer names them."""
    slide(tmp_path / "features" / "s01", tiles())

    risk = answer(tmp_path, psa_ng_ml=None, t_stage=None, group=None)

    assert risk["imputed"] == ["psa_ng_ml", "t_stage"]
    assert risk["percentile"] is None
    assert risk["adt"] is None


@pytest.mark.parametrize(("group", "given"), [("favorable intermediate", True), ("high", False), ("low", False)])
def test_the_benefit_of_adt_is_for_intermediate_risk_only(tmp_path, group, given):
    """The biomarker that it imitates was validated there (Spratt et al. 2023)."""
    slide(tmp_path / "features" / "s01", tiles())

    found = answer(tmp_path, group=group)["adt"]

    assert (found is not None) == given
    if given:
        assert found["benefit_low"] <= found["benefit"] <= found["benefit_high"]
        assert found["positive"] in {None, found["benefit"] >= found["threshold"]}


@pytest.mark.parametrize(
    ("benefit", "low", "high", "positive"),
    [
        pytest.param(0.06, 0.01, 0.11, True, id="surely above zero"),
        pytest.param(0.06, -0.01, 0.13, None, id="perhaps harm"),
        pytest.param(0.01, -0.01, 0.03, False, id="surely little"),
        pytest.param(0.01, -0.02, 0.05, None, id="perhaps much"),
    ],
)
def test_a_man_is_called_only_where_the_interval_allows(benefit, low, high, positive):
    """The threshold is 0.02: nobody is told that he benefits, or does not, by a number that may as well be the other."""
    one = SimpleNamespace(**{n: np.array([v]) for n, v in (("benefit", benefit), ("benefit_low", low), ("benefit_high", high))})

    assert (
        positive
        is adt({"nccn_groups": ["favorable intermediate"], "threshold": 0.02}, one, "favorable intermediate")["positive"]
    )


def test_too_few_tiles_fail_a_check(tmp_path):
    """The report holds such a case."""
    slide(tmp_path / "features" / "s01", tiles(count=LEAST_TILES - 1))

    assert "tiles" in failed(answer(tmp_path))


def test_tissue_never_seen_fails_a_check(tmp_path):
    """Features shifted as another scanner would shift them are far from all training tiles and men."""
    slide(tmp_path / "features" / "s01", tiles() + np.float16(4.0))

    assert {"unfamiliar_tiles", "unfamiliar_case"} <= set(failed(answer(tmp_path)))


def test_a_variable_beyond_the_training_men_fails_a_check(tmp_path):
    """A PSA of 900 is possible, and no training man had one."""
    slide(tmp_path / "features" / "s01", tiles())

    assert failed(answer(tmp_path, psa_ng_ml=900.0)) == ["variables_outside"]


def test_many_lost_tiles_fail_a_check(tmp_path):
    """One tile in ten that could not be decoded is a damaged slide."""
    features = tiles().copy()
    features[::10] = np.nan
    slide(tmp_path / "features" / "s01", features)

    assert "tiles_lost" in failed(answer(tmp_path))


def test_a_slide_without_tiles_takes_no_part(tmp_path):
    """A slide may be usable and hold no tile; the case goes on with the others."""
    slide(tmp_path / "features" / "s01", tiles())
    slide(tmp_path / "features" / "s02", tiles()[:0])

    risk = answer(tmp_path)

    assert risk["slides"]["s02"] == {"tiles": 0, "attention": 0.0}
    assert len(np.load(tmp_path / "out" / "attention" / "s02.npy")) == 0


@pytest.mark.parametrize(
    ("facts", "remedy"),
    [
        pytest.param({"encoder": "uni"}, "--set encoder=stand-in", id="another encoder"),
        pytest.param({"weights_sha256": "6" * 64}, "put back the weights", id="other weights"),
    ],
)
def test_features_of_another_encoder_are_refused(tmp_path, facts, remedy):
    """Their numbers mean something else; a risk from them would be noise that looks like an answer."""
    slide(tmp_path / "features" / "s01", tiles(), **facts)

    with pytest.raises(DataError, match=remedy):
        answer(tmp_path)


def test_slides_encoded_differently_are_refused(tmp_path):
    """A rerun with another encoder must not mix with what was there."""
    slide(tmp_path / "features" / "s01", tiles())
    slide(tmp_path / "features" / "s02", tiles(), weights_sha256="6" * 64)

    with pytest.raises(DataError, match="different encoders"):
        answer(tmp_path)


def test_no_tissue_anywhere_is_refused(tmp_path):
    """There is nothing to pool; the clinical variables alone are not what was asked for."""
    slide(tmp_path / "features" / "s01", tiles()[:0])

    with pytest.raises(DataError, match="no slide of the case has a tile"):
        answer(tmp_path)


def test_only_corrupt_tiles_are_refused(tmp_path):
    """As many rows as tiles, and no number in them."""
    slide(tmp_path / "features" / "s01", np.full((40, DIMENSION), np.nan))

    with pytest.raises(DataError, match="no tile of the case could be decoded"):
        answer(tmp_path)


def test_features_that_are_partly_no_numbers_are_refused(tmp_path):
    """A corrupt tile is a whole row of NaN; one infinite value is a fault of the encoding, counted and not hidden."""
    features = tiles().copy()
    features[7, 3] = np.inf
    slide(tmp_path / "features" / "s01", features)

    with pytest.raises(DataError, match="1 tiles of slide s01"):
        answer(tmp_path)


def test_a_changed_shard_is_refused(tmp_path):
    """What was encoded is known by its sha256."""
    slide(tmp_path / "features" / "s01", tiles())
    path = tmp_path / "features" / "s01" / "shard-00001.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"shard-00001\.npy of slide s01 is not what was written"):
        answer(tmp_path)
