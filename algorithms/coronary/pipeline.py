"""The coronary pipeline: a coronary CT angiography study to FFR-CT along every vessel.  Imports nothing heavy."""

from __future__ import annotations

from algorithms.contract.pipeline import TOGETHER, Compared, Output, Parameter, Pipeline, Resources, Stage, names_in

MODELS = names_in("algorithms/segmentation/models", "/entry.json")
PAIRS = tuple(f"{one}{TOGETHER}{other}" for i, one in enumerate(MODELS) for other in MODELS[i + 1 :])

RECEIVE = Stage(
    name="receive",
    run="algorithms.coronary.receive:run",
    version=1,
    help="Choose the one CT series of the study that can be answered, and say why.",
    source="DICOM PS3.3 A.3 (CT Image IOD); SCCT 2016 acquisition guideline (doi:10.1016/j.jcct.2016.10.002)",
    inputs=("study",),
    outputs=(Output("selection", "selection.json", "chosen instances, and every other series with the reason it was left"),),
    parameters=(
        Parameter(
            "series",
            default=0,
            help="which series of selection.json to use, counted from 1; 0 lets the rules choose",
            source="algorithms/coronary/receive.py, ranking",
            unit="1",
            minimum=0,
            maximum=999,
        ),
    ),
    resources=Resources(cpu=1, memory_gib=2, timeout_s=900),
)

DEIDENTIFY = Stage(
    name="deidentify",
    run="algorithms.coronary.deidentify:run",
    version=3,
    help="Remove every identifying value, prove it by a scan of the output, delete the original.",
    source="DICOM PS3.15 Annex E, Table E.1-1",
    inputs=("study", "selection", "secret"),
    outputs=(
        Output("dicom", "dicom", "the de-identified series, one file an instance"),
        Output("privacy", "privacy.json", "action per attribute, counts, policy, scan result; never a value"),
    ),
    consumes=("study",),
    remembers="algorithms.dicom.identity:remembered",
    resources=Resources(cpu=1, memory_gib=2, timeout_s=1800),
)

VOLUME = Stage(
    name="volume",
    run="algorithms.coronary.volume:run",
    version=2,
    help="Build the volume in Hounsfield units and judge whether it can be answered.",
    source="DICOM PS3.3 C.7.6.2, C.8.2.1",
    inputs=("dicom",),
    outputs=(
        Output("volume", "volume.nii", "int16 Hounsfield units"),
        Output("quality", "quality.json", "geometry, contrast, noise, coverage, acquisition and patient facts"),
    ),
    parameters=(
        Parameter(
            "least_coverage_mm",
            default=90.0,
            help="height of the volume below which it cannot hold a whole heart",
            source="own bound: the heart is about 100 mm high and coronary scans cover more",
            unit="mm",
            minimum=40,
            maximum=200,
        ),
        Parameter(
            "thickest_slice_mm",
            default=1.0,
            help="slice thickness above which a coronary lumen cannot be measured",
            source="own bound: three slices across a lumen of 3 mm; scanners reconstruct 0.5-0.75 mm",
            unit="mm",
            minimum=0.3,
            maximum=3,
        ),
        Parameter(
            "least_contrast_hu",
            default=200.0,
            help="contrast of the central blood below which the lumen cannot be told from plaque",
            source="own bound: non-calcified plaque reaches 150 HU, with two deviations of 25 HU between",
            unit="HU",
            minimum=100,
            maximum=500,
        ),
    ),
    resources=Resources(cpu=1, memory_gib=3, timeout_s=900),
)

ANATOMY = Stage(
    name="anatomy",
    run="algorithms.coronary.anatomy:run",
    version=6,
    help="Find the aorta, the coronary ostia and the left-ventricular myocardium.",
    source="docs/coronary.md, Anatomy and lumen; Kimme et al., Comm ACM 18:120 (1975) for the aorta's discs",
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
    version=4,
    help="Segment the coronary lumen inside the heart.",
    source="docs/coronary.md, Anatomy and lumen; Sato et al., Med Image Anal 2:143 (1998) for the line filter",
    inputs=("volume", "heart", "anatomy"),
    outputs=(Output("lumen", "lumen.nii.gz", "uint8 lumen mask on the grid of the heart box"),),
    parameters=(
        Parameter(
            name="segmenter",
            default="learned",
            help="what says how much a voxel looks like lumen: learned is a network, classical is tubeness and brightness",
            source="docs/coronary.md, Anatomy and lumen",
            choices=("learned", "classical"),
        ),
        Parameter(
            name="lumen_model",
            default="fine+fine_contrast",
            help="the network that learned asks, by its name in the registry, or two of which it takes the mean",
            source="algorithms/segmentation/models; docs/models.md; docs/decisions/033",
            choices=(*MODELS, *PAIRS),
        ),
        Parameter(
            name="lumen_precision",
            default="fastest",
            help="numbers inside the network: fastest is bfloat16 where hardware has it; float32 is the same on every machine",
            source="docs/coronary.md, Anatomy and lumen; docs/decisions/034",
            choices=("fastest", "float32", "bfloat16"),
        ),
    ),
    reads=("algorithms/segmentation/models/{lumen_model}/entry.json",),
    resources=Resources(cpu=2, memory_gib=6, timeout_s=1800),
)

