"""The search for leaks finds what it must: given the hard set itself, it finds every single value that was planted."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import numpy as np
import pytest

from tests.algorithms.dicom.hard.elements import BIG, DEFLATED, EXPLICIT, element, part10, turned, written
from tests.algorithms.dicom.hard.hard_set import HardSet, hard_set
from tests.algorithms.dicom.hard.leaks import Needles, spellings
from tests.algorithms.dicom.hard.ledger import Ledger, Planted

WORD = Planted("Qbadefigupox", "word", "here")
NUMBER = Planted("712345678903", "number", "here")
DATE = Planted("19480317", "date", "here")
TIME = Planted("174233.480915", "time", "here")
UID = Planted("1.2.826.0.1.3680043.9.7301.812345678909", "uid", "here")
JAPANESE = Planted("鷲尾黐木", "text", "here", "iso2022_jp")
CYRILLIC = Planted("Жуковщинский", "text", "here", "iso8859-5")


@pytest.fixture(scope="module")
def made() -> HardSet:
    return hard_set()


def test_every_planted_value_is_found_in_the_hard_set_itself(made: HardSet) -> None:
    """Each of the values, wherever it was put: what is not found here would not be found in an output either."""
    contents = [(file.name, file.content) for file in made.files] + [("a name", file.name.encode()) for file in made.files]

    found = {leak.planted for leak in Needles(made.planted).found_in(contents)}

    assert [] == [f"{value.kind}: {value.where}" for value in made.planted if value not in found]


def test_the_hard_set_is_the_same_every_time(made: HardSet) -> None:
    """So that a finding can be told to somebody by the name of its place."""
    again = hard_set()

    assert [(file.name, file.content) for file in again.files] == [(file.name, file.content) for file in made.files]
    assert made.planted == again.planted


def test_no_planted_value_is_part_of_another(made: HardSet) -> None:
    """All are different, and those of one kind are equally long; the kinds begin with different letters and digits."""
    values = [value.value for value in made.planted]
    minted = {
        kind: {len(value.value) for value in made.planted if value.kind == kind}
        for kind in ("word", "number", "date", "time", "uid")
    }
    starts = {kind: {value.value[0] for value in made.planted if value.kind == kind} for kind in ("word", "number", "date")}

    assert len(set(values)) == len(values)
    assert {"word": {12}, "number": {12}, "date": {8}, "time": {13}, "uid": {39}} == minted
    assert starts == {"word": {"Q"}, "number": {"7"}, "date": {"1", "2"}}


@pytest.mark.parametrize(
    ("planted", "content"),
    [
        pytest.param(WORD, b"name=Qbadefigupox;", id="as it is"),
        pytest.param(WORD, b"QBADEFIGUPOX", id="capitals"),
        pytest.param(WORD, "Qbadefigupox".encode("utf-16-le"), id="UTF-16, little end first"),
        pytest.param(WORD, b"x" + "QBADEFIGUPOX".encode("utf-16-be"), id="UTF-16, big end first"),
        *(pytest.param(WORD, base64.b64encode(b"x" * n + b"Qbadefigupox" + b"yz"), id=f"base64 after {n}") for n in range(4)),
        *(pytest.param(WORD, b"x" * n + turned(b"Qbadefigupox", 2), id=f"byte pairs turned at {n}") for n in range(2)),
        pytest.param(WORD, b"xy" + turned(b"Qbadefigupox", 4), id="words of four bytes turned"),
        pytest.param(WORD, b"wxyz" + turned(b"Qbadefigupox    ", 8), id="words of eight bytes turned"),
        pytest.param(WORD, b"xopugifedabQ", id="backwards"),
        pytest.param(WORD, b"Qbadefigupox".hex().encode(), id="hexadecimal"),
        pytest.param(WORD, b"".join(b"%%%02x" % letter for letter in b"Qbadefigupox"), id="percent"),
        pytest.param(WORD, "".join(f"&#{letter};" for letter in b"Qbadefigupox").encode(), id="entities"),
        pytest.param(NUMBER, b"0.712345678903", id="digits behind a point"),
        pytest.param(DATE, b"1948-03-17", id="date with dashes"),
        pytest.param(DATE, b"17.03.1948", id="date with dots"),
        pytest.param(DATE, b"March 17, 1948", id="date in words"),
        pytest.param(DATE, b"1.2.3.19480317174233.5", id="date in a UID"),
        pytest.param(TIME, b"17:42:33.480", id="time with colons"),
        pytest.param(TIME, b"174233", id="time without its fraction"),
        pytest.param(UID, b"2.25.812345678909", id="a UID's own digits"),
        pytest.param(JAPANESE, "鷲尾黐木".encode(), id="Japanese as UTF-8"),
        pytest.param(JAPANESE, "鷲尾黐木".encode("euc_jp"), id="Japanese as EUC"),
        pytest.param(JAPANESE, "鷲尾黐木".encode("iso2022_jp")[3:-3], id="Japanese without its escapes"),
        pytest.param(JAPANESE, quote("鷲尾黐木").encode(), id="Japanese, percent"),
        pytest.param(JAPANESE, json.dumps("鷲尾黐木").encode(), id="Japanese in JSON"),
        pytest.param(CYRILLIC, "ЖУКОВЩИНСКИЙ".encode("cp1251"), id="Cyrillic capitals of Windows"),
        pytest.param(CYRILLIC, "жуковщинский".encode("utf-16-be"), id="Cyrillic as UTF-16"),
    ],
)  # fmt: skip
def test_a_value_is_found_in_every_spelling(planted: Planted, content: bytes) -> None:
    """Each is what some program writes, or what an attribute's VR makes of it."""
    assert [planted] == list(
        dict.fromkeys(leak.planted for leak in Needles([planted]).found_in([("file", b"before: " + content)]))
    )


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG, DEFLATED])
def test_a_value_is_found_in_the_pixels_of_a_file(syntax: str) -> None:
    """A plane of spare bits is text only when one bit of every pixel is put beside the next."""
    plane = np.unpackbits(np.frombuffer(b"Qbadefigupox".ljust(32), np.uint8), bitorder="little")
    pixels = (plane.astype("<u2") << 13 | 5).tobytes()
    dataset = [element(0x00280002, "US", 1), element(0x00280004, "CS", "MONOCHROME2"), element(0x00280010, "US", 16),
               element(0x00280011, "US", 16), element(0x00280100, "US", 16), element(0x00280101, "US", 12),
               element(0x00280102, "US", 11), element(0x00280103, "US", 0), element(0x7FE00010, "OW", pixels)]  # fmt: skip
    content = part10(written(dataset, syntax if syntax == BIG else EXPLICIT), syntax, [])

    assert [leak.layer for leak in Needles([WORD]).found_in([("file", content)])] == ["bit 13 of its pixels"]


