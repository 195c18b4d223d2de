"""How fast slides are read beside libjpeg-turbo, OpenSlide and the usual loaders, in CPU seconds, and in how much memory.

``python -m benchmarks.slides``; with ``--tiatoolbox PYTHON``, an interpreter that has TIAToolbox, its patch extraction too.
With ``--memory`` the stages are run on slides of 61,440 x 61,440 pixels and their peak memory is kept.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import simplejpeg
import torch
from PIL import Image

from algorithms.slide.pixels.memory import pixels
from algorithms.slide.pixels.native import NativeTiles
from algorithms.slide.pixels.reader import BATCH, open_slide
from algorithms.slide.pixels.windows import Squares, touched
from benchmarks.evidence import RESULTS, keep
from benchmarks.large_slide import SQUARE, write_large_slide

log = logging.getLogger("benchmarks.slides")

SQUARES = 15
TISSUE = 12
"""Squares of 4096 pixels a side that the slide has in each direction, and how many in the second row show tissue."""

NATIVE_PX, WINDOW_PX = 256, 224
"""Side of the slide's own tiles, and of the windows that most published encoders take."""

MEASURED = ("receive", "deidentify", "tissue", "tiles", "encode", "render", "report")
"""Stages whose memory is kept."""

REPEATS = 5
"""Each time is the median of this many, all programs taking turns."""

FEW = 300
"""Windows that the slower programs read; rates are per window."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, which published encoders were trained with."""


def main() -> None:
    """Measure and keep the evidence."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    parser = argparse.ArgumentParser("python -m benchmarks.slides", description=__doc__)
    parser.add_argument("--tiatoolbox", type=Path, help="a Python interpreter with TIAToolbox")
    parser.add_argument("--memory", action="store_true", help="run the stages on large slides; minutes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.svs"
        side = write_large_slide(path, SQUARES, TISSUE, seed=1, kinds=1)
        results: dict[str, Any] = {
            "slide": _facts(path, side),
            "reader": reader(path),
            "loader": loader(path, options.tiatoolbox),
        }
    results["memory"] = memory() if options.memory else _kept("memory")
    log.info("%s", json.dumps(results, indent=1))
    log.info("kept in %s", keep("slides", results))


def _kept(name: str) -> Any:
    path = RESULTS / "slides.json"
    return json.loads(path.read_text())["results"].get(name) if path.exists() else None


def _facts(path: Path, side: int) -> dict[str, Any]:
    with open_slide(path) as slide:
        counts = slide.levels[0].page.byte_counts
    tissue = counts[counts > 2 * counts.min()]
    return {"side_px": side, "native_tile_px": NATIVE_PX, "bytes_of_a_tissue_tile_median": int(np.median(tissue))}


def places(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners, row by row, of windows of ``side`` pixels that fill the squares with tissue."""
    across, down = (np.arange(SQUARE, (1 + squares) * SQUARE - side, side) for squares in (TISSUE, 1))
    x, y = np.meshgrid(across, down)
    return x.ravel(), y.ravel()