CENTRELINE = Stage(
    name="centreline",
    run="algorithms.coronary.centreline:run",
    version=8,
    help="Draw the vessel tree: centrelines, radii, names, stenoses, and what is doubtful about it.",
    source="Sato et al., Pacific Graphics 281 (2000) for the skeleton; SCCT 2014 segments (doi:10.1016/j.jcct.2014.07.003); "
    "radii by a blurred-lumen fit (docs/coronary.md)",
    inputs=("volume", "quality", "heart", "anatomy", "lumen"),
    outputs=(Output("tree", "tree.json", "branches with points, radii, reference radii, SCCT segments; stenoses; doubts"),),
    parameters=(
        Parameter(
            "stenosis_least",
            default=0.25,
            help="diameter stenosis from which a narrowing is reported",
            source="CAD-RADS 2.0 calls 25-49 % mild (doi:10.1016/j.jcct.2022.07.002)",
            unit="1",
            minimum=0.1,
            maximum=0.9,
        ),
        Parameter(
            "branch_least_mm",
            default=5.0,
            help="a side branch leaves its parent by this and two of the parent's radii; shorter ones are spurs of the mask",
            source="bumps of a ragged mask are shorter (test_skeleton.py); so short a branch supplies little muscle",
            unit="mm",
            minimum=1,
            maximum=30,
        ),
        Parameter(
            "gap_widest_mm",
            default=6.0,
            help="widest gap of the lumen mask that is bridged, with a doubt, where the image shows a vessel",
            source="half of a typical lesion, 12 mm long",
            unit="mm",
            minimum=0,
            maximum=20,
        ),
        Parameter(
            "ostium_reach_mm",
            default=6.0,
            help="the lumen mask must begin within this distance of an ostium",
            source="the aortic wall and half of a left main stem's width",
            unit="mm",
            minimum=1,
            maximum=20,
        ),
        Parameter(
            "blur_fwhm_mm",
            default=0.0,
            help="full width at half maximum of the scanner's blur; 0 estimates it from the edges of the vessels",
            source="0.6-1.0 mm with cardiac kernels",
            unit="mm",
            minimum=0,
            maximum=2,
        ),
    ),
    resources=Resources(cpu=2, memory_gib=4, timeout_s=1800),
)

BOUNDARY = Stage(
    name="boundary",
    run="algorithms.coronary.boundary:run",
    version=3,
    help="Set aortic pressure, resting flow, its split over the outlets and the hyperaemic resistances.",
    source="Choy and Kassab, J Appl Physiol 104:1281 (2008); van der Giessen et al., J Biomech 44:1089 (2011); "
    "Wilson et al., Circulation 82:1595 (1990)",
    inputs=("tree", "anatomy", "quality"),
    outputs=(Output("boundary", "boundary.json", "pressures, flows and resistances, each marked measured or assumed"),),
    parameters=(
        Parameter(
            "systolic_mmhg",
            0.0,
            "systolic blood pressure at the arm; 0 means not measured, and 134/76 is assumed",
            "cuff reading; assumed: Cox et al., J Clin Invest 84:592 (1989)",
            "mmHg",
            0.0,
            260.0,
        ),
        Parameter(
            "diastolic_mmhg",
            0.0,
            "diastolic blood pressure at the arm; 0 means not measured",
            "cuff reading; assumed: Cox et al., J Clin Invest 84:592 (1989)",
            "mmHg",
            0.0,
            160.0,
        ),
        Parameter(
            "lv_mass_g",
            0.0,
            "mass of the left-ventricular myocardium; 0 means take the one segmented on this CT",
            "another examination, such as MRI",
            "g",
            0.0,
            500.0,
        ),
        Parameter(
            "heart_rate_per_min",
            0.0,
            "heart rate; 0 means take the scanner's, or assume 63; it acts on the Womersley number, a check, alone",
            "assumed: patients before coronary CT (ctisus.com/learning/journalclub/231294)",
            "/min",
            0.0,
            220.0,
        ),
        Parameter(
            "viscosity_pa_s", 0.0035, "dynamic viscosity of blood", "Hund et al., Fluids 2:10 (2017)", "Pa s", 0.002, 0.008
        ),
        Parameter(
            "density_kg_m3",
            1060.0,
            "density of blood",
            "Cutnell and Johnson, Physics, 4th edition, table 11.1",
            "kg/m3",
            1000.0,
            1100.0,
        ),
        Parameter(
            "venous_pressure_mmhg",
            5.0,
            "pressure behind the microvasculature",
            "Poullis, Heart 82:644 (1999)",
            "mmHg",
            0.0,
            25.0,
        ),
        Parameter(
            "hyperaemic_resistance_factor",
            0.24,
            "microvascular resistance at maximal hyperaemia over that at rest",
            "Wilson et al., Circulation 82:1595 (1990)",
            "1",
            0.1,
            1.0,
        ),
        Parameter(
            "flow_split_exponent",
            7 / 3,
            "at a bifurcation flow divides as this power of the daughters' healthy radii",
            "Huo and Kassab, Biophys J 96:347 (2009); van der Giessen et al., J Biomech 44:1089 (2011)",
            "1",
            1.5,
            3.5,
        ),
    ),
    resources=Resources(cpu=1, memory_gib=1, timeout_s=300),
)

