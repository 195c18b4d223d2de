"""The coronary pipeline: a coronary CT angiography study to FFR-CT along every vessel.  Imports nothing heavy."""

from __future__ import annotations

from algorithms.contract.pipeline import Output, Pipeline, Resources, Stage

RECEIVE = Stage(
    name="receive",
    run="algorithms.coronary.receive:run",
    version=1,
    help="Choose the one CT series of the study that can be answered, and say why.",
    source="DICOM PS3.3 A.3 (CT Image IOD); SCCT 2016 acquisition guideline (doi:10.1016/j.jcct.2016.10.002)",
    inputs=("study",),
    outputs=(Output("selection", "selection.json", "chosen instances, and every other series with the reason it was left"),),
    resources=Resources(cpu=1, memory_gib=2, timeout_s=900),
)

DEIDENTIFY = Stage(
    name="deidentify",
    run="algorithms.coronary.deidentify:run",
    version=1,
    help="Remove every identifying value, prove it by a scan of the output, delete the original.",
    source="DICOM PS3.15 Annex E, Table E.1-1",
    inputs=("study", "selection", "secret"),
    outputs=(
        Output("dicom", "dicom", "the de-identified series, one file an instance"),
        Output("privacy", "privacy.json", "action per attribute, counts, policy, scan result; never a value"),
    ),
    consumes=("study",),
    resources=Resources(cpu=1, memory_gib=2, timeout_s=1800),
)

VOLUME = Stage(
    name="volume",
    run="algorithms.coronary.volume:run",
    version=1,
    help="Build the volume in Hounsfield units and judge whether it can be answered.",
    source="DICOM PS3.3 C.7.6.2, C.8.2.1",
    inputs=("dicom",),
    outputs=(
        Output("volume", "volume.nii", "int16 Hounsfield units"),
        Output("quality", "quality.json", "geometry, contrast, noise, coverage, acquisition and patient facts"),
    ),
    resources=Resources(cpu=1, memory_gib=3, timeout_s=900),
)

ANATOMY = Stage(
    name="anatomy",
    run="algorithms.coronary.anatomy:run",
    version=1,
    help="Find the aorta, the coronary ostia and the left-ventricular myocardium.",
    source="",
    inputs=("volume",),
    outputs=(
        Output("heart", "heart.nii.gz", "labels: 1 ascending aorta and root, 2 LV myocardium, 3 LV blood, 4 other blood pools"),
        Output("anatomy", "anatomy.json", "ostia, heart box, LV mass, aortic contrast"),
    ),
    resources=Resources(cpu=2, memory_gib=6, timeout_s=1800),
)

SEGMENT = Stage(
    name="segment",
    run="algorithms.coronary.segment:run",
    version=1,
    help="Segment the coronary lumen inside the heart.",
    source="",
    inputs=("volume", "heart", "anatomy"),
    outputs=(Output("lumen", "lumen.nii.gz", "uint8 lumen mask on the grid of the heart box"),),
    resources=Resources(cpu=2, memory_gib=6, timeout_s=1800),
)

CENTRELINE = Stage(
    name="centreline",
    run="algorithms.coronary.centreline:run",
    version=1,
    help="Draw the vessel tree: centrelines, radii, names, stenoses, and what is doubtful about it.",
    source="",
    inputs=("volume", "heart", "anatomy", "lumen"),
    outputs=(Output("tree", "tree.json", "branches with points, radii, reference radii, SCCT segments; stenoses; doubts"),),
    resources=Resources(cpu=2, memory_gib=6, timeout_s=1800),
)

BOUNDARY = Stage(
    name="boundary",
    run="algorithms.coronary.boundary:run",
    version=1,
    help="Set aortic pressure, resting flow, its split over the outlets and the hyperaemic resistances.",
    source="",
    inputs=("tree", "anatomy", "quality"),
    outputs=(Output("boundary", "boundary.json", "pressures, flows and resistances, each marked measured or assumed"),),
    resources=Resources(cpu=1, memory_gib=1, timeout_s=300),
)

FLOW = Stage(
    name="flow",
    run="algorithms.coronary.flow:run",
    version=1,
    help="Solve pressure and flow along every branch (reduced-order).",
    source="",
    inputs=("tree", "boundary"),
    outputs=(Output("flow", "flow.json", "pressure, flow and loss terms at every point of the tree; run checks"),),
    resources=Resources(cpu=1, memory_gib=1, timeout_s=600),
)

FFR = Stage(
    name="ffr",
    run="algorithms.coronary.ffr:run",
    version=1,
    help="Compute FFR along the tree and distal to every lesion, with intervals and bands.",
    source="",
    inputs=("tree", "boundary", "flow"),
    outputs=(Output("ffr", "ffr.json", "FFR at every point, per lesion and per vessel, with 95 % intervals"),),
    resources=Resources(cpu=1, memory_gib=1, timeout_s=900),
)

RENDER = Stage(
    name="render",
    run="algorithms.coronary.render:run",
    version=1,
    help="Draw the tree, the curved reformations, the pull-back graphs and the quality thumbnails.",
    source="",
    inputs=("volume", "quality", "tree", "ffr"),
    outputs=(Output("pictures", "pictures", "PNG and SVG files, with pictures.json naming them"),),
    resources=Resources(cpu=2, memory_gib=4, timeout_s=900),
)

REPORT = Stage(
    name="report",
    run="algorithms.coronary.report:run",
    version=1,
    help="Write the answer: result.json, the HTML page and the PDF; also when a stage before it refused the case.",
    source="SCCT 2022 reporting guideline and CAD-RADS 2.0 (doi:10.1016/j.jcct.2022.07.002)",
    inputs=("selection", "privacy", "quality", "volume", "anatomy", "tree", "boundary", "flow", "ffr", "pictures"),
    outputs=(
        Output("result", "result.json", "the case's answer, documented in docs/result.md"),
        Output("html", "report.html", "the report as one file"),
        Output("pdf", "report.pdf", "the report for print and archive"),
    ),
    always=True,
    resources=Resources(cpu=1, memory_gib=2, timeout_s=600),
)

PIPELINE = Pipeline(
    name="coronary",
    title="FFR-CT from coronary CT angiography",
    help="A coronary CT angiography study becomes fractional flow reserve along every vessel.",
    accepts="a folder or zip file with one coronary CT angiography study (DICOM CT, 100-500 slices)",
    stages=(RECEIVE, DEIDENTIFY, VOLUME, ANATOMY, SEGMENT, CENTRELINE, BOUNDARY, FLOW, FFR, RENDER, REPORT),
)
