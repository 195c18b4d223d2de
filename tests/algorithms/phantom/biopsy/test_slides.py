"""The slides of a synthetic patient: files that other programs read, that name him, and that show what the truth says."""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import replace

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from algorithms.phantom.biopsy import bad, command, layout, record, svs
from algorithms.phantom.biopsy.identity import invent
from algorithms.phantom.biopsy.man import PATTERNS
from algorithms.phantom.biopsy.slide import Scan, picture
from algorithms.phantom.biopsy.tiff import LZW, PLAIN, RGB, Page, lzw, write_tiff

TINY = layout.Size(0.5, (1,), (1.1, 1.2), (0.3, 0.35))


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    """Return the folder of a patient with one slide of one short core, made as the command makes them."""
    out = tmp_path_factory.mktemp("patient")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(layout.SIZES, "small", TINY)
        command.make(out, argparse.Namespace(seed=4, size="small", bad=None))
    return out


def truth(patient):
    """Return what is true of the slide."""
    return json.loads((patient / "truth" / "slide-1.json").read_text())


def tiny_scan(seed=4, **changes):
    """Return a small slide that has not been written."""
    one = command.patient(seed)
    first = replace(layout.layouts(one, TINY, np.random.default_rng(1))[0], **changes)
    return Scan(one, one.stain, first, layout.region(first), 0.5, 240)


@pytest.mark.slow
def test_openslide_takes_the_files_for_aperio_s(patient):
    """OpenSlide is the reader that pathologists' programs use."""
    with openslide.OpenSlide(patient / "study" / "slide-1.svs") as slide:
        said = truth(patient)
        assert "aperio" == slide.properties["openslide.vendor"]
        assert (said["width"], said["height"]) == slide.dimensions
        assert 0.5 == float(slide.properties["openslide.mpp-x"])
        assert [4, 16] == [round(d) for d in slide.level_downsamples[1:]]
        assert {"label", "macro", "thumbnail"} == set(slide.associated_images)
        assert (387, 463) == slide.associated_images["label"].size
        assert (1280, 431) == slide.associated_images["macro"].size


@pytest.mark.slow
def test_tifffile_finds_the_pages_of_an_aperio_slide(patient):
    """Tiled levels with shared tables, a striped thumbnail second, label and macro last: the order of CMU-1-Small-Region."""
    with tifffile.TiffFile(patient / "study" / "slide-1.svs") as file:
        assert file.is_svs
        assert [True, False, True, True, False, False] == [page.is_tiled for page in file.pages]
        assert [0, 0, 0, 0, 1, 9] == [int(page.subfiletype) for page in file.pages]
        assert [7, 7, 7, 7, 5, 7] == [int(page.compression) for page in file.pages]
        assert all(page.jpegtables for page in file.pages if page.compression == 7)


@pytest.mark.slow
def test_the_text_and_the_label_name_the_invented_person(patient):
    """A de-identification that found nothing to remove would prove nothing."""
    planted = json.loads((patient / "truth" / "planted.json").read_text())
    content = (patient / "study" / "slide-1.svs").read_bytes()
    missing = [value for values in planted.values() for value in values if value.encode() not in content]

    assert [] == missing
    with tifffile.TiffFile(patient / "study" / "slide-1.svs") as file:
        assert planted["date_time"][0] == file.pages[0].tags["DateTime"].value
        offset = file.pages[0].dataoffsets[0]
    assert planted["patient_name"][0].encode() in content[offset : offset + 60]  # a comment inside the first JPEG tile
    identity = invent(np.random.default_rng([4, 2]), command.patient(4).age_years)
    other = replace(identity, patient_name="Nobody, Else")
    assert np.abs(svs.label_picture(identity, 1).astype(int) - svs.label_picture(other, 1)).max() > 100


@pytest.mark.slow
def test_tissue_lies_where_the_truth_says(patient):
    """Bright, colourless pixels are glass: nearly all outside the runs, few inside; lumens and frayed edges are the rest."""
    said = truth(patient)
    codes = record.pattern_map(said)
    with openslide.OpenSlide(patient / "study" / "slide-1.svs") as slide:
        level = np.asarray(slide.read_region((0, 0), 1, slide.level_dimensions[1]).convert("RGB")).astype(int)
    step = said["map"]["spacing_px"] / 4
    rows, columns = (np.arange(n) for n in level.shape[:2])
    inside = np.zeros(level.shape[:2], bool)
    j, i = np.minimum((rows / step).astype(int), codes.shape[0] - 1), (columns / step).astype(int)
    inside[:, i < codes.shape[1]] = codes[np.ix_(j, i[i < codes.shape[1]])] >= 0
    coloured = level.max(axis=2) - level.min(axis=2) > 20
    if said["pen"]:
        x0, y0, x1, y1, width = (v / 4 for v in said["pen"]["line_px"])
        coloured[int(min(y0, y1) - width) : int(max(y0, y1) + width), int(x0 - width) : int(x1 + width)] &= inside[
            int(min(y0, y1) - width) : int(max(y0, y1) + width), int(x0 - width) : int(x1 + width)
        ]
    dice = 2 * (inside & coloured).sum() / (inside.sum() + coloured.sum())

    assert dice > 0.85