FLOW = Stage(
    name="flow",
    run="algorithms.coronary.flow_models:run",
    version=4,
    help="Solve pressure and flow along every branch: reduced-order, with lesions or the whole tree in three dimensions.",
    source="Seeley and Young, J Biomech 9:439 (1976); Mirramezani et al., J Biomech Eng 141:031005 (2019)",
    inputs=("tree", "boundary"),
    outputs=(
        Output("flow", "flow.json", "pressure, flow and loss terms at every point of the tree; run checks; what was 3-D"),
        Output("fields", "fields", "files for ParaView and a browser: the tree's lines, and a folder a part solved in 3-D"),
    ),
    parameters=(
        Parameter(
            "flow_model",
            default="lesion3d",
            help="reduced: everywhere; lesion3d: each lesion in 3-D inside the reduced tree; tree3d: the whole tree in 3-D",
            source="docs/coronary.md, Flow in three dimensions",
            choices=("reduced", "lesion3d", "tree3d"),
        ),
        Parameter(
            "flow_3d_minutes",
            default=15.0,
            help="time allowed for 3-D, reckoned on two cores before it begins; where it does not suffice reduced stands",
            source="own bound: a lesion of 0.2 million cells",
            unit="min",
            minimum=0,
            maximum=120,
        ),
        Parameter(
            "flow_3d_stenosis",
            default=0.4,
            help="diameter stenosis from which lesion3d solves a lesion in 3-D",
            source="Gulati et al., Circulation 144:e368 (2021): FFR-CT for stenoses of 40-90 %",
            unit="1",
            minimum=0.1,
            maximum=0.9,
        ),
        Parameter(
            "flow_device",
            default="cpu",
            help="where 3-D runs: cpu, or cuda where there is an accelerator",
            source="docs/coronary.md, Flow in three dimensions",
            choices=("cpu", "cuda"),
        ),
    ),
    resources=Resources(cpu=2, memory_gib=4, disk_gib=2, timeout_s=5 * 3600),
    resumes=True,
)

FFR = Stage(
    name="ffr",
    run="algorithms.coronary.ffr:run",
    version=2,
    help="Compute FFR along the tree and distal to every lesion, with intervals, bands and their probabilities.",
    source="Pijls et al., N Engl J Med 334:1703 (1996); Norgaard et al., Radiol Cardiothorac Imaging 1:e190050 (2019)",
    inputs=("tree", "boundary", "flow", "quality"),
    outputs=(Output("ffr", "ffr.json", "FFR at every point, per lesion and per vessel, with 95 % intervals and band odds"),),
    parameters=(
        Parameter(
            "interval_samples",
            200,
            "perturbed trees behind the interval; 0 gives no interval",
            "2.5 and 97.5 % quantiles",
            "1",
            0,
            5000,
        ),
        Parameter(
            "interval_seed",
            1,
            "seed of the random numbers behind the interval",
            "any number; kept so that a rerun is equal",
            "1",
            0,
            1_000_000,
        ),
        Parameter(
            "radius_bias_sd_mm",
            0.0,
            "spread of a radius error that the whole tree has in common; 0 takes half a CT voxel of diameter as its 95 % limit",
            "assumed: an edge lies somewhere in the voxel that it crosses (docs/coronary.md)",
            "mm",
            0.0,
            0.5,
        ),
    ),
    resources=Resources(cpu=1, memory_gib=1, timeout_s=900),
)

