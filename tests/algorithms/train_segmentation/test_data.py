"""Data sets: which studies there are, what their labels mean, and the targets that are made of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from algorithms.contract.errors import DataError
from algorithms.dicom.results.origin import Origin, read_images, write_object
from algorithms.dicom.results.seg import Segment, segmentation
from algorithms.segmentation.entry import read_entry
from algorithms.train_segmentation import prepare, receive
from algorithms.train_segmentation.dataset import described, main
from algorithms.train_segmentation.judgement import dice, hd95_mm, judged, on_centreline, worse
from algorithms.train_segmentation.sample import read_sample
from algorithms.train_segmentation.targets import Study, targets
from algorithms.train_segmentation.tasks import COARSE, FINE
from tests.algorithms.dicom.ct_series import write_series

SPACING = (1.0, 0.8, 0.8)


def tube(shape: tuple[int, int, int] = (40, 40, 40)) -> np.ndarray:
    """Return a tube of two voxels' radius along z, ten voxels from either end."""
    z, y, x = np.indices(shape)
    return (np.hypot(y - 20, x - 20) <= 2) & (z >= 10) & (z < 30)


def nifti(path: Path, values: np.ndarray, flipped: bool = False) -> None:
    """Write a NIfTI file with the centre of the first voxel at LPS (10, 20, 30), on axes LPS or turned by half about z."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(values[:, ::-1, ::-1] if flipped else values)
    image.SetSpacing(SPACING[::-1])
    far = [0.8 * (values.shape[2] - 1), 0.8 * (values.shape[1] - 1), 0.0]
    image.SetOrigin([10.0 + far[0] * flipped, 20.0 + far[1] * flipped, 30.0])
    if flipped:
        image.SetDirection([-1, 0, 0, 0, -1, 0, 0, 0, 1])
    SimpleITK.WriteImage(image, str(path))


def test_a_second_training_tells_what_the_first_has_learnt_from(own, tmp_path):
    """Name, weights and studies of the model that it begins with go into the data, and from there into the card."""
    out = received(own, tmp_path, first_phantom=900_000, begin_with="fine")

    begun = json.loads((out / "data.json").read_text())["begun_with"]
    entry = read_entry("fine")
    assert (begun["name"], begun["sha256"]) == ("fine", entry.sha256)
    assert begun["data"]["studies"] == entry.record["data"]["studies"]


def test_a_model_is_not_judged_on_what_it_began_with(own, tmp_path):
    """The phantom held back is one that the model of the registry has learnt from."""
    with pytest.raises(DataError, match="has learnt from 1 of the studies that are held back"):
        received(own, tmp_path, phantoms=2, phantoms_held_back=1, begin_with="fine")


def test_another_network_is_no_beginning(own, tmp_path):
    """What sees blocks at 0.5 mm cannot begin to see the whole heart at 2 mm."""
    with pytest.raises(DataError, match="another network"):
        received(own, tmp_path, network="coarse", begin_with="fine")


@pytest.fixture
def own(tmp_path) -> Path:
    """A labelled study of one's own: a tube (1), a calcification (2), everything else not labelled."""
    folder = tmp_path / "own"
    folder.mkdir()
    labels = tube().astype(np.uint8)
    labels[18:20, 20, 22] = 2
    nifti(folder / "a.nii.gz", np.where(labels, 400, 0).astype(np.int16))
    nifti(folder / "a.labels.nii.gz", labels, flipped=True)
    told = ["--title", "Ours", "--licence", "internal", "--label", "1=coronary lumen", "--label", "2=calcified plaque"]
    assert main([str(folder), *told]) == 0
    return folder


def received(own: Path, tmp_path: Path, **settings: object) -> Path:
    """Return the output of the stage receive, of files whose names were dropped."""
    study, out = tmp_path / "study", tmp_path / "out"
    study.mkdir()
    out.mkdir()
    for number, path in enumerate(sorted(own.iterdir())):
        (study / f"{number:06d}").write_bytes(path.read_bytes())
    given = {"network": "fine", "phantoms": 2, "phantoms_held_back": 1, "first_phantom": 100_000, "begin_with": ""}
    given |= settings
    receive.run({"study": study}, out, **given)  # type: ignore[arg-type]
    return out


def test_a_data_set_is_found_by_what_is_in_the_files(own, tmp_path):
    """Names are dropped at the door; the pair is known by its sha256."""
    out = received(own, tmp_path)

    names = [path.name for path in sorted((out / "recipes").iterdir())]
    assert ["p100000.json", "p100001.json", "p100002.json", "s0001.json"] == names
    held_back = {p.stem: json.loads(p.read_text())["held_back"] for p in (out / "recipes").iterdir()}
    assert {"p100000": False, "p100001": False, "p100002": True, "s0001": False} == held_back


