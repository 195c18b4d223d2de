"""The volume's geometry and Hounsfield units against what was written, and what makes a series unanswerable."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from scipy import ndimage

from algorithms.contract.errors import DataError
from algorithms.coronary import quality, volume
from algorithms.coronary.pipeline import VOLUME
from tests.algorithms.dicom.ct_series import SPACING_MM, assert_nameless, chest_hu, write_series

REAL_DATA = os.environ.get("HEARTWOOD_REAL_DATA")
STACK = np.zeros((120, 8, 8), dtype=np.int16)
"""Slices for refusals that come before any pixel is read."""
SETTINGS = VOLUME.settings({})


@pytest.fixture(scope="module")
def chest() -> np.ndarray:
    """Return the chest of every test: 120 mm, the heart from 15 to 115 mm."""
    return chest_hu()


def build(series: Path, out: Path) -> tuple[SimpleITK.Image, dict]:
    volume.run({"dicom": series}, out, **SETTINGS)
    return SimpleITK.ReadImage(str(out / "volume.nii")), json.loads((out / "quality.json").read_text())


def refusal(series: Path, out: Path) -> str:
    with pytest.raises(DataError) as failure:
        volume.run({"dicom": series}, out, **SETTINGS)
    assert_nameless(str(failure.value))
    assert not list(out.glob("volume.nii"))
    return str(failure.value)


def test_voxels_lie_where_the_headers_say(tmp_path, chest):
    """Origin, spacing and values come back as they were written; 1 HU is the step of the stored values."""
    image, facts = build(write_series(tmp_path / "s", chest), tmp_path)

    assert image.GetOrigin() == pytest.approx((-95.0, -95.0, 0.0))
    assert image.GetSpacing() == pytest.approx(SPACING_MM[::-1])
    assert image.GetDirection() == pytest.approx((1, 0, 0, 0, 1, 0, 0, 0, 1))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), np.maximum(chest, -1024))
    assert facts["facts"]["shape"] == list(chest.shape)
    assert facts["facts"]["PatientAge"] == "074Y"


def test_contrast_and_noise_are_those_of_the_phantom(tmp_path, chest):
    """Blood is 400 HU with a noise of 20 HU; the square's deviation is known to 3 % from some hundred squares."""
    _, facts = build(write_series(tmp_path / "s", chest), tmp_path)

    assert facts["aorta_hu_estimate"] == pytest.approx(400, abs=2)
    assert facts["noise_hu"] == pytest.approx(20, rel=0.05)
    failed = [check["name"] for check in facts["checks"] if not check["passed"]]
    assert failed == ["pixel_spacing"]  # 2 mm pixels keep this test small


@pytest.mark.parametrize(
    ("orientation", "first_pixel", "turn"),
    [
        pytest.param([-1, 0, 0, 0, -1, 0], (95.0, 95.0), lambda v: v[:, ::-1, ::-1], id="prone"),
        pytest.param([-1, 0, 0, 0, 1, 0], (95.0, -95.0), lambda v: v[:, :, ::-1], id="mirrored"),
        pytest.param([0, 1, 0, 1, 0, 0], (-95.0, -95.0), lambda v: v.transpose(0, 2, 1), id="turned"),
        pytest.param([0, 1, 0, -1, 0, 0], (95.0, -95.0), lambda v: v.transpose(0, 2, 1)[:, ::-1], id="a quarter turn"),
        pytest.param([0, -1, 0, 1, 0, 0], (-95.0, 95.0), lambda v: v.transpose(0, 2, 1)[:, :, ::-1], id="a quarter turn back"),
    ],
)
def test_a_patient_who_lies_differently_gives_the_same_volume(tmp_path, chest, orientation, first_pixel, turn):
    """Direction cosines say how the pixels run; the anatomy stays where it was."""

    def lying(dataset, _number):
        dataset.ImageOrientationPatient = orientation
        dataset.ImagePositionPatient = [*first_pixel, dataset.ImagePositionPatient[2]]

    upright = SimpleITK.GetArrayFromImage(build(write_series(tmp_path / "a", chest), tmp_path)[0])
    image, _ = build(write_series(tmp_path / "b", turn(chest), lying), tmp_path)

    assert image.GetOrigin() == pytest.approx((-95.0, -95.0, 0.0))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), upright)


def test_the_order_of_files_and_of_instance_numbers_is_of_no_matter(tmp_path, chest):
    """Slices are sorted by position; a table that moved the other way numbers them downwards."""

    def downwards(dataset, number):
        dataset.InstanceNumber = 500 - number

    first, _ = build(write_series(tmp_path / "a", chest), tmp_path)
    second, _ = build(write_series(tmp_path / "b", chest, downwards), tmp_path)

    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(first), SimpleITK.GetArrayFromImage(second))


