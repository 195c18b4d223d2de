"""Places in a CT image where a text can be, beside those of the standard's table; each one gets values of its own."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

from tests.algorithms.dicom.hard.elements import (
    Element,
    as_un,
    element,
    even,
    nested,
    with_value,
)
from tests.algorithms.dicom.hard.examination import pixels
from tests.algorithms.dicom.hard.ledger import Ledger

Change = Callable[[Ledger, list[Element]], list[Element]]
"""Takes the elements of an image and returns them with planted values."""

KNOWN_SEQUENCES = (0x00081115, 0x0008114A, 0x0040A170)
UNKNOWN_SEQUENCES = (0x00089998, 0x00119999, 0x0021FFFE)
PRIVATE = 0x00091010
PIXEL_DATA = 0x7FE00010
MAKERS = (
    "SIEMENS CSA HEADER",
    "GEMS_IDEN_01",
    "Philips Imaging DD 001",
    "TOSHIBA_MEC_CT3",
    "ELSCINT1",
    "SIEMENS MEDCOM HEADER",
)


def in_private_blocks(ledger: Ledger, image: list[Element]) -> list[Element]:
    """Makers' blocks, a block whose creator is a name, blocks without creator, a creator without block."""
    added = []
    for number, maker in enumerate(MAKERS):
        group = 0x0009 + 0x10 * number
        where = f"private block of {maker}"
        added += [
            element(group << 16 | 0x0010, "LO", maker),
            element(group << 16 | 0x1010, "OB", b"SV10\4\3\2\1" + ledger.word(f"{where}, OB").encode() + b"\0\1"),
            element(group << 16 | 0x1011, "LO", ledger.word(f"{where}, LO")),
            element(group << 16 | 0x1012, "PN", f"{ledger.word(f'{where}, PN')}^{ledger.word(f'{where}, PN given')}"),
            element(group << 16 | 0x1013, "DA", ledger.date(f"{where}, DA")),
            element(group << 16 | 0x1014, "UI", ledger.uid(f"{where}, UI")),
            nested(
                [
                    element(group << 16 | 0x0010, "LO", maker),
                    element(group << 16 | 0x1001, "LO", ledger.word(f"{where}, nested")),
                ],
                [group << 16 | 0x1015, 0x00081140],
            ),
        ]
    added += [
        element(0x00990010, "LO", ledger.word("private creator")),
        element(0x00991001, "UN", ledger.word("private, UN").encode()),
        element(0x00971001, "LO", ledger.word("private without creator")),
        element(0x00950011, "LO", ledger.word("private creator without block")),
        element(0x00930001, "LO", ledger.word("private below the creators")),
        element(0x009300FF, "UN", ledger.word("private, last creator, UN").encode()),
    ]
    return image + added


def in_unused_numbers(ledger: Ledger, image: list[Element]) -> list[Element]:
    """Attributes that no dictionary knows, and those of retired and repeating groups, in several VRs."""
    added = [
        element(tag, vr, ledger.word(f"unknown attribute, {vr}"))
        for tag, vr in ((0x00089997, "LO"), (0x00109999, "UT"), (0x00189999, "ST"), (0x00209999, "UN"), (0x00289999, "OB"),
                        (0x00401999, "LT"), (0x12340010, "LO"), (0x7F000001, "LO"))
    ]  # fmt: skip
    added += [
        element(0x00080001, "UL", 4),
        element(0x00280200, "US", 2),
        element(0x00204000, "LT", ledger.word("retired: ImageComments")),
        element(0x40000010, "LT", ledger.word("retired: Arbitrary")),
        element(0x40004000, "LT", ledger.word("retired: TextComments")),
        element(0x00102298, "CS", ledger.word("retired").upper()),
    ]
    return with_value(image, *added)


def in_group_lengths(ledger: Ledger, image: list[Element]) -> list[Element]:
    """Group lengths that are not four bytes long, and one in each group."""
    groups = sorted({one.tag >> 16 for one in image})
    return image + [
        element(group << 16, "UL", b"\0\0\0\0" + ledger.word(f"group length of {group:04x}").encode()) for group in groups
    ]


