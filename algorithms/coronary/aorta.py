"""The ascending aorta and its root, found and traced without a seed.

Above the heart the ascending aorta is the one large, round, evenly bright disc of an axial slice that goes on from slice
to slice: edges vote for the centres of bright discs, and the best chain of centres is linked through the slices.
From its lower end the aorta is traced down its own axis, in planes across it, by closed contours; the valve lies where
the cross-section is narrowest below the sinuses.
Arrays are (Z, Y, X); points are (N, 3) LPS mm.
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

LEAST_CONTRAST_HU = 200.0
"""Least mean contrast of an aorta whose coronaries can be measured, HU.

SCCT 2016 asks for more than 250 (doi:10.1016/j.jcct.2016.10.002).
"""

RAYS = 48
"""Rays of one contour (1)."""

STEP_MM = 1.0
"""Distance of two traced cross-sections along the aorta, mm."""


@dataclass(frozen=True, eq=False)
class Aorta:
    """Cross-sections of the aorta from the valve upwards.

    ``centres_mm`` (N, 3), ``normals`` (N, 3) towards the head, ``radii_mm`` (N, RAYS) along each ray, ``valve_mm`` (3,) is the
    centre of the first one.
    """

    centres_mm: np.ndarray
    normals: np.ndarray
    radii_mm: np.ndarray
    mean_hu: float
    sd_hu: float

    @property
    def mean_radius_mm(self) -> np.ndarray:
        """Return the radius of the circle with each cross-section's area, (N,) mm."""
        radius: np.ndarray = np.sqrt((self.radii_mm**2).mean(axis=1))
        return radius


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


def disc_chains(coarse: Grid, most: int = 6) -> list[Chain]:
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


DESCENDING_BEHIND_MM = (25.0, 110.0)
"""How far the descending aorta lies behind the ascending one, mm."""

SAME_BLOOD = 0.15
"""Greatest relative difference in contrast of ascending and descending aorta (1): the same blood a second later."""


def ascending_chain(chains: list[Chain], smooth: Grid) -> Chain:
    """Return the chain that is the ascending aorta.

    The strongest one is, but for this: a chain with another one behind it that holds the same blood gains by half, for
    that is the descending aorta; one with such a chain in front of it loses four fifths, for it is the descending aorta.

    Raises
    ------
    DataError
        If no chain is as long and round as an ascending aorta.
    """
    good = [c for c in chains if len(c.index) * smooth.spacing_mm[0] >= LEAST_CHAIN_MM and c.radius_mm.mean() >= 9.5]
    if not good:
        raise DataError(
            "no ascending aorta found (a round, evenly enhanced disc over 12 mm of slices); "
            "send a contrast-enhanced series that reaches from above the aortic root to below the heart"
        )
    strong = [c for c in good if c.score >= 0.2 * max(c.score for c in good)]
    depth = [float(c.index[:, 1].mean()) * smooth.spacing_mm[1] for c in strong]
    blood = [float(np.median(ndimage.map_coordinates(smooth.values, c.index.T, order=1))) for c in strong]

    def worth(i: int) -> float:
        behind = [depth[j] - depth[i] for j in range(len(strong)) if abs(blood[j] - blood[i]) < SAME_BLOOD * blood[i]]
        near, far = DESCENDING_BEHIND_MM
        factor = 0.2 if any(near < -d < far for d in behind) else 1.0
        return strong[i].score * factor * (1.5 if any(near < d < far for d in behind) else 1.0)

    return strong[max(range(len(strong)), key=worth)]


