"""The search for planted values finds what it must: a search that finds nothing anywhere would prove everything."""

from __future__ import annotations

import base64
import io
import json
import zipfile
import zlib
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.algorithms.dicom.ct_series import IDENTITY, ROOT, chest_hu, write_series
from tests.planted import found_below, needles, of_study

NAME = "Étienne Quastenflosser"


def packed(text: str) -> bytes:
    """Return a ZIP with a member of this text, compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("member", text * 9)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(NAME.encode(), id="UTF-8"),
        pytest.param(NAME.upper().encode(), id="capitals"),
        pytest.param(NAME.encode("latin-1"), id="Latin-1"),
        pytest.param(NAME.encode("utf-16"), id="UTF-16"),
        pytest.param(json.dumps({"x": NAME}).encode(), id="JSON with escapes"),
        pytest.param(quote(NAME).encode(), id="URL"),
        pytest.param(NAME.encode().hex().encode(), id="hexadecimal"),
        *(pytest.param(base64.b64encode(b"x" * n + NAME.encode() + b"yz"), id=f"base64 after {n}") for n in range(4)),
        pytest.param(b"<img src='data:text/plain;base64," + base64.b64encode(NAME.encode()) + b"'>", id="data URI"),
        pytest.param(b"data:;base64," + base64.b64encode(NAME.encode() + b"yz")[:-3], id="data URI that was cut"),
        pytest.param(packed(NAME), id="ZIP"),
        pytest.param(b"%PDF-1.7\nstream\n" + zlib.compress(NAME.encode()) + b"\nendstream", id="PDF"),
    ],
)
def test_a_value_is_found_in_every_spelling(tmp_path: Path, content: bytes) -> None:
    """Each is what some program on the way writes: a log, a form, a database, a report."""
    (tmp_path / "file").write_bytes(b"before " + content if content[:2] not in {b"PK", b"%P"} else content)

    assert found_below(tmp_path, needles([NAME]))


def test_letters_of_an_embedded_picture_are_no_name(tmp_path: Path) -> None:
    """Base64 of megabytes holds any five letters somewhere: what they stand for is searched, not they."""
    picture = base64.b64decode("AbErTaBc")
    (tmp_path / "file").write_bytes(b"data:image/png;base64," + base64.b64encode(picture) + b"'>")

    assert found_below(tmp_path, needles(["Berta"])) == []


def test_a_value_in_a_name_is_found_and_a_folder_may_be_left_out(tmp_path: Path) -> None:
    """A file called by a person tells who it is, whatever is in it; the inbox is the one place for that."""
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / f"{NAME}.dcm").touch()

    assert found_below(tmp_path, needles([NAME]))
    assert found_below(tmp_path, needles([NAME]), but=[tmp_path / "inbox"]) == []


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    """A part of the name is no find, nor is a value too short to mean anything."""
    (tmp_path / "file").write_text("Quastenfloss Etienne M 074Y")

    assert found_below(tmp_path, needles([NAME, "M", "074Y"])) == []


def test_the_values_of_a_study_are_all_that_name_somebody(tmp_path: Path) -> None:
    """Names, numbers, places, dates and UIDs of the header, and nothing of the picture."""
    values = of_study(write_series(tmp_path / "study", chest_hu(slices=2)))

    assert {"Quastenflosser", "Ottokar", IDENTITY["PatientID"], IDENTITY["InstitutionName"], "19511224", "1951-12-24"} <= values
    assert {ROOT, f"{ROOT}.1", f"{ROOT}.1.2"} <= values
    assert not {"CT", "SIEMENS", "M"} & values
