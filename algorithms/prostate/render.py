"""Draw what the report shows: the slides, where the model looked, the most attended tiles, the incidence curves.

Writes ``pictures.json``: ``{"pictures": [{"name", "path", "kind", "slide", "caption", "alt"}], "notes": [...]}`` with kinds
``slide``, ``attention``, ``tiles``, ``incidence`` and ``calibration``; equal inputs give equal bytes.
"""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from algorithms.contract.errors import DataError
from algorithms.prostate.pictures.incidence import draw_calibration, draw_incidence
from algorithms.prostate.pictures.slide import Heat, Overview, draw_attention, draw_slide, read_overview, refined
from algorithms.prostate.pictures.tiles import APART_MM, Table, draw_tiles, most_attended
from algorithms.report.drawing import JPEG_QUALITY
from algorithms.slide.pixels.reader import open_slide
from algorithms.slide.tissue.overview import overview

log = logging.getLogger(__name__)

SLIDE = "Slide {slide}: the whole slide, and its pieces of tissue cut out and turned; hatched parts are not read."
ATTENTION = (
    "Where the model looked on slide {slide}: attention of each tile in times an equal share of the case; letters are "
    "the tiles shown below. Attention says what the model weighed, not what is there: it is not a diagnosis."
)
TILES = (
    "The most attended tiles of the case, at the scale that the encoder saw; tiles nearer than {apart:g} mm to one shown are "
    "passed over. Positions are from the slide's top left corner. Not a diagnosis."
)
CALIBRATION = (
    "Ten-year incidence that the model expected against the one observed, in fifths of {men} men it had not seen; on the line "
    "it is right. Intercept 0 and slope 1 are right."
)
INCIDENCE = "Cumulative incidence that the model expects, with its 95 % interval (band); dots and bars: at 5 and 10 years."


def run(inputs: Mapping[str, Path], out: Path) -> dict[str, float | int | str]:
    """Write the folder ``pictures`` below ``out``; return how many pictures there are."""
    folder = out / "pictures"
    folder.mkdir(parents=True)
    risk = json.loads(inputs["risk"].read_text())
    tables = read_tables(inputs["tiles"], inputs["attention"])
    shown = most_attended(tables)
    number = sum(int(np.isfinite(t.attention).sum()) for t in tables.values())
    pictures: list[dict[str, Any]] = []
    attention: list[dict[str, Any]] = []
    # One slide at a time: a case has up to twenty, and an overview is up to a hundred megabytes.
    for slide, seen in read_overviews(inputs["tissue"], inputs["quality"], inputs["slides"]):
        pictures.append(slide_entry(slide, seen, folder))
        if slide in tables:
            table = tables[slide]
            path = folder / f"attention-{slide}.jpg"
            heat = Heat(table.xy, table.extent_px, table.attention * number)
            draw_attention(seen, heat, [t.marked(table.extent_px) for t in shown if t.slide == slide], path)
            told = f"Slide {slide} in grey with the attention of each tile in colour."
            attention.append(_entry("attention", path.name, ATTENTION.format(slide=slide), alt=told, slide=slide))
    judged = len(pictures)
    pictures += attention
    if shown:
        slides = {path.name.partition(".")[0]: path for path in sorted(inputs["slides"].iterdir())}
        draw_tiles(shown, tables, slides, folder / "tiles.jpg")
        told = f"{len(shown)} tiles of tissue, the most attended first."
        pictures.append(_entry("tiles", "tiles.jpg", TILES.format(apart=APART_MM), alt=told))
    draw_incidence(risk["curves"], folder / "incidence.svg")
    ends = "; ".join(f"{c['title']} {100 * c['risk'][-1]:.1f} % at {c['years'][-1]:g} years" for c in risk["curves"])
    pictures.append(_entry("incidence", "incidence.svg", INCIDENCE, alt=f"Graphs of risk over time: {ends}."))
    if risk.get("calibration"):
        draw_calibration(risk["calibration"], {c["endpoint"]: c["title"] for c in risk["curves"]}, folder / "calibration.svg")
        caption = CALIBRATION.format(men=risk["calibration"][0]["men"])
        pictures.append(_entry("calibration", "calibration.svg", caption, alt="Graphs of expected against observed risk."))
    (folder / "pictures.json").write_text(json.dumps({"pictures": pictures, "notes": []}, indent=1) + "\n")
    log.info("drew %d pictures of %d slides", len(pictures), judged)
    return {"pictures": len(pictures), "slides": judged}


