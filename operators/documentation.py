"""What the web UI says of a pipeline, its stages and its parameters; all of it from the declarations."""

from __future__ import annotations

import re
from collections.abc import Iterable

from algorithms.contract.pipeline import Output, Parameter, Pipeline, Stage

ARCHIVE = """\
Encrypts the originals of the case under a key of its own and puts them into the object store, before any stage reads them.
`python -m operators.retention restore` reads them back; `shred` destroys the key.
"""
"""What the task that archives originals says of itself."""

PUBLISH = """\
Puts the report and the artefacts into the object store and the case's rows into the results database.
It can be repeated: what is there already stays as it is.
It runs for a refused or failed case too, with the report that says why.
"""

ITEMS = "Names the items over which the next stage runs, such as slides, so that each becomes a task of its own."

COMPLETE = "Green when every task before it succeeded. It gives the run its colour, because `publish` runs after a failure too."

FAILURES = """\
### When a task is red

- `DataError` in its log: the site or the physician acts; the report says what was found and what to send. It fails at once.
- `TransientError`, for want of disk, network or memory: nobody acts; it is tried again, later and later.
- `StageBug`: a developer acts, with the traceback in the log. It fails at once.

The report is written in each case. Clearing a failed task runs it again; what is done already is not computed twice.
"""

ABBREVIATIONS = {"ct": "CT", "ffr": "FFR", "hu": "HU", "lv": "LV"}
"""Words of parameter names that are not written in small letters."""


def of_pipeline(pipeline: Pipeline) -> str:
    """Return the DAG's page: what it answers, what it takes, its stages, what to do with a red one."""
    stages = [f"{number}. **{stage.name}**: {stage.help}" for number, stage in enumerate(pipeline.stages, start=1)]
    return "\n".join(
        [
            f"# {pipeline.title}",
            "",
            pipeline.help,
            f"It takes {pipeline.accepts}.",
            "For research use only.",
            "",
            f"Make a case with `python -m algorithms {pipeline.name} receive STUDY`; trigger this DAG with the id it prints.",
            "",
            "### Stages",
            "",
            *stages,
            "",
            FAILURES,
        ]
    )


def of_stage(stage: Stage) -> str:
    """Return a task's page: what it does, on what it rests, what it reads and writes, what can be set."""
    lines = [stage.help, ""]
    if stage.source:
        lines += [f"Source: {stage.source}.", ""]
    lines += [f"Reads {_names(stage.inputs)}.", "", "Writes:", "", *(_output(o) for o in stage.outputs)]
    if stage.parameters:
        lines += ["", "| parameter | default | bounds | what it is | source |", "|---|---|---|---|---|"]
        lines += [
            f"| `{p.name}` | {p.default} {_unit(p)} | {bounds_of(p)} | {_cell(p.help)} | {_cell(p.source)} |"
            for p in stage.parameters
        ]
    need = stage.resources
    gpu = f"{need.gpu} GPU, " if need.gpu else ""
    size = f"{need.cpu:g} CPU, {gpu}{need.memory_gib:g} GiB memory, {need.disk_gib:g} GiB disk"
    lines += ["", f"Declared need: {size}, at most {need.timeout_s / 60:g} min."]
    return "\n".join(lines)


def of_parameter(parameter: Parameter) -> str:
    """Return the help below a field of the trigger form."""
    help = parameter.help.rstrip(".")
    limits = bounds_of(parameter)
    return (
        f"{help[:1].upper()}{help[1:]}."
        + (f" Bounds: {limits}." if limits else "")
        + f" Source: {parameter.source.rstrip('.')}."
    )


def title_of(parameter: Parameter) -> str:
    """Return a field's name in words with its unit: ``aortic_pressure_mmhg`` is "Aortic pressure (mmHg)"."""
    unit = _unit(parameter)
    slug = re.sub(r"[^a-z0-9]+", "_", unit.lower()).strip("_")
    words = parameter.name.removesuffix(f"_{slug}") if slug else parameter.name
    title = " ".join(ABBREVIATIONS.get(word, word) for word in words.split("_"))
    return f"{title[:1].upper()}{title[1:]}" + (f" ({unit})" if unit else "")


def section_of(stage: Stage) -> str:
    """Return the heading under which a stage's parameters stand in the trigger form."""
    return f"{stage.name}: {stage.help.rstrip('.')}"


def bounds_of(parameter: Parameter) -> str:
    """Return the bounds as text, empty where there are none."""
    if parameter.choices:
        return ", ".join(parameter.choices)
    if parameter.minimum is None and parameter.maximum is None:
        return ""
    low = "" if parameter.minimum is None else f"{parameter.minimum:g}"
    high = "" if parameter.maximum is None else f"{parameter.maximum:g}"
    text = f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
    return f"{text} {_unit(parameter)}".rstrip()


def _unit(parameter: Parameter) -> str:
    return "" if parameter.unit == "1" else parameter.unit


def _output(output: Output) -> str:
    return f"- `{output.path}`: {output.help}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
