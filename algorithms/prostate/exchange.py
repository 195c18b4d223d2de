"""Write the answer for other systems: the attention map as GeoJSON for slide viewers, the risks as a FHIR bundle.

All of it says what ``result.json`` says.  Where risk is withheld, or there is no answer, there is no map either: it would
show what the model weighed for a value that nobody may read.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.prostate.pipeline import EXCHANGE
from algorithms.prostate.render import read_tables
from algorithms.report import fhir
from algorithms.report.geojson import feature_collection, tile_features

log = logging.getLogger(__name__)

TITLE = "Risk from prostate biopsy slides"

CLASSES = (
    (0.0, "attention below an equal share", (251, 220, 140)),
    (1.0, "attention of 1 to 4 equal shares", (242, 165, 65)),
    (4.0, "attention of 4 equal shares or more", (140, 26, 26)),
)
"""From how many times an equal share of the case's attention a tile is of which class, with a colour of the report's map."""

REPORT: fhir.Code = ("60568-3", "LN", "Pathology Synoptic report")
PROSTATE: fhir.Code = ("41216001", "SCT", "Prostate")
ENDPOINTS: dict[str, fhir.Code] = {
    "distant_metastasis": ("risk-dm", "99HEARTWOOD", "Cumulative incidence of distant metastasis"),
    "prostate_cancer_death": ("risk-pcd", "99HEARTWOOD", "Cumulative incidence of death from prostate cancer"),
}
LOW: fhir.Code = ("risk-low", "99HEARTWOOD", "Lower limit of the 95 % interval")
HIGH: fhir.Code = ("risk-high", "99HEARTWOOD", "Upper limit of the 95 % interval")
HORIZON: fhir.Code = ("horizon", "99HEARTWOOD", "Time from biopsy")
RISK_GROUP: fhir.Code = ("risk-group", "99HEARTWOOD", "Risk group by the bounds kept with the model")
PERCENTILE: fhir.Code = ("percentile", "99HEARTWOOD", "Share of reference men of the same NCCN group who have a lower risk")


def run(inputs: Mapping[str, Path], out: Path) -> dict[str, float | int | str]:
    """Write the folder ``annotations``, with ``contents.json`` naming its files, and ``fhir.json``; return counts."""
    if "result" not in inputs:
        raise DataError("the stage report left no result; run it again, then this stage")
    result = json.loads(inputs["result"].read_text())
    folder = out / "annotations"
    folder.mkdir()
    shown = result["verdict"] in {"answered", "held"} and not result["risk_withheld"]
    maps = _write_maps(inputs, result, folder) if shown and {"tiles", "attention"} <= set(inputs) else []
    told = {"case_id": result["case_id"], "verdict": result["verdict"], "released": result["released"], "slides": maps}
    (folder / "contents.json").write_text(json.dumps(told, indent=1) + "\n")
    seed = hashlib.sha256(f"{EXCHANGE.version} {sha256_path(inputs['result'])}".encode()).hexdigest()
    bundle = prostate_bundle(result, seed)
    (out / "fhir.json").write_text(json.dumps(bundle, indent=1) + "\n")
    log.info("%d attention maps, %d resources", len(maps), len(bundle["entry"]))
    return {"maps": len(maps), "tiles": sum(entry["tiles"] for entry in maps), "resources": len(bundle["entry"])}


def _write_maps(inputs: Mapping[str, Path], result: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Write the map of every slide with attention; return what is in which file."""
    tables = read_tables(inputs["tiles"], inputs["attention"])
    number = sum(int(np.isfinite(table.attention).sum()) for table in tables.values())
    told = []
    for slide, table in tables.items():
        read = np.isfinite(table.attention)
        share = table.attention[read].astype(float)
        measured = {"attention (share of the case)": share, "attention (times an equal share)": share * number}
        bounds = [bound for bound, _, _ in CLASSES]
        kinds = [CLASSES[n - 1] for n in np.searchsorted(bounds, share * number, side="right")]
        mark = "" if result["released"] else "PRELIMINARY "
        features = tile_features(
            table.xy[read], table.extent_px, measured, [(mark + name, colour) for _, name, colour in kinds]
        )
        names = ("case_id", "heartwood", "verdict", "released", "statement")
        document = feature_collection(features, {name: result[name] for name in names} | {"slide": slide})
        (folder / f"{slide}.geojson").write_text(json.dumps(document, separators=(",", ":")) + "\n")
        told.append({"slide": slide, "file": f"{slide}.geojson", "tiles": len(features)})
    return told


def prostate_bundle(result: Mapping[str, Any], seed: str) -> fhir.Resource:
    """Return the bundle of a result: an Observation a risk, one of the risk group; the patient is known by the case."""
    named = fhir.namer(seed)
    about = {
        "patient": fhir.patient(named("patient"), result["case_id"]),
        "device": fhir.device(named("device"), "Heartwood prostate", result["heartwood"]),
    }
    status = "final" if result["released"] else "preliminary"
    more = {"bodySite": fhir.coded(PROSTATE)}
    observations = [
        fhir.observation(
            named(entry["label"]),
            fhir.coded(ENDPOINTS[entry["endpoint"]], text=entry["label"]),
            about,
            status=status,
            value=fhir.quantity(entry["risk"], "1"),
            components=[
                fhir.component(code, fhir.quantity(entry[field], unit))
                for code, field, unit in ((LOW, "risk_low", "1"), (HIGH, "risk_high", "1"), (HORIZON, "horizon_years", "a"))
            ],
            more=more,
        )
        for entry in result["risks"]
        if entry["risk"] is not None
    ]
    if result["risk_group"] is not None:
        components = []
        if result["percentile"] is not None:
            components = [fhir.component(PERCENTILE, fhir.quantity(result["percentile"]["value"], "%"))]
        value = fhir.coded(text=result["risk_group"])
        coded = fhir.coded(RISK_GROUP)
        observations.append(
            fhir.observation(named("group"), coded, about, status=status, value=value, components=components, more=more)
        )
    conclusion = " ".join(suggestion["text"] for suggestion in result["suggestions"])
    report = fhir.diagnostic_report(
        named("report"), result, fhir.coded(REPORT, text=TITLE), about, observations, conclusion=conclusion
    )
    provenance = fhir.provenance(named("provenance"), result, [report, *observations], about["device"])
    return fhir.bundle(named("bundle"), [report, *about.values(), *observations, provenance])
