"""Slide files that a case must refuse with a reason: each a way in which real ones go wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import simplejpeg

from algorithms.phantom.biopsy.identity import Identity
from algorithms.phantom.biopsy.layout import Layout, Marks, region
from algorithms.phantom.biopsy.slide import Scan, picture
from algorithms.phantom.biopsy.svs import write_svs
from algorithms.phantom.biopsy.tiff import PLAIN, RGB, Page, write_tiff

EMPTY = Marks(None, (0.0, 0.0, 0.0), None, None, ())
FIELD_UM = 1800.0
"""Edge of the small slides without tissue."""
BAD_NUMBER = 9
"""Number of the bad slide on its label."""
GREY = 1
"""Photometric interpretation of grey images (TIFF 6.0: BlackIsZero)."""

Writer = Callable[[Path, Path, Scan, Identity], None]
"""Writes one bad file: its path, a good slide's path, what the good slide shows, and whom it names."""


def _empty(scan: Scan, marks: Marks) -> Scan:
    """Return a small slide without tissue."""
    layout = Layout(FIELD_UM, FIELD_UM, (), marks, FIELD_UM, 1, scan.layout.seed)
    return replace(scan, layout=layout, region=region(layout))


def _white(path: Path, _: Path, scan: Scan, identity: Identity) -> None:
    write_svs(path, _empty(scan, EMPTY), identity, BAD_NUMBER)


def _pen(path: Path, _: Path, scan: Scan, identity: Identity) -> None:
    line = (400.0, 700.0, 1400.0, 1000.0, 260.0)
    write_svs(path, _empty(scan, replace(EMPTY, pen=line, pen_density=(0.95, 0.55, 0.08))), identity, BAD_NUMBER)


def _truncated(path: Path, good: Path, _: Scan, __: Identity) -> None:
    content = good.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.6)])


def _nompp(path: Path, good: Path, _: Scan, __: Identity) -> None:
    path.write_bytes(good.read_bytes().replace(b"|MPP = ", b"|PPM = "))


def _window(scan: Scan) -> np.ndarray:
    """Return a piece of tissue, 1024 pixels wide."""
    core = scan.layout.cores[0]
    return picture(scan, int((core.x + 200) / scan.mpp), int((core.y - 250) / scan.mpp), (1024, 1024))


def _striped(path: Path, _: Path, scan: Scan, __: Identity) -> None:
    pixels = _window(scan)
    strips = [pixels[y : y + 64].tobytes() for y in range(0, 1024, 64)]
    write_tiff(path, [Page(1024, 1024, strips, "Aperio strips|MPP = 0.4990", PLAIN, RGB, strip=64)])


def _grey16(path: Path, _: Path, scan: Scan, __: Identity) -> None:
    grey = _window(scan).mean(axis=2).astype("<u2") * 257
    tiles = [
        np.ascontiguousarray(grey[y : y + 256, x : x + 256]).tobytes() for y in range(0, 1024, 256) for x in range(0, 1024, 256)
    ]
    write_tiff(path, [Page(1024, 1024, tiles, "Aperio grey|MPP = 0.4990", PLAIN, GREY, tile=(256, 256), bits=16)])


def _jpeg(path: Path, _: Path, scan: Scan, __: Identity) -> None:
    path.write_bytes(simplejpeg.encode_jpeg(_window(scan), quality=85))


KINDS: dict[str, Writer] = {
    "white": _white,
    "truncated": _truncated,
    "nompp": _nompp,
    "pen": _pen,
    "striped": _striped,
    "grey16": _grey16,
    "jpeg": _jpeg,
}
"""What can be wrong: no tissue, cut at 60 %, no scale, only a pen mark, strips, 16-bit grey, a JPEG with another name."""


def write_bad(study: Path, kind: str, scan: Scan, identity: Identity) -> Path:
    """Write one bad file beside the good ones and return its path."""
    path = study / f"slide-{BAD_NUMBER}-{kind}.svs"
    KINDS[kind](path, study / "slide-1.svs", scan, identity)
    return path
