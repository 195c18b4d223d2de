"""The search finds a planted text wherever it is put, and cries at nothing that is not one."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.slide.privacy.residue import Search, Taken
from tests.algorithms.slide.aperio_slide import PERSON, TILE, Slide, describe, jpeg, tissue

PUBLIC = ["Aperio Image Library\r\n100000x64000 (240x240) JPEG|AppMag = 20|MPP = 0.499"]
NOISE = np.random.default_rng(0).integers(0, 256, 400_000, dtype=np.uint8).tobytes()


def search(*texts: str, raw: bytes = b"") -> Search:
    """Return a search for the texts of a slide."""
    taken = Taken(PUBLIC)
    for text in texts:
        taken.add_text(text)
    taken.add_bytes(raw)
    return Search(taken)


def found_in_headers(text: str, written: bytes) -> bool:
    """Return whether the search for ``text`` finds it in bytes that hold no pixels."""
    looked = search(text)
    looked.in_headers(b"\0\1\2" + written + b"\3")
    return bool(looked.found)


@pytest.mark.parametrize("value", sorted(set(PERSON.values()) - {PERSON["hospital"]}))
@pytest.mark.parametrize("form", ["utf-8", "utf-16-le", "utf-16-be", "upper"])
def test_each_value_of_a_description_is_found_wherever_it_lies(value, form):
    """Every field of an Aperio description that tells of a person, at all offsets modulo the stride of the search."""
    raw = value.upper().encode() if form == "upper" else value.encode(form)
    description = describe(Slide(), 300, 200)

    for place in range(1000, 1005):
        looked = search(description)
        looked.in_headers(NOISE[:place] + raw + NOISE[place:3000])
        assert looked.found, place


@pytest.mark.parametrize("value", ["Quastenflosser", "HX-4471902", "S24-018833", "BC99120037"])
def test_long_values_are_found_in_compressed_pixels(value):
    """Every byte of the copy is searched, at any offset of a block."""
    for place in range(200_000, 200_005):
        looked = search(f"|Patient = {value}|")
        looked.in_pixels(NOISE[:place] + value.swapcase().encode() + NOISE[place:])
        assert looked.found


def test_nothing_is_found_where_nothing_is():
    """Forty tiles and noise: a false alarm would stop a case for nothing."""
    looked = search(describe(Slide(), 300, 200))
    tiles = b"".join(jpeg(tissue(TILE, TILE, seed)) for seed in range(40))

    looked.in_pixels(NOISE + tiles)
    looked.in_headers(NOISE + tiles[:20_000])
    looked.in_texts(PUBLIC[0])

    assert looked.found == set()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("|Date = 11/23/24|", b"2024-11-23"),
        ("|Date = 11/23/24|", b"20241123"),
        ("20241123", b"11/23/2024"),
        ("scanned 23-Nov-2024 by", b"20241123"),
        ("DOB: 1951-03-27", b"27.03.1951"),
        ("2024:11:23 09:59:15", b"23 Nov 2024"),
        ("Patient Müller-Lüdenscheidt", b"MUELLER-LUEDENSCHEIDT"),
        ("Patient Müller-Lüdenscheidt", "müller-lüdenscheidt".encode("latin-1")),
        ("Patient Ørsted Łukasiewicz", "Łukasiewicz".encode()),
        ("Patient = Доктор Живаго", "живаго".encode("iso8859_5")),
        ("患者 = 山田太郎次郎", "山田太郎次郎".encode("shift_jis")),
        ("MRN 0012345678", b"0012345678"),
    ],
)
def test_texts_are_found_in_other_spellings(text, written):
    """Dates by any order, names without accents, in other encodings and cases."""
    assert found_in_headers(text, written)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("|OriginalWidth = 100000|", b"100000x64000"),
        ("|MPP = 0.499|AppMag = 20|", PUBLIC[0].encode()),
        ("|Left = 25.691574|", b"25.691574"),
        ("123456", b"71234567"),
        ("--------||00000000", b"--------00000000"),
        ("%&'()*456789:CDEFGHIJSTUVWXYZcdefghijstuvwxyz", b"cdefghijstuvwxyz"),
    ],
)
def test_what_every_slide_holds_is_not_searched_for(text, written):
    """Sizes, scale, rulers and the standard's own Huffman tables prove nothing when they are found."""
    assert not found_in_headers(text, written)


def test_pixels_that_look_like_text_raise_no_alarm():
    """Smooth raw pixels are letters from end to end; left between the tiles, they are the same as in a tile."""
    pixels = bytes([0xB4, 0x64, 0xC8]) * 500 + b"Waldesruh"
    taken = Taken(PUBLIC)
    taken.add_runs(pixels)
    looked = Search(taken)

    looked.in_pixels(pixels)

    assert looked.found == set()
    looked.in_headers(b"..Waldesruh..")
    assert looked.found != set()


def test_text_is_found_in_opaque_bytes():
    """Private fields and colour profiles: readable runs, also in two bytes a character at either parity."""
    for raw in (b"\1\2\3Waldesruh 77\xff\xfe", b"\1" + "Waldesruh 77".encode("utf-16-le"), "Waldesruh 77".encode("utf-16-be")):
        looked = search(raw=b"\0\0" + raw + b"\0")
        looked.in_headers(b"...waldesruh...")
        assert looked.found


def test_a_description_in_any_encoding_is_a_text():
    """Writers put UTF-8, Latin-1 and UTF-16 into text fields: the name must be found in pixels, too, as every text is."""
    for form in ("utf-8", "latin-1", "utf-16-le", "utf-16-be"):
        looked = search(raw="|Patient = Müller-Lüdenscheidt|".encode(form))
        looked.in_pixels(NOISE[:5000] + b"MUELLER-LUEDENSCHEIDT" + NOISE[:100])
        assert looked.found, form


def test_short_words_are_looked_for_in_texts_only():
    """A man called Ode turns up in any megabyte of pixels; in a description he would be a word of his own."""
    looked = search("Patient = Ode")
    looked.in_headers(b"methode ode code")
    assert looked.found == set()

    looked.in_texts("Aperio|Ode")
    assert looked.found == {b"ode"}
