"""What ``result.json`` says, as coded findings: one a vessel, one a stenosis, and the category; every number is copied.

A value that is ``null`` (withheld, or never computed) is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from algorithms.coronary.coded import codes
from algorithms.dicom.results.origin import Code
from algorithms.dicom.results.sr import Measured, Number

CATEGORY = "CAD-RADS"
"""Label of the finding that is the case's category."""


def findings(result: Mapping[str, Any], uid: Callable[..., str], segments: Mapping[str, int]) -> list[Measured]:
    """Return the findings of a result; ``uid`` names tracking UIDs, ``segments`` the segment number of each branch."""
    every = [_vessel(entry, uid, segments) for entry in result["vessels"]]
    every += [_stenosis(entry, uid) for entry in result["stenoses"]]
    category = (result["cad_rads"] or {}).get("category")
    if category is not None:
        judged = ((codes.CAD_RADS, codes.CAD_RADS_CATEGORIES[category]),)
        sites = (codes.CORONARY_ARTERY,)
        every.append(Measured(CATEGORY, uid("tracking", CATEGORY), codes.CORONARY_DISEASE, sites=sites, judgements=judged))
    return [finding for finding in every if finding.numbers or finding.judgements]


def _vessel(entry: Mapping[str, Any], uid: Callable[..., str], segments: Mapping[str, int]) -> Measured:
    name = entry["vessel"]
    return Measured(
        label=name,
        tracking_uid=uid("tracking", name),
        kind=codes.BLOOD_VESSEL,
        sites=(codes.vessel_code(name),),
        numbers=tuple(_ffr(entry)),
        judgements=tuple(_band(entry)),
        segment=segments.get(name),
    )


def _stenosis(entry: Mapping[str, Any], uid: Callable[..., str]) -> Measured:
    x, y, z = entry["throat_mm"]
    sizes = (
        Number(codes.DIAMETER_STENOSIS, percent(entry["diameter_stenosis"]), "%"),
        Number(codes.AREA_STENOSIS, percent(entry["area_stenosis"]), "%"),
        Number(codes.LUMEN_DIAMETER, entry["minimal_lumen_diameter_mm"], "mm", derivation=codes.MINIMUM),
        Number(codes.REFERENCE_DIAMETER, entry["reference_diameter_mm"], "mm"),
        Number(codes.STENOSIS_LENGTH, entry["length_mm"], "mm"),
        Number(codes.FROM_OSTIUM, entry["from_ostium_mm"], "mm"),
    )
    return Measured(
        label=entry["label"],
        tracking_uid=uid("tracking", entry["label"]),
        kind=codes.STENOSIS,
        sites=(codes.SEGMENTS.get(entry["segment"], codes.vessel_code(entry["branch_name"])),),
        numbers=(*sizes, *_ffr(entry)),
        judgements=tuple(_band(entry)),
        point_mm=(x, y, z),
    )


def percent(fraction: float) -> float:
    """Return a fraction in per cent, without the binary dust of the multiplication."""
    return round(100 * fraction, 6)


def _ffr(entry: Mapping[str, Any]) -> Iterable[Number]:
    fields = {"ffr": codes.FFR, "ffr_low": codes.FFR_LOW, "ffr_high": codes.FFR_HIGH, "delta_ffr": codes.DELTA_FFR}
    for field, code in fields.items():
        if (value := entry.get(field)) is not None:
            yield Number(code, float(value), "1", method=codes.FROM_CT)
    for band, probability in (entry["band_probability"] or {}).items():
        yield Number(codes.BAND_PROBABILITY[band], float(probability), "1")


def _band(entry: Mapping[str, Any]) -> Iterable[tuple[Code, Code]]:
    if entry["band"] is not None:
        yield codes.BAND, codes.BANDS[entry["band"]]
