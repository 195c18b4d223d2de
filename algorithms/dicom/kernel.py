"""Reconstruction kernels by name: a smooth or medium one shows the lumen, a sharp one is for stents, calcium and lung.

Only names that follow a vendor's naming are ever shown or kept; anything else in that field may be somebody's free text.
"""

from __future__ import annotations

import re

SIEMENS = re.compile(r"[BHIQTU][A-Za-z]?(\d{2})[a-z]?")
"""Body region or purpose, model letter, sharpness number, variant: B26f, Bv40, Br38f, I26f, Qr36."""

SHARPEST_SMOOTH_NUMBER = 44
"""Siemens' B46f and Bv49 are sold for stents and calcified plaque, B36f and Bv40 for the lumen."""

CANON = re.compile(r"FC(\d{2})(?:-[A-Z])?")
"""FC01-FC19 and FC41-FC49 are body and cardiac kernels; FC30-FC39 bone, FC50-FC59 and FC80 on lung."""

SMOOTH_NAMES = frozenset(
    {"STANDARD", "HD STND", "STND", "SOFT", "SMOOTH", "CARDIAC", "A", "B", "CA", "CB", "XCA", "XCB", "IMR1"}
)
SHARP_NAMES = frozenset({"DETAIL", "BONE", "BONEPLUS", "LUNG", "EDGE", "ULTRA", "HD DETAIL", "C", "D", "CC", "CD", "XCC", "XCD",
                         "YA", "YB", "YC", "YD", "E", "L"})  # fmt: skip
"""Names that GE (words) and Philips (letters) use."""


def kernel_name(text: str) -> str:
    """Return the first value of ConvolutionKernel if it is a vendor's kernel name, otherwise an empty text."""
    name = text.split("\\", maxsplit=1)[0].strip()
    known = SIEMENS.fullmatch(name) or CANON.fullmatch(name) or name.upper() in SMOOTH_NAMES | SHARP_NAMES
    return name if known else ""


def kernel_class(text: str) -> str:
    """Return ``"smooth"`` (smooth or medium), ``"sharp"`` or ``"unknown"``."""
    name = kernel_name(text)
    if siemens := SIEMENS.fullmatch(name):
        return "smooth" if int(siemens.group(1)) <= SHARPEST_SMOOTH_NUMBER else "sharp"
    if canon := CANON.fullmatch(name):
        number = int(canon.group(1))
        return "smooth" if number < 20 or 40 <= number < 50 else "sharp"
    if name.upper() in SMOOTH_NAMES:
        return "smooth"
    return "sharp" if name.upper() in SHARP_NAMES else "unknown"
