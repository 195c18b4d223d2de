"""The coronary phantom's statistics beside those of real contrast CT: ``python -m benchmarks.phantom_statistics``.

Both are measured in the same way: blood and its noise in the ascending aorta, the noise's spectrum there, how wide the edge at
the aortic wall is, and Hounsfield units and evenness of fat, muscle and lung.
HEARTWOOD_REAL_DATA names the folder of real data.
Arrays are (Z, Y, X).
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, uniform_filter, zoom
from scipy.special import ndtri

from algorithms.phantom.coronary.person import ct_grid, draw_person
from algorithms.phantom.coronary.phantom import coronary_parts
from algorithms.phantom.coronary.tissues import LABELS
from algorithms.phantom.coronary.variety import variety_of
from benchmarks.evidence import keep

log = logging.getLogger("benchmarks.phantom_statistics")

SEEDS = tuple(range(300, 308))
WINDOWS_HU = {"fat": (-140.0, -60.0), "muscle": (30.0, 130.0), "lung": (-920.0, -700.0)}
"""Where the mean of a cube must lie to be that tissue."""
CUBE_MM = 7.0
PATCH_MM = 14.0
"""Side of the square in the aorta whose spectrum is taken."""
SMOOTH_MM = 2.0
"""Deviation of the Gaussian that makes a mask's level set."""
REAL_MM = 1.5
"""Voxel of the real crop, to which phantoms are resampled to be compared."""
AROUND_MM = ((-55.0, -65.0, -45.0), (55.0, 65.0, 16.0))
"""What is painted around the middle of a phantom's ascending aorta, (x, y, z)."""
ASCENDING = (slice(92, 132), slice(0, 65), slice(0, 120))
"""The ascending aorta in the real crop; the descending one is dissected and holds a stent graft."""


def main() -> None:
    """Measure and keep the evidence."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    parser = argparse.ArgumentParser("python -m benchmarks.phantom_statistics", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="phantom seeds of the wide range (default 300-307)")
    options = parser.parse_args()
    folder = os.environ.get("HEARTWOOD_REAL_DATA")
    if not folder:
        log.info("HEARTWOOD_REAL_DATA names no folder, so nothing is measured and what was kept stays")
        return
    found: dict[str, Any] = {"real": real(Path(folder)), "phantoms": []}
    for seed in options.seeds:
        found["phantoms"].append(phantom(seed))
        log.info("seed %d: %s", seed, found["phantoms"][-1])
    log.info("kept in %s", keep("phantom_statistics", found))


def real(folder: Path) -> dict[str, Any]:
    """Return the statistics of both real scans."""
    import SimpleITK

    crop = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / "ct_aorta" / "ct_cropped.nii.gz"))).astype(np.float32)
    mask = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / "ct_aorta" / "aorta.nii.gz"))) > 0
    ascending = np.zeros_like(mask)
    ascending[ASCENDING] = mask[ASCENDING]
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder / "ct_siemens_contrast")))
    trunk = reader.Execute()
    spacing = trunk.GetSpacing()[::-1]
    return {
        "crop": aorta(crop, (REAL_MM,) * 3, ascending) | tissues(crop, (REAL_MM,) * 3),
        "trunk": tissues(SimpleITK.GetArrayFromImage(trunk).astype(np.float32), spacing),
    }


def phantom(seed: int) -> dict[str, Any]:
    """Return the statistics of the chest around one full-size phantom's ascending aorta, as scanned and at 1.5 mm."""
    variety = variety_of("wide", seed)
    person = draw_person(seed, variety)
    middle = person.heart.root_point(40.0)
    grid = ct_grid(person, "full", variety)
    part = grid.around(middle + np.array(AROUND_MM), 0.0)
    scan = coronary_parts(seed, "full", "wide", [part])[0]
    hu, spacing = scan.volume_hu.astype(np.float32), scan.spacing_mm
    ascending = scan.labels == LABELS["ascending aorta and root"]
    coarse = [s / REAL_MM for s in spacing]
    hu_coarse, mask_coarse = zoom(hu, coarse, order=3), zoom(ascending.astype(np.float32), coarse, order=1) >= 0.5
    spacing_coarse = tuple(s * a / b for s, a, b in zip(spacing, hu.shape, hu_coarse.shape, strict=True))
    # The root below has sinuses and ostia.
    above, above_coarse = (int((middle[2] - 14.0 - scan.origin_mm[2]) / s[0]) for s in (spacing, spacing_coarse))
    return {
        "seed": seed,
        "kernel": variety.kernel,
        "noise_hu": variety.noise_hu,
        "scanned": aorta(hu[above:], spacing, ascending[above:]) | tissues(hu, spacing),
        "resampled": aorta(hu_coarse[above_coarse:], spacing_coarse, mask_coarse[above_coarse:])
        | tissues(hu_coarse, spacing_coarse),
    }


