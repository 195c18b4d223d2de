"""Every kind of bad slide gets its own reason, and a case goes on with the good ones."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

from algorithms.contract.errors import DataError
from algorithms.prostate import deidentify, receive
from tests.algorithms.slide.aperio_slide import PERSON, Slide, jpeg, tissue, write_slide
from tests.algorithms.slide.written_tiff import Image, write_tiff

SECRET = "ab" * 32
CLINICAL = {"age_years": 67, "psa_ng_ml": 7.2, "name": PERSON["name"]}


def received(folder: Path, files: dict[str, Callable[[Path], object] | bytes]) -> dict:
    """Run the stage on a study of the files, and return its two documents with what it measured."""
    study, out = folder / "study", folder / "out"
    study.mkdir()
    out.mkdir()
    for name, content in files.items():
        if isinstance(content, bytes):
            (study / name).write_bytes(content)
        else:
            content(study / name)
    (out / "secret").write_text(SECRET)
    measured = receive.run({"study": study, "secret": out / "secret"}, out)
    documents = {name: json.loads((out / f"{name}.json").read_text()) for name in ("selection", "declared")}
    return documents | {"measured": measured}


def refused(folder: Path, files: dict[str, Callable[[Path], object] | bytes]) -> str:
    """Return the message with which the case stops; it may name nobody."""
    with pytest.raises(DataError) as failure:
        received(folder, files)
    message = str(failure.value)
    assert not any(value in message for value in PERSON.values())
    return message


def slide(**changes: object) -> Callable[[Path], object]:
    """Return what writes a slide."""
    return lambda path: write_slide(path, **changes)


def cut(share: float) -> Callable[[Path], object]:
    """Return what writes a slide and keeps only its first share."""

    def write(path: Path) -> None:
        # Directories before the tiles, as tifffile and many converters write: only the pixels are missing.
        with tifffile.TiffWriter(path) as writer:
            writer.write(np.random.default_rng(0).integers(0, 255, (640, 640, 3), np.uint8), tile=(64, 64), photometric="rgb",
                         description="Aperio Image|MPP = 0.5", metadata=None)  # fmt: skip
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return write


def cut_before_directories(path: Path) -> None:
    """Write 60 % of a slide as scanners stream it: tiles first, directories at the end."""
    write_slide(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])


def plain(path: Path, pixels: np.ndarray, **options: object) -> None:
    """Write pixels with tifffile, as converters do."""
    tifffile.imwrite(path, pixels, metadata=None, **({"tile": (64, 64)} | options))


def picture(form: str) -> bytes:
    """Return a picture file."""
    buffer = io.BytesIO()
    Picture.fromarray(tissue(80, 60)).save(buffer, form)
    return buffer.getvalue()


def vendor(**fields: tuple[int, object]) -> Callable[[Path], object]:
    """Return what writes a tiled TIFF file with the marks of a maker."""
    base = {256: (3, 64), 257: (3, 64), 258: (3, [8, 8, 8]), 259: (3, 7), 262: (3, 6), 277: (3, 3), 322: (3, 64), 323: (3, 64)}
    return lambda path: write_tiff(path, [Image(base | {int(k[1:]): v for k, v in fields.items()}, [jpeg(tissue(64, 64))])])


BAD: dict[str, tuple[Callable[[Path], object] | bytes, str]] = {
    "cut at 60 %": (cut(0.6), "it is cut off: 41 of 100 tiles lie beyond the end of the file"),
    "cut before its directories": (cut_before_directories, "the file is cut off: it has "),
    "16-bit grey": (lambda p: plain(p, np.zeros((200, 200), np.uint16)), "one 16-bit channel (grey), wanted 8-bit RGB"),
    "8-bit grey": (lambda p: plain(p, np.zeros((200, 200), np.uint8)), "one 8-bit channel (grey)"),
    "16-bit RGB": (lambda p: plain(p, np.zeros((200, 200, 3), np.uint16), photometric="rgb"), "16 bits a channel"),
    "four channels": (
        lambda p: plain(p, np.zeros((200, 200, 4), np.uint8), photometric="rgb", extrasamples=["unassalpha"]), "4 channels"),
    "planes apart": (
        lambda p: plain(p, np.zeros((3, 99, 99), np.uint8), photometric="rgb", planarconfig="separate"), "stored in an order"),
    "striped": (
        lambda p: plain(p, np.zeros((99, 99, 3), np.uint8), photometric="rgb", tile=None, rowsperstrip=16), "stored in strips"),
    "PackBits": (vendor(_259=(3, 32773)), "compression is PackBits, wanted JPEG"),
    "oblong pixels": (
        lambda p: plain(p, np.zeros((64, 64, 3), np.uint8), photometric="rgb", resolution=(2e4, 1e4), resolutionunit=3),
        "pixels are 0.5 x 1 µm"),
    "a JPEG renamed": (picture("JPEG"), "it is a JPEG picture"),
    "a PNG renamed": (picture("PNG"), "it is a PNG picture"),
    "a BMP renamed": (picture("BMP"), "it is a BMP picture"),
    "DICOM": (bytes(128) + b"DICM" + bytes(100), "it is a DICOM file"),
    "CZI": (b"ZISRAWFILE" + bytes(100), "it is a Zeiss CZI slide"),
    "VMS": (b"[Virtual Microscope Specimen]\nNoLayers=1\n", "it is a Hamamatsu VMS or VMU slide"),
    "iSyntax": (b'<DataObject ObjectType="DPUfsImport">' + bytes(99), "it is a Philips iSyntax slide"),
    "MIRAX": (b"\xef\xbb\xbf[GENERAL]\r\nSLIDE_VERSION = 01.02\r\nSLIDE_NAME = X\r\n", "it is part of a MIRAX slide"),
    "NDPI": (vendor(_65420=(4, 1)), "it is a Hamamatsu NDPI slide"),
    "Philips TIFF": (vendor(_305=(2, "Philips DP v1.0")), "it is a Philips TIFF slide"),
    "Ventana": (vendor(_700=(1, b"<iScan Magnification='20'>")), "it is a Ventana slide"),
    "Leica": (vendor(_270=(2, '<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">')), "it is a Leica SCN slide"),
    "Trestle": (vendor(_305=(2, "MedScan 2.1")), "it is a Trestle slide"),
    "tiles of other size": (vendor(_256=(3, 32), _322=(3, 32)), "none of 1 tiles looked at holds a 32 x 64 px picture"),
    "missing tiles": (vendor(_256=(4, 6400)), "lists 1 tiles and its 6400 x 64 px need 100"),
    "empty tiles": (vendor(_325=(4, 0)), "all its 1 tiles are empty"),
    "upside down": (vendor(_274=(3, 3)), "stored turned"),
    "huge tiles": (vendor(_256=(4, 10**5), _322=(4, 10**5)), "tiles are 100000 x 64 px"),
    "damaged tables": (vendor(_347=(7, b"\xff\xd8\xff\xdb\x00\x05abc\xff\xd9")), "JPEG tables are damaged"),
    "a label first": (vendor(_270=(2, "Aperio Image\r\nlabel 64x64")), "its first image is not the slide but a label"),
    "a reduced copy first": (vendor(_254=(4, 1)), "its first image is not the slide"),
    "13 MB of text": (vendor(_270=(2, "Aperio " * 1_900_000)), "13 MiB of text"),
    "TIFF header only": (b"II*\0\x08\0\0\0", "it has 8 bytes and a directory at byte 8, so at least 0 % of it is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_slide_alone_stops_the_case_with_its_reason(tmp_path, name):
    """Its own reason each, with what was found, so that the site knows what to send."""
    content, reason = BAD[name]

    message = refused(tmp_path, {"000001": content})

    assert "none of 1 slides can be used (s01: " in message
    assert reason in message


def test_three_slides_with_a_bad_one_go_on_with_two_and_say_so(tmp_path):
    """Every candidate has its entry and its name, in the order of the files, usable or not."""
    found = received(tmp_path, {"000001": slide(seed=1), "000002": cut(0.6), "000003": slide(seed=3)})

    slides = found["selection"]["slides"]
    assert [(s["slide"], s["file"], s["accepted"]) for s in slides] == [
        ("s01", "000001", True), ("s02", "000002", False), ("s03", "000003", True),
    ]  # fmt: skip
    assert "41 of 100 tiles" in slides[1]["reason"]
    assert slides[0]["reason"] is None
    assert slides[0]["facts"] == {
        "vendor": "aperio", "width": 300, "height": 200, "tile_width": 64, "tile_height": 64, "levels": [[300, 200], [75, 50]],
        "compression": "JPEG", "mpp": 0.252, "objective_power": 40.0, "scanner": "Aperio GT450", "empty_tiles": 0,
    }  # fmt: skip
    assert found["measured"] == {
        "slides": 3, "slides_accepted": 2, "files_ignored": 0, "clinical_values": 0, "clinical_fields_dropped": 0,
    }  # fmt: skip


def test_files_that_are_no_slides_are_named_by_what_they_are(tmp_path):
    """A report beside the slides is common; clinical.json is known by its content, since the door drops names."""
    clinical = json.dumps(CLINICAL).encode()
    files = {"000001": b"%PDF-1.7 report", "000002": clinical, "000003": slide(), "000004": b"", "000005": b"PK\x03\x04",
             "000006": b'{"scanner": "x"}', "000007": b"a note"}  # fmt: skip

    found = received(tmp_path, files)

    assert found["selection"]["clinical_file"] is True
    assert found["declared"]["values"] == {"age_years": 67, "psa_ng_ml": 7.2}
    assert found["declared"]["dropped_fields"] == 1
    assert {entry["file"]: entry["reason"].split(",")[0] for entry in found["selection"]["ignored"]} == {
        "000001": "it is a PDF document", "000004": "it is an empty file", "000005": "it is a zip archive",
        "000006": "it is a JSON file without clinical variables", "000007": "it is text",
    }  # fmt: skip
    assert PERSON["name"] not in json.dumps(found)


def test_two_files_of_clinical_variables_stop_the_case(tmp_path):
    """Nobody could say which of them is this man's."""
    clinical = json.dumps(CLINICAL).encode()

    message = refused(tmp_path, {"000001": clinical, "000002": clinical + b" ", "000003": slide()})

    assert "2 files hold clinical variables, wanted one" in message