def read_tables(tiles: Path, attention: Path) -> dict[str, Table]:
    """Return the tiles of every slide that has attention, by slide."""
    tables = {}
    for path in sorted(attention.glob("*.npy")):
        slide = path.name.partition(".")[0]
        read = pq.read_table(tiles / f"{slide}.parquet", columns=["x", "y"])
        told = {name.decode(): value.decode() for name, value in (read.schema.metadata or {}).items()}
        xy = np.column_stack([read["x"].to_numpy(), read["y"].to_numpy()])
        tables[slide] = Table(xy, float(told["extent_px"]), float(told["mpp"]), np.load(path))
    return tables


def read_overviews(tissue: Path, quality: Path, slides: Path) -> Iterator[tuple[str, Overview]]:
    """Yield every slide that could be read and its overview, made when it is asked for, as fine as a picture on paper shows."""
    sources = {path.name.partition(".")[0]: path for path in slides.iterdir()}
    judged = {slide["slide"]: slide for slide in json.loads(quality.read_text())["slides"]}
    for folder in sorted(path for path in tissue.iterdir() if path.is_dir()):
        told = judged[folder.name]
        coarse = read_overview(folder, told["overview"]["level0_px_per_px"], told["facts"]["mpp"])
        yield folder.name, refined(coarse, sources[folder.name])


def slide_entries(overviews: Iterable[tuple[str, Overview]], folder: Path) -> list[dict[str, Any]]:
    """Draw every slide, used or not, into ``folder``; return their entries."""
    return [slide_entry(slide, seen, folder) for slide, seen in overviews]


def slide_entry(slide: str, seen: Overview, folder: Path) -> dict[str, Any]:
    """Draw one slide into ``folder``; return its entry."""
    # A figure refers to itself in circles: those of the slides before would stay until the collector happens to run.
    gc.collect()
    path = folder / f"slide-{slide}.jpg"
    draw_slide(seen, path)
    told = f"Tissue of slide {slide} with its outline; parts with pen, folds or bad focus are hatched."
    return _entry("slide", path.name, SLIDE.format(slide=slide), alt=told, slide=slide)


def plain_entries(slides: Path, folder: Path) -> list[dict[str, Any]]:
    """Draw every slide that can be read, for a case refused before they were judged; return their entries."""
    entries = []
    for source in sorted(slides.iterdir()):
        slide = source.name.partition(".")[0]
        path = folder / f"slide-{slide}.jpg"
        try:
            with open_slide(source) as opened:
                mosaic = opened.levels[0].mosaic
                seen = overview(opened, 1.0, max(mosaic.width, mosaic.height) / (2 * PLAIN_PX))
        except DataError as refusal:
            log.warning("%s: cannot be drawn: %s", slide, refusal)
            continue
        thumbnail = Image.fromarray(seen.rgb)
        thumbnail.thumbnail((PLAIN_PX, PLAIN_PX))
        square = Image.new("RGB", (PLAIN_PX, PLAIN_PX), (255, 255, 255))
        square.paste(thumbnail, ((PLAIN_PX - thumbnail.width) // 2, 0))
        square.save(path, quality=JPEG_QUALITY, subsampling=0)
        entries.append(_entry("plain", path.name, PLAIN, alt=f"Slide {slide} seen from afar.", slide=slide))
    return entries


PLAIN_PX = 480
"""Side of the picture of a slide that was not judged."""

PLAIN = "The slides as they came, without their labels, in order from s01."


def _entry(kind: str, path: str, caption: str, *, alt: str, slide: str | None = None) -> dict[str, Any]:
    return {"name": Path(path).stem, "path": path, "kind": kind, "slide": slide, "caption": caption, "alt": alt}
