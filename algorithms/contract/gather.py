"""The results of all items of a stage, put together into the one that later stages read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from algorithms.contract.manifest import Manifest, Measurement, written
from algorithms.contract.pipeline import Stage


def gathered(
    folder: Path, stage: Stage, parts: Mapping[str, tuple[Manifest, Path]], *, key: str, inputs: Mapping[str, str]
) -> Manifest:
    """Fill ``folder`` with each item's artefacts as one entry of a collection, and return its manifest, written beside them.

    Times add up; of measurements, counts add up and what all items agree on is kept.

    Raises
    ------
    DataError
        If an item's artefact is no longer what its run wrote.
    """
    for output in stage.outputs:
        (folder / output.path).mkdir(parents=True)
        for item, (manifest, place) in parts.items():
            source = manifest.output_path(output.name, place)
            target = folder / output.path / f"{item}{source.suffix}"
            _link(source, target)
    manifests = [manifest for manifest, _ in parts.values()]
    manifest = replace(
        manifests[0],
        key=key,
        inputs=inputs,
        outputs={o.name: written(folder, o.path, collection=True) for o in stage.outputs},
        measurements={"items": len(parts)} | _together([m.measurements for m in manifests]),
        seconds=round(sum(m.seconds for m in manifests), 3),
        cpu_seconds=round(sum(m.cpu_seconds for m in manifests), 3),
        peak_memory_mib=max(m.peak_memory_mib for m in manifests),
    )
    manifest.write(folder)
    return manifest


def _together(measurements: Iterable[Mapping[str, Measurement]]) -> dict[str, Measurement]:
    each = list(measurements)
    shared = [name for name in each[0] if all(name in other for other in each)]
    together: dict[str, Measurement] = {}
    for name in shared:
        values = [one[name] for one in each]
        if all(isinstance(value, int) for value in values):
            together[name] = sum(value for value in values if isinstance(value, int))
        elif len(set(values)) == 1:
            together[name] = values[0]
    return together


def _link(source: Path, target: Path) -> None:
    """Copy a file or folder by hard links: features of many slides need no second place on the disk."""
    copy = _link_or_copy
    if source.is_dir():
        shutil.copytree(source, target, copy_function=copy)
    else:
        copy(str(source), str(target))


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)