def test_a_labelled_study_becomes_a_sample(own, tmp_path):
    """Axes are turned to the patient's, only labelled channels are known, and the tube keeps its volume."""
    out = received(own, tmp_path)

    prepare.run({"study": tmp_path / "study", "recipes": out / "recipes" / "s0001.json"}, tmp_path)

    sample = read_sample(tmp_path / "samples")
    assert [True, True, False, False] == sample.known.tolist()
    assert (0.5, 0.5, 0.5) == tuple(sample.facts["spacing_mm"])
    assert sample.blood_hu == 400.0  # of the lumen, since the aorta is not labelled
    volume_mm3 = sample.targets[0].sum(dtype=float) / 255 * 0.5**3
    assert volume_mm3 == pytest.approx((tube().sum() - 2) * np.prod(SPACING), rel=0.02)  # 255ths and the box's edge
    lumen = sample.targets[0] > 200
    assert (np.asarray(sample.image)[lumen] > 300).all()


def test_labels_on_another_grid_are_refused(own, tmp_path):
    """They would teach the network a shifted vessel."""
    nifti(own / "b.nii.gz", np.zeros((40, 40, 39), np.int16))

    with pytest.raises(DataError, match="different grids"):
        prepare.labelled_study(own / "b.nii.gz", own / "a.labels.nii.gz", {"1": "coronary lumen"})


@pytest.mark.parametrize("content", [b"no image", gzip.compress(b"no image", mtime=0)], ids=["text", "compressed text"])
def test_a_file_that_is_no_volume_is_refused(tmp_path, content):
    """With a sentence, and no traceback of a library."""
    (tmp_path / "x").write_bytes(content)

    with pytest.raises(DataError, match="no readable NIfTI"):
        prepare.read_nifti(tmp_path / "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(None, "found 0 descriptions", id="none"),
        pytest.param(
            'title = "T"\nlicence = "L"\n[labels]\n1 = "spleen"', "1 labels of dataset.toml are not known", id="label"
        ),
        pytest.param('title = "T"\nlicence = "L"\n[[studies]]\nimage = "a"', "cannot be understood", id="half a pair"),
        pytest.param(
            'title = "T"\nlicence = "L"\n[[studies]]\nimage = "a"\nlabels = "b"', "what numbers or segments", id="no meaning"
        ),
    ],
)
def test_a_description_that_cannot_be_followed_is_refused(tmp_path, text, message):
    """Before anything is computed."""
    (tmp_path / "000001").write_bytes(b"\x00\xff")
    if text is not None:
        (tmp_path / "000002").write_text(text)

    with pytest.raises(DataError, match=message):
        described(tmp_path)


def test_a_file_that_did_not_come_is_missed(own, tmp_path):
    """By the number of the study."""
    (own / "a.nii.gz").unlink()

    with pytest.raises(DataError, match="1 files of study 1 did not come"):
        received(own, tmp_path)


def test_something_must_be_learnt_from_and_something_held_back(own, tmp_path):
    """Otherwise the figures would be of studies that it has learnt."""
    with pytest.raises(DataError, match="no study held back"):
        received(own, tmp_path, phantoms_held_back=0)


def study() -> Study:
    """Return a study in which a tube, the heart around it and the left ostium at the tube's lower end are known."""
    shares = {"coronary lumen": tube(), "heart": np.ones((40, 40, 40), bool)}
    return Study(np.zeros((40, 40, 40)), shares, {"left ostium": np.array([26.0, 36.0, 40.0])}, SPACING, (10.0, 20.0, 30.0))


def test_the_bell_of_an_ostium_stands_where_the_ostium_is():
    """At 2 mm its top is the voxel that holds the point, and the right one is not known."""
    _, made, facts = targets(study(), COARSE)

    at = np.unravel_index(int(made[5].argmax()), made[5].shape)
    place = np.array(facts["origin_mm"]) + np.array(at[::-1]) * 2.0
    assert (np.abs(place - [26.0, 36.0, 40.0]) <= 1.0).all()
    assert dict(zip(COARSE.channels, facts["known"], strict=True))["left ostium"]
    assert not dict(zip(COARSE.channels, facts["known"], strict=True))["right ostium"]


def test_a_fine_sample_is_cut_to_the_tree_and_its_margin():
    """A tube of 20 mm along z with 10 mm on either side of it, at half a millimetre."""
    image, made, facts = targets(study(), FINE)

    assert 80 == image.shape[0]
    z = np.argwhere(made[0] > 0.5)[:, 0] * 0.5 + facts["origin_mm"][2]
    assert (z.min(), z.max()) == pytest.approx((40.0, 59.0), abs=0.5)


