"""The ascending aorta in axial slices: round bright discs, linked into chains, and the chain that it is.

Above the heart the ascending aorta is the one large, round, evenly bright disc of an axial slice that goes on from slice
to slice: edges vote for the centres of bright discs, and the best chain of centres is linked through the slices.
Arrays are (Z, Y, X).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from algorithms.contract.errors import DataError
from algorithms.coronary.grid import Grid

DISC_RADII_MM = np.arange(9.0, 25.0, 1.5)
"""Radii of ascending aortas, mm: normal ones have 11 to 19 (Wolak et al., JACC Cardiovasc Imaging 1:200 (2008))."""

LEAST_CHAIN_MM = 12.0
"""Shortest run of round slices that is taken for an ascending aorta, mm: what a study that starts low still shows."""

LEAST_RADIUS_MM = 9.5
"""Mean radius below which a chain is no ascending aorta, mm, unless one as strong as a descending aorta lies behind it, as in a
small woman."""

LEAST_CONTRAST_HU = 200.0
"""Least mean contrast of an aorta whose coronaries can be measured, HU.

SCCT 2016 asks for more than 250 (doi:10.1016/j.jcct.2016.10.002).
"""


def disc_votes(hu: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Return for every radius of ``DISC_RADII_MM`` and pixel of an axial slice how much of a circle around it is an edge.

    Every edge pixel votes for the points that lie a radius away on its bright side (R, Y, X); 1 is a whole circle of
    strong edges.

    References
    ----------
    Kimme, Ballard and Sklansky, *Finding circles by an array of accumulators*, Comm ACM 18:120 (1975).
    """
    smooth = ndimage.gaussian_filter(np.clip(hu, -150, 600), 1.5 / spacing_mm)
    gy, gx = np.gradient(smooth, spacing_mm)
    strength = np.hypot(gy, gx)
    y, x = np.nonzero(strength > 15)
    weight = np.minimum(strength[y, x], 50) / 50
    uy, ux = gy[y, x] / strength[y, x], gx[y, x] / strength[y, x]
    votes = np.zeros((len(DISC_RADII_MM), *hu.shape), np.float32)
    for i, radius in enumerate(DISC_RADII_MM):
        py, px = np.rint(y + uy * radius / spacing_mm).astype(int), np.rint(x + ux * radius / spacing_mm).astype(int)
        inside = (py >= 0) & (py < hu.shape[0]) & (px >= 0) & (px < hu.shape[1])
        flat = np.bincount(py[inside] * hu.shape[1] + px[inside], weights=weight[inside], minlength=hu.size)
        votes[i] = flat.reshape(hu.shape) / (2 * np.pi * radius / spacing_mm)
    blurred: np.ndarray = ndimage.gaussian_filter(votes, (0.7, 2 / spacing_mm, 2 / spacing_mm))
    return blurred * (2 * np.pi * (2 / spacing_mm) ** 2)


@dataclass(frozen=True, eq=False)
class Chain:
    """Discs linked through neighbouring slices: ``index`` (N, 3) voxels (z, y, x) from below, ``radius_mm`` (N,), ``score``."""

    index: np.ndarray
    radius_mm: np.ndarray
    score: float


LEAST_VOTE = 0.8
"""Vote below which a disc speaks against a chain (1): a real ascending aorta got 0.9 to 1.9, chambers 0.5 to 0.9."""

DISCS_PER_SLICE = 16
"""Best discs of a slice that may be linked (1)."""