def aorta(hu: np.ndarray, spacing_mm: tuple[float, ...], mask: np.ndarray) -> dict[str, float | None]:
    """Return blood's mean and noise, the noise's mean frequency, and the width of the edge at the wall."""
    depth = distance_transform_edt(mask, sampling=spacing_mm)
    core = depth > 5.0
    slices = [plane[inside] for plane, inside in zip(hu, core, strict=True) if inside.sum() > 20]
    noise = np.sqrt(np.mean([values.var() for values in slices]))
    return {
        "blood_hu": round(float(np.mean([values.mean() for values in slices])), 1),
        "blood_noise_hu": round(float(noise), 1),
        "noise_frequency_per_mm": mean_frequency(hu, spacing_mm[1], depth),
        "edge_mm": edge_width_mm(hu, mask, spacing_mm),
    }


def mean_frequency(hu: np.ndarray, pixel_mm: float, depth_mm: np.ndarray) -> float | None:
    """Return the mean frequency (per mm) of the radial noise power in a square deep in the aorta, over all slices.

    None where no slice has room for one that is everywhere 2 mm inside the wall.
    """
    count = round(PATCH_MM / pixel_mm)
    window = np.outer(*[np.hanning(count + 2)[1:-1]] * 2)
    rows, columns = np.mgrid[:count, :count]
    plane = np.stack([np.ones(count * count), rows.ravel(), columns.ravel()], axis=1)
    power = np.zeros((count, count))
    for image, depth in zip(hu, depth_mm, strict=True):
        y, x = np.array(np.unravel_index(np.argmax(depth), depth.shape)) - count // 2
        here = slice(max(y, 0), y + count), slice(max(x, 0), x + count)
        if depth[here].shape == (count, count) and (depth[here] > 2.0).all():
            values = image[here].ravel().astype(float)
            values = values - plane @ np.linalg.lstsq(plane, values, rcond=None)[0]
            power += np.abs(np.fft.fft2(values.reshape(count, count) * window)) ** 2
    if not power.any():
        return None
    frequency = np.hypot(np.fft.fftfreq(count, pixel_mm)[:, None], np.fft.fftfreq(count, pixel_mm)[None, :])
    edges = np.arange(0, 0.5 / pixel_mm, 1 / PATCH_MM)
    profile = np.array([power[(frequency >= low) & (frequency < low + 1 / PATCH_MM)].mean() for low in edges])
    return round(float((edges + 0.5 / PATCH_MM) @ profile / profile.sum()), 3)


def edge_width_mm(hu: np.ndarray, mask: np.ndarray, spacing_mm: tuple[float, ...]) -> float:
    """Return the step from the aorta's wall (50 HU) to its blood over the steepest slope of the median profile across it.

    A slope, and not a width between two levels, because what lies outside the wall differs.  The depth of a voxel below the
    wall is that of the level set of the mask smoothed in its slice, which is finer than voxels.
    """
    smooth = gaussian_filter(mask.astype(np.float32), [0.0, SMOOTH_MM / spacing_mm[1], SMOOTH_MM / spacing_mm[2]])
    depth = SMOOTH_MM * ndtri(np.clip(smooth, 1e-4, 1 - 1e-4))
    centres = np.arange(-2.5, 4.01, 0.5)
    profile = np.array([np.median(hu[np.abs(depth - centre) <= 0.25]) for centre in centres])
    slope = np.max(profile[2:] - profile[:-2])  # per mm
    return round(float((profile[centres > 3.0].mean() - 50.0) / slope), 2)


def tissues(hu: np.ndarray, spacing_mm: tuple[float, ...]) -> dict[str, float | None]:
    """Return the Hounsfield units and the deviation within cubes of fat, muscle and lung: of the most even tenth of each."""
    size = [max(round(CUBE_MM / s), 2) for s in spacing_mm]
    mean = uniform_filter(hu, size)
    deviation = np.sqrt(np.maximum(uniform_filter(hu * hu, size) - mean * mean, 0))
    found: dict[str, float | None] = {}
    for name, (low, high) in WINDOWS_HU.items():
        here = (mean > low) & (mean < high)
        if here.sum() < 500:
            found |= {f"{name}_hu": None, f"{name}_deviation_hu": None}
            continue
        even = here & (deviation <= np.percentile(deviation[here], 10))
        found |= {f"{name}_hu": round(float(np.median(mean[even])), 1)}
        found |= {f"{name}_deviation_hu": round(float(np.median(deviation[even])), 1)}
    return found


if __name__ == "__main__":
    main()
