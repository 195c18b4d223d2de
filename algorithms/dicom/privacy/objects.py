"""Which objects pass: images whose pixels cannot show text, as far as a header can tell.  Everything else is refused.

Original CT and MR images pass, of one or many frames; a scanner writes no text into those.  A reconstruction that a workstation
made, a capture, a localizer with lines and labels, a dose sheet or a document may show a name; so may an image that says so.
Some of those pass where the site's policy chooses the option of the profile that cleans them.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from algorithms.dicom.privacy.blanking import Key, Rectangle
from algorithms.dicom.privacy.syntax import File, Refused, damaged
from algorithms.dicom.privacy.table import Option

STORAGE = "1.2.840.10008.5.1.4.1.1."
PASSING = {
    STORAGE + "2": ("CT", "image"), STORAGE + "4": ("MR", "image"),
    STORAGE + "2.1": ("CT", "enhanced"), STORAGE + "4.1": ("MR", "enhanced"),
    STORAGE + "88.11": ("SR", "document"), STORAGE + "88.22": ("SR", "document"), STORAGE + "88.33": ("SR", "document"),
    STORAGE + "88.34": ("SR", "document"), STORAGE + "88.67": ("SR", "document"), STORAGE + "11.1": ("PR", "presentation"),
    STORAGE + "7": ("OT", "picture"), STORAGE + "7.2": ("OT", "picture"), STORAGE + "7.3": ("OT", "picture"),
    STORAGE + "7.4": ("OT", "picture"), STORAGE + "6.1": ("US", "picture"), STORAGE + "3.1": ("US", "picture"),
}  # fmt: skip
"""SOP classes that may pass, with their modality, and the set of rules that counts for the top of an object (PS3.4 B.5):
CT and MR images, enhanced ones, Basic Text, Enhanced, Comprehensive, Comprehensive 3D and X-Ray Radiation Dose SR, the
grayscale softcopy presentation state, secondary captures but those of single bits, and ultrasound."""

MODALITIES = {sop_class: modality for sop_class, (modality, _) in PASSING.items()}
FAMILIES = {sop_class: family for sop_class, (_, family) in PASSING.items()}

PIXELLESS = frozenset({"document", "presentation"})
"""Families of objects that have no pixels."""

ASKING = {
    "document": Option.CLEAN_STRUCTURED_CONTENT,
    "presentation": Option.CLEAN_GRAPHICS,
    "picture": Option.CLEAN_PIXEL_DATA,
}
"""The option without which objects of a family do not pass."""

KINDS = {
    "1.2.840.10008.1.3.10": "DICOMDIR",
    STORAGE + "7": "secondary capture", STORAGE + "7.1": "secondary capture", STORAGE + "7.2": "secondary capture",
    STORAGE + "7.3": "secondary capture", STORAGE + "7.4": "secondary capture",
    STORAGE + "6.1": "ultrasound", STORAGE + "6.2": "ultrasound", STORAGE + "3.1": "ultrasound", STORAGE + "6": "ultrasound",
    STORAGE + "88.67": "dose report", STORAGE + "88.76": "dose report", STORAGE + "104.1": "encapsulated document",
    STORAGE + "104.2": "encapsulated document", STORAGE + "104.3": "encapsulated document",
    STORAGE + "2.2": "converted enhanced image", STORAGE + "4.4": "converted enhanced image",
}  # fmt: skip
"""Names for what is refused (PS3.4 table B.5-1); structured reports and presentation states by the root of their UIDs."""

TEXT_TYPES = {"LOCALIZER": "localizer", "SCREEN SAVE": "screen save", "SCREENSAVE": "screen save", "DOSE_INFO": "dose report",
              "DOSE": "dose report", "DOSE INFO": "dose report", "PROTOCOL": "screen save", "REPORT": "screen save",
              "SCOUT": "localizer", "TOPOGRAM": "localizer"}  # fmt: skip
"""Values of ImageType that stand for pictures with text in them, as the scanners' makers write them."""

ASKED = {
    "SOPClassUID": 0x00080016, "ImageType": 0x00080008, "ConversionType": 0x00080064, "BurnedInAnnotation": 0x00280301,
    "RecognizableVisualFeatures": 0x00280302, "SamplesPerPixel": 0x00280002, "PhotometricInterpretation": 0x00280004,
    "EncapsulatedDocument": 0x00420011, "SecondaryCaptureDeviceID": 0x00181010,
    "SecondaryCaptureDeviceManufacturer": 0x00181016, "Manufacturer": 0x00080070, "ManufacturerModelName": 0x00081090,
    "Rows": 0x00280010, "Columns": 0x00280011,
}  # fmt: skip
"""Attributes that decide, with their tags."""


