"""Names of people who never lived, in the scripts and character sets of their countries (PS3.3 C.12.1.1.2)."""

from __future__ import annotations

import calendar
from dataclasses import dataclass

from tests.algorithms.dicom.hard.elements import Element, element, nested, with_value
from tests.algorithms.dicom.hard.ledger import Ledger


@dataclass(frozen=True)
class Script:
    """A character set: its term, Python's codec, and a family name, a given name and a place that nobody has."""

    term: str
    codec: str
    words: tuple[str, str, str]
    escape: bytes = b""
    phonetic: str = ""

    def written(self, text: str) -> bytes:
        """Return the text as it stands in an element; codes of two bytes come with their escape sequence."""
        coded = text.encode(self.codec)
        if self.escape:  # EUC, whose bytes ISO 2022 takes as they are: to G1 by the escape (Korean, Chinese)
            return self.escape + coded
        return coded


SCRIPTS = (
    Script("ISO_IR 100", "iso8859-1", ("Quästengöß", "Ælfþrýðr", "Øresåndby")),
    Script("ISO_IR 101", "iso8859-2", ("Łączkożłówski", "Świętobór", "Příkrášlov")),
    Script("ISO_IR 144", "iso8859-5", ("Жуковщинский", "Ёлкарий", "Щукинград")),
    Script("ISO_IR 126", "iso8859-7", ("Ξανθοπλόκης", "Ψαμμήτιχος", "Φωκιδόπολη")),
    Script("ISO_IR 166", "tis-620", ("กขฃคฅฆงจฉช", "ซฌญฎฏฐฑฒณด", "ตถทธนบปผฝพ")),
    Script("ISO_IR 192", "utf-8", ("Żółćkiewičová", "ゑびす権左衛門", "Κρανιουπόλις")),
    Script("GB18030", "gb18030", ("欧阳龘龖", "靐齉齾麤", "饕餮镇鱻")),
    Script("\\ISO 2022 IR 87", "iso2022_jp", ("鷲尾黐木", "権兵衛門", "鬱金香村"), phonetic="わしおもちのき^ごんべえもん"),
    Script("\\ISO 2022 IR 149", "euc_kr", ("남궁황보독고", "선우제갈공명", "한빛누리마을"), b"\x1b$)C"),
    Script("\\ISO 2022 IR 58", "gb2312", ("司马诸葛端木", "宇文尉迟澹台", "桃花源记乡镇"), b"\x1b$)A"),
    Script("ISO_IR 13", "shift_jis", ("ﾜｼｵﾓﾁﾉｷ", "ｺﾞﾝﾍﾞｴﾓﾝ", "ｳｺﾝｺｳﾑﾗ")),
    Script("ISO_IR 110", "iso8859-4", ("Ķēniņlīcis", "Žygimantūnas", "Ģērbonišķi")),
)


def in_script(ledger: Ledger, image: list[Element], script: Script) -> list[Element]:
    """Return an image whose patient, physician, comments, and nested and kept texts are written in a script."""
    family, given, place = (ledger.text(word, f"{script.term} {what}", script.codec) for word, what in
                            zip(script.words, ("family name", "given name", "place"), strict=True))  # fmt: skip
    name = ledger.word(f"{script.term}, name in Latin letters").encode() + b"^" + ledger.word("given name").encode()
    name += b"=" + script.written(family) + b"^" + script.written(given)
    if script.phonetic:
        for part in script.phonetic.split("^"):
            ledger.text(part, f"{script.term} phonetic name", script.codec)
        name += b"=" + b"^".join(script.written(part) for part in script.phonetic.split("^"))
    inner = [element(0x00100010, "PN", b"=" + script.written(family)), element(0x0040A160, "UT", script.written(place))]
    return with_value(
        image,
        element(0x00080005, "CS", script.term),
        element(0x00100010, "PN", name),
        element(0x00080090, "PN", b"==" + script.written(given)),
        element(0x00080080, "LO", script.written(place)),
        element(0x00204000, "LT", script.written(place) + b" " + script.written(given) + b" " + script.written(family)),
        element(0x00181030, "LO", script.written(family)),
        element(0x00081090, "LO", b"SOMATOM " + script.written(family)),
        element(0x00180010, "LO", script.written(given)),
        element(0x00180015, "CS", script.written(place)),
        element(0x00091010, "LO", script.written(place)),
        nested(inner, [0x00081115, 0x00081199]),
    )


def in_another_set(ledger: Ledger, image: list[Element]) -> list[Element]:
    """Return texts that are not in the character set that the image states, as exports of bad software have them."""
    russian = ledger.text("Хвощинокровский", "Windows Cyrillic, stated as Latin", "cp1251")
    polish = ledger.text("Źdźbłogrądzka", "UTF-8, stated as Latin", "utf-8")
    wide = ledger.word("UTF-16, stated as Latin")
    return with_value(
        image,
        element(0x00100010, "PN", russian.encode("cp1251") + b"^" + polish.encode()),
        element(0x00204000, "LT", wide.encode("utf-16-le")),
        element(0x00081090, "LO", polish.encode()),
        element(0x00091010, "UN", wide.encode("utf-16-be")),
    )


SPELT_DATES = ("{d}.{m}.{y}", "{y}-{m}-{d}", "{m}/{d}/{y}", "{y}/{m}/{d}", "{d}-{m}-{y}", "{y}.{m}.{d}", "{d} {month} {y}",
               "{d}-{mon}-{y}", "{month} {d}, {y}", "{d}{MON}{y}", "{y}{m}{d}", "{y} {m} {d}")  # fmt: skip


def with_spelt_dates(ledger: Ledger, image: list[Element]) -> list[Element]:
    """Return descriptions and kept texts with dates in many spellings, and names written as people write them."""
    texts = []
    for form in SPELT_DATES:
        day = ledger.date(f"date as {form}")
        month = int(day[4:6])
        texts.append(form.format(y=day[:4], m=day[4:6], d=day[6:], month=calendar.month_name[month],
                                 mon=calendar.month_abbr[month], MON=calendar.month_abbr[month].upper()))  # fmt: skip
    clock = ledger.time("time in a text")
    texts.append(f"{clock[:2]}:{clock[2:4]}:{clock[4:6]}{clock[6:10]}")
    first, second, third = (ledger.word(f"name in a sentence, {n}") for n in range(3))
    texts += [f"Dr. {first.upper()}, {second.lower()}", f"{third}'s scan", f"see {ledger.uid('UID in a text')}."]
    return with_value(
        image,
        element(0x00081030, "LO", texts[0]), element(0x0008103E, "LO", texts[1]), element(0x00181030, "LO", texts[2]),
        element(0x00081090, "LO", f"SOMATOM {texts[3]}"), element(0x00180010, "LO", texts[4]),
        element(0x00181210, "SH", texts[5]), element(0x00104000, "LT", "; ".join(texts)),
        element(0x00281055, "LO", texts[6]), element(0x00181400, "LO", texts[7]),
    )  # fmt: skip
