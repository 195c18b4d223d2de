"""The prostate pipeline: biopsy slides and clinical variables to a risk with a treatment suggestion.  Imports nothing heavy."""

from __future__ import annotations

from algorithms.contract.pipeline import Compared, Output, Parameter, Pipeline, Resources, Stage, names_in

RECEIVE = Stage(
    name="receive",
    run="algorithms.prostate.receive:run",
    version=1,
    help="Tell slides from other files, say why a slide cannot be used, and find the clinical variables.",
    source="TIFF 6.0 and BigTIFF; Goode et al., J Pathol Inform 4:27 (2013), doi:10.4103/2153-3539.119005, for the formats",
    inputs=("study", "secret"),
    outputs=(
        Output("selection", "selection.json", "every file received: a slide with its facts, or why it cannot be used"),
        Output("declared", "declared.json", "the valid clinical variables of clinical.json, and nothing else of it"),
    ),
    resources=Resources(cpu=1, memory_gib=1, timeout_s=1800),
)

DEIDENTIFY = Stage(
    name="deidentify",
    run="algorithms.prostate.deidentify:run",
    version=1,
    help="Copy the encoded tiles of each slide into a new file without label, macro or text; delete the originals.",
    source="Bisson et al., Digital Health 9 (2023), doi:10.1177/20552076231171475, for what slide files carry; docs/privacy.md",
    inputs=("study", "selection", "secret"),
    outputs=(
        Output("slides", "slides", "one de-identified tiled TIFF a slide", collection=True),
        Output("privacy", "privacy.json", "what was kept and dropped of each slide, and the scan of the result; never a value"),
    ),
    consumes=("study",),
    resources=Resources(cpu=1, memory_gib=2, disk_gib=200, timeout_s=7200),
)

CLINICAL = Stage(
    name="clinical",
    run="algorithms.prostate.clinical:run",
    version=1,
    help="Gather the clinical variables; compute the ISUP grade group and the NCCN risk group by rule.",
    source="Epstein et al., Am J Surg Pathol 40:244 (2016), doi:10.1097/PAS.0000000000000530, for grade groups; "
    "NCCN Guidelines Prostate Cancer, Version 6.2026, for risk groups",
    inputs=("declared",),
    outputs=(Output("clinical", "clinical.json", "each variable with its origin, grade group, NCCN group with its reasons"),),
    parameters=(
        Parameter(
            "age_years",
            default=0,
            help="age at biopsy, at least 18; 90 stands for 90 or older; 0 means as in clinical.json",
            source="ages over 89 identify: 45 CFR 164.514(b)(2)(i)(C)",
            unit="years",
            minimum=0,
            maximum=90,
        ),
        Parameter(
            "psa_ng_ml",
            default=0.0,
            help="last PSA before biopsy and any treatment, at least 0.1; 0 means as in clinical.json",
            source="laboratory; own bounds",
            unit="ng/ml",
            minimum=0.0,
            maximum=1000.0,
        ),
        Parameter(
            "gleason_primary",
            default=0,
            help="primary Gleason pattern of the biopsy, 3 to 5; 0 means as in clinical.json",
            source="pathology report; Epstein et al., Am J Surg Pathol 40:244 (2016)",
            unit="1",
            minimum=0,
            maximum=5,
        ),
        Parameter(
            "gleason_secondary",
            default=0,
            help="secondary Gleason pattern of the biopsy, 3 to 5; 0 means as in clinical.json",
            source="pathology report; Epstein et al., Am J Surg Pathol 40:244 (2016)",
            unit="1",
            minimum=0,
            maximum=5,
        ),
        Parameter(
            "t_stage",
            default="as in clinical.json",
            help="clinical T stage; one without its letter leaves the subcategories open",
            source="AJCC Cancer Staging Manual, 8th edition (2017), chapter 58",
            choices=(
                *("as in clinical.json", "T1", "T1a", "T1b", "T1c", "T2", "T2a", "T2b", "T2c"),
                *("T3", "T3a", "T3b", "T4"),
            ),
        ),
        Parameter(
            "percent_positive_cores",
            default=0.0,
            help="100 times the biopsy cores with cancer over all cores taken, at least 1.5; 0 means as in clinical.json",
            source="pathology report; own bounds",
            unit="%",
            minimum=0.0,
            maximum=100.0,
        ),
    ),
    reads=("algorithms/prostate/rules/nccn.toml",),
    resources=Resources(cpu=1, memory_gib=1, timeout_s=300),
)