def in_overlays(ledger: Ledger, image: list[Element]) -> list[Element]:
    """Overlay planes with their texts, in first and last group; curves and audio of old editions; an icon; a signature."""
    added = []
    for group in (0x6000, 0x6002, 0x601E, 0x60FE):
        plane = ledger.word(f"overlay {group:04x}, bits").encode().ljust(128, b"\0")
        added += [
            element(group << 16 | 0x0010, "US", 32), element(group << 16 | 0x0011, "US", 32),
            element(group << 16 | 0x0022, "LO", ledger.word(f"overlay {group:04x}, description")),
            element(group << 16 | 0x0040, "CS", "G"), element(group << 16 | 0x0050, "SS", b"\1\0\1\0"),
            element(group << 16 | 0x0100, "US", 1), element(group << 16 | 0x0102, "US", 0),
            element(group << 16 | 0x1500, "LO", ledger.word(f"overlay {group:04x}, label")),
            element(group << 16 | 0x3000, "OW", plane),
            element(group << 16 | 0x4000, "LT", ledger.word(f"overlay {group:04x}, comments")),
        ]  # fmt: skip
    for group in (0x5000, 0x50FE):
        added += [
            element(group << 16 | 0x0022, "LO", ledger.word("curve, description")),
            element(group << 16 | 0x2500, "LO", ledger.word("curve, label")),
            element(group << 16 | 0x200E, "LT", ledger.word("curve, audio comments")),
            element(group << 16 | 0x3000, "OW", ledger.word("curve, data").encode()),
        ]
    icon = [
        element(0x00280010, "US", 4),
        element(0x00280011, "US", 4),
        element(PIXEL_DATA, "OB", ledger.word("icon").encode().ljust(16)),
    ]
    signature = [element(0x04000115, "OB", ledger.word("signature, certificate").encode())]
    modified = [
        element(0x04000564, "LO", ledger.word("original attributes, source")),
        nested([element(0x00100010, "PN", ledger.word("original attributes, name"))], [0x04000550]),
    ]
    return [
        *image,
        *added,
        nested(icon, [0x00880200]),
        nested(signature, [0xFFFAFFFA]),
        nested(modified, [0x04000561]),
        element(0x54000100, "SQ", [[element(0x54001010, "OW", ledger.word("waveform").encode())]]),
    ]


def in_spare_bits(ledger: Ledger, image: list[Element]) -> list[Element]:
    """An old overlay in bits 12 to 15 of the pixels (retired form of PS3.3 C.9.2)."""
    matrix = _matrix(image)
    for bit in range(12, 16):
        text = ledger.word(f"bit {bit} of the pixels").encode()
        plane = np.unpackbits(np.frombuffer(text.ljust(128, b"\0"), np.uint8), bitorder="little").astype(np.uint16)
        matrix = matrix | (plane << bit).reshape(matrix.shape)
    overlay = [
        element(0x60000010, "US", 32), element(0x60000011, "US", 32), element(0x60000040, "CS", "G"),
        element(0x60000100, "US", 16), element(0x60000102, "US", 12),
    ]  # fmt: skip
    return with_value(image, *overlay, element(PIXEL_DATA, "OW", matrix.astype("<u2").tobytes()))


def _matrix(image: list[Element]) -> np.ndarray:
    (value,) = (one.value for one in image if one.tag == PIXEL_DATA)
    assert isinstance(value, bytes)
    return np.frombuffer(value, "<u2").reshape(pixels(0).shape)


def behind_the_pixels(ledger: Ledger, image: list[Element]) -> list[Element]:
    """Pixel Data longer than the matrix, and DataSetTrailingPadding."""
    longer = _matrix(image).tobytes() + ledger.word("behind the last pixel").encode()
    return with_value(
        image,
        element(PIXEL_DATA, "OW", longer),
        element(0x7FE00020, "OW", ledger.word("coefficients").encode()),
        element(0xFFFCFFFC, "OB", ledger.word("trailing padding").encode()),
    )


