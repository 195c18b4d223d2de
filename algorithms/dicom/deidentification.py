"""One CT image without its patient: a new file made of what the allow-list lets through, and a list of what was taken out.

The output is not the input with things deleted.  It starts empty; an attribute of the input gets in only through its rule in
`algorithms.dicom.ct_policy`.  What does not get in is returned as *identifying* texts, for the proof that none of it is left
(`algorithms.dicom.residue`); they stay in memory.  Runs in a confined child, since the input is untrusted.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import UID, UID_dictionary  # type: ignore[attr-defined]
from pydicom.valuerep import format_number_as_ds

from algorithms.contract.errors import DataError
from algorithms.dicom import pixel_data
from algorithms.dicom.ct_policy import CT_IMAGE, MAKERS, OPTIONS, PRESENT, Rule
from algorithms.dicom.headers import PARSE_ERRORS, silent_parsing
from algorithms.dicom.kernel import kernel_name
from algorithms.dicom.pseudonym import dicom_date, replaced_patient, replaced_uid, shift_days, shifted_date
from algorithms.dicom.series import CT_IMAGE_STORAGE

IMPLEMENTATION_CLASS_UID = "2.25.196130207213462373498427512103386912047"
IMPLEMENTATION_VERSION_NAME = "HEARTWOOD"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
PIXEL_TAGS = frozenset({0x7FE00010, 0x7FE00008, 0x7FE00009})

OLDEST_YEARS = 89
"""Ages above are one group, as the HIPAA Safe Harbor asks (45 CFR 164.514(b)(2)(i)(C))."""

DECIMAL_STRING = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+/()-]{0,39}")


@dataclass(frozen=True)
class Subject:
    """Whose images these are; ``study`` stands in for study and series identifiers that the images lack."""

    secret: bytes = field(repr=False)
    patient: str = field(repr=False)
    study: str = field(repr=False)

    @property
    def days(self) -> int:
        """Return the shift of this patient's dates."""
        return shift_days(self.secret, self.patient)

    @property
    def pseudonym(self) -> str:
        """Return what stands for this patient's name and identifier."""
        return replaced_patient(self.secret, self.patient)


@dataclass(frozen=True)
class Taken:
    """A text that was taken out: from which attribute, of which kind (a VR, or ``ID``, ``TEXT``, ``BYTES``)."""

    keyword: str
    kind: str
    text: str = field(repr=False)


@dataclass
class Outcome:
    """What became of one image: counts of (keyword, action), texts taken out, and the free texts that were kept."""

    subject: Subject
    actions: Counter[tuple[str, str]] = field(default_factory=Counter)
    taken: list[Taken] = field(default_factory=list, repr=False)
    kept: set[str] = field(default_factory=set)


def deidentified(data: bytes, subject: Subject) -> tuple[bytes, Outcome]:
    """Return the file of one CT image without identity, and what was done.

    Raises
    ------
    DataError
        If it is not a CT image that can be cleaned: another object, burned-in text, unknown compression.
    """
    outcome = Outcome(subject)
    with silent_parsing():
        try:
            source = pydicom.dcmread(BytesIO(data))
            _require_ct_image(source)
            target = Dataset()
            _fill(target, source, CT_IMAGE, outcome)
            _complete(target, source, outcome)
            pixels, transfer_syntax = _pixels(source, outcome)
            for keyword in ("MediaStorageSOPInstanceUID", "SourceApplicationEntityTitle", "ImplementationVersionName"):
                _take(source.file_meta, tag_for_keyword(keyword), outcome)
        except PARSE_ERRORS:
            raise DataError("an image of the series is damaged and cannot be cleaned; ask the site to resend it") from None
    return _written(target, transfer_syntax, pixels), outcome


def _require_ct_image(source: FileDataset) -> None:
    kind = str(source.get("SOPClassUID") or source.file_meta.get("MediaStorageSOPClassUID", ""))
    types = {str(part).upper() for part in _values(source.get("ImageType"))}
    if kind != CT_IMAGE_STORAGE or "ConversionType" in source or types & {"SCREEN SAVE", "LOCALIZER"}:
        raise DataError(
            "an object of the series is no original CT image (capture, localizer or document); send the axial series"
        )
    if str(source.get("BurnedInAnnotation", "")).strip().upper() == "YES":
        raise DataError(
            "an image of the series carries burned-in text, which may identify the patient; send the original series"
        )


def _values(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, list | tuple | MultiValue) else [value]


