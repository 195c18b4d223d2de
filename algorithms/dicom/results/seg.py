"""A DICOM Segmentation of the series' own frames: one segment a structure (PS3.3 A.51).

Binary, uncompressed, in the geometry of the source images, without the frames that hold nothing: what 3D Slicer and OHIF read.
Arrays are (frames, rows, columns).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset

from algorithms.dicom.results.origin import MAKER, Code, Origin, finished, quiet_library

SERIES_NUMBER = 901

ANATOMY: Code = ("91723000", "SCT", "Anatomical Structure")
"""Category of what is part of the body (CID 7150)."""


@dataclass(frozen=True)
class Segment:
    """One structure: its label, what it is, and the name under which reports follow it."""

    label: str
    kind: Code
    tracking_uid: str


def segmentation(
    origin: Origin, labels: np.ndarray, segments: Sequence[Segment], description: str, algorithm: tuple[str, Code]
) -> Dataset:
    """Return the segmentation in which a voxel of value n belongs to the n-th of ``segments``.

    Parameters
    ----------
    origin
        The source series.
    labels
        Unsigned integers (frames, rows, columns), in the order of ``origin.images``; 0 is none.
    segments
        The structures, each of which has a voxel.
    description
        Of the series.
    algorithm
        Name of what found the structures, and its family (CID 7162).

    Raises
    ------
    ValueError
        If a segment is empty, or the array does not fit the images.
    """
    found = np.bincount(labels.ravel(), minlength=len(segments) + 1)
    if len(found) != len(segments) + 1 or not found[1:].all():
        raise ValueError(f"{np.count_nonzero(found[1:])} labels with a voxel for {len(segments)} segments")
    maker = hd.AlgorithmIdentificationSequence(algorithm[0], hd.sr.CodedConcept(*algorithm[1]), origin.version)
    descriptions = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=segment.label,
            segmented_property_category=hd.sr.CodedConcept(*ANATOMY),
            segmented_property_type=hd.sr.CodedConcept(*segment.kind),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=maker,
            tracking_uid=segment.tracking_uid,
            tracking_id=segment.label,
        )
        for number, segment in enumerate(segments, start=1)
    ]
    with quiet_library():
        dataset = hd.seg.Segmentation(
            source_images=_with_thickness(origin.images),
            pixel_array=labels,
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=descriptions,
            series_instance_uid=origin.uid("series", str(SERIES_NUMBER)),
            series_number=SERIES_NUMBER,
            sop_instance_uid=origin.uid("segmentation"),
            instance_number=1,
            manufacturer=MAKER,
            manufacturer_model_name=origin.product,
            software_versions=origin.version,
            device_serial_number=origin.version,
            content_label="LUMEN" if origin.released else "PRELIMINARY",
            content_description=origin.title(description),
            series_description=origin.title(description),
        )
    # Given a UID at random by the library; what refers to it is the index beside it.
    dimension = origin.uid("dimension")
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimension
    return finished(dataset, origin)


def _with_thickness(images: Sequence[Dataset]) -> list[Dataset]:
    """Return the images; where they state no slice thickness, copies that have the distance between images for it."""
    if images[0].get("SliceThickness") is not None:
        return list(images)
    row, column = np.asarray(images[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
    heights = sorted(float(np.cross(row, column) @ np.asarray(image.ImagePositionPatient, dtype=float)) for image in images)
    copies = [copy.copy(image) for image in images]
    for image in copies:
        image.SliceThickness = round(float(np.median(np.diff(heights))), 4)
    return copies
