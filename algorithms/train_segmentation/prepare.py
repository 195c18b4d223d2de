"""The stage ``prepare``: one study as a sample at the network's spacing, a phantom made now or a labelled study that came."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.phantom.coronary.phantom import coronary_phantom
from algorithms.train_segmentation.dicom_study import read_dicom
from algorithms.train_segmentation.sample import write_sample
from algorithms.train_segmentation.targets import Study, phantom_study, targets
from algorithms.train_segmentation.tasks import OSTIA, TASKS

log = logging.getLogger(__name__)

GZIP = b"\x1f\x8b"

SAME_MM = 1e-3
"""Image and labels lie on one grid if origins and spacings differ by less."""


def run(inputs: Mapping[str, Path], out: Path) -> dict[str, float | int | str]:
    """Write the sample of one recipe."""
    recipe = json.loads(inputs["recipes"].read_text())
    task = TASKS[recipe["task"]]
    if recipe["kind"] == "phantom":
        study = phantom_study(coronary_phantom(recipe["seed"], task.phantom_size, recipe["difficulty"]))
    elif recipe["kind"] == "dicom":
        hu, masks, places, grid = read_dicom(inputs["study"], recipe["images"], recipe["labels"], recipe["meaning"])
        study = Study(hu, masks, places, grid.spacing_mm, grid.origin_mm)
    else:
        study = labelled_study(inputs["study"] / recipe["image"], inputs["study"] / recipe["labels"], recipe["meaning"])
    image, made, facts = targets(study, task)
    if not any(facts["known"]):
        raise DataError(f"no label of this study teaches the network {task.name}; label some of {', '.join(task.channels)}")
    if task.input.blood_hu is not None and facts["blood_hu"] is None:
        raise DataError(f"the network {task.name} must know how bright blood is; label the aorta or the lumen in this study")
    named = {"name": recipe["name"], "task": task.name, "held_back": recipe["held_back"]}
    write_sample(out / "samples", image, made, named | facts | {"source": recipe})
    log.info("prepared %d x %d x %d voxels, %d channels known", *image.shape, sum(facts["known"]))
    return {"voxels": int(image.size)}


def labelled_study(image: Path, labels: Path, meaning: Mapping[str, str]) -> Study:
    """Return a study from two NIfTI files; ``meaning`` names each number of the labels.

    Raises
    ------
    DataError
        If they cannot be read, lie on different grids, or their axes are not the patient's.
    """
    hu, spacing, origin = read_nifti(image)
    numbers, *place = read_nifti(labels)
    if hu.shape != numbers.shape or not np.allclose([*spacing, *origin], [*place[0], *place[1]], atol=SAME_MM):
        raise DataError("image and labels of a study lie on different grids; resample the labels onto the image")
    shares = {name: numbers == int(value) for value, name in meaning.items() if name not in OSTIA}
    places = {}
    for value, name in meaning.items():
        found = np.argwhere(numbers == int(value)) if name in OSTIA else np.empty((0, 3))
        if len(found):
            places[name] = (found.mean(axis=0) * spacing)[::-1] + origin
    return Study(hu, shares, places, spacing, origin)


def read_nifti(path: Path) -> tuple[np.ndarray, tuple[float, float, float], tuple[float, float, float]]:
    """Return values (Z, Y, X), spacing (z, y, x) mm and origin LPS mm of a NIfTI file, turned to LPS axes."""
    import SimpleITK

    with path.open("rb") as file:
        suffix = ".nii.gz" if file.read(len(GZIP)) == GZIP else ".nii"
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder) / f"volume{suffix}"  # SimpleITK believes in suffixes, and names are dropped at the door
        named.symlink_to(path.resolve())
        try:
            image: Any = SimpleITK.DICOMOrient(SimpleITK.ReadImage(str(named)), "LPS")
        except RuntimeError as error:
            raise DataError("a volume of the data set is no readable NIfTI file; export it again") from error
    if image.GetDimension() != 3 or np.abs(np.reshape(image.GetDirection(), (3, 3)) - np.eye(3)).max() > SAME_MM:
        raise DataError("a volume of the data set is oblique or not three-dimensional; resample it onto the patient's axes")
    x, y, z = image.GetSpacing()
    return SimpleITK.GetArrayFromImage(image), (z, y, x), image.GetOrigin()
