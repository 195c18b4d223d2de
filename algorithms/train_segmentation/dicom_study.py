"""A labelled study in DICOM: a Segmentation object and the CT series that it refers to.

Arrays are (Z, Y, X) in the patient's axes; spacing is mm in that order; points are LPS mm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.dicom.confinement import Confinement
from algorithms.dicom.geometry import Grid
from algorithms.dicom.headers import Header, read_folder, read_named
from algorithms.dicom.hounsfield import read_hounsfield, series_grid
from algorithms.dicom.results.origin import quiet_library
from algorithms.train_segmentation.tasks import OSTIA

SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"
"""Segmentation Storage (DICOM PS3.4 B.5)."""

Places = dict[str, np.ndarray]


def images_by_series(folder: Path) -> dict[str, list[str]]:
    """Return the names of the CT images in ``folder`` by their SeriesInstanceUID."""
    found: dict[str, list[str]] = {}
    for header in read_folder(folder).headers:
        if header.text("Modality") == "CT":
            found.setdefault(header.text("SeriesInstanceUID"), []).append(header.file)
    return found


def referenced_images(segmentation: Path, images: Mapping[str, list[str]]) -> list[str]:
    """Return the names of the images that a Segmentation is of; raises `DataError` where they did not come."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        dataset = dcmread(segmentation, stop_before_pixels=True)
    except InvalidDicomError:
        raise DataError("a segmentation of the data set is no DICOM file; export it again") from None
    if str(dataset.get("SOPClassUID", "")) != SEGMENTATION_STORAGE:
        raise DataError("a file that dataset.toml calls a segmentation is another kind of DICOM object; mend dataset.toml")
    for series in dataset.get("ReferencedSeriesSequence", ()):
        if names := images.get(str(series.get("SeriesInstanceUID", ""))):
            return names
    raise DataError("the CT series of a segmentation did not come; put it into the folder of the data set")


def read_dicom(
    folder: Path, images: Sequence[str], segmentation: str, meaning: Mapping[str, str]
) -> tuple[np.ndarray, dict[str, np.ndarray], Places, Grid]:
    """Return Hounsfield units, a mask of each label, places, and the grid of a study.

    ``meaning`` names the label of each SegmentLabel.  A label that the study lacks is not known.

    Raises
    ------
    DataError
        If the images are no volume, or the Segmentation is not of them.
    """
    with Confinement() as confinement:
        headers = read_named(confinement, folder, images)
    grid = series_grid(headers)
    hu = read_hounsfield(folder, headers, grid)
    masks: dict[str, np.ndarray] = {}
    for name, mask in segments(folder / segmentation, headers, grid).items():
        if name in meaning:
            label = meaning[name]
            masks[label] = masks[label] | mask if label in masks else mask
    places = {}
    for label in OSTIA:
        found = np.argwhere(masks.pop(label, np.zeros((0, 0, 0), bool)))
        if len(found):
            places[label] = (found.mean(axis=0) * grid.spacing_mm)[::-1] + grid.origin_mm
    return hu, masks, places, grid


def segments(path: Path, headers: Sequence[Header], grid: Grid) -> dict[str, np.ndarray]:
    """Return the mask (Z, Y, X) of every segment by its SegmentLabel, on the grid of the images."""
    import highdicom

    with quiet_library():
        segmentation = highdicom.seg.segread(path)
        numbers = list(segmentation.segment_numbers)
        uids = [headers[index].text("SOPInstanceUID") for index in grid.order]
        try:
            frames = segmentation.get_pixels_by_source_instance(
                uids, segment_numbers=numbers, assert_missing_frames_are_empty=True, rescale_fractional=True
            )
        except (KeyError, ValueError, RuntimeError) as error:
            raise DataError("the frames of a segmentation do not refer to the images; resample it onto them") from error
    volume = np.swapaxes(frames, 1, 2) if grid.transpose else frames
    volume = volume[:, :: -1 if grid.flip_rows else 1, :: -1 if grid.flip_columns else 1]
    labels = [str(segmentation.get_segment_description(number).segment_label) for number in numbers]
    return {label: volume[..., index] >= 0.5 for index, label in enumerate(labels)}
