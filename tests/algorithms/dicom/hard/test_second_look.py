"""What a second look from outside found: digits behind measurements, names that a site lists, values that makers write."""

from __future__ import annotations

import io
import re
import subprocess
from collections import Counter
from pathlib import Path

import pydicom
import pytest

from algorithms.contract.errors import DataError
from algorithms.dicom.privacy.policy import site_policy
from tests.algorithms.dicom.hard.elements import EXPLICIT, Element, element, part10, with_value, written
from tests.algorithms.dicom.hard.examination import image, meta, patient, study
from tests.algorithms.dicom.hard.ledger import Ledger
from tests.algorithms.dicom.privacy.cleaning import deidentified

DCIODVFY = Path("/usr/bin/dciodvfy")
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"

PIXEL_SPACING, POSITION, ORIENTATION, LOCATION = 0x00280030, 0x00200032, 0x00200037, 0x00201041
INTERCEPT, SLOPE, BETWEEN_SLICES = 0x00281052, 0x00281053, 0x00180088


def file(*changes: Element) -> bytes:
    """Return one CT image of an invented patient with some of its elements changed."""
    ledger = Ledger()
    elements = with_value(image(ledger, study(ledger, patient(ledger, "one patient"), "a study"), 1), *changes)
    return part10(written(elements, EXPLICIT), EXPLICIT, meta(ledger, elements))


def mr_file(*changes: Element) -> bytes:
    """Return one MR image with what dciodvfy asks of one, some of its elements changed."""
    own = [
        element(0x00080008, "CS", "ORIGINAL\\PRIMARY\\OTHER"),
        element(0x00080016, "UI", MR_IMAGE), element(0x00080060, "CS", "MR"),
        element(0x00180020, "CS", "GR"), element(0x00180021, "CS", "SP"), element(0x00180022, "CS", "PFP"),
        element(0x00180023, "CS", "2D"), element(0x00180080, "DS", "38.22"), element(0x00180081, "DS", "1.16"),
        element(0x00180091, "IS", "13"),
    ]  # fmt: skip
    return file(*with_value(own, *changes))


def cleaned(data: bytes, policy: dict | None = None) -> pydicom.Dataset:
    """Return what the engine makes of a file."""
    return pydicom.dcmread(io.BytesIO(deidentified(data, policy=policy)[0]))


def values(dataset: pydicom.Dataset, tag: int) -> list[str]:
    """Return the parts of a decimal string as they were written."""
    value = dataset[tag].value
    return [one.original_string for one in (value if dataset[tag].VM > 1 else [value])]


PLANTED = [
    pytest.param("{}.19480317", "19480317", id="a date"),
    pytest.param("{}.4165551234", "4165551234", id="a telephone number"),
    pytest.param("{}.70000194803174", "19480317", id="a date further on"),
    pytest.param("{}.48255500932E+0", "8255500932", id="a registration number with an exponent"),
]


@pytest.mark.parametrize(("planted", "digits"), PLANTED)
@pytest.mark.parametrize(
    ("tag", "whole", "others"),
    [
        pytest.param(PIXEL_SPACING, "0", "\\0.5", id="PixelSpacing"),
        pytest.param(POSITION, "-99", "\\-120\\14.5", id="ImagePositionPatient"),
        pytest.param(ORIENTATION, "-0", "\\0\\0\\0\\1\\0", id="ImageOrientationPatient"),
        pytest.param(LOCATION, "-312", "", id="SliceLocation"),
        pytest.param(BETWEEN_SLICES, "1", "", id="SpacingBetweenSlices"),
        pytest.param(INTERCEPT, "-1024", "", id="RescaleIntercept"),
        pytest.param(SLOPE, "1", "", id="RescaleSlope"),
    ],
)
def test_geometry_has_no_room_for_a_number_behind_its_digits(
    tag: int, whole: str, others: str, planted: str, digits: str
) -> None:
    """Of what no scanner measures six decimals stay, a millionth of a millimetre: enough for geometry, too few for a date."""
    text = planted.format(whole)

    first, *rest = values(cleaned(file(element(tag, "DS", text + others))), tag)

    assert digits[:8] not in re.sub(r"\D", "", first)
    assert abs(float(first) - float(text)) <= 5e-7  # half a unit of the sixth decimal
    assert rest == others.split("\\")[1:]


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        pytest.param(PIXEL_SPACING, "0.48828125\\0.3515625", id="250 and 180 mm over 512 pixels"),
        pytest.param(PIXEL_SPACING, "0.6835939884186\\0.68359398841858", id="single precision in full"),
        pytest.param(POSITION, "-124.755859375\\-158.135803\\-75.699997", id="half a field of view, and six decimals"),
        pytest.param(LOCATION, "-77.2040634155", id="a single-precision number in twelve digits"),
        pytest.param(ORIENTATION, "1.000000e+00\\0\\-0.000000\\0\\.5\\1.", id="spellings"),
        pytest.param(SLOPE, "1.473504", id="a slope"),
    ],
)
def test_geometry_that_scanners_write_stays_digit_for_digit(tag: int, text: str) -> None:
    """Fields of view divide by powers of two, and some programs write single precision out."""
    assert values(cleaned(file(element(tag, "DS", text))), tag) == text.split("\\")


