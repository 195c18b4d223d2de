"""Objects whose pixels or texts may show who the patient is: they must be kept back, each with a reason."""

from __future__ import annotations

from collections.abc import Iterator

from tests.algorithms.dicom.hard.elements import Element, element, nested, with_value, without
from tests.algorithms.dicom.hard.ledger import Ledger

STORAGE = "1.2.840.10008.5.1.4.1.1"
PIXEL_DATA = 0x7FE00010


def refused(ledger: Ledger, image: list[Element]) -> Iterator[tuple[str, list[Element]]]:
    """Yield a name and the elements of each object, made from a CT image of the patient."""
    images = {
        "secondary capture": (f"{STORAGE}.7", "OT", "DERIVED\\SECONDARY"),
        "multi-frame secondary capture": (f"{STORAGE}.7.2", "OT", "DERIVED\\SECONDARY"),
        "ultrasound": (f"{STORAGE}.6.1", "US", "ORIGINAL\\PRIMARY"),
        "ultrasound film": (f"{STORAGE}.3.1", "US", "ORIGINAL\\PRIMARY"),
        "endoscopy": (f"{STORAGE}.77.1.1", "ES", "ORIGINAL\\PRIMARY"),
        "photograph": (f"{STORAGE}.77.1.4", "XC", "ORIGINAL\\PRIMARY"),
        "screen save": ("1.2.840.10008.5.1.4.1.1.2", "CT", "DERIVED\\SECONDARY\\SCREEN SAVE"),
        "dose sheet as image": ("1.2.840.10008.5.1.4.1.1.2", "CT", "DERIVED\\SECONDARY\\OTHER\\CSA BLACK IMAGE"),
        "localizer": ("1.2.840.10008.5.1.4.1.1.2", "CT", "ORIGINAL\\PRIMARY\\LOCALIZER"),
        "derived secondary": ("1.2.840.10008.5.1.4.1.1.2", "CT", "DERIVED\\SECONDARY\\AXIAL"),
        "reformation by somebody": ("1.2.840.10008.5.1.4.1.1.2", "CT", "DERIVED\\SECONDARY\\MPR"),
    }
    for name, (class_uid, modality, image_type) in images.items():
        yield name, _texted(ledger, with_value(
            image, element(0x00080016, "UI", class_uid), element(0x00080060, "CS", modality),
            element(0x00080008, "CS", image_type), element(0x00080064, "CS", "WSD"),
        ), name)  # fmt: skip
    yield "burned-in annotation", _texted(ledger, with_value(image, element(0x00280301, "CS", "YES")), "burned-in annotation")
    yield (
        "burned-in annotation in small letters",
        _texted(ledger, with_value(image, element(0x00280301, "CS", "yes ")), "burned-in annotation in small letters"),
    )
    yield "recognizable face", _texted(ledger, with_value(image, element(0x00280302, "CS", "YES")), "recognizable face")
    yield "from paper", _texted(ledger, with_value(image, element(0x00080064, "CS", "DF")), "from paper")
    bare = without(image, PIXEL_DATA)
    content = [element(0x0040A040, "CS", "TEXT"), element(0x0040A160, "UT", ledger.word("structured report, text"))]
    graphic = nested([element(0x00700006, "ST", ledger.word("graphic text"))], [0x00700001, 0x00700008])
    region = nested([element(0x30060026, "LO", ledger.word("region"))], [0x30060020])
    pdf, cda = (
        element(0x00420011, "OB", start + ledger.word(f"document {start!r}").encode()) for start in (b"%PDF-1.4\n", b"<name>")
    )
    documents = {
        "structured report": (f"{STORAGE}.88.33", "SR", [nested(content, [0x0040A730, 0x0040A730])]),
        "dose report": (f"{STORAGE}.88.67", "SR", [nested(content, [0x0040A730])]),
        "key object selection": (f"{STORAGE}.88.59", "KO", [nested(content, [0x0040A730])]),
        "presentation state": (f"{STORAGE}.11.1", "PR", [graphic]),
        "encapsulated PDF": (f"{STORAGE}.104.1", "DOC", [pdf]),
        "encapsulated CDA": (f"{STORAGE}.104.2", "DOC", [cda]),
        "electrocardiogram": (f"{STORAGE}.9.1.1", "ECG", [element(0x00400555, "SQ", [content])]),
        "structure set": (f"{STORAGE}.481.3", "RTSTRUCT", [region]),
        "raw data": (f"{STORAGE}.66", "CT", [element(0x00091010, "OB", ledger.word("raw data").encode())]),
        "unknown class": ("1.2.826.0.1.3680043.2.1125.1", "CT", []),
    }  # fmt: skip
    for name, (class_uid, modality, added) in documents.items():
        yield name, _texted(ledger, with_value(
            bare, element(0x00080016, "UI", class_uid), element(0x00080060, "CS", modality), *added,
        ), name)  # fmt: skip


def _texted(ledger: Ledger, elements: list[Element], name: str) -> list[Element]:
    return with_value(elements, element(0x00204000, "LT", ledger.word(f"{name}, comments")))
