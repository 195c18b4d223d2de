"""The methods text: one sentence a finished stage, with the sources that the stage itself declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from algorithms.coronary.answer import cadrads
from algorithms.coronary.answer.result import Artefacts
from algorithms.coronary.answer.words import VOCABULARY
from algorithms.report.blocks import Bibliography, Cited, Methods
from algorithms.report.sections import stage_sentences

BANDS_SOURCE = (
    "Nørgaard et al., Coronary CT angiography-derived fractional flow reserve testing in patients with stable coronary "
    "artery disease: recommendations on interpretation and reporting, Radiol Cardiothorac Imaging 1:e190050 (2019), "
    "doi:10.1148/ryct.2019190050"
)
SEGMENTS_SOURCE = (
    "Leipsic et al., SCCT guidelines for the interpretation and reporting of coronary CT angiography, "
    "J Cardiovasc Comput Tomogr 8:342 (2014), doi:10.1016/j.jcct.2014.07.003"
)

THREE_DIMENSIONAL = (
    "Where the report says so, the incompressible Navier-Stokes equations were solved in three dimensions by a lattice "
    "Boltzmann method on two grids, under the flow of the reduced tree, "
    "whose loss there was replaced until the flow no longer changed."
)
LATTICE_SOURCE = (
    "Krüger, Varnik and Raabe, Shear stress in lattice Boltzmann simulations, Phys Rev E 79:046704 (2009); "
    "Ginzburg, Verhaeghe and d'Humières, Commun Comput Phys 3:427 (2008)"
)

SENTENCES = {
    "receive": "One CT series of the study was chosen by rule.",
    "deidentify": "Identifying values were removed, and every byte written was scanned for those of the original.",
    "volume": "The slices were assembled into a volume in Hounsfield units, and its geometry, contrast and noise were checked.",
    "anatomy": "The ascending aorta, the coronary ostia and the left-ventricular myocardium were found in the volume.",
    "segment": "The coronary lumen was segmented inside the heart.",
    "centreline": "Centrelines, radii, reference radii and stenoses were measured on the lumen, and the branches were named.",
    "boundary": "Aortic pressure, resting flow, its split over the outlets and the hyperaemic resistances were set.",
    "flow": "Pressure and flow at hyperaemia were solved along every branch with a reduced-order model: friction, and the "
    "expansion behind each narrowing.",
    "ffr": "FFR is the pressure at a point over aortic pressure at hyperaemia.",
    "render": "Pictures were drawn from these results.",
}


def methods(record: Mapping[str, Any], artefacts: Artefacts, bibliography: Bibliography) -> Methods:
    """Return the methods text of what was done, numbering its references in ``bibliography``."""
    image: list[Cited] = []
    flow: list[Cited] = []
    for name, said in stage_sentences(record, SENTENCES, bibliography):
        part = flow if name in {"boundary", "flow", "ffr", "render"} else image
        part.append(said)
        if name == "flow" and (artefacts.flow.get("three_dimensional") or {}).get("used", "reduced") != "reduced":
            part.append(bibliography.cite(THREE_DIMENSIONAL, LATTICE_SOURCE))
        if name == "centreline":
            part.append(bibliography.cite("Segments are those of the SCCT model.", SEGMENTS_SOURCE))
    if artefacts.ffr:
        flow += _reading(artefacts.ffr, bibliography)
    return Methods(tuple(tuple(paragraph) for paragraph in (image, flow) if paragraph))


def _reading(ffr: Mapping[str, Any], bibliography: Bibliography) -> list[Cited]:
    interval = ffr["interval"]
    names = [VOCABULARY.name(source["name"]).lower() for source in interval["sources"]]
    return [
        bibliography.cite(
            "A lesion's value is read 10 to 20 mm beyond its end where the vessel is long enough; above 0.80 is negative, "
            "0.76 to 0.80 is the grey zone, 0.75 and below is positive.", BANDS_SOURCE,
        ),
        bibliography.cite(
            f"Intervals of {100 * interval['level']:.0f} % come from {interval['samples']} solutions with perturbed inputs"
            + (f": {', '.join(names)}." if names else "."),
        ),
        bibliography.cite(
            "The CAD-RADS category is suggested from the largest diameter stenosis and the lowest lesion FFR.",
            cadrads.SOURCE,
        ),
    ]  # fmt: skip