@pytest.mark.parametrize("keyword", ["SeriesNumber", "AcquisitionNumber", "InstanceNumber", "ExposureTime", "Exposure"])
def test_a_count_has_five_digits(keyword: str) -> None:
    """Registration numbers begin at six."""
    tag = pydicom.datadict.tag_for_keyword(keyword)

    assert cleaned(file(element(tag, "IS", "99731")))[keyword].value == 99731
    assert cleaned(file(element(tag, "IS", "483951"))).get(keyword) is None


def test_a_site_s_wide_bounds_let_no_telephone_number_through() -> None:
    """Whole numbers have six digits at most, decimals six significant ones, whatever bounds the policy gives."""
    wide = {"rule": "number", "low": -1e17, "high": 1e17}
    block = [(f"{0x11 + i:02X}", vr) for i, vr in enumerate(("IS", "DS", "UL", "FD"))]
    policy = {
        "version": 1, "options": ["retain_safe_private"],
        "keep": [{"attribute": "CountsAccumulated", **wide}, {"attribute": "TableTraverse", **wide}],
        "safe_private": [{"creator": "ACME", "group": "0019", "element": number, "vr": vr, **wide} for number, vr in block],
    }  # fmt: skip
    small, large = (
        cleaned(
            file(
                element(0x00180070, "IS", str(number)), element(0x00181131, "DS", str(number)),
                element(0x00190010, "LO", "ACME"), element(0x00191011, "IS", str(number)),
                element(0x00191012, "DS", str(number)), element(0x00191013, "UL", number),
                element(0x00191014, "FD", float(number)),
            ),
            policy,
        )
        for number in (955123, 4165551234 % 2**31)
    )  # fmt: skip

    assert [small[tag].value for tag in (0x00180070, 0x00191011, 0x00191012, 0x00191013, 0x00191014)] == [955123] * 5
    assert {0x00180070, 0x00191011, 0x00191013}.isdisjoint(large.keys())
    assert [large[0x00191012].value, large[0x00191014].value] == [2.01807e9] * 2


@pytest.mark.parametrize(
    ("name", "coding", "terms", "texts"),
    [
        pytest.param(
            "Baker^Rose", "ascii", "ISO_IR 100", ("CT heart Baker", "Klinik Dr Baker"), id="a word that the site lists"
        ),
        pytest.param("Heart^May", "ascii", "ISO_IR 100", ("CT HEART May baker", "May Klinik"), id="words of medicine"),
        pytest.param("Li^O", "ascii", "ISO_IR 100", ("CT Li O", "Li Klinik O"), id="names of one and two letters"),
        pytest.param("山田^太郎", "iso2022_jp", "ISO 2022 IR 6\\ISO 2022 IR 87", ("CT 山田", "山田病院"), id="two ideographs"),
        pytest.param("王^五", "gb18030", "GB18030", ("CT 王", "王府医院"), id="one ideograph"),
    ],
)
def test_what_a_site_lets_stay_holds_no_name_of_this_patient(
    name: str, coding: str, terms: str, texts: tuple[str, str]
) -> None:
    """Not in a description whose words the site lists, nor in the name of the institution."""
    policy = {
        "version": 1, "options": ["clean_descriptors", "retain_institution_identity"],
        "words": ["ct", "heart", "baker", "rose", "may", "li", "o", "山田", "王"],
    }  # fmt: skip
    own = (element(0x00080005, "CS", terms), element(0x00100010, "PN", name.encode(coding)))
    description, institution = (
        element(tag, "LO", text.encode(coding)) for tag, text in ((0x00081030, texts[0]), (0x00080080, texts[1]))
    )

    found = cleaned(file(*own, description, institution), policy)
    of_another = cleaned(file(description, institution, own[0]), policy)

    parts = re.findall(r"\w+", name.casefold())
    assert not set(parts) & set(re.findall(r"\w+", found.StudyDescription.casefold()))
    assert "CT" in found.StudyDescription
    assert "InstitutionName" not in found
    assert texts[0] == of_another.StudyDescription
    assert texts[1] == of_another.InstitutionName