def across(normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two unit vectors (3,) across ``normal``: the first as near to the patient's left as can be, then to the back."""
    left = np.array([1.0, 0.0, 0.0]) - normal[0] * normal
    left /= np.linalg.norm(left)
    return left, np.cross(normal, left)


RADIUS_STEPS_MM = np.arange(2.0, 32.0, 0.5)
"""Radii at which a ray looks for the wall, mm."""


def rays_hu(smooth: Grid, centre_mm: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Return the values along ``RAYS`` rays in the plane across ``normal``, (RAYS, len(RADIUS_STEPS_MM))."""
    left, back = across(normal)
    angle = np.arange(RAYS) * 2 * np.pi / RAYS
    direction = np.cos(angle)[:, None] * left + np.sin(angle)[:, None] * back
    points = centre_mm + direction[:, None, :] * RADIUS_STEPS_MM[None, :, None]
    index = smooth.index(points.reshape(-1, 3)).T
    values: np.ndarray = ndimage.map_coordinates(smooth.values, index, order=1, mode="nearest")
    return values.reshape(RAYS, -1)


def wall_contour(hu: np.ndarray, blood_hu: float, before_mm: np.ndarray | float) -> tuple[np.ndarray, float]:
    """Return the closed contour (RAYS,) mm of an evenly bright disc, and the mean edge on it in HU per mm.

    The contour is the cheapest closed path through (ray, radius), where an edge from bright to dark is cheap, and
    dear are voxels inside that are not blood and a radius far from ``before_mm``, that of the cross-section before.
    """
    step = RADIUS_STEPS_MM[1] - RADIUS_STEPS_MM[0]
    edge = -np.gradient(hu, step, axis=1)
    strange = np.clip((blood_hu - hu) / (0.5 * blood_hu) - 0.4, 0, 1)  # the wall between two bright vessels is a shallow dip
    inside = np.cumsum(strange, axis=1) * step
    prior = ((RADIUS_STEPS_MM[None] - np.reshape(before_mm, (-1, 1))) / 3.0) ** 2
    # a strong edge must not outweigh a weak but continuous wall, yet its steepest place must win over its foot
    cost = -np.clip(edge, -20, 50) / 25 - np.clip(edge, 0, 300) / 150 + 0.5 * inside + 0.15 * np.minimum(prior, 9)
    path = _closed_path(cost)
    rays = np.arange(RAYS)
    return RADIUS_STEPS_MM[path], float(np.clip(edge[rays, path], 0, 60).mean())


def _closed_path(cost: np.ndarray) -> np.ndarray:
    """Return the radius index per ray of the cheapest path that changes by at most 2 steps a ray and closes.

    The rays are walked three times round; the middle turn of the best path is closed for all that matters.
    """
    turns = np.concatenate([cost, cost, cost])
    total = turns[0].copy()
    back = np.zeros(turns.shape, np.int64)
    bend = 0.3
    for i in range(1, len(turns)):
        options = np.full((5, total.size), np.inf)
        for k, shift in enumerate((-2, -1, 0, 1, 2)):
            source = slice(max(0, -shift), total.size - max(0, shift))
            target = slice(max(0, shift), total.size - max(0, -shift))
            options[k, target] = total[source] + bend * abs(shift)
        choice = options.argmin(axis=0)
        back[i] = np.arange(total.size) - (choice - 2)
        total = options[choice, np.arange(total.size)] + turns[i]
    path = np.empty(len(turns), np.int64)
    path[-1] = total.argmin()
    for i in range(len(turns) - 1, 0, -1):
        path[i - 1] = back[i, path[i]]
    n = len(cost)
    return path[n : 2 * n]


TRACED_BELOW_MM = 45.0
"""How far below the last round axial slice the aorta is followed, mm: a root is 20 to 30 mm long."""


def trace_aorta(smooth: Grid, chain: Chain) -> Aorta:
    """Return the cross-sections of the aorta that ``chain`` shows, from the outflow tract of the left ventricle upwards.

    ``smooth`` is the volume with noise below 10 HU; the result still reaches below the valve, see :func:`cut_at_valve`.
    """
    points = smooth.points_mm(chain.index)
    blood = ndimage.map_coordinates(smooth.values, chain.index.T, order=1)
    mean = float(np.median(blood))
    sections: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    middle = len(points) // 2
    start, radius = points[middle], float(chain.radius_mm[middle])
    lowest = points[0, 2] - TRACED_BELOW_MM
    for sign, stop_z in ((1, points[-1, 2]), (-1, lowest)):
        sections = sections if sign == 1 else sections[::-1]
        centre, contour = start, np.full(RAYS, radius)
        normal = _fitted_direction(points)
        trail = [centre]
        while sign * (stop_z - centre[2]) > 0:
            hu = rays_hu(smooth, centre, normal)
            contour, edge = wall_contour(hu, mean, contour)
            contour = _smoothed(contour)
            moved = centre + _centroid(contour, normal)
            if edge < 8 or contour.max() >= RADIUS_STEPS_MM[-1] or np.linalg.norm(moved - centre) > 4:
                break
            sections.append((moved, normal, contour_about(contour, centre, moved, normal)))
            trail.append(moved)
            recent = np.array(trail[-12:]) if len(trail) >= 6 else None
            if recent is not None:
                ahead = _fitted_direction(recent)
                normal = 0.8 * normal + 0.2 * ahead
                normal /= np.linalg.norm(normal)
            centre = moved - sign * -1 * STEP_MM * normal
            contour = sections[-1][2]
    sections = [s for i, s in enumerate(sections[::-1]) if i == 0 or np.linalg.norm(s[0] - sections[-i][0]) > 0.2 * STEP_MM]
    return Aorta(
        np.array([s[0] for s in sections]),
        np.array([s[1] for s in sections]),
        np.array([s[2] for s in sections]),
        mean,
        float(blood.std()),
    )


def _fitted_direction(points_mm: np.ndarray) -> np.ndarray:
    """Return the unit vector (3,) along ``points_mm``, towards the head."""
    _, _, axes = np.linalg.svd(points_mm - points_mm.mean(axis=0))
    direction: np.ndarray = axes[0] * np.sign(axes[0, 2])
    return direction


def cut_at_valve(aorta: Aorta) -> Aorta:
    """Return ``aorta`` from the valve upwards: ``VALVE_BELOW_SINUS`` below the widest cross-section of the sinuses."""
    radius = ndimage.gaussian_filter1d(aorta.mean_radius_mm, 1.5, mode="nearest")
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(aorta.centres_mm, axis=0), axis=1))])
    sinus = widest_sinus(radius, along)
    valve = int(np.searchsorted(along, along[sinus] - VALVE_BELOW_SINUS * radius[sinus]))
    return Aorta(aorta.centres_mm[valve:], aorta.normals[valve:], aorta.radii_mm[valve:], aorta.mean_hu, aorta.sd_hu)


VALVE_BELOW_SINUS = 0.73
"""Distance from the widest sinus down to the valve's ring, in radii of the sinus (1).

Sinuses of 32 mm width are 22 mm tall from ring to junction, widest in their middle (Berdajs et al.,
Eur J Cardiothorac Surg 22:923 (2002)); 11.0 mm for a radius of 15.4 mm in the CT of the shared data.
"""


def widest_sinus(radius_mm: np.ndarray, along_mm: np.ndarray) -> int:
    """Return the index of the widest cross-section of the sinuses, from mean radii (N,) from below upwards.

    Walking down, the trace leaves the outflow tract for the ventricle where it becomes 1.4 times as wide as it was at
    its narrowest.  From that narrowest place up, the sinuses are the first widening that ends.
    """
    least = np.minimum.accumulate(radius_mm[::-1])[::-1]
    wide = np.flatnonzero(radius_mm > 1.4 * least)
    lowest = int(wide.max()) if wide.size else 0
    above = along_mm <= along_mm[lowest] + 45.0
    neck = lowest + int(np.argmin(radius_mm[lowest : int(above.sum())]))
    best = neck
    for i in range(neck, len(radius_mm)):
        if radius_mm[i] > 1.005 * radius_mm[best]:
            best = i
        elif radius_mm[i] < 0.98 * radius_mm[best] or (along_mm[i] - along_mm[best] > 10 and along_mm[i] - along_mm[neck] > 15):
            break
    return best


def aorta_mask(aorta: Aorta, grid: Grid, margin_mm: float = 0.0) -> np.ndarray:
    """Return the voxels of ``grid`` (Z, Y, X) inside the cross-sections of ``aorta``, widened by ``margin_mm``.

    The lowest and the uppermost cross-section end it flat.
    """
    from scipy.spatial import cKDTree

    reach = float(aorta.radii_mm.max()) + margin_mm + 1
    corners = grid.index(np.vstack([aorta.centres_mm - reach, aorta.centres_mm + reach]))
    start = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, grid.values.shape)
    stop = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, 0, grid.values.shape)
    mask = np.zeros(grid.values.shape, bool)
    index = np.stack(np.meshgrid(*[np.arange(a, b) for a, b in zip(start, stop, strict=True)], indexing="ij"), -1).reshape(
        -1, 3
    )
    points = grid.points_mm(index)
    frames = np.array([across(n) for n in aorta.normals])
    inside = np.zeros(len(points), bool)
    # tilted planes cross: the plane through a voxel is among those of the nearest centres, seldom that of the very nearest
    _, nearest = cKDTree(aorta.centres_mm).query(points, k=min(12, len(aorta.centres_mm)), distance_upper_bound=reach + 6)
    for k in range(nearest.shape[1]):
        known = (nearest[:, k] < len(aorta.centres_mm)) & ~inside
        section = nearest[known, k]
        shift = points[known] - aorta.centres_mm[section]
        x, y = np.einsum("ij,ij->i", shift, frames[section, 0]), np.einsum("ij,ij->i", shift, frames[section, 1])
        height = np.einsum("ij,ij->i", shift, aorta.normals[section])
        turn = (np.arctan2(y, x) % (2 * np.pi)) * RAYS / (2 * np.pi)
        low = np.floor(turn).astype(int)
        part = turn - low
        wall = (1 - part) * aorta.radii_mm[section, low % RAYS] + part * aorta.radii_mm[section, (low + 1) % RAYS]
        inside[known] = (np.hypot(x, y) <= wall + margin_mm) & (np.abs(height) <= 0.75 * STEP_MM)
    mask[tuple(index[inside].T)] = True
    return mask


def _smoothed(contour: np.ndarray) -> np.ndarray:
    smooth: np.ndarray = ndimage.gaussian_filter1d(contour, 1.0, mode="wrap")
    return smooth


def _centroid(contour: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Return the shift (3,) mm from the rays' origin to the centroid of the area within ``contour``."""
    left, back = across(normal)
    angle = np.arange(RAYS) * 2 * np.pi / RAYS
    weight = contour**3 / 3 / (contour**2 / 2).sum()
    return float((weight * np.cos(angle)).sum()) * left + float((weight * np.sin(angle)).sum()) * back


def contour_about(contour: np.ndarray, centre: np.ndarray, moved: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Return ``contour`` (RAYS,) mm, given about ``centre``, as radii about the point ``moved`` of the same plane."""
    left, back = across(normal)
    angle = np.arange(RAYS) * 2 * np.pi / RAYS
    shift = moved - centre
    x = contour * np.cos(angle) - float(shift @ left)
    y = contour * np.sin(angle) - float(shift @ back)
    turn = np.arctan2(y, x) % (2 * np.pi)
    order = np.argsort(turn)
    return np.interp(angle, turn[order], np.hypot(x, y)[order], period=2 * np.pi)
