"""Which format a file is in, told from its content: names do not say it, and are dropped at the door."""

from __future__ import annotations

import re
from pathlib import Path

from algorithms.slide.file.tiff import MAKE, SOFTWARE, XMP, TiffIndex

APERIO, GENERIC = "aperio", "generic-tiff"

TIFF = "TIFF"
TEXT = "text"
UNKNOWN = "an unknown format"

START = 4096
"""Bytes of a file that are looked at."""

SLIDES = (
    (re.compile(rb".{128}DICM", re.DOTALL), "a DICOM file"),
    (re.compile(rb"II\*\0|MM\0\*|II\+\0|MM\0\+"), TIFF),
    (re.compile(rb"\xff\xd8\xff"), "a JPEG picture (as is the front page of a MIRAX slide)"),
    (re.compile(rb"\x89PNG\r\n"), "a PNG picture"),
    (re.compile(rb"GIF8"), "a GIF picture"),
    (re.compile(rb"BM.{4}\0\0\0\0", re.DOTALL), "a BMP picture"),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), "a JPEG 2000 picture"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "a WebP picture"),
    (re.compile(rb".{4}ftyp", re.DOTALL), "a HEIF picture or a video"),
    (re.compile(rb"8BPS"), "a Photoshop picture"),
    (re.compile(rb"ZISRAWFILE"), "a Zeiss CZI slide"),
    (re.compile(rb"SQLite format 3\0"), "a SQLite database (as are Sakura's slides)"),
    (re.compile(rb"SIS\0"), "an Olympus ETS slide"),
    (re.compile(rb"KFB"), "a KFBIO slide"),
    (re.compile(rb".{0,2000}ObjectType=\"DPUfsImport\"", re.DOTALL), "a Philips iSyntax slide"),
    (re.compile(rb".{0,16}\[(Uncompressed )?Virtual Microscope Specimen\]", re.DOTALL), "a Hamamatsu VMS or VMU slide"),
    (re.compile(rb".{0,16}\[GENERAL\]\s+SLIDE_", re.DOTALL), "part of a MIRAX slide"),
)
"""First bytes of what may have been meant as a slide: a picture that somebody renamed stands for a slide that is missing."""

OTHERS = (
    (re.compile(rb"%PDF"), "a PDF document"),
    (re.compile(rb"PK\x03\x04|PK\x05\x06"), "a zip archive"),
    (re.compile(rb"\x1f\x8b"), "a gzip archive"),
    (re.compile(rb"7z\xbc\xaf"), "a 7z archive"),
    (re.compile(rb"Rar!"), "a RAR archive"),
    (re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "an Office document"),
    (re.compile(rb"[\t-\r -\xff]+\Z"), TEXT),
    (re.compile(rb"\Z"), "an empty file"),
)
"""First bytes of files that lie beside slides."""


def file_format(path: Path) -> tuple[str, bool]:
    """Return what the file is, in words, and whether it may have been meant as a slide."""
    with path.open("rb") as file:
        start = file.read(START)
    for table, slide in ((SLIDES, True), (OTHERS, False)):
        for pattern, name in table:
            if pattern.match(start):
                return name, slide
    return UNKNOWN, False


NDPI_FORMAT_FLAG = 65420
"""Hamamatsu's private field that its NDPI slides begin with."""

DESCRIPTIONS = (
    (re.compile(r"leica-microsystems\.com/scn"), "a Leica SCN slide"),
    (re.compile(r"DPUfsImport"), "a Philips TIFF slide"),
    (re.compile(r"^level=\d+ mag=\d+"), "a Ventana slide"),
    (re.compile(r"^Argos|argosscanner", re.IGNORECASE), "an Argos AVS slide"),
)


def foreign(index: TiffIndex) -> str:
    """Return the name of a TIFF-based format that cannot be rebuilt from its tiles alone, or an empty text.

    Their places, scales and levels stand in private text: without it a copy would be another slide.

    References
    ----------
    OpenSlide 4.0, the page of each format, for how they are told apart.
    """
    first = index.pages[0]
    software, make = index.text(first, SOFTWARE), index.text(first, MAKE)
    descriptions = [page.description[:65536] for page in index.pages]
    rules = (
        (NDPI_FORMAT_FLAG in first.fields or make.startswith("Hamamatsu"), "a Hamamatsu NDPI slide"),
        (software.startswith("Philips"), "a Philips TIFF slide"),
        (software.startswith("MedScan"), "a Trestle slide"),
        (make.startswith("Huron"), "a Huron slide"),
        (any("<iScan" in index.text(page, XMP, 65536) for page in index.pages), "a Ventana slide"),
        *((any(map(pattern.search, descriptions)), name) for pattern, name in DESCRIPTIONS),
    )
    return next((name for applies, name in rules if applies), "")


def vendor(index: TiffIndex) -> str:
    """Return ``"aperio"`` where the first page says so, as OpenSlide asks, else ``"generic-tiff"``."""
    return APERIO if index.pages[0].description.startswith("Aperio") else GENERIC
