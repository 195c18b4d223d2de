"""Pictures under the option Clean Pixel Data: the site's rectangles are black, and what still shows text stays behind."""

from __future__ import annotations

import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset

from algorithms.contract.errors import DataError
from algorithms.dicom.privacy.folder import deidentify_folder
from algorithms.dicom.privacy.policy import policy_of, site_policy
from algorithms.dicom.privacy.syntax import Refused
from algorithms.dicom.privacy.textless import MOST_FRAMES, TOO_LONG, text_left
from tests.algorithms.dicom.ct_series import CT_IMAGE, IDENTITY, ROOT, image
from tests.algorithms.dicom.hard.pictures import anatomy, labelled
from tests.algorithms.dicom.privacy.cleaning import deidentified
from tests.algorithms.dicom.privacy.multiframe import file_of

DCIODVFY = Path("/usr/bin/dciodvfy")
CAPTURE, WORD_CAPTURE, ULTRASOUND, FILM = (f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("7", "7.3", "6.1", "3.1"))
SIDE, STRIP = 256, 48
needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="needs the Debian package tesseract-ocr")


def policy(*classes: str, rectangle: tuple[int, int, int, int] = (0, 0, SIDE, STRIP), **changed: object) -> dict:
    """Return a policy that blanks the upper strip of these kinds of pictures of one model."""
    entry = {"manufacturer": "Siemens", "model": "somatom force", "rows": SIDE + STRIP, "columns": SIDE,
             "rectangles": [list(rectangle)]}  # fmt: skip
    blank = [entry | {"sop_class": sop_class} | changed for sop_class in classes or (CAPTURE,)]
    return {"version": 1, "options": ["retain_modified_dates", "clean_pixel_data"], "blank": blank}


def named(frames: int = 1, *, below: bool = False) -> np.ndarray:
    """Return frames with a name in the strip above an anatomy, or also in the picture itself; uint8 (F, Y, X)."""
    strip = labelled(np.zeros((STRIP, SIDE), np.uint8), 250, 16, ("Quastenflosser", "Ottokar"))
    pictures = [anatomy(seed, SIDE) for seed in range(frames)]
    if below:
        pictures = [labelled(picture, 250, 16, ("Quastenflosser", "Hospital")) for picture in pictures]
    return np.stack([np.concatenate([strip, picture]) for picture in pictures])


