"""A PDF as a DICOM object, so that it is found in the archive beside the images (PS3.3 A.45.1)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from algorithms.dicom.results.origin import MIDNIGHT, Code, Origin, finished, new_object

SERIES_NUMBER = 903

ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"


def encapsulated_pdf(origin: Origin, pdf: bytes, title: str, concept: Code) -> Dataset:
    """Return ``pdf`` as an Encapsulated PDF object; ``concept`` says what kind of document it is."""
    dataset = new_object(origin, ENCAPSULATED_PDF, "DOC", "document", (SERIES_NUMBER, title))
    dataset.ConversionType = "WSD"
    dataset.AcquisitionDateTime = origin.date + MIDNIGHT
    dataset.BurnedInAnnotation = "NO"
    dataset.DocumentTitle = origin.title(title)
    dataset.ConceptNameCodeSequence = [_code(concept)]
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.SourceInstanceSequence = [_reference(image) for image in origin.images]
    dataset.EncapsulatedDocumentLength = len(pdf)
    # An element has an even number of bytes; the length above tells the padding apart.
    dataset.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return finished(dataset, origin)


def _code(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code
    return item


def _reference(image: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    return item
