"""Structured reports with the invented identity, and names planted in every kind of item."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence

from tests.algorithms.dicom.ct_series import CT_IMAGE, IDENTITY, ROOT, image
from tests.algorithms.dicom.privacy.multiframe import code, item

SR = "1.2.840.10008.5.1.4.1.1.88."
BASIC, ENHANCED, COMPREHENSIVE, COMPREHENSIVE_3D, DOSE = (f"{SR}{number}" for number in (11, 22, 33, 34, 67))
TITLE = ("18748-4", "LN", "Diagnostic Imaging Report")


def content(relation: str, kind: str, concept: tuple[str, str, str] | None, *children: Dataset, **values: Any) -> Dataset:
    """Return an item of a report's content."""
    made = item(RelationshipType=relation, ValueType=kind, **values)
    if concept is not None:
        made.ConceptNameCodeSequence = Sequence([code(*concept)])
    if children:
        made.ContentSequence = Sequence(children)
    return made


def measured(number: object, unit: str = "mm") -> Dataset:
    """Return the value of a NUM item."""
    return item(NumericValue=number, MeasurementUnitsCodeSequence=code(unit, "UCUM", unit))


def report(*children: Dataset, sop_class: str = COMPREHENSIVE, title: tuple[str, str, str] = TITLE) -> FileDataset:
    """Return a report with these items."""
    with disable_value_validation():
        base = image(np.zeros((4, 4), np.int16), 3)
        dataset = FileDataset("", {}, file_meta=base.file_meta, preamble=b"\0" * 128)
        for keyword in (*IDENTITY, "SOPInstanceUID", "StudyInstanceUID", "Manufacturer", "ManufacturerModelName", "StudyDate",
                        "SeriesDate", "ContentDate", "StudyTime", "ContentTime", "PatientSex", "PatientAge", "StudyID",
                        "SeriesNumber", "InstanceNumber"):  # fmt: skip
            setattr(dataset, keyword, base[keyword].value)
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
        dataset.Modality, dataset.SeriesInstanceUID = "SR", f"{ROOT}.4"
        dataset.SoftwareVersions = "Quastenflosser 3"
        dataset.ReferencedPerformedProcedureStepSequence = Sequence([])
        dataset.PerformedProcedureCodeSequence = Sequence([])
        dataset.CompletionFlag, dataset.VerificationFlag = "COMPLETE", "VERIFIED"
        dataset.VerifyingObserverSequence = Sequence([item(
            VerifyingObserverName="Wanderfalke^Berta", VerifyingOrganization="Krankenhaus Hinterm Deich",
            VerificationDateTime="20260314101010", VerifyingObserverIdentificationCodeSequence=code("7", "99OWN", "Berta"),
        )])  # fmt: skip
        reference = item(ReferencedSOPClassUID=CT_IMAGE, ReferencedSOPInstanceUID=f"{ROOT}.1.1")
        dataset.CurrentRequestedProcedureEvidenceSequence = Sequence([item(
            StudyInstanceUID=ROOT,
            ReferencedSeriesSequence=item(SeriesInstanceUID=f"{ROOT}.1", ReferencedSOPSequence=reference),
        )])  # fmt: skip
        dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
        dataset.ConceptNameCodeSequence = Sequence([code(*title)])
        dataset.ContentTemplateSequence = Sequence([item(MappingResource="DCMR", TemplateIdentifier="1500")])
        dataset.ContentSequence = Sequence(children)
    return dataset


def everything() -> list[Dataset]:
    """Return items of every kind that pass, in the relations that a Comprehensive SR allows."""
    seen = content("SELECTED FROM", "IMAGE", None, ReferencedSOPSequence=item(
        ReferencedSOPClassUID=CT_IMAGE, ReferencedSOPInstanceUID=f"{ROOT}.1.1",
    ))  # fmt: skip
    line = content("INFERRED FROM", "SCOORD", None, seen, GraphicType="POLYLINE", GraphicData=[1.5, 2.5, 10.25, 2.5])
    return [
        content("HAS OBS CONTEXT", "CODE", ("121005", "DCM", "Observer Type"),
                ConceptCodeSequence=code("121006", "DCM", "Person Quastenflosser")),
        content("HAS OBS CONTEXT", "PNAME", ("121008", "DCM", "Person Observer Name"), PersonName="Zaunkoenig^Emil"),
        content("HAS OBS CONTEXT", "UIDREF", ("121012", "DCM", "Device Observer UID"), UID=f"{ROOT}.55"),
        content("HAS OBS CONTEXT", "DATE", ("121031", "DCM", "Subject Birth Date"), Date="19511224"),
        content("HAS OBS CONTEXT", "TEXT", ("121030", "DCM", "Subject ID"), TextValue="KH7301942"),
        content("HAS OBS CONTEXT", "DATETIME", ("111526", "DCM", "DateTime Started"), DateTime="20260314093215"),
        content("HAS OBS CONTEXT", "DATE", ("111060", "DCM", "Study Date"), Date="20260314"),
        content("HAS OBS CONTEXT", "TIME", ("111061", "DCM", "Study Time"), Time="093215"),
        content("CONTAINS", "CONTAINER", ("121070", "DCM", "Findings"),
                content("CONTAINS", "TEXT", ("121071", "DCM", "Finding"), TextValue="Calcified plaque of Quastenflosser, LAD"),
                content("CONTAINS", "NUM", ("121206", "DCM", "Distance"), line, MeasuredValueSequence=measured("12.25")),
                content("CONTAINS", "CODE", ("121071", "DCM", "Finding"), ConceptCodeSequence=code("77", "99OWN", "Ottokar")),
                ContinuityOfContent="SEPARATE", ObservationUID=f"{ROOT}.5", ObservationDateTime="20260314093215"),
        content("CONTAINS", "CONTAINER", ("A7301942", "99OWN", "Ottokars Befund"),
                content("CONTAINS", "NUM", ("121206", "DCM", "Distance"), MeasuredValueSequence=measured("7")),
                ContinuityOfContent="SEPARATE"),
        content("CONTAINS", "NUM", ("7301942", "SCT", "Ottokars Zahl"), MeasuredValueSequence=measured("5")),
    ]  # fmt: skip
