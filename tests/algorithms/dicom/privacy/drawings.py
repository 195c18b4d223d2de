"""Presentation states with the invented identity, and names among their shapes."""

from __future__ import annotations

from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence

from tests.algorithms.dicom.ct_series import CT_IMAGE, ROOT
from tests.algorithms.dicom.privacy.multiframe import item
from tests.algorithms.dicom.privacy.reports import report

PRESENTATION = "1.2.840.10008.5.1.4.1.1.11.1"
REPORTS_ONLY = ("ReferencedPerformedProcedureStepSequence", "PerformedProcedureCodeSequence", "CompletionFlag", "ValueType",
                "VerificationFlag", "VerifyingObserverSequence", "CurrentRequestedProcedureEvidenceSequence", "ContentDate",
                "ContinuityOfContent", "ConceptNameCodeSequence", "ContentTemplateSequence", "ContentSequence",
                "ContentTime")  # fmt: skip


def shape(kind: str, points: list[float], **more: object) -> Dataset:
    """Return a shape that is drawn on an image."""
    return item(GraphicAnnotationUnits="PIXEL", GraphicDimensions=2, NumberOfGraphicPoints=len(points) // 2, GraphicData=points,
                GraphicType=kind, GraphicFilled="N", **more)  # fmt: skip


def text(value: str) -> Dataset:
    """Return a text that is written on an image."""
    return item(BoundingBoxAnnotationUnits="PIXEL", UnformattedTextValue=value, BoundingBoxTopLeftHandCorner=[1.0, 1.0],
                BoundingBoxBottomRightHandCorner=[9.0, 9.0], BoundingBoxTextHorizontalJustification="LEFT")  # fmt: skip


def drawing(*shapes: Dataset, texts: tuple[str, ...] = ()) -> FileDataset:
    """Return a presentation state with these shapes and texts in a layer that is called after the patient."""
    dataset = report(sop_class=PRESENTATION)
    reference = item(ReferencedSOPClassUID=CT_IMAGE, ReferencedSOPInstanceUID=f"{ROOT}.1.1")
    with disable_value_validation():
        for keyword in REPORTS_ONLY:
            delattr(dataset, keyword)
        dataset.Modality, dataset.InstanceNumber, dataset.Laterality = "PR", 3, ""
        dataset.ContentLabel, dataset.ContentDescription, dataset.ContentCreatorName = "OTTOKAR", "Quastenflosser", "Zaunkoenig"
        dataset.PresentationCreationDate, dataset.PresentationCreationTime = "20260314", "093215"
        dataset.ReferencedSeriesSequence = Sequence([item(SeriesInstanceUID=f"{ROOT}.1", ReferencedImageSequence=reference)])
        dataset.DisplayedAreaSelectionSequence = Sequence([item(
            DisplayedAreaTopLeftHandCorner=[1, 1], DisplayedAreaBottomRightHandCorner=[16, 16],
            PresentationSizeMode="SCALE TO FIT", PresentationPixelAspectRatio=[1, 1],
        )])  # fmt: skip
        dataset.SoftcopyVOILUTSequence = Sequence([item(WindowCenter="200", WindowWidth="800",
                                                        WindowCenterWidthExplanation="Quastenflosser")])  # fmt: skip
        dataset.PresentationLUTShape = "IDENTITY"
        dataset.GraphicLayerSequence = Sequence([item(GraphicLayer="OTTOKAR", GraphicLayerOrder=1,
                                                      GraphicLayerDescription="Quastenflosser")])  # fmt: skip
        annotation = item(ReferencedImageSequence=reference, GraphicLayer="OTTOKAR")
        if shapes:
            annotation.GraphicObjectSequence = Sequence(shapes)
        if texts:
            annotation.TextObjectSequence = Sequence([text(value) for value in texts])
        dataset.GraphicAnnotationSequence = Sequence([annotation])
    return dataset
