"""A second hard set, made without knowing the first: values at the edge of what passes, in attributes that stay.

The first set asks whether what must go goes.  This one writes names, numbers and dates where something of an attribute may
stay: in numbers, codes, makers' words, dates, UIDs, in thirteen scripts; and everyday values that must not keep an image back.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.algorithms.dicom.hard.elements import EXPLICIT, Element, element, part10, with_value, written
from tests.algorithms.dicom.hard.examination import image, meta, patient, study
from tests.algorithms.dicom.hard.ledger import Ledger

DECIMALS = {
    0x00180050: "1", 0x00180060: "120", 0x00180088: "1", 0x00180090: "500", 0x00181100: "200",
    0x00181110: "1085", 0x00181111: "595",
    0x00181120: "0", 0x00181130: "155", 0x00181190: "1", 0x00201041: "-312", 0x00281050: "300", 0x00281051: "800",
    0x00281052: "-1024", 0x00281053: "1", 0x00101020: "1", 0x00101030: "71", 0x00181060: "12",
}  # fmt: skip
"""Attributes of VR DS that stay, with a value that they may have."""

INTEGERS = (0x00181150, 0x00181151, 0x00181152, 0x00181170, 0x00200011, 0x00200012, 0x00200013, 0x00200100, 0x00181088)
BINARY = (0x00189305, 0x00189306, 0x00189307, 0x00189309, 0x00189310, 0x00189311, 0x00189345)
WORDS = {0x00081090: "SOMATOM {}", 0x00181210: "Bv40 {}", 0x00080008: r"ORIGINAL\PRIMARY\AXIAL\{}", 0x00180015: "{}",
         0x00080070: "{}", 0x00185100: "{}", 0x00181140: "{}", 0x00180022: "HELIX {}", 0x00100040: "{}", 0x00281054: "{}",
         0x00180010: "{}"}  # fmt: skip
"""Attributes of closed lists and makers' words, with what stands before a name."""

DATES = (
    "{y}.{m}.{d}",
    "{y}-{m}-{d}",
    "{d}.{m}.{y}",
    "{m}/{d}/{y}",
    "{y}{m}{d}101112",
    "{y}{m}{d}-{y}{m}{d}",
    "{d}{m}{y}",
    "{y}/{m}/{d}",
)
"""Spellings of a birth date in attributes of dates."""

SCRIPTS = [
    ("ISO 2022 IR 6\\ISO 2022 IR 87", "山田^太郎", "iso2022_jp"), ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ", "shift_jis"),
    ("GB18030", "欧阳^小东", "gb18030"),
    ("GBK", "张伟^三丰", "gbk"), ("ISO_IR 144", "Люксембург^Иван", "iso8859_5"), ("ISO_IR 101", "Wałęsa^Józefżż", "iso8859_2"),
    ("ISO_IR 127", "قباني^لنزار", "iso8859_6"), ("ISO_IR 126", "Διονύσιος^Παπ", "iso8859_7"),
    ("ISO_IR 138", "שרוןן^דבורה", "iso8859_8"),
    ("ISO_IR 166", "นามสกุล^ชื่อจริง", "tis_620"), ("ISO_IR 192", "Nguyễn^Đặng홍길동", "utf-8"),
    ("ISO_IR 100", "Жуковский^Пётр", "iso8859_5"),
    ("", "Ибрагимов^Аслан", "cp1251"),
]  # fmt: skip
"""Character set declared, name, encoding used; the last two declare a wrong one or none."""

EVERYDAY = [
    (0x00100010, "PN", "AXIAL^ORIGINAL"), (0x00100010, "PN", "Siemens^Philips"), (0x00100010, "PN", "HFS"),
    (0x00100010, "PN", "YES^NO"),
    (0x00100010, "PN", "Option^Retain"), (0x00100020, "LO", "512"), (0x00100020, "LO", "120"), (0x00100020, "LO", "1"),
    (0x00100020, "LO", "DICM"), (0x00100020, "LO", "2.25"), (0x00081010, "SH", "CT"), (0x00081010, "SH", "SOMATOM Force"),
    (0x00080080, "LO", "SIEMENS"), (0x00181030, "LO", "CHEST AXIAL ORIGINAL PRIMARY CONTRAST AGENT HEARTWOOD"),
    (0x00181030, "LO", "Bv40"), (0x00081030, "LO", "Basic Application Confidentiality Profile"), (0x00081070, "PN", "F"),
    (0x00080050, "SH", "200"), (0x00080050, "SH", "-1024"), (0x00204000, "LT", "-95.5\\-101.25"),
    (0x0008103E, "LO", "ISO_IR 192"),
    (0x0008103E, "LO", "1.2.840.10008.5.1.4.1.1.2"), (0x00100020, "LO", "1015625"),
]  # fmt: skip
"""Names, identifiers and texts that say the same as something that every image says."""


@dataclass(frozen=True)
class Trap:
    """One image: what is planted where, the texts that must not come out, and whether it must come out itself."""

    where: str
    content: bytes
    secrets: tuple[str | bytes, ...] = ()
    wanted: bool = False


def second_set() -> list[Trap]:
    """Return the set, always the same."""
    chance = random.Random(7731)
    return [*_numbers(chance), *_words(chance), *_dates(chance), *_uids(chance), *_scripts(), *_everyday()]


def _trap(where: str, changes: tuple[Element, ...], secrets: tuple[str | bytes, ...] = (), *, wanted: bool = False) -> Trap:
    ledger = Ledger()
    elements = with_value(image(ledger, study(ledger, patient(ledger, "one patient"), "a study"), 1), *changes)
    return Trap(where, part10(written(elements, EXPLICIT), EXPLICIT, meta(ledger, elements)), secrets, wanted)