RENDER = Stage(
    name="render",
    run="algorithms.coronary.render:run",
    version=1,
    help="Draw the tree, the curved reformations, the pull-back graphs and the quality thumbnails.",
    source=(
        "Wang, Jüttler, Zheng, Liu, Computation of rotation minimizing frames, ACM Trans Graph 27:2 (2008), "
        "doi:10.1145/1330511.1330513; "
        "Schroeder, Martin, Lorensen, The Visualization Toolkit, 4th ed., Kitware (2006)"
    ),
    inputs=("volume", "heart", "tree", "ffr", "flow", "fields"),
    outputs=(Output("pictures", "pictures", "PNG and SVG files, with pictures.json naming them"),),
    parameters=(
        Parameter(
            "tree_pictures",
            default="solid",
            choices=("solid", "flat"),
            help="solid: the tree as shaded tubes where this machine can draw them; flat: always as bands",
            source="algorithms/coronary/pictures/tree.py",
        ),
    ),
    resources=Resources(cpu=1, memory_gib=2, timeout_s=900),
)

REPORT = Stage(
    name="report",
    run="algorithms.coronary.report:run",
    version=1,
    help="Write the answer: result.json, the HTML page and the PDF; also when a stage before it refused the case.",
    source=(
        "Cury et al., CAD-RADS 2.0 – 2022 Coronary Artery Disease-Reporting and Data System, "
        "J Cardiovasc Comput Tomogr 16:536 (2022), doi:10.1016/j.jcct.2022.07.002"
    ),
    inputs=("selection", "privacy", "quality", "volume", "anatomy", "tree", "boundary", "flow", "ffr", "pictures"),
    outputs=(
        Output("result", "result.json", "the case's answer, documented in docs/result.md"),
        Output("html", "report.html", "the report as one file"),
        Output("pdf", "report.pdf", "the report for print and archive"),
    ),
    always=True,
    resources=Resources(cpu=1, memory_gib=2, timeout_s=600),
)

EXCHANGE = Stage(
    name="exchange",
    run="algorithms.coronary.exchange:run",
    version=1,
    help="Write the answer for other systems: DICOM segmentation, measurements, document and pictures, and a FHIR bundle.",
    source="DICOM PS3.3 A.8.1, A.35.13, A.45.1, A.51; PS3.16 TID 1500; HL7 FHIR R4; docs/exchange.md",
    inputs=("dicom", "lumen", "pictures", "result", "pdf"),
    outputs=(
        Output("dicom_results", "dicom_results", "SEG, SR, encapsulated PDF and key pictures, with contents.json naming them"),
        Output("fhir", "fhir.json", "the answer as an HL7 FHIR R4 Bundle of type collection"),
    ),
    always=True,
    resources=Resources(cpu=1, memory_gib=3, timeout_s=900),
)

COMPARED = (
    # Above 0.80 no ischaemia (Nørgaard et al., Radiol Cardiothorac Imaging 1:e190050 (2019)); algorithms/coronary/ffr.py, band.
    Compared("FFR of each vessel", "vessels.ffr", subject=("vessel",), bounds=(0.80,)),
    # A narrowing is the same one within half of a typical lesion, 12 mm long; its number may be another.
    Compared(
        "FFR beyond each stenosis",
        "stenoses.ffr",
        subject=("segment_name", "label"),
        position="throat_mm",
        within_mm=6.0,
        bounds=(0.80,),
    ),
    # CAD-RADS 2.0: moderate from 50 %, severe from 70 % (doi:10.1016/j.jcct.2022.07.002).
    Compared(
        "Diameter stenosis",
        "stenoses.diameter_stenosis",
        subject=("segment_name", "label"),
        position="throat_mm",
        within_mm=6.0,
        bounds=(50, 70),
        bound_is="above",
        scale=100,
        digits=0,
        unit="%",
    ),
    Compared("CAD-RADS category", "cad_rads.category", order=("0", "1", "2", "3", "4A", "4B", "5")),
)

PIPELINE = Pipeline(
    name="coronary",
    title="FFR-CT from coronary CT angiography",
    help="A coronary CT angiography study becomes fractional flow reserve along every vessel.",
    accepts="a folder or zip file with one coronary CT angiography study (DICOM CT, 100-500 slices)",
    stages=(RECEIVE, DEIDENTIFY, VOLUME, ANATOMY, SEGMENT, CENTRELINE, BOUNDARY, FLOW, FFR, RENDER, REPORT, EXCHANGE),
    phantom="algorithms.phantom.coronary.command",
    truth="algorithms.coronary.truth:compare",
    compared=COMPARED,
    demo=(("flow_3d_minutes", 3.0),),
)
