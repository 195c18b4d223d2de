"""The codes of vessels, segments and measured values in DICOM and FHIR: (value, scheme, meaning).

SNOMED CT where DICOM lists a code (PS3.16 CID 3014, 3015, 3020, 3483, 3620, 12119), our own scheme where it lists none.
"""

from __future__ import annotations

from algorithms.dicom.results.origin import OWN_SCHEME, Code

CORONARY_ARTERY: Code = ("41801008", "SCT", "Coronary artery")
BLOOD_VESSEL: Code = ("59820001", "SCT", "Blood Vessel")
STENOSIS: Code = ("415582006", "SCT", "stenosis")
CORONARY_DISEASE: Code = ("53741008", "SCT", "Coronary Artery Disease")
PROCEDURE: Code = ("419545005", "SCT", "CT angiography of coronary arteries")
REPORT_DOCUMENT: Code = ("18748-4", "LN", "Diagnostic imaging study")

ALGORITHM_FAMILY: Code = ("123106", "DCM", "Multi-Scale/Resolution Filtering")
"""What finds the lumen: a line filter at several scales (CID 7162)."""

VESSELS: dict[str, Code] = {
    "LM": ("3227004", "SCT", "Left Main Coronary Artery"),
    "LAD": ("59438005", "SCT", "Left Anterior Descending Coronary Artery"),
    "LCx": ("57396003", "SCT", "Circumflex Coronary Artery"),
    "RCA": ("13647002", "SCT", "Right Coronary Artery"),
    "RI": ("244252004", "SCT", "Intermediate Artery (Ramus)"),
    "D1": ("91750005", "SCT", "1st Diagonal Coronary Artery"),
    "D2": ("91751009", "SCT", "2nd Diagonal Coronary Artery"),
    "D3": ("91752002", "SCT", "3rd diagonal Coronary Artery"),
    "OM1": ("91754001", "SCT", "1st Marginal Coronary Artery"),
    "OM2": ("91755000", "SCT", "2nd Marginal Coronary Artery"),
    "OM3": ("91756004", "SCT", "3rd Marginal Coronary Artery"),
    "S1": ("244251006", "SCT", "1st Septal Coronary Artery"),
    "R-PDA": ("53655008", "SCT", "Posterior Descending Right Coronary Artery"),
    "R-PLB": ("17269004", "SCT", "Posterolateral branch of right Coronary Artery"),
    "L-PDA": ("91760001", "SCT", "Left Posterior Descending Circumflex Coronary Artery"),
    "L-PLB": ("57823005", "SCT", "Left Posterolateral Circumflex Coronary Artery"),
}
"""By the name of the branch; one without a code of its own (AM1, S2, D1a) is a coronary artery."""

SEGMENTS: dict[int, Code] = {
    1: ("91083009", "SCT", "Proximal Right Coronary Artery"),
    2: ("450960006", "SCT", "Mid Right Coronary Artery"),
    3: ("41879009", "SCT", "Distal Right Coronary Artery"),
    4: VESSELS["R-PDA"],
    5: VESSELS["LM"],
    6: ("68787002", "SCT", "Proximal Left Anterior Descending Coronary Artery"),
    7: ("91748002", "SCT", "Mid Left Anterior Descending Coronary Artery"),
    8: ("36672000", "SCT", "Distal Left Anterior Descending Coronary Artery"),
    9: VESSELS["D1"],
    10: VESSELS["D2"],
    11: ("52433000", "SCT", "Proximal Circumflex Coronary Artery"),
    12: VESSELS["OM1"],
    13: VESSELS["LCx"],  # mid and distal in one, which has no code
    14: VESSELS["OM2"],
    15: VESSELS["L-PDA"],
    16: VESSELS["R-PLB"],
    17: VESSELS["RI"],
    18: VESSELS["L-PLB"],
}
"""By the number of the SCCT segment (algorithms.coronary.tree)."""


def own(value: str, meaning: str) -> Code:
    """Return a code of our own scheme; a longer value than 16 characters is looked for elsewhere (PS3.3 table 8.8-1)."""
    return (value, OWN_SCHEME, meaning)


FFR: Code = ("371842003", "SCT", "Fractional flow reserve")
FROM_CT = own("ffr-ct", "Computed from CT by a model of blood flow")
"""The method, so that nobody takes the value for one measured with a pressure wire."""

FFR_LOW = own("ffr-low", "Fractional flow reserve, lower limit of its interval")
FFR_HIGH = own("ffr-high", "Fractional flow reserve, upper limit of its interval")
DELTA_FFR = own("delta-ffr", "Fall of fractional flow reserve across the stenosis")
DIAMETER_STENOSIS: Code = ("408715008", "SCT", "Lumen Diameter Stenosis")
AREA_STENOSIS: Code = ("408714007", "SCT", "Lumen Area Stenosis")
LUMEN_DIAMETER: Code = ("397413000", "SCT", "Vessel lumen diameter")
MINIMUM: Code = ("255605001", "SCT", "Minimum")
LEAST_DIAMETER = own("min-diameter", "Minimal lumen diameter")
REFERENCE_DIAMETER = own("ref-diameter", "Diameter that the vessel would have without disease")
STENOSIS_LENGTH: Code = ("408716009", "SCT", "Stenotic Lesion Length")
FROM_OSTIUM = own("from-ostium", "Distance of the narrowest point from the ostium along the vessel")

BAND = own("ffr-band", "Band of fractional flow reserve")
BANDS: dict[str, Code] = {
    "negative": own("ffr-negative", "Above 0.80"),
    "grey": own("ffr-grey", "0.76 to 0.80"),
    "positive": own("ffr-positive", "0.75 and below"),
}
BAND_PROBABILITY: dict[str, Code] = {
    "negative": own("ffr-p-negative", "Probability that fractional flow reserve is above 0.80"),
    "grey": own("ffr-p-grey", "Probability that fractional flow reserve is 0.76 to 0.80"),
    "positive": own("ffr-p-positive", "Probability that fractional flow reserve is 0.75 or below"),
}

CAD_RADS: Code = ("130720", "DCM", "Coronary Artery Disease Assessment")
CAD_RADS_CATEGORIES: dict[str, Code] = {
    "0": ("130723", "DCM", "0 - Documented absence of CAD"),
    "1": ("130724", "DCM", "1 - Minimal non-obstructive CAD"),
    "2": ("130725", "DCM", "2 - Mild non-obstructive CAD"),
    "3": ("130726", "DCM", "3 - Moderate stenosis"),
    "4A": ("130728", "DCM", "4A - Severe stenosis"),
    "4B": ("130729", "DCM", "4B - Severe stenosis"),
    "5": ("130730", "DCM", "5 - Total coronary occlusion"),
}


def vessel_code(name: str) -> Code:
    """Return the code of a branch by its name."""
    if name.startswith("AM"):
        return ("22765000", "SCT", "Marginal Coronary Artery")
    return VESSELS.get(name, CORONARY_ARTERY)