def test_the_same_series_gives_the_same_bytes(tmp_path, chest):
    """The key of every stage after this one is the sha256 of the volume."""
    series = write_series(tmp_path / "s", chest)
    build(series, tmp_path)
    first = (tmp_path / "volume.nii").read_bytes(), (tmp_path / "quality.json").read_bytes()

    build(series, tmp_path)

    assert first == ((tmp_path / "volume.nii").read_bytes(), (tmp_path / "quality.json").read_bytes())


def test_a_fractional_slope_is_applied(tmp_path, chest):
    """Stored values of half a HU: slope 0.5 and a doubled offset give the same Hounsfield units."""

    def halved(dataset, _number):
        stored = np.frombuffer(dataset.PixelData, dtype="<u2")
        dataset.PixelData = (stored * 2).astype("<u2").tobytes()
        dataset.BitsStored, dataset.HighBit, dataset.RescaleSlope = 16, 15, 0.5

    image, _ = build(write_series(tmp_path / "s", chest, halved), tmp_path)

    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), np.maximum(chest, -1024))


def test_a_missing_slice_is_named_by_its_neighbours(tmp_path):
    """The commonest fault of a transfer; bridging it would invent a piece of vessel."""
    series = write_series(tmp_path / "s", STACK)
    (series / "000051").unlink()

    message = refusal(series, tmp_path)

    assert "slice gap of 2.00 mm between instances 50 and 52 where slices are 1.00 mm apart" in message
    assert "ask the site to resend" in message


def test_uneven_gaps_are_refused(tmp_path):
    """One slice 0.2 mm off: SimpleITK would stack it silently."""

    def moved(dataset, number):
        if number == 50:
            dataset.ImagePositionPatient = [-95, -95, 49.2]

    message = refusal(write_series(tmp_path / "s", STACK, moved), tmp_path)

    assert "uneven slices: 1.20 mm between instances 49 and 50, 1.00 mm elsewhere" in message


def test_a_slice_that_occurs_twice_is_refused(tmp_path):
    """Two slices at one position are two reconstructions."""

    def doubled(dataset, number):
        if number == 50:
            dataset.ImagePositionPatient = [-95, -95, 50.0]

    assert "instances 50 and 51 lie at one position" in refusal(write_series(tmp_path / "s", STACK, doubled), tmp_path)


def test_a_tilted_gantry_is_refused_with_its_angle(tmp_path):
    """A gantry tilted by 10 degrees about x: slices are sheared against their normal."""
    cosine, sine = np.cos(np.radians(10)), np.sin(np.radians(10))

    def tilted(dataset, _number):
        dataset.ImageOrientationPatient = [1, 0, 0, 0, float(cosine), float(sine)]

    message = refusal(write_series(tmp_path / "s", STACK, tilted), tmp_path)

    assert "tilted by 10.0 degrees" in message
    assert "send an untilted axial reconstruction" in message


def test_a_stated_tilt_is_refused_even_if_the_orientation_hides_it(tmp_path):
    """Some scanners write a plain orientation and the tilt in GantryDetectorTilt only."""

    def stated(dataset, _number):
        dataset.GantryDetectorTilt = -12

    assert "tilted by 12.0 degrees" in refusal(write_series(tmp_path / "s", STACK, stated), tmp_path)


def test_twenty_slices_are_refused_with_what_a_heart_needs(tmp_path):
    """The message says what was found, what is wanted and what to send."""
    message = refusal(write_series(tmp_path / "s", STACK[:20]), tmp_path)

    assert message.startswith("20 slices covering 20 mm; a coronary study covers the heart")
    assert message.endswith("send the complete thin-slice coronary series")


@pytest.mark.parametrize("thickness_mm", [3.0, 1.04])
def test_thick_slices_are_refused(tmp_path, thickness_mm):
    """A lumen of 3 mm in slices of 3 mm has no diameter."""

    def thick(dataset, _number):
        dataset.SliceThickness = thickness_mm

    assert f"slices of {thickness_mm:g} mm; a coronary lumen needs 1 mm or less" in refusal(
        write_series(tmp_path / "s", STACK, thick), tmp_path
    )


def test_no_contrast_is_refused(tmp_path):
    """A calcium score scan: blood is 40 HU."""
    message = refusal(write_series(tmp_path / "s", chest_hu(contrast_hu=40)), tmp_path)

    assert "no contrasted blood" in message
    assert "send the contrast-enhanced coronary phase" in message


def test_weak_contrast_is_refused_with_its_value(tmp_path):
    """180 HU: the lumen cannot be told from plaque."""
    message = refusal(write_series(tmp_path / "s", chest_hu(contrast_hu=180)), tmp_path)

    assert re.match(r"contrast of 1(79|80|81) HU in the blood, wanted 200 HU or more", message)


@pytest.mark.parametrize(
    ("centre_mm", "end"), [pytest.param(20.0, "below", id="apex"), pytest.param(105.0, "above", id="ostia")]
)
def test_a_heart_that_is_cut_off_is_refused(tmp_path, centre_mm, end):
    """The blood pool reaches 40 mm to either side of the heart's centre and is 20 or 15 mm from the edge."""
    message = refusal(write_series(tmp_path / "s", chest_hu(heart_centre_mm=centre_mm)), tmp_path)

    assert f"the heart is cut off {end}" in message
    assert "send the series that covers the whole heart" in message


