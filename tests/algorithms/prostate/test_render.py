"""The pictures show what was found, in the right place, and are the same on every run."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from algorithms.prostate import render
from algorithms.prostate.pictures.incidence import at_year, draw_incidence, top_of
from algorithms.prostate.pictures.pieces import arrange
from algorithms.prostate.pictures.slide import ATTENTION_RANGE, Heat, Overview, heat_map, paint, refined
from algorithms.prostate.pictures.tiles import APART_MM, Table, most_attended, read_tile
from tests.algorithms.prostate.artefacts import TILE_PX
from tests.algorithms.slide.written_tiff import Image as Page
from tests.algorithms.slide.written_tiff import write_tiff

MM_PER_PX = 0.01


def core(angle_degrees: float, length_px: int = 800, width_px: int = 80) -> np.ndarray:
    """Return a mask (1000, 1000) with one straight core through its middle, turned by an angle."""
    y, x = np.mgrid[:1000, :1000] - 499.5
    cos, sin = np.cos(np.radians(angle_degrees)), np.sin(np.radians(angle_degrees))
    return (np.abs(cos * x + sin * y) < length_px / 2) & (np.abs(-sin * x + cos * y) < width_px / 2)


@pytest.mark.parametrize("angle", [0, 30, 90, -44])
def test_a_core_is_turned_until_it_lies_flat(angle):
    """8 by 0.8 mm at any angle fills a sheet of its own length and width with 0.2 mm of glass around it."""
    sheet = arrange(core(angle), MM_PER_PX, 5.6, 3.6)

    assert sheet.width == pytest.approx(840, abs=8)  # 0.3 of a pixel a row at one degree off the best of every two degrees
    assert sheet.height == pytest.approx(120, abs=32)  # 800 * sin(1 degree) = 14 on either side
    assert len(sheet.pieces) == 1


def test_turning_loses_no_tissue():
    """Area is conserved: a turned core covers as many pixels of the sheet as of the overview."""
    mask = core(30)
    laid = arrange(mask, MM_PER_PX, 5.6, 3.6).lay(mask.astype(np.uint8), 1.0, smooth=False)

    assert laid.sum() == pytest.approx(mask.sum(), rel=0.01)  # nearest pixels along 1760 of edge


def test_a_place_on_the_slide_is_found_on_the_sheet():
    """A dot painted on the overview comes out where the piece says that it lies."""
    mask = core(30)
    sheet = arrange(mask, MM_PER_PX, 5.6, 3.6)
    dot = np.zeros(mask.shape, np.uint8)
    dot[648:653, 748:753] = 255
    place = np.array([[750.5, 650.5]])
    piece = sheet.piece_at(750.5, 650.5)
    laid = sheet.lay(dot, 1.0, smooth=False)

    assert piece is not None
    found = np.argwhere(laid)[:, ::-1].mean(axis=0) + 0.5
    assert found == pytest.approx(piece.on_sheet(place)[0], abs=1)


def test_a_piece_in_the_bend_of_another_is_shown_once():
    """A core inside the bow of a bent one lies in its rectangle too; there it is covered with glass."""
    y, x = np.mgrid[:1000, :1000]
    bow = (np.abs(x - 300 - 0.002 * (y - 500.0) ** 2) < 30) & (np.abs(y - 500) < 300)
    inner = (np.abs(x - 440) < 30) & (np.abs(y - 500) < 80)
    sheet = arrange(bow | inner, MM_PER_PX, 5.6, 3.6)
    laid = sheet.lay((bow | inner).astype(np.uint8), 1.0, smooth=False)

    assert len(sheet.pieces) == 2
    assert laid.sum() == pytest.approx((bow | inner).sum(), rel=0.02)


def test_a_slide_without_tissue_is_shown_as_it_is():
    """An all-white slide has no piece to cut out."""
    sheet = arrange(np.zeros((100, 300), bool), MM_PER_PX, 5.6, 3.6)

    assert (sheet.width, sheet.height) == (300, 100)


def test_heat_lies_on_its_tiles_and_nowhere_else():
    """A tile at level-0 (40, 80) of extent 20 is pixels 10 to 15 by 20 to 25 of an overview of 4 pixels a pixel."""
    overview = Overview(np.full((50, 50, 3), 200, np.uint8), np.ones((50, 50), np.uint8), 4.0, 0.008)
    heat = heat_map(overview, Heat(np.array([[40, 80]]), 20.0, np.array([3.0])), (0, 0, 50, 50))
    painted = paint(overview.pixels, heat)

    assert np.argwhere(heat > 0).min(axis=0).tolist() == [20, 10]
    assert (heat > 0).sum() == 25
    grey = painted.max(axis=2) == painted.min(axis=2)
    assert (~grey).sum() == 25


def test_more_attention_is_darker():
    """The colour scale can be read in grey: luminance falls from end to end, and the scale is logarithmic."""
    overview = Overview(np.full((1, 20, 3), 230, np.uint8), np.ones((1, 20), np.uint8), 1.0, 0.0005)
    times = np.geomspace(*ATTENTION_RANGE, 20)
    heat = heat_map(overview, Heat(np.column_stack([np.arange(20), np.zeros(20)]), 1.0, times), (0, 0, 20, 1))
    grey = paint(overview.pixels, heat).astype(float) @ [0.299, 0.587, 0.114]

    assert heat[0].astype(int).tolist() == [1 + round(254 * n / 19) for n in range(20)]
    assert (np.diff(grey[0]) < 0).all()


def test_a_tile_without_features_has_no_heat():
    """It was not read, so nothing was weighed there."""
    overview = Overview(np.full((4, 4, 3), 230, np.uint8), np.ones((4, 4), np.uint8), 1.0, 0.0005)

    assert not heat_map(overview, Heat(np.array([[0, 0]]), 4.0, np.array([np.nan])), (0, 0, 4, 4)).any()


def test_the_most_attended_tiles_lie_apart_and_count_no_lost_tile():
    """Neighbours of a shown tile are passed over, a tile without feature is NaN, and shares are of the whole case."""
    xy = np.array([[0, 0], [56, 0], [2000, 0], [4000, 0]])
    tables = {
        "s01": Table(xy, 56.0, 2.0, np.array([0.4, 0.3, 0.1, np.nan])),
        "s02": Table(xy[:1], 56.0, 2.0, np.array([0.2])),
    }
    shown = most_attended(tables)

    assert [(t.letter, t.slide, t.x) for t in shown] == [("A", "s01", 0), ("B", "s02", 0), ("C", "s01", 2000)]
    assert shown[0].times == pytest.approx(0.4 * 4)  # four tiles have a feature
    assert 56 * 2 / 1000 < APART_MM


def test_a_tile_is_read_where_its_table_says(invented):
    """Pixels equal to those of the file as another reader sees them."""
    import tifffile

    path = invented["slides"] / "s01.tiff"
    whole = tifffile.imread(path)

    assert (read_tile(path, 230, 1010, float(TILE_PX)) == whole[1010 : 1010 + TILE_PX, 230 : 230 + TILE_PX]).all()


def test_every_slide_has_its_pictures(invented):
    """Three slides were judged, two of them used: attention for those, one sheet of tiles, one of curves."""
    entries = json.loads((invented["pictures"] / "pictures.json").read_text())["pictures"]

    assert [(entry["kind"], entry["slide"]) for entry in entries] == [
        ("slide", "s01"), ("slide", "s02"), ("slide", "s03"), ("attention", "s01"), ("attention", "s02"),
        ("tiles", None), ("incidence", None), ("calibration", None),
    ]  # fmt: skip
    assert {e["path"] for e in entries} | {"pictures.json"} == {path.name for path in invented["pictures"].iterdir()}
    assert all(entry["caption"] and entry["alt"] for entry in entries)
    assert all("not a diagnosis" in e["caption"].lower() for e in entries if e["kind"] in {"attention", "tiles"})


def test_needle_cores_fill_their_picture(invented):
    """Stained pixels make up far more of the picture than of the slide, which is mostly glass."""
    picture = np.asarray(Image.open(invented["pictures"] / "slide-s02.jpg").convert("RGB")).astype(int)
    sheet = picture[: int(0.85 * len(picture)), int(0.21 * picture.shape[1]) :]
    stained = (sheet.max(axis=2) - sheet.min(axis=2) > 25).mean()

    assert stained > 0.3


def test_pictures_are_the_same_on_every_run(invented, tmp_path):
    """Content keys need it: no date, no version and no random name is in a file.  One slide of three is drawn, for time."""
    shutil.copytree(invented["tissue"] / "s02", tmp_path / "tissue" / "s02")
    render.run(invented | {"tissue": tmp_path / "tissue"}, tmp_path)
    drawn = sorted(path.name for path in (tmp_path / "pictures").glob("*.*g"))

    assert drawn == ["attention-s02.jpg", "calibration.svg", "incidence.svg", "slide-s02.jpg", "tiles.jpg"]
    for name in drawn:
        again, before = (
            hashlib.sha256((f / name).read_bytes()).hexdigest() for f in (tmp_path / "pictures", invented["pictures"])
        )
        assert again == before, name


def test_the_curves_are_drawn_to_one_scale(tmp_path):
    """Both graphs end at the lowest round number above the highest band; a risk is read at its year."""
    curve = {
        "endpoint": "e",
        "title": "t",
        "years": [0, 5, 10],
        "risk": [0, 0.1, 0.2],
        "low": [0, 0.05, 0.1],
        "high": [0, 0.2, 0.33],
    }
    draw_incidence([curve, curve], tmp_path / "curves.svg")

    assert (tmp_path / "curves.svg").stat().st_size > 1000
    assert (top_of(0.33), top_of(0.01), top_of(1.0)) == (0.4, 0.02, 1.0)
    assert at_year(curve, "risk", 5) == 0.1


WIDE_PX = 61_440
"""Side of a slide of 15 mm at 0.25 um: 11 GB of pixels."""


def write_wide_slide(path: Path) -> Overview:
    """Write a slide of one level, white but for 4096 x 2048 pixels of stripes, and return what the stage tissue saw of it."""
    stripes = np.full((256, 256, 3), 255, np.uint8)
    stripes[:, :128] = (170, 60, 120)
    coded = [io.BytesIO(), io.BytesIO()]
    for picture, out in zip((np.full_like(stripes, 255), stripes), coded, strict=True):
        Image.fromarray(picture).save(out, "JPEG", quality=90, subsampling="4:4:4")
    across = WIDE_PX // 256
    number = np.arange(across * across)
    striped = (number // across - 40 < 8) & (number // across >= 40) & (number % across - 100 < 16) & (number % across >= 100)
    first = {kind: int(np.flatnonzero(striped == kind)[0]) for kind in (False, True)}
    fields: dict[int, tuple[int, object]] = {
        256: (4, [WIDE_PX]), 257: (4, [WIDE_PX]), 258: (3, [8, 8, 8]), 259: (3, [7]), 262: (3, [6]), 277: (3, [3]),
        284: (3, [1]), 322: (4, [256]), 323: (4, [256]), 530: (3, [1, 1]),
    }  # fmt: skip
    segments = [coded[int(kind)].getvalue() for kind in striped]
    shared = {n: first[bool(kind)] for n, kind in enumerate(striped) if n != first[bool(kind)]}
    write_tiff(path, [Page(fields, segments, shared=shared)], big=True)
    mask = np.kron(striped.reshape(across, across), np.ones((8, 8), np.uint8)).astype(np.uint8)
    pixels = np.where(mask[..., None] > 0, np.array([212, 157, 187], np.uint8), np.uint8(255))
    return Overview(pixels, mask, 32.0, 0.008)


def test_a_piece_is_read_from_the_slide_and_not_from_its_overview(tmp_path):
    """The file has stripes of 32 um where the overview, made by hand here, has one even colour."""
    overview = refined(write_wide_slide(tmp_path / "s01.tiff"), tmp_path / "s01.tiff")
    piece = overview.sheet.pieces[0]
    scale = overview.laid.shape[1] / overview.sheet.width
    left, top = (piece.on_sheet(np.array([[100 * 8.0, 40 * 8.0]]))[0] * scale).tolist()
    width = 8 * 16 * scale
    line = overview.laid[round(top + width / 4), round(left) : round(left + width)].astype(int)
    expected = (np.arange(len(line)) + 0.5) / width * 16 % 1 < 0.5

    found = line[:, 1] < 157  # half way between the stripes' green, 60, and white
    assert overview.fineness > 1
    assert (found == expected).mean() > 0.9  # an edge may be a pixel off, of some 20 in a stripe


def test_what_a_drawing_holds_does_not_grow_with_the_slide(tmp_path):
    """Pixels of 11 GB on one level, for a picture of one piece of 1 x 0.5 mm: what is read at once does not depend on them.

    In a process of its own, so that what other tests hold does not count; the level as a whole would take 15 GB.
    """
    path = tmp_path / "s01.tiff"
    overview = write_wide_slide(path)
    np.savez(tmp_path / "overview.npz", pixels=overview.pixels, mask=overview.mask)
    program = """
import sys
from pathlib import Path
import numpy as np
from algorithms.prostate.pictures.slide import Overview, draw_slide, refined
def peak_mib():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
seen = np.load(sys.argv[2])
before = peak_mib()
overview = refined(Overview(seen["pixels"], seen["mask"], 32.0, 0.008), Path(sys.argv[1]))
draw_slide(overview, Path(sys.argv[3]))
print(peak_mib() - before)
"""
    names = [str(path), str(tmp_path / "overview.npz"), str(tmp_path / "slide.jpg")]
    told = subprocess.run([sys.executable, "-c", program, *names], capture_output=True, text=True, check=True)

    assert float(told.stdout) < 350