@pytest.mark.slow
def test_the_slides_hold_the_man_s_patterns(patient):
    """They are laid out by length; a core is not equally wide everywhere, so a tenth of the tissue may be amiss."""
    areas = truth(patient)["pattern_mm2"]
    total = sum(areas.values())
    wanted = json.loads((patient / "truth" / "man.json").read_text())["patterns"]

    for name in PATTERNS:
        assert wanted[name] == pytest.approx(areas[name] / total, abs=0.1)


@pytest.mark.slow
def test_levels_are_means_of_the_first(patient):
    """A quarter-size level is the mean of 4 x 4 pixels, nowhere else: JPEG's error in grey is less than that of a shift."""
    with openslide.OpenSlide(patient / "study" / "slide-1.svs") as slide:
        first = np.asarray(slide.read_region((1600, 1600), 0, (960, 960)).convert("RGB")).mean(axis=2)
        # Whole: OpenSlide scales positions by the levels' widths, which are rounded down.
        second = np.asarray(slide.read_region((0, 0), 1, slide.level_dimensions[1]).convert("RGB")).mean(axis=2)
    wanted = first.reshape(240, 4, 240, 4).mean(axis=(1, 3))
    amiss = {x: np.abs(wanted - second[400:640, 400 + x : 640 + x]).mean() for x in (-1, 0, 1)}

    assert amiss[0] < 4
    assert 1.5 * amiss[0] < min(amiss[-1], amiss[1])


@pytest.mark.slow
def test_the_truth_holds_risks_with_and_without_treatment(patient):
    """Two endpoints, two horizons, two treatments; ADT never harms in this model."""
    risks = json.loads((patient / "truth" / "man.json").read_text())["risks"]
    of = {(r["endpoint"], r["horizon_years"], r["adt"]): r["risk"] for r in risks}

    assert 8 == len(of)
    assert all(of[endpoint, years, True] < of[endpoint, years, False] for endpoint, years, adt in of if adt)
    assert of["distant_metastasis", 5, False] < of["distant_metastasis", 10, False]


@pytest.mark.slow
def test_the_same_seed_writes_the_same_bytes(patient, tmp_path, monkeypatch):
    """Rows are rendered by several threads; nothing may hang on their order or on the clock."""
    monkeypatch.setitem(layout.SIZES, "small", TINY)
    command.make(tmp_path, argparse.Namespace(seed=4, size="small", bad=None))

    def hashes(folder):
        return {
            p.relative_to(folder): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()
        }

    assert hashes(patient) == hashes(tmp_path)


def test_windows_of_a_slide_fit_without_a_seam():
    """Fold, pen, blur and light are functions of place as the tissue is."""
    fold, blur, pen = (1150.0, 950.0, 1200.0, 1500.0, 60.0), (1300.0, 1200.0, 60.0), (1000.0, 1000.0, 1500.0, 1040.0, 90.0)
    scan = tiny_scan(marks=replace(tiny_scan().layout.marks, fold=fold, blur=blur, pen=pen))
    whole = picture(scan, 2200, 2000, (600, 600))
    parts = [picture(scan, 2200 + x, 2000, (200, 600)) for x in (0, 200, 400)]

    assert whole.min() < 60
    assert np.abs(whole.astype(int) - np.concatenate(parts, axis=1)).max() <= 1  # rounding of a float32 sum