@pytest.mark.parametrize("other", ["equal", "another header", "comments in its tiles"])
def test_the_same_slide_twice_counts_once(tmp_path, other):
    """Equal bytes, the same tiles under another header, or with other comments: one set of pixels, so one slide."""
    person = PERSON | {"barcode": "BC00000001", "image_id": "11111111"}
    again = {
        "equal": slide(),
        "another header": slide(person=person, options={"big": True}),
        "comments in its tiles": slide(planted=True),
    }[other]

    found = received(tmp_path, {"000001": slide(), "000002": again, "000003": slide(seed=4)})

    reasons = [entry["reason"] for entry in found["selection"]["slides"]]
    assert reasons[0] is None
    assert "the same slide as s01" in reasons[1]
    assert reasons[2] is None


def test_of_two_copies_the_one_with_a_scale_is_used(tmp_path):
    """Somebody exported a slide twice, once without its scale: which file comes first is chance."""
    found = received(tmp_path, {"000001": slide(mpp="unknown"), "000002": slide(), "000003": slide(seed=2)})

    slides = found["selection"]["slides"]
    assert [entry["accepted"] for entry in slides] == [False, True, True]
    assert "the same slide as s02" in slides[0]["reason"]


def test_slides_of_two_patients_stop_the_case_and_name_neither(tmp_path):
    """Whose risk would it be?  Also where the other patient's slide could not be used."""
    other = PERSON | {"mrn": "HX-5500001", "name": "Nachtigaller", "accession": "S24-020000"}

    message = refused(tmp_path, {"000001": slide(), "000002": slide(seed=1, person=other)})

    assert "the slides are of 2 patients by their identifiers, wanted one" in message
    assert "Nachtigaller" not in message
    assert "5500001" not in message


