"""The proof finds what is left, wherever it is, and is not fooled by what only looks like it."""

from __future__ import annotations

import time
from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom.config import disable_value_validation

from algorithms.contract.errors import DataError
from algorithms.dicom.privacy.needles import wanted
from algorithms.dicom.privacy.policy import DEFAULT, policy_of
from algorithms.dicom.privacy.proof import Proof, elements
from algorithms.dicom.privacy.search import Search
from algorithms.dicom.privacy.taken import Taken
from tests.algorithms.dicom.ct_series import image
from tests.algorithms.dicom.privacy.cleaning import deidentified

POLICY = policy_of(DEFAULT)
NAME = Taken("PatientName", "PN", "Quastenflosser^Ottokar")


def clean_file(**values: object) -> bytes:
    """Return a de-identified file into which ``values`` are put afterwards, as a mistake of ours would."""
    source, buffer = BytesIO(), BytesIO()
    image(np.full((16, 16), 40, dtype=np.int16), 7).save_as(source, enforce_file_format=True)
    dataset = pydicom.dcmread(BytesIO(deidentified(source.getvalue())[0]))
    with disable_value_validation():
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def leaks(data: bytes, *taken: Taken, kept: tuple[str, ...] = (), dates: tuple[str, ...] = ()) -> set[str]:
    return Proof(wanted(taken, POLICY.public_words(), kept, dates), POLICY.allowed()).leaks(data)


def test_a_clean_file_has_no_leak():
    """The control of all tests below."""
    assert leaks(clean_file(), NAME, Taken("PatientID", "ID", "KH7301942"), Taken("StudyDate", "DA", "20260314")) == set()


@pytest.mark.parametrize(
    ("taken", "value"),
    [
        pytest.param(NAME, "Quastenflosser", id="family name"),
        pytest.param(NAME, "QUASTENFLOSSER", id="capitals"),
        pytest.param(NAME, "xxquastenflosseryy", id="inside a word"),
        pytest.param(NAME, "Ottokar", id="given name"),
        pytest.param(Taken("PatientName", "PN", "Müller-Lüdenscheidt"), "Mueller-Luedenscheidt", id="umlauts spelt out"),
        pytest.param(Taken("PatientName", "PN", "Étienne"), "ETIENNE", id="without accents"),
        pytest.param(Taken("PatientName", "PN", "Wu^Lee"), "CT of LEE", id="short name as a word"),
        pytest.param(Taken("PatientID", "ID", "KH7301942"), "ID 7301942", id="number of an identifier"),
        pytest.param(Taken("PatientBirthDate", "DA", "19511224"), "born 24.12.1951", id="date in another spelling"),
        pytest.param(Taken("PatientBirthDate", "DA", "19511224"), "19511224", id="date"),
        pytest.param(Taken("StudyInstanceUID", "UI", "1.3.6.1.4.1.99999.7"), "1.3.6.1.4.1.99999.7", id="UID"),
        pytest.param(Taken("StudyDescription", "TEXT", "Herz CT Quastenflosser"), "quastenflosser", id="word of a description"),
    ],
)  # fmt: skip
def test_what_was_taken_out_is_found_in_a_text(taken, value):
    """The message may name the attribute, so the attribute is what comes back."""
    assert leaks(clean_file(ManufacturerModelName=value), taken) == {taken.keyword}


@pytest.mark.parametrize("encoding", ["utf-8", "iso2022_jp", "shift_jis", "gb18030"])
def test_ideographs_are_found_in_every_encoding(encoding):
    """Two ideographs are a family name: four bytes in most encodings."""
    model = b"CT " + "山田".encode(encoding) + b" x"
    data = clean_file(ManufacturerModelName="#" * (len(model) + len(model) % 2))
    data = data.replace(b"#" * (len(model) + len(model) % 2), model.ljust(len(model) + len(model) % 2))

    assert leaks(data, Taken("PatientName", "PN", "Yamada=山田^太郎")) == {"PatientName"}


@pytest.mark.parametrize(
    ("taken", "value"),
    [
        pytest.param(Taken("PatientName", "PN", "Wu^Lee"), "SLEEVE", id="short name inside a word"),
        pytest.param(Taken("PatientID", "ID", "123456"), "91234567", id="part of a longer number"),
        pytest.param(Taken("PatientID", "ID", "9765625"), "0.9765625", id="digits of a decimal"),
        pytest.param(Taken("PatientID", "ID", "000000"), "000000", id="zeros"),
        pytest.param(Taken("StudyDescription", "TEXT", "axial"), "AXIAL", id="a word of ours"),
        pytest.param(Taken("ReferencedSOPClassUID", "UI", "1.2.840.10008.1.2.1"), "1.2.840.10008.1.2.1", id="standard UID"),
        pytest.param(Taken("SeriesDescription", "TEXT", "-766.500"), "-766.500", id="measurement"),
    ],
)
def test_what_only_looks_like_it_is_no_leak(taken, value):
    """A false alarm stops a patient's case, so what proves nothing is not searched for."""
    assert leaks(clean_file(ManufacturerModelName=value), taken) == set()


def test_a_shifted_date_may_equal_a_date_that_was_taken_out():
    """With enough studies one patient's shifted date is another day of the same patient's."""
    taken = Taken("ContentDate", "DA", "20230501")

    assert leaks(clean_file(StudyDate="20230501"), taken, dates=("20230501",)) == set()
    assert leaks(clean_file(StudyDate="20230501"), taken) == {"ContentDate"}