def test_figures_of_a_shifted_tube_are_those_worked_out_by_hand():
    """Shifted by one voxel of 0.8 mm: the surfaces are that far apart; the centreline stays inside."""
    true, found = tube(), np.roll(tube(), 1, axis=2)

    assert dice(true, true) == 1
    assert dice(found, true) == pytest.approx(2 * (found & true).sum() / (2 * true.sum()))
    assert hd95_mm(found, true, SPACING) == pytest.approx(0.8)
    assert on_centreline(found, true) == 1


def test_half_a_tube_is_half_its_centreline():
    """What was found is true; what is true was found by half."""
    true, found = tube(), tube()
    found[20:] = False

    figures = judged("coronary lumen", found.astype(float), true.astype(float), SPACING)

    assert figures["centreline_true"] == 1
    assert figures["centreline_found"] == pytest.approx(0.5, abs=0.1)  # a skeleton ends within a radius of the tube's ends


def test_nothing_where_something_is_has_no_distance():
    """And nothing where nothing is, is right."""
    nothing = np.zeros((8, 8, 8))

    assert {"dice": 0.0, "hd95_mm": None} == judged("wide blood", nothing, nothing + 1, SPACING)
    assert {"dice": 1.0, "hd95_mm": 0.0} == judged("wide blood", nothing, nothing, SPACING)


def test_specks_are_judged_by_overlap_alone():
    """A missed spot of calcium far from the others would else outweigh all that was found."""
    true = np.zeros((8, 8, 60))
    true[4, 4, [5, 50]] = 1
    found = true.copy()
    found[4, 4, 50] = 0

    assert {"dice": 0.6667} == judged("calcified plaque", found, true, SPACING)


def test_worse_is_told_figure_by_figure():
    """More overlap is better, more distance is worse, a little of either is nothing."""
    old = {"a": {"dice": 0.9, "hd95_mm": 1.0}, "b": {"dice": 0.5}}

    assert [] == worse({"a": {"dice": 0.899, "hd95_mm": 1.05}, "b": {"dice": 0.6}}, old)
    assert 3 == len(worse({"a": {"dice": 0.8, "hd95_mm": 2.0}}, old))


def segmented(folder: Path) -> np.ndarray:
    """Write a CT series of 24 images and a Segmentation with a lumen and another segment; return the lumen (Z, Y, X)."""
    write_series(folder, np.where(tube((24, 40, 40)), 400, 0).astype(np.int16))
    images = read_images(sorted(folder.iterdir()))
    labels = tube((24, 40, 40)).astype(np.uint8)
    labels[5:8, 4:8, 4:8] = 2
    vessel, other = ("59438005", "SCT", "Left Anterior Descending Coronary Artery"), ("10200004", "SCT", "Liver")
    parts = [Segment("Vessel", vessel, "1.2.3"), Segment("Liver", other, "1.2.4")]
    algorithm = ("By hand", ("123109", "DCM", "Manual Processing"))
    dataset = segmentation(Origin(images, "seed", "Heartwood", "0", True), labels, parts, "Labels", algorithm)
    write_object(dataset, folder / "labels.dcm")
    return labels == 1


@pytest.mark.slow
def test_a_dicom_segmentation_becomes_a_sample(tmp_path):
    """The series is found by its UID, only the named segment is read, and it lies where the bright voxels lie."""
    own = tmp_path / "own"
    lumen = segmented(own)
    told = ["--title", "Ours", "--licence", "internal", "--segment", "Vessel=coronary lumen"]
    assert main([str(own), *told]) == 0
    out = received(own, tmp_path)

    prepare.run({"study": tmp_path / "study", "recipes": out / "recipes" / "d0001.json"}, tmp_path)

    sample = read_sample(tmp_path / "samples")
    assert [True, False, False, False] == sample.known.tolist()
    volume_mm3 = sample.targets[0].sum(dtype=float) / 255 * 0.5**3
    assert volume_mm3 == pytest.approx(lumen.sum() * 1.0 * 2.0 * 2.0, rel=0.02)  # 255ths and the box's edge
    assert (np.asarray(sample.image)[sample.targets[0] > 200] > 300).all()


def test_a_segmentation_without_its_series_is_refused(tmp_path):
    """Before anything is computed."""
    own = tmp_path / "own"
    segmented(own)
    assert main([str(own), "--title", "T", "--licence", "L", "--segment", "Vessel=coronary lumen"]) == 0
    for path in own.glob("0*"):
        path.unlink()

    with pytest.raises(DataError, match="CT series of a segmentation did not come"):
        received(own, tmp_path)
