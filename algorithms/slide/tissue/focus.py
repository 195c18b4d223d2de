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

from algorithms.slide.pixels.reader import Slide

FINE_UM = (0.6, 1.2)
COARSE_UM = (2.4, 4.8)
"""Sigmas, in micrometres, of the Gaussians whose difference makes a band: chromatin and membranes; whole nuclei."""

PATCH_UM = 128.0
"""Side of a patch: some 100 nuclei.  A cell has 2 x 2 places for one, and the one with most tissue is looked at."""

PIXEL_UM = 0.5
"""Pixel of a patch: that of a 20x objective, at which encoders look."""

BATCH = 8
"""Patches read at a time."""

LEAST_TISSUE = 0.3
"""Part of a patch that must be tissue for it to say anything of the focus."""

LEAST_CONTRAST = 0.004
"""Deviation of the coarse band, as optical density, below which a patch is too even to tell: a grey level of 255 is 0.002."""

MOST_PATCHES = 1000
"""Patches looked at on one slide; on more tissue than 65 mm2 the cells are wider (own bound: some seconds)."""

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

    Sharper than the spectrum says (a scanner's own sharpening) is 0.  Green is looked at, which both stains absorb.
    """
    density = _DENSITY[patch[..., 1]]
    finest, finer = (_gaussian(density, sigma / pixel_um) for sigma in FINE_UM)
    # What is blurred by 1.2 um loses nothing at half the pixels, and Gaussians add in squares.
    halved = finer[::2, ::2]
    coarser, coarsest = (_gaussian(halved, np.sqrt(sigma**2 - FINE_UM[1] ** 2) / pixel_um / 2) for sigma in COARSE_UM)
    margin = min(round(2 * COARSE_UM[1] / pixel_um / 2), min(halved.shape) // 4)
    inner = (slice(margin, -margin), slice(margin, -margin))
    energy = float(np.var((coarser - coarsest)[inner]))
    if energy < LEAST_CONTRAST**2:
        return float("nan")
    whole = (slice(2 * margin, -2 * margin), slice(2 * margin, -2 * margin))
    ratio = float(np.var((finest - finer)[whole])) / energy
    return float(np.interp(-ratio, -energy_ratio(BLURS_UM), BLURS_UM))


_DENSITY = -np.log10(np.maximum(np.arange(256, dtype=np.float32), 1) / 255)


def _gaussian(image: np.ndarray, sigma_px: float) -> np.ndarray:
    return np.asarray(ndimage.gaussian_filter(image, sigma_px, truncate=3.0))


def energy_ratio(sigma_um: np.ndarray) -> np.ndarray:
    """Return the fine band's energy over the coarse one's in a scene of spectrum 1/f^2 blurred by Gaussians of these sigmas.

    With ``a`` and ``b`` the squared sigmas of a band, its energy is the integral over f of (exp(-a f^2) - exp(-b f^2))^2 / f,
    which is ln((a + b) / 2 / sqrt(a b)) (Frullani); the blur adds its square to ``a`` and ``b``.
    """

    def energy(band: tuple[float, float]) -> np.ndarray:
        low, high = (side**2 + np.asarray(sigma_um, dtype=float) ** 2 for side in band)
        return np.asarray(np.log((low + high) / 2 / np.sqrt(low * high)))

    return np.asarray(energy(FINE_UM) / energy(COARSE_UM))


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
    part = max(1, round(PATCH_UM / (scale * mpp)))
    per, share = _shares(tissue, part)
    chosen = np.argwhere(share.max(axis=-1) >= LEAST_TISSUE)
    within = np.stack(np.divmod(np.argmax(share[chosen[:, 0], chosen[:, 1]], axis=-1), per), axis=-1)
    corners = (chosen * per + within) * part * scale
    order = np.lexsort((corners[:, 1], corners[:, 0]))
    chosen, (top, left) = chosen[order], corners[order].T
    extent = part * scale
    side = min(extent, round(extent * mpp / PIXEL_UM))
    found = np.full(share.shape[:2], np.nan)
    for batch in slide.windows(left, top, extent_px=float(extent), tile_px=side, batch=BATCH):
        unread = {bad.row for bad in batch.corrupt}
        for row, patch in zip(batch.rows, batch.tiles, strict=True):
            if row not in unread:
                found[tuple(chosen[row])] = blur_um(patch, extent * mpp / side)
    return Focus(_evened(found), per * part)


def _shares(tissue: np.ndarray, part: int) -> tuple[int, np.ndarray]:
    """Return how many patches lie along a cell's side, and the tissue in each, (rows, columns, patches).

    Cells are 256 um wide, or on very much tissue so wide that it has no more cells than are looked at.
    """
    per = 2
    while True:
        cell = per * part
        rows, columns = (-(-size // cell) for size in tissue.shape)
        padded = np.zeros((rows * cell, columns * cell), dtype=np.float32)
        padded[: tissue.shape[0], : tissue.shape[1]] = tissue
        shares = padded.reshape(rows, per, part, columns, per, part).mean(axis=(2, 5))
        shares = shares.transpose(0, 2, 1, 3).reshape(rows, columns, per * per)
        if np.count_nonzero(shares.max(axis=-1) >= LEAST_TISSUE) <= MOST_PATCHES:
            return per, shares
        per += 1


def _evened(found: np.ndarray) -> np.ndarray:
    """Return the median over each cell's measured neighbours: one odd patch does not condemn its cell, and a cell at the rim of
    the tissue, too empty to be measured, is as its neighbours are.
    """
    padded = np.pad(found, 1, constant_values=np.nan)
    rows, columns = found.shape
    around = np.stack([padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3)])
    known = ~np.isnan(around).all(axis=0)
    middle = np.full(found.shape, np.nan)
    middle[known] = np.nanmedian(around[:, known], axis=0)
    return middle