def test_a_serial_section_repeats_the_tiles_of_the_first(tmp_path):
    """Real-size slides are made of a third of their tiles; the copies lie a section below."""
    section = 16 * 240 * 0.5
    scan = tiny_scan(section=section, copies=2, height=2.2 * section)
    core = scan.layout.cores[0]
    at = (round((core.x + 200) / 0.5), round(float(core.centre(core.x + 200)) / 0.5))
    svs.write_svs(tmp_path / "copies.svs", scan, invent(np.random.default_rng(1), 60), 1)
    step = round(section / 0.5)

    with openslide.OpenSlide(tmp_path / "copies.svs") as slide:
        assert round(2.2 * section / 0.5) == slide.dimensions[1]
        one, two = (np.asarray(slide.read_region((at[0], at[1] + y), 0, (100, 40))) for y in (0, step))
        assert one[..., 1].min() < 200
        assert np.array_equal(one, two)
        for level, factor in ((1, 4), (2, 16)):
            whole = np.asarray(slide.read_region((0, 0), level, slide.level_dimensions[level]))
            assert np.array_equal(whole[: step // factor], whole[step // factor : 2 * step // factor])


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(bad.KINDS))
def test_bad_files_are_bad_in_the_way_they_say(patient, tmp_path, kind):
    """Each is told from a good one by an independent reader."""
    (tmp_path / "slide-1.svs").write_bytes((patient / "study" / "slide-1.svs").read_bytes())
    path = bad.write_bad(tmp_path, kind, tiny_scan(), invent(np.random.default_rng(1), 60))
    content = path.read_bytes()

    if kind == "jpeg":
        assert content.startswith(b"\xff\xd8\xff")
    elif kind == "truncated":
        with pytest.raises(openslide.OpenSlideError):
            openslide.OpenSlide(path)
    elif kind in {"striped", "grey16"}:
        with tifffile.TiffFile(path) as file:
            assert (kind == "grey16") == file.pages[0].is_tiled
            assert {"striped": np.uint8, "grey16": np.uint16}[kind] == file.pages[0].dtype
            assert 30 < np.std(file.pages[0].asarray().astype(float) / (257 if kind == "grey16" else 1)) < 90
    else:
        with openslide.OpenSlide(path) as slide:
            thumbnail = np.asarray(slide.get_thumbnail((500, 500))).astype(int)
            coloured = (thumbnail.max(axis=2) - thumbnail.min(axis=2) > 40).mean()
            assert ("openslide.mpp-x" in slide.properties) == (kind != "nompp")
            assert (coloured > 0.02) == (kind != "white")


def test_lzw_strips_and_plain_strips_are_read_back(tmp_path):
    """By tifffile's decoder for plain strips, by Pillow's libtiff for LZW with differences."""
    pixels = np.random.default_rng(1).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    plain, packed = ([encode(strip) for strip in (pixels[:32], pixels[32:])] for encode in (np.ndarray.tobytes, lzw))
    write_tiff(tmp_path / "plain.tif", [Page(30, 40, plain, "plain", PLAIN, RGB, strip=32)])
    write_tiff(tmp_path / "lzw.tif", [Page(30, 40, packed, "lzw", LZW, RGB, strip=32, predictor=2)])

    assert np.array_equal(pixels, tifffile.imread(tmp_path / "plain.tif"))
    with Image.open(tmp_path / "lzw.tif") as image:
        assert np.array_equal(pixels, np.asarray(image))


def test_big_files_are_read_as_the_small_ones(tmp_path):
    """BigTIFF differs in the width of its offsets only."""
    pixels = np.full((16, 16, 3), 7, np.uint8)
    write_tiff(tmp_path / "big.tif", [Page(16, 16, [pixels.tobytes()], "big", PLAIN, RGB, strip=16)], big=True)

    with tifffile.TiffFile(tmp_path / "big.tif") as file:
        assert file.is_bigtiff
        assert np.array_equal(pixels, file.asarray())


def test_the_default_patient_is_of_intermediate_risk():
    """The demo must be a case in which the answer matters: clinic in doubt, benefit of ADT in the tissue."""
    truth = record.man_truth(command.patient(command.SEED))
    risk = {(r["endpoint"], r["horizon_years"], r["adt"]): r["risk"] for r in truth["risks"]}

    assert truth["isup_grade_group"] in {2, 3}
    assert truth["clinical"]["psa_ng_ml"] < 20
    assert truth["clinical"]["t_stage"] < "T3"
    assert 0.1 < risk["distant_metastasis", 10, False] < 0.35
    assert risk["distant_metastasis", 10, True] < risk["distant_metastasis", 10, False] - 0.05


@pytest.mark.slow
def test_a_full_slide_is_as_large_as_a_scanner_s(tmp_path):
    """What memory and speed are measured on: 60,000 x 60,000 pixels at 40x, three sections of three cores."""
    command.make(tmp_path, argparse.Namespace(seed=4, size="full", bad=None))
    said = json.loads((tmp_path / "truth" / "slide-1.json").read_text())

    with openslide.OpenSlide(tmp_path / "study" / "slide-1.svs") as slide:
        assert min(slide.dimensions) > 60_000
        assert (said["width"], said["height"]) == slide.dimensions
        assert 3 == slide.level_count
        assert "40" == slide.properties["openslide.objective-power"]
    assert 3 == said["cores"] == said["sections"]
    assert said["tissue_mm2"] * said["sections"] > 60
