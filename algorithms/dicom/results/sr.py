"""A structured report of measurements, TID 1500, as a Comprehensive 3D SR (PS3.16 TID 1500, PS3.3 A.35.13).

Each measured thing is a group of its own with a tracking UID: a segment of a segmentation (TID 1411), a point in the patient
(TID 1410) or neither (TID 1501).  A value that is not there is left out; it is never zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset

from algorithms.dicom.results.origin import MAKER, Code, Origin, finished, quiet_library

SERIES_NUMBER = 902

Group = (
    hd.sr.MeasurementsAndQualitativeEvaluations
    | hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations
    | hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations
)


@dataclass(frozen=True)
class Number:
    """One measured value in a UCUM unit; ``derivation`` says which of several, such as the minimum."""

    name: Code
    value: float
    unit: str
    derivation: Code | None = None
    method: Code | None = None


@dataclass(frozen=True)
class Measured:
    """One thing, what was measured of it and what was judged; it is a ``segment`` (number), or lies at ``point_mm`` (LPS)."""

    label: str
    tracking_uid: str
    kind: Code
    sites: tuple[Code, ...]
    numbers: tuple[Number, ...] = ()
    judgements: tuple[tuple[Code, Code], ...] = ()
    segment: int | None = None
    point_mm: tuple[float, float, float] | None = None


def structured_report(
    origin: Origin, groups: Sequence[Measured], segmentation: Dataset | None, procedure: Code, algorithm: str
) -> Dataset:
    """Return the report of ``groups``, with every image of the series and the segmentation as its evidence.

    It is never verified, which a person alone can do, and preliminary unless the result is released.
    """
    first = origin.images[0]
    maker = hd.sr.AlgorithmIdentification(algorithm, origin.version)
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=origin.uid("device"), name=origin.product, manufacturer_name=MAKER, model_name=f"{MAKER} {origin.version}"
    )
    observer = hd.sr.ObserverContext(hd.sr.CodedConcept("121007", "DCM", "Device"), device)
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=observer),
        procedure_reported=hd.sr.CodedConcept(*procedure),
        imaging_measurements=[_group(origin, measured, segmentation, maker) for measured in groups],
        title=hd.sr.CodedConcept("126000", "DCM", "Imaging Measurement Report"),
    )
    evidence = [*origin.images, *([segmentation] if segmentation is not None else [])]
    with quiet_library():
        dataset = hd.sr.Comprehensive3DSR(
            evidence=evidence,
            content=content,
            series_instance_uid=origin.uid("series", str(SERIES_NUMBER)),
            series_number=SERIES_NUMBER,
            sop_instance_uid=origin.uid("report"),
            instance_number=1,
            manufacturer=MAKER,
            is_complete=True,
            is_final=origin.released,
            is_verified=False,
            series_description=origin.title("Measurements"),
        )
    # All of it was made for this procedure (PS3.3 C.17.2.3); the library lists there only what the content names.
    if "PertinentOtherEvidenceSequence" in dataset:
        del dataset.PertinentOtherEvidenceSequence
    dataset.CurrentRequestedProcedureEvidenceSequence = [_evidence(str(first.StudyInstanceUID), evidence)]
    return finished(dataset, origin)


def _group(origin: Origin, measured: Measured, segmentation: Dataset | None, maker: hd.sr.AlgorithmIdentification) -> Group:
    tracking = hd.sr.TrackingIdentifier(measured.tracking_uid, measured.label)
    kind = hd.sr.CodedConcept(*measured.kind)
    sites = [hd.sr.FindingSite(hd.sr.CodedConcept(*site)) for site in measured.sites]
    numbers = [_number(number) for number in measured.numbers]
    judged = [
        hd.sr.QualitativeEvaluation(hd.sr.CodedConcept(*name), hd.sr.CodedConcept(*value))
        for name, value in measured.judgements
    ]
    if measured.segment is not None and segmentation is not None:
        return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            referenced_segment=hd.sr.ReferencedSegment(
                sop_class_uid=segmentation.SOPClassUID,
                sop_instance_uid=segmentation.SOPInstanceUID,
                segment_number=measured.segment,
                source_series=hd.sr.SourceSeriesForSegmentation(origin.images[0].SeriesInstanceUID),
            ),
            finding_type=kind,
            algorithm_id=maker,
            finding_sites=sites,
            measurements=numbers,
            qualitative_evaluations=judged,
        )
    if measured.point_mm is not None and origin.framed:
        return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            referenced_region=hd.sr.ImageRegion3D(
                hd.sr.GraphicTypeValues3D.POINT, np.array([measured.point_mm]), origin.images[0].FrameOfReferenceUID
            ),
            finding_type=kind,
            algorithm_id=maker,
            finding_sites=sites,
            measurements=numbers,
            qualitative_evaluations=judged,
        )
    return hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        finding_type=kind,
        algorithm_id=maker,
        finding_sites=sites,
        measurements=numbers,
        qualitative_evaluations=judged,
    )


def _number(number: Number) -> hd.sr.Measurement:
    # UCUM writes a pure number as 1; the meaning is for a reader.
    unit = hd.sr.CodedConcept(number.unit, "UCUM", {"1": "no units", "%": "percent"}.get(number.unit, number.unit))
    return hd.sr.Measurement(
        name=hd.sr.CodedConcept(*number.name),
        value=number.value,
        unit=unit,
        derivation=None if number.derivation is None else hd.sr.CodedConcept(*number.derivation),
        method=None if number.method is None else hd.sr.CodedConcept(*number.method),
    )


def _evidence(study: str, evidence: Sequence[Dataset]) -> Dataset:
    """Return the study with its series and instances (PS3.3 table C.17-3)."""
    by_series: dict[str, list[Dataset]] = {}
    for instance in evidence:
        by_series.setdefault(str(instance.SeriesInstanceUID), []).append(instance)
    item = Dataset()
    item.StudyInstanceUID = study
    item.ReferencedSeriesSequence = [_series(uid, instances) for uid, instances in by_series.items()]
    return item


def _series(uid: str, instances: Sequence[Dataset]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = uid
    item.ReferencedSOPSequence = [_reference(instance) for instance in instances]
    return item


def _reference(instance: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = instance.SOPClassUID, instance.SOPInstanceUID
    return item
