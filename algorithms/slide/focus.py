"""How sharp a slide's tissue is, cell by cell of a coarse grid, as the width of the blur in micrometres.

Patches are (Y, X, 3) uint8 RGB at about 0.5 um a pixel, the scale of a 20x objective; masks are of the overview.

The optical density of a patch is split into a fine and a coarse band (differences of Gaussians, sigmas in micrometres).
The ratio of their energies does not depend on how strong the stain is, because both bands hold the same tissue.
Tissue, as most scenes, has a power spectrum near 1/f^2; then sharp tissue has a ratio of 1, and a closed form says what a
Gaussian blur leaves of it (`energy_ratio`).  Solved for the sigma, that is the blur that a sharp scene would need to look so.
Measures of focus by the energy of differences are compared by Pertuz et al.; comparing an image with its own blurred
self is from Crete et al.

References
----------
Field, *Relations between the statistics of natural images and the response properties of cortical cells*, J Opt Soc Am A 4:2379
(1987), for the spectrum.
Pertuz, Puig & Garcia, *Analysis of focus measure operators for shape-from-focus*, Pattern Recognit 46:1415 (2013).
Crete et al., *The blur effect*, Proc SPIE 6492:64920I (2007).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from algorithms.slide.reader import Slide

FINE_UM = (0.6, 1.2)
COARSE_UM = (2.4, 4.8)
"""Sigmas, in micrometres, of the Gaussians whose difference makes a band: chromatin and membranes; whole nuclei."""

CELL_UM = 256.0
"""Side of a cell; a patch is the quarter of it, 128 um, that holds most tissue."""

PIXEL_UM = 0.5
"""Pixel of a patch: that of a 20x objective, at which encoders look."""

BATCH = 8
"""Patches read at a time."""

LEAST_TISSUE = 0.3
"""Part of a patch that must be tissue for it to say anything of the focus."""

LEAST_CONTRAST = 0.004
"""Deviation of the coarse band, as optical density, below which a patch is too even to tell: a grey level of 255 is 0.002."""

MOST_PATCHES = 1500
"""Patches looked at on one slide; on more tissue than 75 mm2 the grid is thinned (own bound: some seconds)."""

BLURS_UM = np.linspace(0, 8, 401)
"""Blurs that are told apart; beyond the last one nothing fine is left to measure."""


@dataclass(frozen=True)
class Focus:
    """Blur of the cells: ``blur_um`` is (rows, columns), NaN where nothing can be said; ``cell`` is overview pixels a side."""

    blur_um: np.ndarray
    cell: int

    def blurred(self, shape: tuple[int, int], most_um: float) -> np.ndarray:
        """Return which pixels of an overview of this shape lie in cells blurred by more than ``most_um``."""
        bad = np.nan_to_num(self.blur_um, nan=0.0) > most_um
        return np.asarray(np.kron(bad, np.ones((self.cell, self.cell), dtype=bool))[: shape[0], : shape[1]])


def blur_um(patch: np.ndarray, pixel_um: float) -> float:
    """Return the sigma of the Gaussian that would blur sharp tissue as ``patch`` is, or NaN where it is too even to tell.

    Sharper than the spectrum says (a scanner's own sharpening) is 0.
    """
    density = -np.log10(np.maximum(patch.astype(np.float32).mean(axis=-1), 1) / 255)
    fine, coarse = (_band(density, low / pixel_um, high / pixel_um) for low, high in (FINE_UM, COARSE_UM))
    margin = min(round(2 * COARSE_UM[1] / pixel_um), min(density.shape) // 4)
    inner = (slice(margin, -margin), slice(margin, -margin))
    energy = float(np.mean(coarse[inner] ** 2))
    if energy < LEAST_CONTRAST**2:
        return float("nan")
    ratio = float(np.mean(fine[inner] ** 2)) / energy
    return float(np.interp(-ratio, -energy_ratio(BLURS_UM), BLURS_UM))


def energy_ratio(sigma_um: np.ndarray) -> np.ndarray:
    """Return the fine band's energy over the coarse one's in a scene of spectrum 1/f^2 blurred by Gaussians of these sigmas.

    With ``a`` and ``b`` the squared sigmas of a band, its energy is the integral over f of (exp(-a f^2) - exp(-b f^2))^2 / f,
    which is ln((a + b) / 2 / sqrt(a b)) (Frullani); the blur adds its square to ``a`` and ``b``.
    """

    def energy(band: tuple[float, float]) -> np.ndarray:
        low, high = (side**2 + np.asarray(sigma_um, dtype=float) ** 2 for side in band)
        return np.asarray(np.log((low + high) / 2 / np.sqrt(low * high)))

    return np.asarray(energy(FINE_UM) / energy(COARSE_UM))


def _band(image: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.asarray(ndimage.gaussian_filter(image, low) - ndimage.gaussian_filter(image, high))


def measure(tissue: np.ndarray, scale: int, mpp: float, slide: Slide) -> Focus:
    """Return the focus of a slide's cells; one patch is read in each, where it holds most tissue.

    Parameters
    ----------
    tissue
        Tissue on the overview, (Y, X) bool.
    scale, mpp
        Level-0 pixels a side of an overview pixel; micrometres a level-0 pixel.
    slide
        The open slide; a patch that cannot be decoded says nothing.
    """
    half = max(1, round(CELL_UM / (scale * mpp) / 2))
    cell = 2 * half
    rows, columns = (-(-size // cell) for size in tissue.shape)
    share = _quarters(tissue, half, rows, columns)
    candidates = np.argwhere(share.max(axis=-1) >= LEAST_TISSUE)
    chosen = candidates[:: max(1, -(-len(candidates) // MOST_PATCHES))]
    down, across = np.divmod(np.argmax(share[chosen[:, 0], chosen[:, 1]], axis=-1), 2)
    top, left = ((chosen * cell + np.stack([down, across], axis=-1) * half) * scale).T
    order = np.lexsort((left, top))
    chosen, top, left = chosen[order], top[order], left[order]
    extent = half * scale
    side = min(extent, round(extent * mpp / PIXEL_UM))
    found = np.full((rows, columns), np.nan)
    for batch in slide.windows(left, top, extent_px=float(extent), tile_px=side, batch=BATCH):
        unread = {bad.row for bad in batch.corrupt}
        for row, patch in zip(batch.rows, batch.tiles, strict=True):
            if row not in unread:
                found[tuple(chosen[row])] = blur_um(patch, extent * mpp / side)
    return Focus(_evened(found), cell)


def _quarters(tissue: np.ndarray, half: int, rows: int, columns: int) -> np.ndarray:
    """Return the tissue in the four quarters of every cell, (rows, columns, 4)."""
    padded = np.zeros((rows * 2 * half, columns * 2 * half), dtype=np.float32)
    padded[: tissue.shape[0], : tissue.shape[1]] = tissue
    quarters = padded.reshape(rows, 2, half, columns, 2, half).mean(axis=(2, 5))
    return np.asarray(quarters.transpose(0, 2, 1, 3).reshape(rows, columns, 4))


def _evened(found: np.ndarray) -> np.ndarray:
    """Return the median over each cell's measured neighbours, so that one odd patch does not condemn its cell."""
    padded = np.pad(found, 1, constant_values=np.nan)
    rows, columns = found.shape
    around = np.stack([padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3)])
    known = ~np.isnan(around).all(axis=0)
    middle = np.full(found.shape, np.nan)
    middle[known] = np.nanmedian(around[:, known], axis=0)
    middle[np.isnan(found)] = np.nan
    return middle