TISSUE = Stage(
    name="tissue",
    run="algorithms.prostate.tissue:run",
    version=1,
    help="Judge each slide: scale, tissue, pen marks, focus, folds; refuse those that cannot be answered.",
    source="Otsu, IEEE Trans Syst Man Cybern 9:62 (1979); docs/prostate.md, Tissue and quality",
    inputs=("slides",),
    outputs=(
        Output("tissue", "tissue", "a slide's thumbnail.png and mask.png", collection=True),
        Output("quality", "quality.json", "facts, measures and verdict of each slide"),
    ),
    parameters=(
        Parameter(
            "mpp",
            default=0.0,
            help="um per pixel of slides whose file states none that can be true; 0 refuses such slides",
            source="algorithms/slide/tissue/verdict.py, MPP_RANGE",
            unit="um",
            minimum=0,
            maximum=1.1,
        ),
        Parameter(
            "overview_um",
            default=8.0,
            help="side of a pixel of the overview on which tissue is found",
            source="GrandQC finds tissue at 10 um (doi:10.1038/s41467-024-54769-y); a needle core is 100 such pixels wide",
            unit="um",
            minimum=4,
            maximum=32,
        ),
        Parameter(
            "speck_least_mm2",
            default=0.02,
            help="area below which a stained speck is not tissue",
            source="own bound: a fragment of 0.16 mm, the size of one tile",
            unit="mm2",
            minimum=0.001,
            maximum=1,
        ),
        Parameter(
            "hole_most_mm2",
            default=0.02,
            help="area up to which a hole in the tissue is lumen or fat and belongs to it",
            source="the circle around a tile of 112 um: no tile that is taken can be glass alone",
            unit="mm2",
            minimum=0,
            maximum=1,
        ),
        Parameter(
            "tissue_least_mm2",
            default=0.25,
            help="area of tissue below which a slide cannot be answered",
            source="own bound: 20 tiles of 112 um; one needle core has 5 mm2 or more",
            unit="mm2",
            minimum=0.01,
            maximum=100,
        ),
        Parameter(
            "blur_most_um",
            default=1.5,
            help="blur, as the sigma of a Gaussian, above which tissue counts as out of focus",
            source="own bound: chromatin and nucleoli of 1-2 um are gone; docs/prostate.md, Tissue and quality",
            unit="um",
            minimum=0.5,
            maximum=6,
        ),
        Parameter(
            "slide_blurred_most",
            default=0.5,
            help="part of the tissue out of focus above which a slide is refused",
            source="own bound: most of the tissue must be judged",
            unit="1",
            minimum=0,
            maximum=1,
        ),
    ),
    resources=Resources(cpu=1, memory_gib=2, timeout_s=3600),
)

TILES = Stage(
    name="tiles",
    run="algorithms.prostate.tiles:run",
    version=1,
    help="Lay a grid of tiles over the tissue of each slide, by its microns per pixel.",
    source="docs/prostate.md, Tiles",
    inputs=("tissue", "quality"),
    outputs=(
        Output("tiles", "tiles", "one Parquet table of tile positions a slide", collection=True),
        Output("grid", "tiles.json", "the grid of each slide and how many of its tiles were taken"),
    ),
    parameters=(
        Parameter(
            "tile_px",
            default=224,
            help="side of a tile in pixels of the encoder's input",
            source="Dosovitskiy et al., ICLR 2021, arXiv:2010.11929; used by UNI, Virchow2 and H-optimus",
            unit="1",
            minimum=32,
            maximum=1024,
        ),
        Parameter(
            "tile_mpp",
            default=0.5,
            help="um per pixel of the encoder's input",
            source="20x, at which pathology encoders are trained (UNI, Nat Med 30:850 (2024))",
            unit="um",
            minimum=0.2,
            maximum=4,
        ),
        Parameter(
            "tissue_least",
            default=0.5,
            help="part of a tile that must be tissue",
            source="own bound: less is mostly glass",
            unit="1",
            minimum=0.01,
            maximum=1,
        ),
        Parameter(
            "pen_most", default=0.1, help="part of a tile that may be pen", source="own bound", unit="1", minimum=0, maximum=1
        ),
        Parameter(
            "blurred_most",
            default=0.5,
            help="part of a tile that may be out of focus",
            source="own bound: the focus is known per cell of 256 um, two tiles wide",
            unit="1",
            minimum=0,
            maximum=1,
        ),
        Parameter(
            "fold_most",
            default=0.25,
            help="part of a tile that may be folded",
            source="own bound",
            unit="1",
            minimum=0,
            maximum=1,
        ),
    ),
    resources=Resources(cpu=1, memory_gib=2, timeout_s=1800),
)

ENCODE = Stage(
    name="encode",
    run="algorithms.prostate.encode:run",
    version=1,
    help="Turn each tile of a slide into a vector with a foundation model.",
    source="Dosovitskiy et al., ICLR 2021, arXiv:2010.11929",
    inputs=("slides", "tiles"),
    outputs=(
        Output("features", "features", "float16 shards of 4096 tiles with features.json, one folder a slide", collection=True),
    ),
    parameters=(
        Parameter(
            "encoder",
            default="heartwood-small",
            help="which encoder, by the name of its description",
            source="algorithms/slide/encoders",
            choices=names_in("algorithms/slide/encoders", ".toml"),
        ),
        Parameter(
            "precision",
            default="float32",
            help="numbers inside the encoder: float32 is reproducible; bfloat16 halves memory, is faster where hardware has it",
            source="docs/prostate.md, Encoder",
            choices=("float32", "bfloat16"),
        ),
        Parameter(
            "tiles_at_once",
            default=16,
            help="tiles of one pass through the encoder; raise it on a GPU; another number changes embeddings by rounding",
            source="benchmarks; docs/prostate.md, Encoder",
            unit="1",
            minimum=1,
            maximum=1024,
        ),
    ),
    each=("slides", "tiles"),
    resumes=True,
    reads=("algorithms/slide/encoders/{encoder}.toml",),
    resources=Resources(cpu=2, memory_gib=4, timeout_s=6 * 3600),
)