def _discs(hu: np.ndarray, spacing_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the best discs of an axial slice: (N, 3) as (y, x, radius_mm), and their votes (N,)."""
    votes = disc_votes(hu, spacing_mm)
    side = max(3, round(8.0 / spacing_mm))
    mean = ndimage.uniform_filter(hu, side)
    sd = np.sqrt(np.maximum(ndimage.uniform_filter(hu**2, side) - mean**2, 0))
    votes *= (mean > LEAST_CONTRAST_HU - 50) & (sd < 0.25 * mean + 20)
    radius = votes.argmax(axis=0)
    best = np.take_along_axis(votes, radius[None], 0)[0]
    peaks = np.argwhere((best == ndimage.maximum_filter(best, side)) & (best > 0.3))
    strength = best[tuple(peaks.T)]
    order = np.argsort(-strength, kind="stable")[:DISCS_PER_SLICE]
    peaks, strength = peaks[order], strength[order]
    return np.column_stack([peaks, DISC_RADII_MM[radius[tuple(peaks.T)]]]).astype(float), strength


def disc_chains(coarse: Grid, most: int = 10) -> list[Chain]:
    """Return the strongest chains of round bright discs through the axial slices of ``coarse``, best first.

    Neighbouring discs may move by their slice distance plus 1.5 mm and change radius by 3 mm; both cost.
    """
    spacing = coarse.spacing_mm[1]
    slices = [_discs(s.astype(np.float32), spacing) for s in coarse.values]
    used = [np.zeros(len(v), bool) for _, v in slices]
    chains: list[Chain] = []
    while len(chains) < most:
        chain, members = _best_chain(slices, used, coarse.spacing_mm)
        if chain is None:
            break
        chains.append(chain)
        for z, i in members:
            near = np.linalg.norm(slices[z][0][:, :2] - slices[z][0][i, :2], axis=1) * spacing < 6.0
            used[z] |= near
    return chains


def _best_chain(
    slices: list[tuple[np.ndarray, np.ndarray]], used: list[np.ndarray], spacing_mm: tuple[float, float, float]
) -> tuple[Chain | None, list[tuple[int, int]]]:
    """Return the chain of greatest summed vote above ``LEAST_VOTE`` (dynamic programming over slices) and its members."""
    reach = spacing_mm[0] + 1.5
    total: list[np.ndarray] = []
    back: list[np.ndarray] = []
    for z, (discs, votes) in enumerate(slices):
        gain = np.where(used[z], -1e9, np.minimum(votes, 1.5) - LEAST_VOTE)
        score, link = gain.copy(), np.full(len(votes), -1)
        if z and len(total[-1]) and len(votes):
            before = slices[z - 1][0]
            shift = np.linalg.norm(discs[:, None, :2] - before[None, :, :2], axis=2) * spacing_mm[1]
            change = np.abs(discs[:, None, 2] - before[None, :, 2])
            cost = 0.15 * shift + 0.1 * change + np.where((shift > reach) | (change > 3.0), 1e9, 0.0)
            through = total[-1][None] - cost
            link = np.where(through.max(axis=1) > 0, through.argmax(axis=1), -1)
            score = gain + np.maximum(through.max(axis=1), 0)
        total.append(score)
        back.append(link)
    ends = [(float(s.max()), z) for z, s in enumerate(total) if len(s)]
    if not ends or max(ends)[0] <= 0:
        return None, []
    best, z = max(ends)
    i = int(total[z].argmax())
    members = []
    while True:
        members.append((z, i))
        if back[z][i] < 0:
            break
        z, i = z - 1, int(back[z][i])
    members.reverse()
    index = np.array([[z, *slices[z][0][i, :2]] for z, i in members])
    return Chain(index, np.array([slices[z][0][i, 2] for z, i in members]), best), members


DESCENDING_BEHIND_MM = (40.0, 110.0)
"""How far the descending aorta lies behind the ascending one, mm: 68 in the CT of the shared data; the ascending aorta itself
lies 20 to 35 behind the right ventricle's outflow."""

SAME_BLOOD = 0.15
"""Greatest relative difference in contrast of ascending and descending aorta (1): the same blood a second later."""

UNEVEN = 0.1
"""Deviation along a chain, as a part of its contrast (1), that halves its worth: arterial blood is mixed (mostly 0.01 to
0.04 in phantoms and in the CT of the shared data), where contrast agent streams in it is not (0.07 to 0.2)."""


def ascending_chain(chains: list[Chain], smooth: Grid) -> Chain:
    """Return the chain that is the ascending aorta.

    The strongest one is, but for this: an unevenly bright one is worth less, for it holds blood that is not mixed yet; a chain
    with another one behind it, however narrow, that holds the same blood gains by up to half, the more alike the more, for that
    is the descending aorta; one with such a chain in front of it loses four fifths, for it is the descending aorta.

    Raises
    ------
    DataError
        If no chain is as long and round as an ascending aorta.
    """
    seen = np.array([_seen(chain, smooth) for chain in chains]).reshape(-1, 3)
    blood, spread, depth = seen.T
    score = np.array([chain.score for chain in chains])
    near, far = DESCENDING_BEHIND_MM

    def alike_behind(i: int) -> np.ndarray:
        behind = (near < depth - depth[i]) & (depth - depth[i] < far)
        return np.where(behind, np.clip(1 - np.abs(blood - blood[i]) / (SAME_BLOOD * blood[i]), 0, None), 0.0)

    def may_be(i: int) -> bool:
        if len(chains[i].index) * smooth.spacing_mm[0] < LEAST_CHAIN_MM:
            return False
        return chains[i].radius_mm.mean() >= LEAST_RADIUS_MM or bool((alike_behind(i) > 0.5)[score > 0.5 * score.max()].any())

    good = [i for i in range(len(chains)) if may_be(i)]
    if not good:
        raise DataError(
            "no ascending aorta found (a round, evenly enhanced disc over 12 mm of slices); "
            "send a contrast-enhanced series that reaches from above the aortic root to below the heart"
        )
    rivals = [i for i in good if score[i] >= 0.2 * score[good].max()]

    def worth(i: int) -> float:
        is_descending = any(alike_behind(k)[i] > 0 for k in rivals)
        even = 1 / (1 + spread[i] / (UNEVEN * blood[i]))
        return float(score[i] * even * (0.2 if is_descending else 1.0) * (1 + 0.5 * alike_behind(i).max()))

    return chains[max(rivals, key=worth)]


def _seen(chain: Chain, smooth: Grid) -> tuple[float, float, float]:
    """Return the median of a chain's blood, its robust deviation, both HU, and how far back the chain lies, mm."""
    along = ndimage.map_coordinates(smooth.values, chain.index.T, order=1)
    middle = float(np.median(along))
    depth = float(chain.index[:, 1].mean()) * smooth.spacing_mm[1]
    return middle, 1.4826 * float(np.median(np.abs(along - middle))), depth