@pytest.mark.parametrize(
    ("values", "found"),
    [
        pytest.param({"RescaleIntercept": 0}, "rescale to Hounsfield units is wrong", id="intercept 0"),
        pytest.param({"RescaleIntercept": 100000}, "give no Hounsfield units", id="implausible"),
        pytest.param({"RescaleSlope": 3}, "rescale to Hounsfield units is wrong", id="slope 3"),
        pytest.param({"RescaleSlope": 0}, "give no Hounsfield units", id="slope 0"),
        pytest.param({"RescaleSlope": None}, "no rescale slope and intercept", id="missing"),
        pytest.param({"PhotometricInterpretation": "MONOCHROME1"}, "not 8- or 16-bit MONOCHROME2", id="inverted"),
        pytest.param({"Rows": 4096, "Columns": 4096}, "the matrix is 4096 x 4096", id="huge"),
        pytest.param({"PixelSpacing": [0, 0]}, "lacks its position", id="no spacing"),
        pytest.param({"ImageOrientationPatient": [1, 0, 0, 0.5, 1, 0]}, "not two perpendicular unit vectors", id="skewed"),
    ],
)
def test_pixels_that_are_no_hounsfield_units_are_refused(tmp_path, chest, values, found):
    """A wrong rescale moves every threshold and every radius; it is never guessed."""

    def changed(dataset, _number):
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    message = refusal(write_series(tmp_path / "s", chest, changed), tmp_path)

    assert found in message
    assert "send" in message


def test_a_truncated_file_is_refused(tmp_path, chest):
    """Half of the pixels of one slice are missing."""
    series = write_series(tmp_path / "s", chest)
    (series / "000050").write_bytes((series / "000050").read_bytes()[:-5000])

    assert "pixel data of instance 50 is truncated" in refusal(series, tmp_path)


def test_a_step_between_heart_beats_is_counted(chest):
    """From slice 60 on everything lies 8 mm further left, as after a missed beat; nothing else in the phantom jumps."""
    stepped = chest.copy()
    stepped[60:] = np.roll(chest[60:], 4, axis=2)

    assert quality.step_slices(chest) == []
    assert quality.step_slices(stepped) == [59]


@pytest.mark.parametrize("aorta", [True, False], ids=["descending aorta in view", "descending aorta out of view"])
def test_a_dark_right_heart_is_not_taken_for_the_arteries(chest, aorta):
    """Contrast has left the right heart, 180 HU, which is the larger pool; the arteries are at 400 HU."""
    hu = chest.copy()
    y, x = np.arange(96)[:, None] * 2.0 - 95, np.arange(96)[None, :] * 2.0 - 95
    heart = (hu > 250) & (y < 25)
    hu[heart & (x > -6)] -= 220
    hu[heart & (abs(x + 3) < 3)] = 50
    if not aorta:
        hu[:, x**2 + (y - 50) ** 2 < 16**2] = 50

    judgement = quality.judge(hu, SPACING_MM, least_contrast_hu=200)

    assert judgement.aorta_hu == pytest.approx(400, abs=8)  # partial volume at the wall of a pool 18 mm wide


@pytest.mark.skipif(REAL_DATA is None, reason="HEARTWOOD_REAL_DATA names no folder of real studies")
def test_contrast_of_a_real_arterial_chest_is_that_of_its_aorta():
    """An arterial-phase crop with a mask of its aorta: the ascending part, 3 mm inside the wall, has a median of 475 HU."""
    folder = Path(str(REAL_DATA)) / "ct_aorta"
    image = SimpleITK.ReadImage(str(folder / "ct_cropped.nii.gz"))
    hu = SimpleITK.GetArrayFromImage(image).astype(np.int16)
    aorta = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / "aorta.nii.gz"))) > 0
    ascending = ndimage.binary_erosion(aorta, iterations=2)[80:108, :72]

    judgement = quality.judge(hu, (1.5, 1.5, 1.5), least_contrast_hu=200)

    assert judgement.aorta_hu == pytest.approx(
        np.median(hu[80:108, :72][ascending]), rel=0.05
    )  # left heart and aorta differ by 4 %
    assert not [check["name"] for check in judgement.checks if check["name"].startswith("heart") and not check["passed"]]


@pytest.mark.skipif(REAL_DATA is None, reason="HEARTWOOD_REAL_DATA names no folder of real studies")
def test_the_real_trunk_study_is_refused_with_what_to_send(tmp_path):
    """20 JPEG 2000 slices, 2 mm apart: 40 mm of a trunk."""
    assert "20 slices covering 40 mm" in refusal(Path(str(REAL_DATA)) / "ct_siemens_contrast", tmp_path)