AGGREGATE = Stage(
    name="aggregate",
    run="algorithms.prostate.aggregate:run",
    version=1,
    help="Pool all tiles of all slides by attention, join the clinical variables, and give risks with intervals.",
    source="Ilse, Tomczak, Welling, ICML 2018, arXiv:1802.04712; Cox, J R Stat Soc B 34:187 (1972); docs/prostate.md, Risk",
    inputs=("features", "clinical"),
    outputs=(
        Output("risk", "risk.json", "risks at 5 and 10 years with 95 % intervals, curves, percentile in the NCCN group"),
        Output("attention", "attention", "each tile's attention, one float32 array a slide", collection=True),
    ),
    parameters=(
        Parameter(
            "risk_model",
            default="synthetic",
            help="which risk model, by the name of its description",
            source="algorithms/prostate/models",
            choices=names_in("algorithms/prostate/models", ".toml"),
        ),
    ),
    reads=("algorithms/prostate/models/{risk_model}.toml",),
    resources=Resources(cpu=1, memory_gib=2, timeout_s=1800),
)

RECOMMEND = Stage(
    name="recommend",
    run="algorithms.prostate.recommend:run",
    version=1,
    help="Suggest what to consider and discuss, by rule, with the evidence for it.",
    source="NCCN Guidelines Prostate Cancer, Version 6.2026; Spratt et al., NEJM Evid 2 (2023), "
    "doi:10.1056/EVIDoa2300023, for the ADT biomarker",
    inputs=("clinical", "risk"),
    outputs=(Output("recommendation", "recommendation.json", "suggestions, each with its rule and evidence"),),
    reads=("algorithms/prostate/rules/treatment.toml",),
    resources=Resources(cpu=1, memory_gib=1, timeout_s=300),
)

RENDER = Stage(
    name="render",
    run="algorithms.prostate.render:run",
    version=1,
    help="Draw slides, tissue, attention, the most attended tiles and the incidence curves.",
    source="docs/prostate.md, Report",
    inputs=("slides", "tissue", "quality", "tiles", "attention", "risk"),
    outputs=(Output("pictures", "pictures", "JPEG and SVG files, with pictures.json naming them"),),
    resources=Resources(cpu=1, memory_gib=2, timeout_s=1800),
)

REPORT = Stage(
    name="report",
    run="algorithms.prostate.report:run",
    version=1,
    help="Write the answer: result.json, the HTML page and the PDF; also when a stage before it refused the case.",
    source="docs/result.md",
    inputs=(
        "selection",
        "declared",
        "privacy",
        "slides",
        "quality",
        "tissue",
        "grid",
        "clinical",
        "features",
        "risk",
        "recommendation",
        "pictures",
    ),
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
    run="algorithms.prostate.exchange:run",
    version=1,
    help="Write the answer for other systems: attention maps as GeoJSON for slide viewers, and a FHIR bundle of the risks.",
    source="RFC 7946 (GeoJSON); HL7 FHIR R4; docs/exchange.md",
    inputs=("tiles", "attention", "result"),
    outputs=(
        Output("annotations", "annotations", "a GeoJSON file a slide with the attention of its tiles, and contents.json"),
        Output("fhir", "fhir.json", "the answer as an HL7 FHIR R4 Bundle of type collection"),
    ),
    always=True,
    resources=Resources(cpu=1, memory_gib=2, timeout_s=600),
)

COMPARED = (
    Compared("Risk", "risks.risk", subject=("label",), apart=True, scale=100, digits=1, unit="%"),
    Compared("Risk group", "risk_group", order=("low", "intermediate", "high")),
    # Names of algorithms/prostate/rules/nccn.toml.
    Compared(
        "NCCN group",
        "nccn.group",
        order=("low", "favorable intermediate", "unfavorable intermediate", "high", "very high"),
    ),
)

PIPELINE = Pipeline(
    name="prostate",
    title="Risk from prostate biopsy slides",
    help="Prostate biopsy slides and clinical variables become a risk with a treatment suggestion.",
    accepts="a folder or zip file with one patient's biopsy slides (tiled TIFF such as Aperio SVS), clinical.json if wanted",
    stages=(RECEIVE, DEIDENTIFY, CLINICAL, TISSUE, TILES, ENCODE, AGGREGATE, RECOMMEND, RENDER, REPORT, EXCHANGE),
    phantom="algorithms.phantom.biopsy.command",
    truth="algorithms.prostate.truth:compare",
    compared=COMPARED,
)