def _digits(chance: random.Random, count: int) -> str:
    return str(chance.randint(1, 9)) + "".join(str(chance.randint(0, 9)) for _ in range(count - 1))


def _day(chance: random.Random) -> tuple[str, str, str]:
    return str(chance.randint(1921, 1958)), f"{chance.randint(1, 12):02d}", f"{chance.randint(13, 28):02d}"


def _word(chance: random.Random) -> str:
    return "Q" + "".join(chance.choice("bcdfghjklmnpqrstvwxyz") for _ in range(10))


def _numbers(chance: random.Random) -> Iterator[Trap]:
    for tag, whole in DECIMALS.items():
        for shape in ("{}.{}", "{}.0{}", "{}.{}E+0", "+{}.{}", "0000{}.{}"):
            for digits in (_digits(chance, 9), "".join(_day(chance))):
                text = shape.format(whole.lstrip("-"), digits)
                yield _trap(f"{tag:08X} decimals {shape}", (element(tag, "DS", text),), (digits,))
        for text in (_digits(chance, 8), _word(chance), "1\\" + _word(chance), f"{whole} {_word(chance)}"):
            yield _trap(f"{tag:08X} no such number", (element(tag, "DS", text),), (re.findall(r"\w+", text)[-1],))
    for tag in INTEGERS:
        for digits in (_digits(chance, 6), _digits(chance, 9), "".join(_day(chance)), _word(chance)):
            yield _trap(f"{tag:08X} whole", (element(tag, "IS", digits),), (digits,))
            yield _trap(f"{tag:08X} zeros", (element(tag, "IS", f" +00{digits}"),), (digits,))
    for tag in BINARY:
        digits, day, word = _digits(chance, 9), "".join(_day(chance)), _word(chance)
        yield _trap(f"{tag:08X} decimals", (element(tag, "FD", float(f"1.{digits}")),), (digits,))
        yield _trap(f"{tag:08X} date", (element(tag, "FD", float(day)),), (day,))
        yield _trap(f"{tag:08X} letters", (element(tag, "FD", f"{word[:6]}Y@".encode()),), (word[:6],))


def _words(chance: random.Random) -> Iterator[Trap]:
    for tag, before in WORDS.items():
        vr = {0x00081090: "LO", 0x00181210: "SH", 0x00080070: "LO", 0x00281054: "LO", 0x00180010: "LO"}.get(tag, "CS")
        for separator in ("{}", "X {}", "{}1", "({})", "{}^X"):
            word = _word(chance)
            text = before.format(separator.format(word))
            yield _trap(f"{tag:08X} {separator}", (element(tag, vr, text.upper() if vr == "CS" else text),), (word,))
        year, month, day = _day(chance)
        for text in (f"{year}{month}{day}", f"{day} {month} {year}", f"{year}-{month}-{day}"):
            yield _trap(f"{tag:08X} date", (element(tag, vr, before.format(text)),), (text,))


def _dates(chance: random.Random) -> Iterator[Trap]:
    for tag in (0x00080020, 0x00080021, 0x00080022, 0x00080023, 0x00100030):
        for spelling in DATES:
            year, month, day = _day(chance)
            text = spelling.format(y=year, m=month, d=day)
            yield _trap(f"{tag:08X} {spelling}", (element(tag, "DA", text),), (text, year + month + day))
    for age in ("095Y", "200Y", "999Y", "95Y", "1200M", " 95Y", "999Y\\"):
        yield _trap("age above 89", (element(0x00101010, "AS", age),), (age.strip(" \\"),))


def _uids(chance: random.Random) -> Iterator[Trap]:
    for tag in (0x00080018, 0x0020000D, 0x0020000E, 0x00200052, 0x00181002):
        for shape in (
            "1.2.840.113619.{}.1",
            "2.25.{}",
            "1.2.0{}.01",
            "1.2.3.{} ",
            "{}",
            "1.2.840.10008.{}",
            "1.2.840.10008.5.1.4.1.1.2.{}",
        ):
            digits = _digits(chance, 10)
            yield _trap(f"{tag:08X} {shape}", (element(tag, "UI", shape.format(digits)),), (digits,))


def _scripts() -> Iterator[Trap]:
    for number, (terms, name, coding) in enumerate(SCRIPTS):
        own = (element(0x00080005, "CS", terms), element(0x00100010, "PN", name.encode(coding)),
               element(0x00100020, "LO", f"SCRIPT77{number}"))  # fmt: skip
        parts = [part for part in name.split("^") if len(part) > 1]
        secrets: tuple[str | bytes, ...] = (*parts, *(raw for part in parts if len(raw := part.encode(coding)) > 3))
        for tag, before in WORDS.items():
            if tag not in {0x00180022, 0x00185100, 0x00181140}:
                raw = before.format("").encode() + name.encode(coding)
                yield _trap(f"{tag:08X} {terms} {coding}", (*own, element(tag, "LO", raw)), secrets)
        yield _trap(
            f"{terms} {coding} in its own places", (*own, element(0x00204000, "LT", name.encode(coding))), secrets, wanted=True
        )


def _everyday() -> Iterator[Trap]:
    for number, (tag, vr, text) in enumerate(EVERYDAY):
        own = (element(0x00100020, "LO", f"EVERY77{number}"),) if tag != 0x00100020 else ()
        yield _trap(f"{tag:08X} {text}", (*own, element(tag, vr, text)), wanted=True)