def in_turns(programs: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
    """Return the CPU seconds of each program, run once before and then in turns."""
    for program in programs.values():
        program()
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(REPEATS):
        for name, program in programs.items():
            started = time.process_time()
            program()
            seconds[name].append(time.process_time() - started)
    return seconds


def reader(path: Path) -> dict[str, Any]:
    """Return the rate of our reader for the slide's own tiles, and for windows of 224 px that part none of their lines."""
    return {"native": _reading(path, NATIVE_PX), "windows": _reading(path, WINDOW_PX)}


def _reading(path: Path, side: int) -> dict[str, Any]:
    """Return our rate beside pure decoding of the same native tiles, and beside openslide-python."""
    x, y = places(side)
    with open_slide(path) as slide, openslide.OpenSlide(path) as peer:
        streams = _streams(slide.native(0), x, y, side)
        # Where a picture begins in memory changes libjpeg-turbo's speed; this is where it is fastest.
        one, many = pixels(NATIVE_PX, NATIVE_PX, 3), pixels(BATCH, NATIVE_PX, NATIVE_PX, 3)

        def pure() -> None:
            for stream in streams:
                simplejpeg.decode_jpeg(stream, "RGB", buffer=one)

        def kept() -> None:
            for number, stream in enumerate(streams):
                simplejpeg.decode_jpeg(stream, "RGB", buffer=many[number % BATCH])

        def ours() -> None:
            for _ in slide.windows(x, y, extent_px=side, tile_px=side):
                pass

        def peers() -> list[np.ndarray]:
            few = zip(x[:FEW].tolist(), y[:FEW].tolist(), strict=True)
            return [np.asarray(peer.read_region(place, 0, (side, side)).convert("RGB")) for place in few]

        found = np.concatenate([b.tiles.copy() for b in slide.windows(x[:FEW], y[:FEW], extent_px=side, tile_px=side)])
        equal = bool(np.array_equal(np.stack(peers()), found))
        seconds = in_turns({"pure": pure, "kept": kept, "ours": ours, "openslide": peers})
    tile_mp = NATIVE_PX * NATIVE_PX * 1e-6 * len(streams)
    return {
        "window_px": side,
        "windows": len(x),
        "native_tiles": len(streams),
        "pixels_equal_openslide": equal,
        "pure_decode_mp_per_cpu_s": round(tile_mp / float(np.median(seconds["pure"])), 1),
        "ours_native_mp_per_cpu_s": round(tile_mp / float(np.median(seconds["ours"])), 1),
        "ours_of_pure_decode": _ratio(seconds["pure"], seconds["ours"], 1),
        "ours_of_pure_decode_into_memory_of_its_own": _ratio(seconds["kept"], seconds["ours"], 1),
        "ours_times_openslide": _ratio(seconds["openslide"], seconds["ours"], len(x) / FEW),
        "cpu_s": {name: [round(value, 3) for value in values] for name, values in seconds.items()},
    }


def _streams(native: NativeTiles, x: np.ndarray, y: np.ndarray, side: int) -> list[bytes]:
    """Return the complete JPEG stream of every native tile that some window touches."""
    return [native.stream(number) for number in np.unique(touched(native.level.mosaic, Squares(x, y, side))).tolist()]


def _ratio(peer: list[float], ours: list[float], scale: float) -> float:
    return round(float(np.median(np.array(peer) * scale / np.array(ours))), 2)


def loader(path: Path, tiatoolbox: Path | None) -> dict[str, Any]:
    """Return windows of 224 px at 0.5 um a CPU second, from 0.25 um, as tensors that an encoder takes."""
    x, y = places(448)
    with open_slide(path) as slide, openslide.OpenSlide(path) as peer:
        mean, deviation = (torch.tensor(values)[:, None, None] for values in (MEAN, DEVIATION))

        def ours() -> None:
            for batch in slide.windows(x, y, extent_px=448, tile_px=224):
                torch.from_numpy(batch.tiles).to(torch.bfloat16)

        def usual() -> None:
            for place in zip(x[:FEW].tolist(), y[:FEW].tolist(), strict=True):
                image = peer.read_region(place, 0, (448, 448)).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
                tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
                tensor.sub_(mean).div_(deviation)

        seconds = in_turns({"ours": ours, "usual": usual})
    results: dict[str, Any] = {
        "windows": len(x),
        "ours_windows_per_cpu_s": round(len(x) / float(np.median(seconds["ours"]))),
        "usual": "openslide read_region, RGB, PIL resize, ToTensor, normalise: what CLAM and Trident do",
        "usual_windows_per_cpu_s": round(FEW / float(np.median(seconds["usual"]))),
        "ours_times_usual": _ratio(seconds["usual"], seconds["ours"], len(x) / FEW),
        "cpu_s": {name: [round(value, 3) for value in values] for name, values in seconds.items()},
    }
    return results | (_tiatoolbox(tiatoolbox, path, x, y, results["ours_windows_per_cpu_s"]) if tiatoolbox else {})


def _tiatoolbox(python: Path, path: Path, x: np.ndarray, y: np.ndarray, ours: float) -> dict[str, Any]:
    """Return the rate of TIAToolbox's PointsPatchExtractor, pixels only: no tensor is made of them."""
    script = Path(__file__).with_name("slides_tiatoolbox.txt").read_text()
    document = json.dumps({"path": str(path), "x": (x[:FEW] // 2).tolist(), "y": (y[:FEW] // 2).tolist(), "repeats": REPEATS})
    done = subprocess.run(
        [str(python), "-W", "ignore", "-c", script], input=document, stdout=subprocess.PIPE, text=True, check=True
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    rate = FEW / float(np.median(answer["cpu_s"]))
    return {
        "tiatoolbox": answer["version"],
        "tiatoolbox_windows_per_cpu_s": round(rate),
        "ours_times_tiatoolbox": round(ours / rate, 2),
    }


def memory() -> dict[str, Any]:
    """Return the peak memory of the stages on one large slide and on three, each stage in its own process."""
    with tempfile.TemporaryDirectory() as folder:
        one = _case(Path(folder) / "one", [11])
        three = _case(Path(folder) / "three", [11, 12, 13])
    return {"side_px": SQUARES * SQUARE, "one_slide_mib": one, "three_slides_mib": three, "encoder_alone_mib": _encoder_alone()}


def _case(folder: Path, seeds: list[int]) -> dict[str, Any]:
    for seed in seeds:
        (folder / "study").mkdir(parents=True, exist_ok=True)
        write_large_slide(folder / "study" / f"slide-{seed}.svs", SQUARES, 2, seed=seed, kinds=1)
    command = [sys.executable, "-m", "algorithms", "prostate", "--home", folder / "home", "--input", folder / "study"]
    done = subprocess.run(
        list(map(str, command)), cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True, check=False
    )
    case = Path(json.loads(done.stdout)["case"])
    peaks: dict[str, Any] = {}
    for path in sorted(case.glob("*/*/manifest.json")):
        manifest = json.loads(path.read_text())
        peaks[manifest["stage"]] = round(manifest["peak_memory_mib"])
    return {stage: peaks.get(stage) for stage in MEASURED}


def _encoder_alone() -> int:
    """Return the peak memory of a process that loads the default encoder and embeds one batch of nothing."""
    code = (
        "import resource, numpy as np\n"
        "from algorithms.prostate.pipeline import ENCODE\n"
        "from algorithms.slide.encoder.encoder import load\n"
        "given = ENCODE.settings({})\n"
        "model = load(given['encoder'], precision=given['precision'], tiles_at_once=given['tiles_at_once'])\n"
        "model.embed(np.zeros((given['tiles_at_once'], model.tile_px, model.tile_px, 3), np.uint8))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)\n"
    )
    root = Path(__file__).parents[1]
    return int(subprocess.run([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
