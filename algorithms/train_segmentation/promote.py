"""Make a trained model the one that cases use, if it is not worse than the one they use now.

    python -m algorithms.train_segmentation.promote --case DIR [--set NAME=VALUE ...]

The model in use is judged on the very studies that were held back from the new one, and with today's code.  The default of a
task is the entry that is called like it.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from algorithms.contract.case import Case
from algorithms.contract.draft import draft
from algorithms.contract.errors import DataError
from algorithms.contract.pipeline import Value
from algorithms.contract.record import states
from algorithms.contract.shell import exit_code, log_to_stderr
from algorithms.segmentation.entry import ENTRY, MODELS, read_entry, write_entry
from algorithms.segmentation.segmenter import load
from algorithms.segmentation.weights import verified
from algorithms.train_segmentation.evaluate import PRECISION, all_figures
from algorithms.train_segmentation.judgement import means, worse
from algorithms.train_segmentation.pipeline import PIPELINE
from algorithms.train_segmentation.sample import read_samples
from algorithms.train_segmentation.tasks import TASKS

log = logging.getLogger(__name__)

TOLD = 3
"""Most figures that a refusal names."""


@dataclass(frozen=True)
class Trained:
    """The artefacts of a finished training: folders ``entry`` and ``samples``."""

    entry: Path
    samples: Path


def trained(case: Case, given: Mapping[str, Value]) -> Trained:
    """Return what a case has come to with these parameters; raises `DataError` where it is not finished."""
    paths: dict[str, Path] = {}
    for state in states(PIPELINE, case, dict(given), stub=False).values():
        if state.manifest is not None and state.folder is not None:
            paths |= {name: state.manifest.output_path(name, state.folder) for name in state.manifest.outputs}
    if not {"entry", "samples"} <= set(paths):
        raise DataError("this training has no entry with these parameters; run the pipeline with the same --set first")
    return Trained(paths["entry"], paths["samples"])


def promote(found: Trained, models: Path = MODELS) -> str | None:
    """Put the entry in the place of the default of its task, and return the sha256 of the weights that it replaced.

    Raises
    ------
    DataError
        If it is worse than the default on the studies that were held back, or does not answer with the same channels.
    """
    new = read_entry(found.entry.name, found.entry.parent)
    verified(new, found.entry.parent)
    task = TASKS[new.task]
    replaced = None
    if (models / task.name / ENTRY).is_file():
        old = load(task.name, precision=PRECISION, models=models)
        replaced = old.entry.sha256
        if lacking := sorted(set(old.entry.channels) - set(new.channels) - {""}):
            raise DataError(f"the new model does not answer with {', '.join(lacking)}, which the default does")
        before = means(all_figures(old, read_samples(found.samples, held_back=True), task))
        if faults := worse(dict(new.record["figures"]), before):
            raise DataError(f"{len(faults)} figures are worse than the default's, as {'; '.join(faults[:TOLD])}; train longer")
    models.mkdir(parents=True, exist_ok=True)
    with draft(models) as scratch:
        fresh = scratch / "fresh"
        shutil.copytree(found.entry, fresh)
        lineage = {**new.record, "replaced_sha256": replaced}
        write_entry(replace(new, name=task.name, record=lineage), fresh)
        if (models / task.name).exists():
            (models / task.name).rename(scratch / "old")
        fresh.rename(models / task.name)
    log.info("%s is now the model of weights %s", task.name, new.sha256[:12])
    return replaced


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser("python -m algorithms.train_segmentation.promote", description=__doc__.partition("\n")[0])
    parser.add_argument("--case", type=Path, required=True, metavar="DIR", help="the case folder of the training")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="the parameters of the training")
    parser.add_argument("--models", type=Path, default=MODELS, metavar="DIR", help="the registry (default: the project's)")
    given = parser.parse_args(arguments)
    log_to_stderr()

    def command() -> int:
        settings = PIPELINE.parse(dict(text.partition("=")[::2] for text in given.set))
        found = trained(Case.read(given.case), settings)
        replaced = promote(found, given.models)
        sys.stdout.write(json.dumps({"models": str(given.models), "replaced_sha256": replaced}) + "\n")
        return 0

    return exit_code(command, log)


if __name__ == "__main__":
    sys.exit(main())