def _fill(target: Dataset, source: Dataset, policy: Mapping[str, Rule], outcome: Outcome) -> None:
    """Copy into ``target`` what ``policy`` lets through of ``source``, and note the rest as taken out."""
    late: list[BaseTag] = []
    for tag in sorted(source.keys()):
        keyword = keyword_for_tag(tag)
        rule = policy.get(keyword)
        if tag in PIXEL_TAGS:
            continue
        if rule is None:
            outcome.actions[_label(tag), "X"] += 1
            _take(source, tag, outcome)
        elif rule.kind == "model":
            late.append(tag)  # judged last, because it must not hold any name found elsewhere
        else:
            _apply(target, source, tag, rule, outcome)
    for tag in late:
        _apply(target, source, tag, policy[keyword_for_tag(tag)], outcome)


def _label(tag: BaseTag) -> str:
    """Return the keyword of a tag; what has none is told only by its kind, as a private tag's number may say who made it."""
    if tag.is_private:
        return "private"
    if 0x60000000 <= tag < 0x61000000:
        return "overlay"
    if 0x50000000 <= tag < 0x51000000:
        return "curve"
    return keyword_for_tag(tag) or "unknown"


def _apply(target: Dataset, source: Dataset, tag: BaseTag, rule: Rule, outcome: Outcome) -> None:
    keyword = keyword_for_tag(tag)
    raw = _raw(source, tag)
    element = _element(source, tag)
    if rule.kind == "items":
        items = [Dataset() for _ in _items(element)]
        for item, original in zip(items, _items(element), strict=True):
            _fill(item, original, rule.items, outcome)
        setattr(target, keyword, Sequence([item for item in items if len(item)]))
        outcome.actions[keyword, rule.action] += 1
        return
    originals = [] if isinstance(element.value, Sequence) else _values(element.value)
    value = _ruled(keyword, rule, originals, outcome)
    if value is not None and value != "":
        setattr(target, keyword, value)
    outcome.actions[keyword, rule.action if value is not None else "X"] += 1
    same = rule.action == "K" and value is not None and len(_values(value)) == len(originals)
    if not same and not (rule.kind == "age" and value):
        outcome.taken.extend(_texts(keyword, tag, element, raw))


def _ruled(keyword: str, rule: Rule, originals: list[Any], outcome: Outcome) -> Any:
    """Return the value that ``rule`` lets through; an empty text stays empty, ``None`` is removed."""
    if rule.kind == "number":
        return _numbers(keyword, originals, rule)
    if rule.kind == "codes":
        codes = [code for part in originals if (code := str(part).strip(" \0").upper()) in rule.terms]
        return codes or (None if originals else "")
    return TEXT_RULES[rule.kind](str(originals[0]).strip(" \0") if originals else "", outcome)


def _kernel(text: str, outcome: Outcome) -> str | None:
    outcome.kept.add(kernel_name(text))
    return kernel_name(text) or None


def _model(text: str, outcome: Outcome) -> str | None:
    known = MODEL_NAME.fullmatch(text) is not None and not _names_someone(text, outcome)
    outcome.kept |= {text} if known else set()
    return text if known else None


TEXT_RULES: Mapping[str, Callable[[str, Outcome], str | None]] = {
    "empty": lambda _, __: "",
    "pseudonym": lambda _, outcome: outcome.subject.pseudonym,
    "uid": lambda text, outcome: replaced_uid(outcome.subject.secret, text) if text else None,
    "class_uid": lambda text, _: text if text in UID_dictionary else None,
    "date": lambda text, outcome: shifted_date(text, outcome.subject.days),
    "age": lambda text, _: grouped_age(text),
    "presence": lambda text, _: "CONTRAST AGENT" if text else "",
    "maker": lambda text, _: MAKERS.get(text.upper(), ""),
    "kernel": _kernel,
    "model": _model,
}
"""What each kind of rule of `algorithms.dicom.ct_policy` makes of a text."""


def _numbers(keyword: str, originals: list[Any], rule: Rule) -> Any:
    try:
        numbers = [float(part) for part in originals]
    except (TypeError, ValueError):
        return None
    if not all(rule.low <= number <= rule.high for number in numbers):
        return None
    vr = dictionary_VR(keyword)
    if vr == "DS":
        return [_decimal_string(part, number) for part, number in zip(originals, numbers, strict=True)]
    if vr in {"FD", "FL"}:
        return numbers
    return [int(number) for number in numbers] if all(number == int(number) for number in numbers) else None


def _decimal_string(original: Any, number: float) -> str:
    """Return the digits as the scanner wrote them, so that geometry is not rounded twice."""
    text = str(getattr(original, "original_string", original)).strip(" \0")
    return text if len(text) <= 16 and DECIMAL_STRING.fullmatch(text) else format_number_as_ds(number)