def test_text_in_raw_pixels_is_found():
    """Sixteen-bit pixels can spell a name."""
    data = bytearray(clean_file())
    data[-40:-26] = b"Quastenflosser"

    assert leaks(bytes(data), NAME) == {"PatientName"}


def test_utf_16_is_found_in_a_header():
    """No character set of DICOM, but what a program writes that keeps its strings so."""
    word = "Quastenflosser".encode("utf-16-be").decode("latin-1")

    assert leaks(clean_file(ManufacturerModelName=word), NAME) == {"PatientName"}


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        pytest.param(lambda d: b"x" + d[1:], "empty preamble", id="preamble"),
        pytest.param(lambda d: d + b"tail of a file", "belong to no attribute", id="trailing bytes"),
        pytest.param(lambda d: d[:-3], "belong to no attribute", id="cut"),
        pytest.param(
            lambda _: clean_file(StudyDescription="x"), "1 attribute that the allow-list does not know", id="attribute"
        ),
    ],
)
def test_bytes_and_attributes_that_nobody_asked_for_stop_the_case(damage, found):
    """The walk knows nothing of the writer: it would see a change in pydicom that writes more than it should."""
    with pytest.raises(DataError, match=found):
        leaks(damage(clean_file()), NAME)


def test_the_walk_sees_every_element_that_was_written():
    """Against pydicom's own reading of the same file, sequences included."""
    data = clean_file()
    dataset = pydicom.dcmread(BytesIO(data))

    tags = [element.tag for element in dataset.iterall()] + [element.tag for element in dataset.file_meta]

    assert sorted(tag for tag, _ in elements(data)) == sorted(int(tag) for tag in tags)


def test_search_agrees_with_plain_search():
    """Random short strings over a small alphabet, so that beginnings repeat and overlap; ``in`` is the truth."""
    rng = np.random.default_rng(5)
    for _ in range(40):
        data = bytes(rng.choice(list(b"abcd"), 3000))
        strings = {bytes(rng.choice(list(b"abcd"), rng.integers(4, 9))) for _ in range(60)}

        assert Search(strings).found(data) == {s for s in strings if s in data}


def test_a_thousand_strings_cost_little_for_a_full_study():
    """0.5 MB an image and 250 images: searching one image must stay in milliseconds (bound with a tenfold margin)."""
    data = np.random.default_rng(0).integers(0, 4096, 512 * 512).astype("<u2").tobytes()
    search = Search([f"1.3.12.2.1107.5.1.4.60064.3000002212080811{n}".encode() for n in range(1000)])
    search.found(data)
    start = time.process_time()

    search.found(data)

    assert time.process_time() - start < 0.1


def proof(*taken: Taken) -> Proof:
    return Proof(wanted(taken, POLICY.public_words(), (), ()), POLICY.allowed())


@pytest.mark.parametrize(
    ("values", "clean"),
    [
        pytest.param({}, True, id="nothing"),
        pytest.param({"ManufacturerModelName": "Quastenflosser"}, False, id="in a header"),
        pytest.param({"ManufacturerModelName": "CT of OTTO"}, False, id="as a short word"),
        pytest.param({"PixelData": (b"Quastenflosser" * 40)[:512]}, False, id="in pixels"),
    ],
)
def test_one_file_of_many_is_enough(values, clean):
    """The headers of all files are searched together; what is known of the first files hides nothing of a later one."""
    files = [clean_file(InstanceNumber=number) for number in range(1, 6)]
    files[3] = clean_file(InstanceNumber=4, **values)
    short = Taken("OtherPatientNames", "PN", "Otto")

    assert proof(NAME, short).clean(iter(files)) == clean


def test_every_file_that_holds_a_value_is_counted():
    """An element in which something was found is not known from then on, though it is equal in the next file."""
    files = [clean_file(InstanceNumber=number, ManufacturerModelName="Quastenflosser") for number in range(1, 4)]
    searched = proof(NAME)

    assert [searched.leaks(data) for data in files] == [{"PatientName"}] * 3


def test_what_is_known_keeps_no_attribute_from_being_checked():
    """Order, allow-list and the end of the data set are looked at in a later file as in the first."""
    data = clean_file()
    pixels = data.index(b"\xe0\x7f\x10\0")
    kvp = data.index(b"\x18\0\x60\0DS")
    for broken, found in [
        (data[:pixels] + data[kvp : kvp + 12] + data[pixels:], "not in order"),
        (data[:kvp] + b"\x18\0\x61\0DS\x04\x00100 " + data[kvp:], "allow-list"),
        (data[:pixels], "no pixels"),
        (data[: kvp + 4], "belong to no attribute"),
    ]:
        searched = proof(NAME)
        for _ in range(2):
            searched.leaks(data)
        with pytest.raises(DataError, match=found):
            searched.leaks(broken)


def test_an_attribute_that_a_site_takes_away_may_stand_empty():
    """KVP is of type 2: it is written empty, and the proof must not call that a stranger."""
    policy = policy_of({**DEFAULT, "remove": ["KVP"]})

    assert Proof(wanted([NAME], policy.public_words(), (), ()), policy.allowed()).leaks(clean_file(KVP=None)) == set()