def picture(pixels: np.ndarray, sop_class: str = CAPTURE, *, colours: str = "") -> FileDataset:
    """Return a picture, ``colours`` by pixel or by plane."""
    dataset = image(np.zeros((4, 4), np.int16), 5)
    for keyword in ("RescaleIntercept", "RescaleSlope", "RescaleType", "WindowCenter", "WindowWidth", "ConvolutionKernel",
                    "KVP", "ReferencedImageSequence"):  # fmt: skip
        delattr(dataset, keyword)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.Modality = "US" if sop_class in {ULTRASOUND, FILM} else "OT"
    dataset.ImageType, dataset.ConversionType = ["DERIVED", "SECONDARY"], "WSD"
    dataset.BurnedInAnnotation = "YES"
    dataset.Rows, dataset.Columns = pixels.shape[1:]
    if len(pixels) > 1 or sop_class == FILM:
        dataset.NumberOfFrames, dataset.FrameTime, dataset.FrameIncrementPointer = len(pixels), "40", 0x00181063
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    if colours:
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
        dataset.PlanarConfiguration = int(colours == "planes")
        pixels = np.stack([pixels, pixels // 2, 255 - pixels], axis=1 if colours == "planes" else -1)
    dataset.PixelData = pixels.tobytes()
    return dataset


def output(dataset: FileDataset, of: dict) -> tuple[bytes, FileDataset]:
    clean, _ = deidentified(file_of(dataset), policy=of)
    return clean, pydicom.dcmread(BytesIO(clean))


@pytest.mark.parametrize(
    ("sop_class", "colours", "frames"),
    [
        pytest.param(CAPTURE, "", 1, id="capture"),
        pytest.param(CAPTURE, "pixels", 1, id="colours by pixel"),
        pytest.param(CAPTURE, "planes", 1, id="colours by plane"),
        pytest.param(ULTRASOUND, "pixels", 1, id="ultrasound"),
        pytest.param(FILM, "planes", 3, id="film in planes"),
        pytest.param(FILM, "", 3, id="grey film"),
    ],
)
def test_the_rectangles_are_black_and_the_rest_is_as_it_was(sop_class, colours, frames):
    """Bit for bit, in every frame and every colour, by pydicom's reading."""
    original = picture(named(frames), sop_class, colours=colours)

    clean, dataset = output(original, policy(sop_class))

    before, after = original.pixel_array.copy(), dataset.pixel_array
    if frames == 1:
        before, after = before[None], after[None]
    assert not after[:, :STRIP].any()
    assert (after[:, STRIP:] == before[:, STRIP:]).all()
    assert dataset.BurnedInAnnotation == "NO"
    assert "113101" in {one.CodeValue for one in dataset.DeidentificationMethodCodeSequence}
    assert not [value for value in [*IDENTITY.values(), ROOT] if value.encode() in clean]


def test_a_rectangle_lies_where_the_policy_says():
    """Left, top, width, height."""
    _, dataset = output(picture(np.full((1, SIDE + STRIP, SIDE), 9, np.uint8)), policy(rectangle=(10, 20, 30, 40)))

    black = np.argwhere(dataset.pixel_array == 0)
    assert (black.min(axis=0).tolist(), black.max(axis=0).tolist(), len(black)) == ([20, 10], [59, 39], 1200)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"manufacturer": "GE"}, id="another maker"),
        pytest.param({"model": "SOMATOM"}, id="another model"),
        pytest.param({"rows": 300}, id="another height"),
        pytest.param({"columns": 257}, id="another width"),
        pytest.param({"sop_class": WORD_CAPTURE}, id="another kind"),
    ],
)
def test_a_picture_that_the_site_has_not_looked_at_is_refused(changed):
    """Consoles put names elsewhere in each model and matrix."""
    with pytest.raises(Refused, match="secondary capture"):
        output(picture(named()), policy(**changed))


def test_nothing_is_blanked_without_the_option():
    """The default refuses pictures."""
    with pytest.raises(Refused, match="secondary capture"):
        output(picture(named()), {"version": 1, "options": ["retain_modified_dates"]})


def face(dataset: FileDataset) -> None:
    dataset.RecognizableVisualFeatures = "YES"


def luminance(dataset: FileDataset) -> None:
    dataset.PhotometricInterpretation = "YBR_FULL"


def document(dataset: FileDataset) -> None:
    dataset.EncapsulatedDocument = b"%PDF"


@pytest.mark.parametrize("change", [face, luminance, document])
def test_what_rectangles_do_not_mend_is_refused(change):
    """A face, colours that are not understood, a document."""
    dataset = picture(named(), colours="pixels")
    change(dataset)

    with pytest.raises(Refused):
        output(dataset, policy())


def test_an_original_image_is_not_touched_and_a_localizer_stays_one():
    """The table's entry for CT is for its localizers and captures; an axial image of that matrix has no text to hide."""
    axial = image(np.full((SIDE + STRIP, SIDE), 40, np.int16), 1)
    localizer = image(np.full((SIDE + STRIP, SIDE), 40, np.int16), 1)
    localizer.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "CT_SOM5 TOP"]

    _, kept = output(axial, policy(CT_IMAGE))
    _, blanked = output(localizer, policy(CT_IMAGE))

    assert kept.PixelData == axial.PixelData
    assert "BurnedInAnnotation" not in kept
    assert list(blanked.ImageType) == ["ORIGINAL", "PRIMARY", "LOCALIZER", "OTHER"]
    assert not blanked.pixel_array[:STRIP].any()
    assert blanked.pixel_array[STRIP:].all()


READING = "left\ttop\twidth\theight\tconf\ttext\n"


@pytest.mark.parametrize(
    ("read", "written"),
    [
        pytest.param("1\t1\t9\t9\t30\tdoubtful\n", 1, id="noise"),
        pytest.param("1\t1\t9\t9\t45\tOttokar\n", 0, id="doubtful word"),
    ],
)
def test_a_word_that_is_read_keeps_the_picture_back(tmp_path, monkeypatch, read, written):
    """A program stands in for tesseract and reads what it is told to; the picture itself is blanked in both cases."""
    program = tmp_path / "programs" / "tesseract"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n/bin/cat > /dev/null\nprintf '{READING}{read}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one").write_bytes(file_of(picture(named())))

    summary = deidentify_folder(tmp_path / "in", tmp_path / "out", bytes(range(32)), policy(), None)

    assert summary["files_written"] == len(list((tmp_path / "out").rglob("*.dcm"))) == written
    assert summary["refused"] == ({} if written else {"text in pixels": 1})