def test_a_hospital_of_the_heart_keeps_the_word_heart() -> None:
    """Only names of persons take a listed word out of a description, not what the institution or the station is called."""
    policy = {"version": 1, "options": ["clean_descriptors"], "words": ["heart", "ct"]}
    called = [
        element(0x00080080, "LO", "Heart Centre"),
        element(0x00081010, "SH", "CT HEART"),
        element(0x001021B0, "LT", "heart"),
    ]

    assert cleaned(file(*called, element(0x00081030, "LO", "CT heart")), policy).StudyDescription == "CT heart"


@pytest.mark.parametrize("spelling", ["19480317", "1948-03-17", "17.03.1948", "17 Mar 1948"])
def test_the_name_of_an_institution_holds_no_birth_date(spelling: str) -> None:
    """Some sites write it behind the ward."""
    policy = {"version": 1, "options": ["retain_institution_identity"]}
    born = element(0x00100030, "DA", "19480317")
    ward = element(0x00080080, "LO", f"Ward 3 {spelling}")

    assert "InstitutionName" not in cleaned(file(born, ward), policy)
    assert "InstitutionName" in cleaned(file(ward), policy)


def test_a_folder_is_no_policy(tmp_path: Path) -> None:
    """It ended as a bug, with exit code 70."""
    with pytest.raises(DataError, match="policy file does not exist"):
        site_policy(tmp_path)


IMAGE_TYPES = [
    "ORIGINAL\\PRIMARY\\OTHER", "ORIGINAL\\PRIMARY\\PHASE MAP\\P\\FFE", "ORIGINAL\\PRIMARY\\P\\ND", "DERIVED\\PRIMARY\\T1 MAP",
    "ORIGINAL\\PRIMARY\\M_PCA\\M\\PCA", "DERIVED\\PRIMARY\\DIFFUSION MAP\\ND", "DERIVED\\PRIMARY\\PROJECTION IMAGE",
]  # fmt: skip


@pytest.mark.parametrize("text", IMAGE_TYPES)
def test_magnitude_and_phase_and_maps_of_mr_stay_apart(text: str) -> None:
    """By ImageType: GE writes OTHER in its third place, which the standard wants filled (PS3.3 C.8.3.1.1.1)."""
    assert text == "\\".join(cleaned(mr_file(element(0x00080008, "CS", text))).ImageType)


@pytest.mark.skipif(not DCIODVFY.exists(), reason="needs Debian's dicom3tools")
@pytest.mark.parametrize(
    ("tag", "text"),
    [(0x00080008, text) for text in IMAGE_TYPES]
    + [(0x00180022, text) for text in ("PER\\FC", "RG\\PFP", "CG", "PPG", "FAST_GEMS\\EDR_GEMS", "SAT1", "NONE")]
    + [(0x00180021, text) for text in ("OTHER", "SS\\SK\\SP\\OSP")]
    + [(0x00180023, text) for text in ("2D", "3D", "MS")],
)  # fmt: skip
def test_values_that_makers_write_bring_no_new_error(tag: int, text: str, tmp_path: Path) -> None:
    """An attribute that the standard wants is there, if empty, where its value is no term that we know."""
    data = mr_file(element(tag, "CS", text))
    (tmp_path / "before.dcm").write_bytes(data)
    (tmp_path / "after.dcm").write_bytes(deidentified(data)[0])

    before, after = (errors(tmp_path / f"{when}.dcm") for when in ("before", "after"))

    assert after - before == Counter()


@pytest.mark.skipif(not DCIODVFY.exists(), reason="needs Debian's dicom3tools")
@pytest.mark.parametrize(
    ("tag", "vr", "text"),
    [
        pytest.param(0x00180050, "DS", "19480317", id="SliceThickness"),
        pytest.param(0x00185100, "CS", "QWERTZ", id="PatientPosition"),
        pytest.param(0x00281050, "DS", "194803", id="WindowCenter"),
        pytest.param(0x00281051, "DS", "194803", id="WindowWidth"),
        pytest.param(0x00200011, "IS", "19480317", id="SeriesNumber"),
    ],
)
def test_a_value_that_must_go_leaves_no_error_behind(tag: int, vr: str, text: str, tmp_path: Path) -> None:
    """What the standard wants is there without a value, and what means nothing alone goes with its other half."""
    data = file(element(tag, vr, text))
    (tmp_path / "before.dcm").write_bytes(data)
    (tmp_path / "after.dcm").write_bytes(deidentified(data)[0])

    assert text.encode() not in (tmp_path / "after.dcm").read_bytes()
    assert errors(tmp_path / "after.dcm") - errors(tmp_path / "before.dcm") == Counter()


def errors(path: Path) -> Counter[str]:
    """Return what dciodvfy calls an error of a file."""
    said = subprocess.run([DCIODVFY, path], capture_output=True, text=True, errors="replace", check=False)
    return Counter(line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error"))