def grouped_age(text: str) -> str | None:
    """Return an AS value with all ages above 89 years as ``090Y``; ``None`` where it is no age."""
    found = re.fullmatch(r"(\d{3})([DWMY])", text.strip(" \0").upper())
    if not found:
        return None
    days = int(found.group(1)) * {"D": 1.0, "W": 7.0, "M": 30.44, "Y": 365.25}[found.group(2)]
    return "090Y" if days >= (OLDEST_YEARS + 1) * 365.25 else found.group(0)


def _names_someone(text: str, outcome: Outcome) -> bool:
    """Return whether a text holds part of a person's name or identifier that was taken out of the same image."""
    folded = text.casefold()
    parts = {p for t in outcome.taken if t.kind in {"PN", "ID"} for p in re.split(r"[\W_]+", t.text.casefold()) if len(p) > 2}
    return any(part in folded for part in parts)


def _complete(target: Dataset, source: FileDataset, outcome: Outcome) -> None:
    """Write the attributes that a CT image must have, the marks of de-identification, and the age if it can be computed."""
    subject = outcome.subject
    own = (
        str(source.file_meta.get("MediaStorageSOPInstanceUID", "")) or hashlib.sha256(source.get("PixelData", b"")).hexdigest()
    )
    if not target.get("SOPInstanceUID"):
        target.SOPInstanceUID = replaced_uid(subject.secret, own)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        if not target.get(keyword):
            setattr(target, keyword, replaced_uid(subject.secret, f"{keyword} of {subject.study}"))
    target.SOPClassUID, target.Modality = CT_IMAGE_STORAGE, "CT"
    target.PatientName = target.PatientID = subject.pseudonym
    born, seen = (dicom_date(str(source.get(keyword, ""))) for keyword in ("PatientBirthDate", "StudyDate"))
    if "PatientAge" not in target and born is not None and seen is not None and seen >= born:
        years = seen.year - born.year - ((seen.month, seen.day) < (born.month, born.day))
        target.PatientAge = grouped_age(f"{min(years, 999):03d}Y")
        outcome.actions["PatientAge", "C"] += 1
    for keyword in PRESENT:
        if keyword not in target:
            setattr(target, keyword, None)
    target.PatientIdentityRemoved = "YES"
    target.LongitudinalTemporalInformationModified = "MODIFIED"
    applied = sorted(option.value for option in OPTIONS)
    target.DeidentificationMethod = [meaning for _, meaning in applied]
    target.DeidentificationMethodCodeSequence = Sequence([_code(value, meaning) for value, meaning in applied])


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def _pixels(source: FileDataset, outcome: Outcome) -> tuple[bytes, str]:
    """Return the encoded element Pixel Data and its transfer syntax."""
    if "PixelData" not in source:
        raise DataError("an image of the series holds no pixel data; ask the site to resend it")
    layout = pixel_data.Layout(
        int(source.Rows),
        int(source.Columns),
        int(source.BitsAllocated),
        int(source.BitsStored),
        bool(source.PixelRepresentation),
    )
    syntax = str(source.file_meta.get("TransferSyntaxUID", ""))
    value = bytes(source.PixelData)
    if syntax == pixel_data.RLE:
        value, syntax = _decoded(source), EXPLICIT_LITTLE_ENDIAN
    if syntax in pixel_data.RAW or syntax == pixel_data.BIG_ENDIAN:
        clean, masked = pixel_data.cleaned_raw(value, layout, big_endian=syntax == pixel_data.BIG_ENDIAN)
        outcome.actions["PixelData", "C" if masked or len(clean) < len(value) - 1 else "K"] += 1
        clean += b"\0" * (len(clean) % 2)
        return b"\xe0\x7f\x10\x00OW\0\0" + len(clean).to_bytes(4, "little") + clean, EXPLICIT_LITTLE_ENDIAN
    frame, segments = pixel_data.cleaned_codestream(pixel_data.encapsulated_frame(value), syntax, layout)
    outcome.actions["PixelData", "C" if segments else "K"] += 1
    return b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + pixel_data.encapsulated(frame), syntax


def _decoded(source: FileDataset) -> bytes:
    """Return the decoded pixels, little endian; an RLE frame's unused bytes cannot be told from its used ones otherwise."""
    decoded: bytes = source.pixel_array.astype(f"<u{int(source.BitsAllocated) // 8}").tobytes()
    return decoded


def _written(target: Dataset, transfer_syntax: str, pixels: bytes) -> bytes:
    target.file_meta = FileMetaDataset()
    target.file_meta.MediaStorageSOPClassUID = target.SOPClassUID
    target.file_meta.MediaStorageSOPInstanceUID = target.SOPInstanceUID
    target.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    target.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    target.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, target, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return buffer.getvalue() + pixels


