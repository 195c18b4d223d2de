"""The training pipeline: a data set becomes a model, judged on studies that it has not seen.  Imports nothing heavy."""

from __future__ import annotations

from algorithms.contract.pipeline import Compared, Output, Parameter, Pipeline, Resources, Stage, names_in

RECEIVE = Stage(
    name="receive",
    run="algorithms.train_segmentation.receive:run",
    version=2,
    help="Say which studies there are, phantoms and labelled ones, and which of them are held back.",
    source="docs/training.md",
    inputs=("study",),
    outputs=(
        Output("recipes", "recipes", "how to make each sample, one file a study", collection=True),
        Output("data", "data.json", "the data set as the model's card tells it"),
    ),
    parameters=(
        Parameter(
            "network",
            default="fine",
            help="which network: coarse sees the whole heart at 2 mm, fine the vessels at 0.5 mm",
            source="algorithms/train_segmentation/tasks.py",
            choices=("coarse", "fine"),
        ),
        Parameter(
            "phantoms",
            default=24,
            help="phantoms to learn from",
            source="own choice: what two cores make and learn overnight",
            unit="1",
            minimum=0,
            maximum=10_000,
        ),
        Parameter(
            "phantoms_held_back",
            default=6,
            help="phantoms after them that are judged on and never learnt from",
            source="own choice: two of each difficulty",
            unit="1",
            minimum=0,
            maximum=1000,
        ),
        Parameter(
            "first_phantom",
            default=100_000,
            help="seed of the first phantom; the next ones follow it",
            source="far from the seeds of tests and benchmarks, which are below 100000",
            unit="1",
            minimum=100_000,
            maximum=1_000_000_000,
        ),
        Parameter(
            "begin_with",
            default="",
            help="model of the registry whose weights the training begins with; empty: with random ones",
            source="docs/training.md, A second training",
            choices=("", *names_in("algorithms/segmentation/models", "/entry.json")),
        ),
    ),
    reads=("algorithms/segmentation/models/{begin_with}/entry.json",),
    resources=Resources(cpu=1, memory_gib=1, timeout_s=1800),
)

PREPARE = Stage(
    name="prepare",
    run="algorithms.train_segmentation.prepare:run",
    version=2,
    help="Make each phantom, or read each labelled study, and bring it to the network's spacing.",
    source="docs/coronary.md, Phantom; docs/training.md",
    inputs=("study", "recipes"),
    outputs=(
        Output("samples", "samples", "intensities and targets at the network's spacing, a folder a study", collection=True),
    ),
    each=("recipes",),
    resources=Resources(cpu=1, memory_gib=4, disk_gib=20, timeout_s=1800),
)

TRAIN = Stage(
    name="train",
    run="algorithms.train_segmentation.train:run",
    version=5,
    help="Teach the network, from the last checkpoint on where there is one.",
    source="Çiçek et al., MICCAI 2016, arXiv:1606.06650; Milletari et al., 3DV 2016, arXiv:1606.04797; "
    "Loshchilov and Hutter, ICLR 2019, arXiv:1711.05101",
    inputs=("samples", "data"),
    outputs=(
        Output("weights", "weights.safetensors", "the mean weights, float16"),
        Output("losses", "losses.json", "the loss of every step"),
    ),
    parameters=(
        Parameter(
            "steps", default=3000, help="steps of the training", source="own choice", unit="1", minimum=1, maximum=1_000_000
        ),
        Parameter(
            "lessons_at_once",
            default=2,
            help="blocks of one step; a multiple of the processes",
            source="Isensee et al., Nat Methods 18:203 (2021)",
            unit="1",
            minimum=1,
            maximum=256,
        ),
        Parameter(
            "learning_rate",
            default=2e-3,
            help="greatest learning rate; it rises over the first steps and falls as a cosine",
            source="own choice",
            unit="1",
            minimum=1e-6,
            maximum=1,
        ),
        Parameter(
            "training_seed",
            default=1,
            help="of the first weights and of every lesson",
            source="any number; kept so that a rerun is equal",
            unit="1",
            minimum=0,
            maximum=1_000_000_000,
        ),
        Parameter(
            "training_precision",
            default="float32",
            help="numbers inside the network: bfloat16 is faster where hardware has it",
            source="docs/training.md",
            choices=("float32", "bfloat16"),
        ),
        Parameter(
            "processes",
            default=1,
            help="processes on this machine that share each step, one a GPU where there are GPUs",
            source="docs/training.md",
            unit="1",
            minimum=1,
            maximum=64,
        ),
    ),
    resumes=True,
    resources=Resources(cpu=2, memory_gib=6, timeout_s=20 * 3600),
)

EVALUATE = Stage(
    name="evaluate",
    run="algorithms.train_segmentation.evaluate:run",
    version=2,
    help="Judge the network on the studies that were held back, and draw where it is most wrong.",
    source="Taha and Hanbury, BMC Med Imaging 15:29 (2015); Shit et al., CVPR 2021, arXiv:2003.07311",
    inputs=("samples", "weights"),
    outputs=(
        Output(
            "evaluation", "evaluation.json", "overlap, surface distance and centrelines of each structure, worst study first"
        ),
        Output("case_pictures", "pictures", "a PNG a held-back study"),
    ),
    resources=Resources(cpu=2, memory_gib=6, timeout_s=4 * 3600),
)

REGISTER = Stage(
    name="register",
    run="algorithms.train_segmentation.register:run",
    version=1,
    help="Write the model as an entry of the registry with its card; it is not in use before it is promoted.",
    source="Mitchell et al., Model cards for model reporting, FAT* 2019, doi:10.1145/3287560.3287596",
    inputs=("data", "samples", "weights", "evaluation"),
    outputs=(Output("entry", "entry", "entry.json, weights.safetensors, card.md"),),
    resources=Resources(cpu=1, memory_gib=1, timeout_s=600),
)

REPORT = Stage(
    name="report",
    run="algorithms.train_segmentation.report:run",
    version=1,
    help="Write the answer: result.json, the HTML page and the PDF; also when a stage before it refused the data.",
    source="docs/result.md",
    inputs=("data", "losses", "evaluation", "case_pictures", "entry"),
    outputs=(
        Output("result", "result.json", "the training's answer, documented in docs/result.md"),
        Output("html", "report.html", "the report as one file"),
        Output("pdf", "report.pdf", "the report for print and archive"),
    ),
    always=True,
    resources=Resources(cpu=1, memory_gib=2, timeout_s=600),
)

COMPARED = (
    Compared("Dice", "structures.dice", subject=("label",), apart=True, digits=3),
    Compared("95 % surface distance", "structures.hd95_mm", subject=("label",), apart=True, unit="mm"),
)

PIPELINE = Pipeline(
    name="train_segmentation",
    title="Training of a segmentation network",
    help="A data set of phantoms and labelled studies becomes a model in the registry, judged on studies that it has not seen.",
    accepts="a data set: a folder with dataset.toml and the labelled studies that it names",
    stages=(RECEIVE, PREPARE, TRAIN, EVALUATE, REGISTER, REPORT),
    compared=COMPARED,
    unattended=False,  # hours of training that nobody asked for
)
