"""What of a CT image may stay: every attribute by keyword, and the rule that its value must pass.  All else is removed.

A rule says the action (as PS3.15 Table E.1-1 spells it) and what values it lets through.  No rule lets free text through:
texts are codes from closed lists, names of makers and kernels that follow the makers' own spelling, or they go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from algorithms.dicom.confidentiality import Option

OPTIONS = frozenset({Option.BASIC, Option.RETAIN_PATIENT_CHARACTERISTICS, Option.RETAIN_MODIFIED_DATES})
"""The profile that is applied, and said in DeidentificationMethodCodeSequence."""


@dataclass(frozen=True)
class Rule:
    """How one attribute is treated; ``kind`` names the function of `algorithms.dicom.deidentification` that applies it."""

    kind: str
    action: str = "K"
    low: float = -1e9
    high: float = 1e9
    terms: frozenset[str] = frozenset()
    items: Mapping[str, Rule] = field(default_factory=dict)


def number(low: float, high: float) -> Rule:
    """Keep numbers within physical bounds."""
    return Rule("number", low=low, high=high)


def codes(terms: str) -> Rule:
    """Keep the values that are among ``terms`` (separated by spaces, ``_`` may stand for a space)."""
    words = terms.split()
    return Rule("codes", terms=frozenset(words) | frozenset(word.replace("_", " ") for word in words))


UID = Rule("uid", action="U")
CLASS_UID = Rule("class_uid")
DATE = Rule("date", action="C")
EMPTY = Rule("empty", action="Z")

REFERENCES = Rule("items", action="U", items={"ReferencedSOPClassUID": CLASS_UID, "ReferencedSOPInstanceUID": UID})

MAKERS = {
    "SIEMENS": "SIEMENS", "SIEMENS HEALTHINEERS": "Siemens Healthineers", "GE MEDICAL SYSTEMS": "GE MEDICAL SYSTEMS",
    "GE HEALTHCARE": "GE HEALTHCARE", "PHILIPS": "Philips", "PHILIPS MEDICAL SYSTEMS": "Philips Medical Systems",
    "PHILIPS HEALTHCARE": "Philips Healthcare", "TOSHIBA": "TOSHIBA", "CANON MEDICAL SYSTEMS": "CANON MEDICAL SYSTEMS",
    "CANON_MEC": "CANON_MEC", "TOSHIBA_MEC": "TOSHIBA_MEC", "HITACHI": "HITACHI", "HITACHI MEDICAL CORPORATION": "HITACHI",
    "FUJIFILM": "FUJIFILM", "FUJIFILM HEALTHCARE CORPORATION": "FUJIFILM", "NEUSOFT": "Neusoft", "UIH": "UIH",
    "ARINETA": "Arineta", "SAMSUNG ELECTRONICS": "SAMSUNG", "NEUROLOGICA": "NeuroLogica", "HEARTWOOD": "Heartwood",
}  # fmt: skip
"""Makers of CT scanners as they write themselves in Manufacturer, in capitals; any other text goes."""

CT_IMAGE: Mapping[str, Rule] = {
    # who and when
    "PatientName": Rule("pseudonym", action="D"),
    "PatientID": Rule("pseudonym", action="D"),
    "PatientBirthDate": EMPTY,
    "PatientSex": codes("M F O"),
    "PatientAge": Rule("age", action="C"),
    "PatientSize": number(0.3, 2.5),
    "PatientWeight": number(0.5, 400),
    "StudyDate": DATE,
    "SeriesDate": DATE,
    "AcquisitionDate": DATE,
    "ContentDate": DATE,
    "StudyTime": EMPTY,
    "AccessionNumber": EMPTY,
    "StudyID": EMPTY,
    "ReferringPhysicianName": EMPTY,
    # which image
    "SOPClassUID": CLASS_UID,
    "SOPInstanceUID": UID,
    "StudyInstanceUID": UID,
    "SeriesInstanceUID": UID,
    "FrameOfReferenceUID": UID,
    "PositionReferenceIndicator": EMPTY,
    "ImageType": codes("ORIGINAL DERIVED PRIMARY SECONDARY AXIAL HELIX CT_SOM5 CT_SOM7 CT_SOM8 SEQ SPI"),
    "Modality": codes("CT"),
    "SeriesNumber": number(0, 999999),
    "AcquisitionNumber": number(0, 999999),
    "InstanceNumber": number(0, 999999),
    "SourceImageSequence": REFERENCES,
    "ReferencedImageSequence": REFERENCES,
    # how it was made
    "Manufacturer": Rule("maker"),
    "ManufacturerModelName": Rule("model"),
    "BodyPartExamined": codes("HEART CORONARY CORONARYARTERY CHEST THORAX AORTA CARDIAC"),
    "PatientPosition": codes("HFS HFP HFDR HFDL FFS FFP FFDR FFDL"),
    "ContrastBolusAgent": Rule("presence", action="D"),
    "ContrastBolusVolume": number(0, 500),
    "ContrastFlowRate": number(0, 30),
    "ConvolutionKernel": Rule("kernel"),
    "SliceThickness": number(0.05, 50),
    "SpacingBetweenSlices": number(-50, 50),
    "KVP": number(20, 200),
    "DataCollectionDiameter": number(50, 1000),
    "ReconstructionDiameter": number(20, 1000),
    "DistanceSourceToDetector": number(100, 3000),
    "DistanceSourceToPatient": number(100, 3000),
    "GantryDetectorTilt": number(-45, 45),
    "TableHeight": number(-2000, 2000),
    "RotationDirection": codes("CW CC"),
    "ExposureTime": number(0, 100000),
    "XRayTubeCurrent": number(0, 5000),
    "Exposure": number(0, 100000),
    "GeneratorPower": number(0, 500),
    "FocalSpots": number(0, 10),
    "SingleCollimationWidth": number(0.1, 200),
    "TotalCollimationWidth": number(0.1, 400),
    "TableSpeed": number(0, 1000),
    "TableFeedPerRotation": number(0, 1000),
    "SpiralPitchFactor": number(0, 10),
    "RevolutionTime": number(0.05, 10),
    "CTDIvol": number(0, 1000),
    "ExposureModulationType": codes("NONE ANGULAR LONGITUDINAL ECG XYZ_EC XY_EC Z_EC"),
    "ScanOptions": codes("HELIX AXIAL HELICAL CARDIAC ECG GATED"),
    "HeartRate": number(20, 300),
    "NominalPercentageOfCardiacPhase": number(0, 100),
    "TriggerTime": number(0, 5000),
    "TemporalPositionIdentifier": number(0, 10000),
    "TemporalPositionIndex": number(0, 10000),
    # geometry and pixels
    "ImagePositionPatient": number(-10000, 10000),
    "ImageOrientationPatient": number(-1.001, 1.001),
    "SliceLocation": number(-10000, 10000),
    "PixelSpacing": number(0.01, 10),
    "SamplesPerPixel": number(1, 1),
    "PhotometricInterpretation": codes("MONOCHROME1 MONOCHROME2"),
    "Rows": number(1, 65535),
    "Columns": number(1, 65535),
    "BitsAllocated": number(1, 32),
    "BitsStored": number(1, 32),
    "HighBit": number(0, 31),
    "PixelRepresentation": number(0, 1),
    "PixelPaddingValue": number(-65536, 65536),
    "PixelPaddingRangeLimit": number(-65536, 65536),
    "RescaleIntercept": number(-100000, 100000),
    "RescaleSlope": number(-1000, 1000),
    "RescaleType": codes("HU"),
    "WindowCenter": number(-32768, 65535),
    "WindowWidth": number(1, 65535),
    "BurnedInAnnotation": codes("NO"),
    "LossyImageCompression": codes("00 01"),
    "LossyImageCompressionRatio": number(1, 1000),
}

PRESENT = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "StudyID",
    "ReferringPhysicianName", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
    "PositionReferenceIndicator", "Manufacturer", "Modality", "SeriesNumber", "InstanceNumber", "AcquisitionNumber", "KVP",
)  # fmt: skip
"""Type 1 and 2 attributes of the CT Image IOD (PS3.3 A.3.3): written even if the input lacks them, the latter empty."""

PUBLIC_WORDS = frozenset(
    {term for rule in CT_IMAGE.values() for term in rule.terms}
    | set(MAKERS) | set(MAKERS.values())
    | {text for option in OPTIONS for text in option.value}
    | {"CONTRAST AGENT", "MODIFIED", "YES", "DCM", "HEARTWOOD", "DICM"}
)  # fmt: skip
"""Every fixed text that an output may hold, whoever the patient is: finding one of these proves no leak."""