def test_a_description_of_ten_megabytes_does_not_hurt(tmp_path):
    """The slide is used, in seconds, and none of the text is in the copy; memory is bounded in test_tiff.py."""
    study, out = tmp_path / "study", tmp_path / "out"
    study.mkdir()
    out.mkdir()
    words = np.tile(np.random.default_rng(0).integers(10**9, 10**10, 20_000), 45)
    base = Slide(width=100, height=70, levels=1)
    write_slide(study / "000001", replace(base, person=PERSON | {"user": "|".join(map(str, words.tolist()))}))
    (out / "secret").write_text(SECRET)
    inputs = {"study": study, "secret": out / "secret", "selection": out / "selection.json"}
    started = time.process_time()

    receive.run(inputs, out)
    measured = deidentify.run(inputs, out)

    assert measured["values_searched"] > 20_000
    assert (out / "slides" / "s01.tiff").stat().st_size < 50_000
    assert str(words[500]).encode() not in (out / "slides" / "s01.tiff").read_bytes()
    assert time.process_time() - started < 20


def test_equal_studies_give_equal_documents(tmp_path):
    """Reproducible to the byte, whatever the order in which the folder lists its files."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = received(tmp_path / "a", {"000001": slide(), "000002": b"%PDF", "000003": slide(seed=2)})
    second = received(tmp_path / "b", {"000003": slide(seed=2), "000002": b"%PDF", "000001": slide()})

    assert first == second