def test_a_value_is_found_in_a_deflated_data_set() -> None:
    """The bytes of the file hold no trace of it."""
    content = part10(written([element(0x00204000, "LT", "Qbadefigupox" * 9)]), DEFLATED, [])

    assert b"Qbadefigupox" not in content
    assert [leak.layer for leak in Needles([WORD]).found_in([("file", content)])] == ["its inflated data set"]


def test_nothing_is_found_where_nothing_is() -> None:
    """A part of a word, digits of a longer number, and random bytes are no leaks."""
    ledger = Ledger()
    for mint in (ledger.word, ledger.number, ledger.uid, ledger.date, ledger.time):
        for _ in range(500):
            mint("nowhere")
    random = np.random.default_rng(0).bytes(1 << 20)
    uids = " ".join(f"2.25.{int.from_bytes(random[at : at + 16])}" for at in range(0, 1 << 14, 16)).encode()

    assert Needles(ledger.planted).found_in([("random", random), ("UIDs", uids), ("part", b"Qbadefigu 1948 031")]) == []


def test_short_spellings_are_left_out() -> None:
    """Five bytes are found in any file by chance."""
    assert all(
        len(spelling) >= 6 for planted in (WORD, NUMBER, DATE, TIME, UID, JAPANESE, CYRILLIC) for spelling in spellings(planted)
    )