def in_kept_texts(ledger: Ledger, image: list[Element]) -> list[Element]:
    """Attributes that analysis needs and that a de-identifier likes to keep, with a name where a word was expected."""
    codes = [
        (0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL\\{}"), (0x00180015, "CS", "{}"), (0x00180022, "CS", "HELIX\\{}"),
        (0x00181140, "CS", "{}"), (0x0018115E, "CS", "{}"), (0x00181160, "SH", "{}"), (0x00200060, "CS", "{}"),
        (0x00282114, "CS", "{}"), (0x20500020, "CS", "{}"), (0x00189323, "CS", "{}"),
    ]  # fmt: skip
    texts = [
        (0x00080070, "LO", "SIEMENS {}"), (0x00081090, "LO", "SOMATOM {}"), (0x00180010, "LO", "Iomeron {}"),
        (0x00181020, "LO", "syngo {}"), (0x00181210, "SH", "{}"), (0x00181250, "SH", "{}"), (0x00181400, "LO", "{}"),
        (0x00281054, "LO", "{}"), (0x00281055, "LO", "WIN {}"), (0x00201040, "LO", "{}"), (0x00181061, "LO", "{}"),
        (0x00080068, "CS", "{}"), (0x00283003, "LO", "{}"), (0x00104000, "LT", "{}"), (0x00181000, "LO", "{}"),
        (0x00080015, "DT", "{}"), (0x00181411, "DS", "1\\{}"), (0x001811A2, "DS", "{}"), (0x00189305, "FD", "{}"),
    ]  # fmt: skip
    planted = [
        element(
            tag,
            vr,
            form.format(ledger.word(f"kept text {tag:08x}").upper() if vr == "CS" else ledger.word(f"kept text {tag:08x}")),
        )
        for tag, vr, form in codes + texts
    ]
    return with_value(image, *planted)


def in_kept_texts_alone(ledger: Ledger, image: list[Element]) -> list[Element]:
    """Manufacturer and model that are nothing but a name, sex and orientation too."""
    return with_value(
        image,
        element(0x00080070, "LO", ledger.word("Manufacturer alone")),
        element(0x00081090, "LO", ledger.word("ManufacturerModelName alone")),
        element(0x00100040, "CS", ledger.word("PatientSex").upper()),
        element(0x00185100, "CS", ledger.word("PatientPosition").upper()),
        element(0x00101010, "AS", ledger.word("PatientAge")),
        element(0x00101020, "DS", ledger.word("PatientSize")),
        element(0x00101030, "DS", f"74\\{ledger.word('PatientWeight')}"),
    )


def in_numbers(ledger: Ledger, image: list[Element]) -> list[Element]:
    """Numbers of the hospital in attributes of number: alone, and as a second value."""
    return with_value(
        image,
        element(0x00180060, "DS", ledger.number("KVP")),
        element(0x00181152, "IS", ledger.number("Exposure")),
        element(0x00181150, "IS", f"500\\{ledger.number('ExposureTime, second value')}"),
        element(0x00200012, "IS", ledger.number("AcquisitionNumber")),
        element(0x00181151, "IS", f"+{ledger.number('XRayTubeCurrent')}"),
        element(0x00180088, "DS", f"{ledger.number('SpacingBetweenSlices')}e-9"),
        element(0x00180090, "DS", f"0500\\{ledger.number('DataCollectionDiameter')}"),
        element(0x00281051, "DS", f"800\\{ledger.number('WindowWidth, second value')}"),
    )


def behind_zeros(ledger: Ledger, image: list[Element]) -> list[Element]:
    """Values that end for a C programmer and for nobody else; a reader may take the file for a damaged one."""
    return _behind(ledger, image, ("{}\0{}", "{}\0\0{}"))


def behind_blanks(ledger: Ledger, image: list[Element]) -> list[Element]:
    """Texts behind blanks, ends of lines and pages, an escape and a tab."""
    return _behind(ledger, image, ("{}" + " " * 40 + "{}", "{}\r\n{}", "{}\f{}", "{}\x1b{}", "{}\t{}"))


def _behind(ledger: Ledger, image: list[Element], forms: tuple[str, ...]) -> list[Element]:
    kept = ((0x00080060, "CS", "CT"), (0x00080070, "LO", "SIEMENS"), (0x00180015, "CS", "HEART"), (0x00180050, "DS", "0.75"),
            (0x00181210, "SH", "Bv40"))  # fmt: skip
    changes = [
        element(tag, vr, form.format(value, ledger.word(f"{form!r}, {tag:08x}")))
        for (tag, vr, value), form in zip(kept, forms, strict=False)
    ]
    return with_value(image, *changes)


def split_over_values(ledger: Ledger, image: list[Element]) -> list[Element]:
    """A name as one of many values, and in very long ones."""
    many = "\\".join(["A"] * 200 + [ledger.word("value 201 of ImageType").upper()])
    long = "x" * 70_000 + ledger.word("behind 70000 letters")
    return with_value(
        image,
        element(0x00080008, "CS", f"ORIGINAL\\PRIMARY\\AXIAL\\{many}"),
        element(0x00104000, "UT", long),
        element(0x00281055, "LO", "\\".join(["WINDOW"] * 50 + [ledger.word("value 51 of WindowCenterWidthExplanation")])),
    )


def in_uids(ledger: Ledger, image: list[Element]) -> list[Element]:
    """UIDs that are texts, that hold dates and numbers, that do not fit, and such as look like the standard's own."""
    word, number, day, moment = (
        ledger.word("UID as text"), ledger.number("UID, digits"), ledger.date("UID, date"), ledger.date("UID, date and time"),
    )  # fmt: skip
    items = [
        [element(0x00081150, "UI", f"1.2.840.10008.5.1.4.1.1.{ledger.number('UID of the standard')}"),
         element(0x00081155, "UI", f"1.3.12.2.1107.5.1.4.{number}.{day}.1")],
        [element(0x00081150, "UI", word),
         element(0x00081155, "UI", f"1.2.3.{moment}093215.{ledger.number('UID, more digits')}")],
    ]  # fmt: skip
    return with_value(
        image,
        element(0x00081140, "SQ", items),
        element(0x00080014, "UI", f"../../{ledger.word('UID as a path')}"),
        element(0x00200052, "UI", f"1.2.840.10008.1.4.1.{ledger.number('FrameOfReferenceUID as one of the standard')}"),
        element(0x00083010, "UI", ledger.uid("IrradiationEventUID")),
        element(0x00281199, "UI", ledger.uid("PaletteColorLookupTableUID")),
    )


def in_codes(ledger: Ledger, image: list[Element]) -> list[Element]:
    """Code sequences, which some tools keep as harmless: value, meaning, scheme, URN and long forms."""
    code = [
        element(tag, vr, ledger.word(f"code {tag:08x}"))
        for tag, vr in ((0x00080100, "SH"), (0x00080102, "SH"), (0x00080103, "SH"), (0x00080104, "LO"), (0x00080119, "UC"),
                        (0x00080120, "UR"), (0x0008010F, "CS"))
    ]  # fmt: skip
    sequences = (0x00081032, 0x00082218, 0x00120064, 0x00181800, 0x00321064, 0x00400260, 0x00080110, 0x00189346, 0x00082112)
    return image + [element(tag, "SQ", [code]) for tag in sequences]


def in_marks(ledger: Ledger, image: list[Element]) -> list[Element]:
    """Marks of an earlier de-identification, which are texts of whoever did it."""
    return [
        *image,
        element(0x00120062, "CS", "YES"),
        element(0x00120063, "LO", f"by {ledger.word('DeidentificationMethod')}"),
        element(0x00280303, "CS", ledger.word("LongitudinalTemporalInformationModified").upper()),
        element(0x00280301, "CS", "NO"),
        element(0x00080201, "SH", ledger.word("TimezoneOffsetFromUTC")),
        element(0x00120010, "LO", ledger.word("ClinicalTrialSponsorName")),
        element(0x00120040, "LO", ledger.word("ClinicalTrialSubjectID")),
    ]


def coded_un(ledger: Ledger, image: list[Element]) -> list[Element]:
    """Elements that should be kept and sequences in them coded UN, which hides what they are."""
    name = [element(0x00100010, "PN", ledger.word("sequence coded UN"))]
    return [
        *image,
        nested(name, [0x00081140, 0x00081199], vr="UN"),
        as_un(element(0x0018115A, "CS", ledger.word("CS coded UN").upper())),
        nested(
            [element(0x0040A160, "UT", ledger.word("sequence coded UN, open"))], [0x00081111, 0x00081115], vr="UN", open=True
        ),
        as_un(element(0x00184000, "LO", ledger.word("LO coded UN"))),
    ]


def in_paddings(ledger: Ledger, image: list[Element]) -> list[Element]:
    """Numbers of pixels that are longer than they should be: padding values, tables, histograms, aspect ratios."""
    tables = [
        element(0x00280120, "US", b"\0\0" + ledger.word("PixelPaddingValue").encode()),
        element(0x00280121, "US", b"\0\0" + ledger.word("PixelPaddingRangeLimit").encode()),
        element(0x00280106, "US", b"\0\0" + ledger.word("SmallestImagePixelValue").encode()),
        element(0x00280034, "IS", f"1\\{ledger.word('PixelAspectRatio')}"),
        element(0x00281201, "OW", ledger.word("palette, red").encode()),
        element(0x00281221, "OW", ledger.word("segmented palette, red").encode()),
        element(0x00282000, "OB", ledger.word("ICC profile").encode()),
        nested([element(0x00283006, "OW", ledger.word("LUT data").encode())], [0x00283000]),
        element(0x00281101, "US", b"\1\0\0\0\x10\0" + ledger.word("palette descriptor").encode()),
        element(0x00540400, "SH", ledger.word("ImageID")),
        element(0x7FE00001, "OV", even(b"\0" * 8 + ledger.word("extended offset table").encode() + b"\0" * 4)),
        element(
            0x00189306, "FD", struct.pack("<d", 0.6) + ledger.word("SingleCollimationWidth, more bytes").encode() + b"\0" * 4
        ),
    ]
    return with_value(image, *tables)


REFUSABLE = frozenset({"behind zeros"})
"""Places that are reason enough to refuse a file."""

PLACES: dict[str, Change] = {
    change.__name__.replace("_", " "): change
    for change in (
        in_private_blocks, in_unused_numbers, in_group_lengths, in_overlays, in_spare_bits, behind_the_pixels, in_kept_texts,
        in_kept_texts_alone, in_numbers, behind_zeros,
        behind_blanks, split_over_values, in_uids, in_codes, in_marks, coded_un, in_paddings,
    )
}  # fmt: skip
"""By name, which is also how a test reports a leak."""