@pytest.mark.slow
@needs_tesseract
def test_the_command_keeps_back_what_still_shows_text(tmp_path):
    """A name in the strip is blanked; one in the picture itself is seen, and the file stays in the quarantine."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "strip").write_bytes(file_of(picture(named())))
    again = picture(named(below=True))
    again.SOPInstanceUID = again.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.1.6"
    (tmp_path / "in" / "below").write_bytes(file_of(again))

    summary = deidentify_folder(tmp_path / "in", tmp_path / "out", bytes(range(32)), policy(), tmp_path / "quarantine")

    assert (summary["files_written"], summary["refused"], summary["patients_stopped"]) == (1, {"text in pixels": 1}, 0)
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 1


def test_without_tesseract_the_option_says_what_to_install(tmp_path, monkeypatch):
    """Nothing is written that nobody has read."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one").write_bytes(file_of(picture(named())))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(DataError, match="install the Debian package tesseract-ocr"):
        deidentify_folder(tmp_path / "in", tmp_path / "out", bytes(range(32)), policy(), None)

    assert not list((tmp_path / "out").rglob("*"))


def test_a_long_film_is_not_half_read(tmp_path):
    """Of a film with more different frames than are read nobody can say that it shows no text."""
    frames = np.zeros((MOST_FRAMES + 1, SIDE + STRIP, SIDE), np.uint8)
    frames[:, -1, 0] = np.arange(len(frames)) + 1
    (tmp_path / "film").write_bytes(output(picture(frames, FILM), policy(FILM))[0])

    assert text_left(tmp_path / "film") == TOO_LONG


@pytest.mark.parametrize(
    ("document", "found"),
    [
        pytest.param({**policy(), "options": []}, "go together", id="list without option"),
        pytest.param({"version": 1, "options": ["clean_pixel_data"]}, "go together", id="option without list"),
        pytest.param(policy(rectangle=(0, 0, SIDE + 1, 5)), "entry 0 of blank reaches beyond", id="too wide"),
        pytest.param(policy(rectangle=(0, SIDE, 5, STRIP + 1)), "entry 0 of blank reaches beyond", id="too high"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(document, found):
    """Half a rectangle would hide half a name."""
    with pytest.raises(DataError, match=found):
        policy_of(document)


@pytest.mark.parametrize("rectangles", ["[[0, 0, 0, 5]]", "[[-1, 0, 5, 5]]", "[[0, 0, 5]]", "[]"])
def test_the_schema_knows_what_a_rectangle_is(tmp_path, rectangles):
    """Four whole numbers, of which the last two are at least 1."""
    path = tmp_path / "site.yaml"
    path.write_text(
        f"version: 1\noptions: [clean_pixel_data]\nblank: [{{sop_class: {CAPTURE}, manufacturer: A, model: B, rows: 9, "
        f"columns: 9, rectangles: {rectangles}}}]\n"
    )

    with pytest.raises(DataError, match="does not fit at blank/0/rectangles"):
        site_policy(path)


@pytest.mark.skipif(not DCIODVFY.exists(), reason="dciodvfy (Debian package dicom3tools) is not installed")
@pytest.mark.parametrize("sop_class", [CAPTURE, ULTRASOUND, FILM])
def test_no_error_against_the_standard_is_new(tmp_path, sop_class):
    """What it says of the input it may say of the output, and no more."""
    dataset = picture(named(), sop_class)
    errors = {}
    for name, data in {"input": file_of(dataset), "output": output(dataset, policy(sop_class))[0]}.items():
        (tmp_path / name).write_bytes(data)
        told = subprocess.run([DCIODVFY, str(tmp_path / name)], capture_output=True, text=True, check=False)
        errors[name] = {line for line in (told.stdout + told.stderr).splitlines() if line.startswith("Error")}

    assert errors["output"] <= errors["input"]
