"""What other systems are told of slides is what result.json and the attention say, and nothing that is withheld."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from fhir.resources.R4B.bundle import Bundle

from algorithms.prostate import exchange, report
from tests.algorithms.prostate.artefacts import build, record


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory):
    """Return the artefacts of a case that can be answered, without pictures."""
    return build(tmp_path_factory.mktemp("case"))


def exchanged(artefacts, folder, told=None):
    """Run the stages report and exchange; return the result and the folder written into."""
    (folder / "record.json").write_text(json.dumps(told or record()))
    (folder / "report").mkdir()
    report.run(artefacts | {"record": folder / "record.json"}, folder / "report")
    (folder / "out").mkdir()
    given = {name: path for name, path in artefacts.items() if name in {"tiles", "attention"}}
    exchange.run(given | {"result": folder / "report" / "result.json"}, folder / "out")
    return json.loads((folder / "report" / "result.json").read_text()), folder / "out"


@pytest.fixture(scope="module")
def answered(artefacts, tmp_path_factory):
    """Return an answered case's result and what it gives other systems."""
    return exchanged(artefacts, tmp_path_factory.mktemp("exchanged"))


def test_every_tile_that_was_read_is_a_square_with_its_attention(artefacts, answered):
    """Corner by corner in level-0 pixels; the tile of s02 without features is not there."""
    for slide, lost in (("s01", 0), ("s02", 1)):
        document = json.loads((answered[1] / "annotations" / f"{slide}.geojson").read_text())
        table = pq.read_table(artefacts["tiles"] / f"{slide}.parquet")
        attention = np.load(artefacts["attention"] / f"{slide}.npy")
        read = np.isfinite(attention)
        squares = [feature["geometry"]["coordinates"][0] for feature in document["features"]]

        assert (~read).sum() == lost
        assert [square[0] for square in squares] == np.column_stack([table["x"], table["y"]])[read].tolist()
        assert all(square[2] == [square[0][0] + 56, square[0][1] + 56] and square[4] == square[0] for square in squares)
        shares = [f["properties"]["measurements"]["attention (share of the case)"] for f in document["features"]]
        assert shares == attention[read].astype(float).tolist()


def test_the_class_of_a_tile_follows_from_its_attention(answered):
    """Below an equal share, up to four of them, and above."""
    document = json.loads((answered[1] / "annotations" / "s01.geojson").read_text())
    seen = set()
    for feature in document["features"]:
        times, name = (
            feature["properties"]["measurements"]["attention (times an equal share)"],
            feature["properties"]["classification"]["name"],
        )
        wanted = "below" if times < 1 else "of 1 to 4" if times < 4 else "or more"
        assert wanted in name
        seen.add(name)

    assert len(seen) == 3


def test_the_bundle_is_valid_and_says_the_risks_of_the_result(answered):
    """Risk with both limits of its interval, in the order of the document."""
    result, out = answered
    bundle = json.loads((out / "fhir.json").read_text())
    Bundle.model_validate(bundle)
    observations = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Observation"]
    risks = [o for o in observations if "valueQuantity" in o]
    told = [
        [o["code"]["text"], o["valueQuantity"]["value"], *(c["valueQuantity"]["value"] for c in o["component"])] for o in risks
    ]

    assert told == [[r["label"], r["risk"], r["risk_low"], r["risk_high"], r["horizon_years"]] for r in result["risks"]]
    assert observations[-1]["valueCodeableConcept"]["text"] == result["risk_group"]
    assert observations[-1]["component"][0]["valueQuantity"]["value"] == result["percentile"]["value"]
    assert {o["status"] for o in observations} == {"final"}
    assert result["suggestions"][0]["text"] in bundle["entry"][0]["resource"]["conclusion"]


def test_a_withheld_risk_is_in_no_file(artefacts, tmp_path):
    """Tissue unlike what the model learnt from: neither a risk nor a map of what the model weighed."""
    (tmp_path / "case").mkdir()
    risk = json.loads(artefacts["risk"].read_text())
    risk["checks"][0] |= {"passed": False, "value": 4.1}
    (tmp_path / "case" / "risk.json").write_text(json.dumps(risk))
    result, out = exchanged(artefacts | {"risk": tmp_path / "case" / "risk.json"}, tmp_path)
    kinds = [e["resource"]["resourceType"] for e in json.loads((out / "fhir.json").read_text())["entry"]]

    assert (result["verdict"], result["risk_withheld"]) == ("held", True)
    assert [path.name for path in (out / "annotations").iterdir()] == ["contents.json"]
    assert "Observation" not in kinds


def test_a_refused_case_says_so_in_a_valid_bundle(tmp_path):
    """Nothing exists but the record."""
    result, out = exchanged({}, tmp_path, record("receive", "data", "found no slide, wanted 1 to 20"))
    bundle = json.loads((out / "fhir.json").read_text())

    Bundle.model_validate(bundle)
    assert result["verdict"] == "rejected"
    assert bundle["entry"][0]["resource"]["status"] == "cancelled"
    assert "found no slide" in bundle["entry"][0]["resource"]["conclusion"]


def test_a_held_case_is_preliminary_in_every_file(artefacts, tmp_path):
    """A viewer shows the name of a class, so it stands there."""
    quality = json.loads(artefacts["quality"].read_text())
    quality["slides"][0]["checks"].append(
        {"name": "pen", "value": 0.4, "unit": "1", "limit": "<= 0.2", "passed": False, "help": "share of pen"}
    )
    (tmp_path / "quality.json").write_text(json.dumps(quality))
    result, out = exchanged(artefacts | {"quality": tmp_path / "quality.json"}, tmp_path)
    document = json.loads((out / "annotations" / "s01.geojson").read_text())
    bundle = (out / "fhir.json").read_text()

    assert result["verdict"] == "held"
    assert document["heartwood"]["released"] is False
    assert all(f["properties"]["classification"]["name"].startswith("PRELIMINARY") for f in document["features"])
    assert '"final"' not in bundle
