"""Every attribute of PS3.15 Table E.1-1, and of the whole dictionary, with values of their own in right and wrong VRs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from pydicom.datadict import DicomDictionary, RepeatersDictionary, dictionary_VR

from tests.algorithms.dicom.hard.elements import Element, element, nested
from tests.algorithms.dicom.hard.ledger import Ledger

HEADING = "# DICOM PS3.15 Table E.1-1"
"""First words of the table, which is data of the project, wherever it lies below ``algorithms/dicom``."""

TOP_ONLY = frozenset(
    {0x0020000D, 0x0020000E, 0x00080018, 0x00100020, 0x00100010, 0x00100040, 0x00101010, 0x00101020, 0x00101030}
)
"""What an image cannot do without, and what must stay as it is: at the top these keep the value of the examination."""

OTHERS = frozenset({"tag", "private", "00420011"})
"""Not planted with the rest: the heading, private attributes, and EncapsulatedDocument, for which a file is rightly refused."""

WRONG_VRS = ("LO", "PN", "UT", "UN", "OB", "LT", "SH", "UI", "DS", "CS", "OW", "UC", "DA", "SQ")


@cache
def attributes() -> tuple[tuple[int, str, str], ...]:
    """Return tag, VR and name of each row; repeating groups by their first and another one, rows of no data set left out."""
    rows = []
    texts = (path.read_text() for path in (Path(__file__).parents[4] / "algorithms" / "dicom").rglob("*.tsv"))
    for line in next(text for text in texts if text.startswith(HEADING)).splitlines():
        tag, _, rest = line.partition("\t")
        if tag in OTHERS or tag.startswith(("#", "0000", "0002", "0004")):
            continue
        name = rest.partition("\t")[0]
        for digit in "0E" if "X" in tag else "0":
            number = int(tag.replace("XXXXXX", f"0{digit}0022").replace("XX", f"0{digit}"), 16)
            try:
                vr = dictionary_VR(number)[:2]
            except KeyError:
                vr = "LO"
            rows.append((number, vr, name))
    return tuple(rows)


def every_attribute(ledger: Ledger, *, vr: str = "", top: bool = True, where: str = "") -> list[Element]:
    """Return the table's attributes with planted values, in ``vr`` or their own VRs."""
    elements = []
    for tag, own_vr, name in attributes():
        if top and tag in TOP_ONLY:
            continue
        place = f"{where}{name} ({tag >> 16:04x},{tag & 0xFFFF:04x}) as {vr or own_vr}"
        elements.append(_planted(ledger, tag, vr or own_vr, place, moved=top and own_vr == (vr or own_vr)))
    return elements


DECIDING = frozenset({
    0x00080005, 0x00080064, 0x00181010, 0x00181012, 0x00181014, 0x00181016, 0x00181018, 0x00181019, 0x0018101A, 0x0018101B,
    0x00280006, 0x00280008, 0x00280301, 0x00280302, 0x00420011,
})  # fmt: skip
"""Attributes for which an image is rightly refused when their value is a text, or that say how its pixels lie."""


def whole_dictionary(ledger: Ledger, image: list[Element]) -> list[Element]:
    """Return an image with every other attribute of the standard's dictionary (PS3.6), in its own VR, nowhere twice."""
    taken = {one.tag for one in image} | DECIDING
    repeated = {int(mask.replace("x", "0"), 16): entry for mask, entry in RepeatersDictionary.items()}
    known = {tag: entry[0][:2] for tag, entry in ({**repeated, **DicomDictionary}).items()}
    added = [
        _planted(
            ledger,
            tag,
            vr,
            f"dictionary: ({tag >> 16:04x},{tag & 0xFFFF:04x}) as {vr}",
            moved=vr in {"DA", "DT"} and tag in MOVED,
        )
        for tag, vr in sorted(known.items())
        if vr != "NO" and tag not in taken and 0x0008 <= tag >> 16 < 0x7FE0
    ]
    return [*image, *added]


MOVED = frozenset(tag for tag, vr, _ in attributes() if vr in {"DA", "DT"})
"""Dates of the table, which an option of the profile may move and keep."""


def _planted(ledger: Ledger, tag: int, vr: str, place: str, *, moved: bool) -> Element:
    if vr == "SQ":
        inner = [element(0x0008103E, "LO", ledger.word(f"{place}, in an item")), element(0x0040A124, "UI", ledger.uid(place))]
        return element(tag, vr, [inner])
    if vr in {"DA", "DT"}:
        day = ledger.moved_date(f"{tag:08x}") if moved else ledger.date(place)
        return element(tag, vr, day + (ledger.time(place) if vr == "DT" else ""))
    if vr in MINTS:
        return element(tag, vr, MINTS[vr](ledger, place))
    # Numbers, words and bytes: sixteen letters are whole words of each size.
    return element(tag, vr, ledger.word(place).encode().ljust(16))


TEXTS = ("AS", "AE", "LO", "SH", "LT", "ST", "UT", "UC", "UR", "UN")
MINTS: dict[str, Callable[[Ledger, str], str]] = {
    **dict.fromkeys(TEXTS, Ledger.word),
    "TM": Ledger.time,
    "UI": Ledger.uid,
    "DS": Ledger.number,
    "IS": Ledger.number,
    "CS": lambda ledger, place: ledger.word(place).upper(),
    "PN": lambda ledger, place: f"{ledger.word(place)}^{ledger.word(f'{place}, given name')}",
}
"""What a value of each VR of text is."""


def deep(ledger: Ledger, tags: tuple[int, ...], *, vr: str = "SQ", open: bool = False, where: str) -> Element:
    """Return every attribute three sequences deep."""
    return nested(every_attribute(ledger, top=False, where=f"{where}: "), tags, vr=vr, open=open)


def outside_data_sets(ledger: Ledger) -> list[Element]:
    """Return elements of commands, file meta information and directories, which have no place in a data set."""
    return [
        element(0x00001000, "UI", ledger.uid("command group in a data set")),
        element(0x00020016, "AE", ledger.word("file meta information in a data set")),
        element(0x00041500, "CS", ledger.word("directory record in a data set").upper()),
    ]