def require_clean(
    texts: Mapping[str, str], options: Set[Option], blank: Mapping[Key, tuple[Rectangle, ...]]
) -> tuple[str, tuple[Rectangle, ...]]:
    """Return the SOP class of an object that may pass, and the rectangles that must be blanked in it.

    Parameters
    ----------
    texts
        Values of the attributes of `ASKED` that the file has, as text.
    options
        Of the profile, that the site chooses.
    blank
        Rectangles by what the site has looked at; they let pass what may show text otherwise.

    Raises
    ------
    Refused
        If the object may show text, or is no image that is known here.
    """
    sop_class = texts.get("SOPClassUID", "")
    family = FAMILIES.get(sop_class)
    if family is None or ASKING.get(family, Option.BASIC) not in options:
        kind = kind_of(sop_class)
        raise Refused(kind, f"an object is no original CT image or MR image but {kind}; send the axial series")
    if "EncapsulatedDocument" in texts:
        raise Refused("encapsulated document", "an object carries a document; send the original series")
    if family in PIXELLESS:
        return sop_class, ()
    kind = _shown(texts, sop_class)
    burned_in = texts.get("BurnedInAnnotation", "").strip(" \0").upper() not in {"", "NO"}
    names = (texts.get("Manufacturer", "").upper(), texts.get("ManufacturerModelName", "").upper())
    matrix = (int(texts.get("Rows", "0")), int(texts.get("Columns", "0")))
    # An image of a scanner that says nothing of text is not touched.
    rectangles = blank.get((sop_class, *names, *matrix), ()) if kind or burned_in else ()
    if kind and not rectangles:
        raise Refused(
            kind, f"an object is no original CT image or MR image but {kind}, which may show text; send the axial series"
        )
    if burned_in and not rectangles:
        raise Refused(
            "burned-in text", "an image carries burned-in text, which may identify the patient; send the original series"
        )
    if texts.get("RecognizableVisualFeatures", "").strip(" \0").upper() not in {"", "NO"}:
        raise Refused(
            "recognizable features", "an image says that a person can be recognised in it; send a series without the face"
        )
    _require_grey(texts, family)
    return sop_class, rectangles


def _shown(texts: Mapping[str, str], sop_class: str) -> str:
    """Return what an object is called that may show text; nothing for an original image."""
    types = [part.strip(" \0").upper() for part in texts.get("ImageType", "").split("\\")]
    kind = next((TEXT_TYPES[part] for part in types if part in TEXT_TYPES), "")
    if not kind and ("ConversionType" in texts or any(name.startswith("SecondaryCapture") for name in texts)):
        kind = "secondary capture"
    if not kind and ("SECONDARY" in types[:2]):
        kind = "derived image"
    if not kind and FAMILIES[sop_class] == "picture":
        kind = KINDS[sop_class]
    if not kind and types[0] not in {"ORIGINAL", "DERIVED"}:
        kind = "image of unknown type"
    return kind


def _require_grey(texts: Mapping[str, str], family: str) -> None:
    """Raise `Refused` if the pixels are no grey values; those of a picture may be colours."""
    if "PhotometricInterpretation" not in texts:
        raise damaged("it ends before it says what its pixels are")
    known = {"MONOCHROME1", "MONOCHROME2"} | ({"RGB"} if family == "picture" else set())
    if texts["PhotometricInterpretation"].strip(" \0").upper() not in known:
        raise Refused("colour image", "an image is in colour, wanted the grey values of a scanner; send the original series")


def family_of(file: File) -> str:
    """Return the set of rules for a file by its SOP class; that of a single image where the class is not known here."""
    raw = file.meta.get(0x00020002) or next((file.data[s[3] : s[4]] for s in file.spans if s[0] == ASKED["SOPClassUID"]), b"")
    return FAMILIES.get(raw.decode("latin-1").strip(" \0"), "image")


def kind_of(sop_class: str) -> str:
    """Return a name for an object that is refused; of an unknown one nothing is repeated."""
    if sop_class.startswith(STORAGE + "88."):
        return KINDS.get(sop_class, "structured report")
    if sop_class.startswith(STORAGE + "11."):
        return "presentation state"
    return KINDS.get(sop_class, "object of another kind")