MARKS = ("PatientIdentityRemoved", "LongitudinalTemporalInformationModified", "DeidentificationMethod",
         "DeidentificationMethodCodeSequence", "CodeValue", "CodingSchemeDesignator", "CodeMeaning")  # fmt: skip
META_TAGS = frozenset({0x00020000, 0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012, 0x00020013})


def written_tags() -> frozenset[int]:
    """Return every tag that an output may hold."""
    nested = {keyword for rule in CT_IMAGE.values() for keyword in rule.items}
    keywords = {*CT_IMAGE, *nested, *PRESENT, *MARKS, "PixelData"}
    return META_TAGS | {tag for keyword in keywords if (tag := tag_for_keyword(keyword)) is not None}


def deidentify_file(context: Mapping[str, str], item: list[str]) -> dict[str, Any]:
    """Write one image without identity; for the confined child, so everything is JSON.

    ``context`` holds the folders ``source`` and ``target`` and the subject; ``item`` the two file names.
    """
    subject = Subject(bytes.fromhex(context["secret"]), context["patient"], context["study"])
    clean, outcome = deidentified(Path(context["source"], item[0]).read_bytes(), subject)
    Path(context["target"], item[1]).write_bytes(clean)
    return {
        "actions": [[keyword, action, count] for (keyword, action), count in sorted(outcome.actions.items())],
        "taken": [[t.keyword, t.kind, t.text] for t in dict.fromkeys(outcome.taken)],
        "kept": sorted(outcome.kept),
        "dates": sorted({shifted_date(t.text, subject.days) for t in outcome.taken if t.kind == "DA"} - {""}),
    }


IDENTIFIERS = frozenset(
    tag_for_keyword(keyword)
    for keyword in (
        "PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "InstitutionName", "InstitutionAddress", "StationName",
        "DeviceSerialNumber", "IssuerOfPatientID", "PatientAddress", "PatientTelephoneNumbers", "PersonAddress", "AdmissionID",
    )
)  # fmt: skip
TEXT_VRS = frozenset({"AE", "CS", "LO", "LT", "SH", "ST", "UC", "UR", "UT"})
BINARY_VRS = frozenset({"OB", "OW", "UN", "OL", "OD", "OF", "OV"})
LONGEST_BINARY = 65536
"""Bytes of an opaque element that are looked through for texts."""


def _take(source: Dataset, tag: BaseTag | int | None, outcome: Outcome) -> None:
    """Note every text below an element that does not get into the output."""
    if tag is None or tag not in source:
        return
    raw = _raw(source, tag)
    outcome.taken.extend(_texts(_label(BaseTag(tag)), BaseTag(tag), _element(source, tag), raw))


def _texts(keyword: str, tag: BaseTag, element: DataElement, raw: bytes) -> Iterator[Taken]:
    if isinstance(element.value, Sequence):
        for item in element.value:
            for inner in list(item.keys()):
                before = _raw(item, inner)
                name = _label(inner)
                yield from _texts(keyword if name in {"private", "unknown"} else name, inner, _element(item, inner), before)
        return
    if not raw.isascii() and element.VR in TEXT_VRS | {"PN"}:
        yield Taken(keyword, "BYTES", raw.decode("latin-1"))
    if element.VR in BINARY_VRS:
        for run in re.findall(rb"[\x20-\x7e]{6,}", raw[:LONGEST_BINARY]):
            yield Taken(keyword, "TEXT", run.decode("ascii"))
        return
    kind = element.VR if element.VR in {"PN", "UI", "DA", "DT", "TM"} else "TEXT"
    kind = "ID" if kind == "TEXT" and (tag in IDENTIFIERS or tag >> 16 == 0x0010) else kind
    if kind == "TEXT" and element.VR not in TEXT_VRS | {"IS"}:
        return
    for value in _values(element.value):
        yield Taken(keyword, kind, str(value).strip(" \0"))


def _items(element: DataElement) -> list[Dataset]:
    return list(element.value) if isinstance(element.value, Sequence) else []


def _raw(source: Dataset, tag: BaseTag | int) -> bytes:
    """Return the undecoded value; elements that were decoded already (sequences of undefined length) have none."""
    item = source.get_item(tag)
    return item.value if isinstance(item, RawDataElement) and isinstance(item.value, bytes) else b""


def _element(source: Dataset, tag: BaseTag | int) -> DataElement:
    """Return the decoded element, or its bytes where its value breaks its VR."""
    raw = _raw(source, tag)
    try:
        return source[tag]
    except PARSE_ERRORS:
        return DataElement(tag, "OB", raw)
