"""How uncertain FFR is: the tree solved again with everything that is not known moved within its spread.

Monte Carlo with a seeded generator.  Moved are the lumen radius (each point by its own standard deviation, alike along
10 mm of vessel, and all points together by a segmentation bias), resting flow and the hyperaemic response (correlated),
the flow split, aortic pressure, and the loss model itself.  What is not moved: the tree's topology, steady flow, rigid
walls.  An interval is therefore a lower bound of what is not known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from algorithms.coronary.boundary import Boundary, resting_resistance_mmhg_s_ml
from algorithms.coronary.flow import along_branches, outlet_flows_ml_s
from algorithms.coronary.haemodynamics import blood
from algorithms.coronary.haemodynamics.branching import flow_fractions
from algorithms.coronary.haemodynamics.network import CLOSED_RADIUS_MM, Losses, losses, network
from algorithms.coronary.tree import Tree

CORRELATION_LENGTH_MM = 10.0
"""Radius errors fade over this length: a plaque misjudged is misjudged as a whole (assumed, one lesion's length)."""

LUMEN_VOXELS = 0.5
"""A lumen's diameter is known to this part of a CT voxel, with a probability of 95 %.

Own choice, between what is measured on phantoms (radii within 0.03 mm, docs/coronary.md) and what limits CT: an edge lies
somewhere in the voxel that it crosses.
"""

LOSS_MODEL_SD = 0.05
"""Relative spread of what the tree loses: the model is within -4 to +3 % of the axisymmetric reference (docs/coronary.md)."""

LEAST_RADIUS_FACTOR, MOST_RADIUS_FACTOR = 0.5, 2.0
"""Radii are moved at most by these factors: beyond them it would be another vessel."""


@dataclass(frozen=True)
class Source:
    """One thing that is not known: its standard deviation with unit, and where that comes from."""

    name: str
    sd: float
    unit: str
    source: str

    def as_json(self) -> dict[str, Any]:
        """Return the source as ``ffr.json`` holds it."""
        return {"name": self.name, "sd": self.sd, "unit": self.unit, "source": self.source}


def lumen_bias(given_mm: float, spacing_mm: Sequence[float]) -> Source:
    """Return the spread of the radius error that the whole tree has in common.

    ``given_mm`` where it is above 0; otherwise from the CT's voxel: :data:`LUMEN_VOXELS` of it in diameter are the half
    width of a 95 % interval, so an eighth of a voxel is one standard deviation of the radius.  ``spacing_mm`` are the
    voxel's three sides, whose geometric mean is taken.
    """
    if given_mm > 0:
        return Source("radius_bias", given_mm, "mm", "parameter radius_bias_sd_mm, common to the whole tree")
    voxel_mm = float(np.prod(spacing_mm)) ** (1 / 3)
    told = f"lumen diameter known to half a CT voxel of {voxel_mm:.2f} mm (95 %), common to the whole tree"
    return Source("radius_bias", round(LUMEN_VOXELS * voxel_mm / 4, 4), "mm", told)


def sources(given: Boundary, bias: Source) -> tuple[Source, ...]:
    """Return what is moved, and how far, for a case with these boundary conditions and this ``bias`` of the radius."""
    pressure_assumed = given.values["aortic_pressure_mmhg"].assumed
    mass_assumed = given.values["lv_mass_g"].assumed
    pressure_sd = blood.ASSUMED_PRESSURE_SD_MMHG if pressure_assumed else blood.MEASURED_PRESSURE_SD_MMHG
    mass_sd = math.hypot(blood.LV_MASS_INDEX_SD, blood.BODY_SURFACE_SD) if mass_assumed else 0.0
    flow_sd = round(math.hypot(blood.RESTING_FLOW_SD, blood.MASS_EXPONENT * mass_sd), 3)
    sdringola = "Sdringola et al., JACC Cardiovasc Imaging 4:402 (2011)"
    mass = ", and the assumed LV mass: Budoff et al., Acad Radiol 16:726 (2009)" if mass_assumed else ""
    cox, bos = "assumed, Cox et al., J Clin Invest 84:592 (1989)", "cuff, Bos et al., J Hypertens 25:751 (2007)"
    return (
        Source("radius", 1.0, "radius_sd_mm", "per point, from the segmentation (tree.json)"),
        bias,
        Source("resting_flow", flow_sd, "relative", sdringola + mass),
        Source(
            "hyperaemic_resistance",
            blood.HYPERAEMIC_RESISTANCE_SD,
            "relative",
            sdringola + "; correlation 0.4 with resting flow",
        ),
        Source("flow_split_exponent", blood.FLOW_SPLIT_EXPONENT_SD, "1", "Taylor et al., Front Physiol 13:871912 (2022)"),
        Source("aortic_pressure", pressure_sd, "mmHg", cox if pressure_assumed else bos),
        Source("loss_model", LOSS_MODEL_SD, "relative", "against the axisymmetric reference, docs/coronary.md"),
    )


def pressure_samples(
    tree: Tree, given: Boundary, found: tuple[Source, ...], count: int, rng: np.random.Generator
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Return hyperaemic pressure of ``count`` perturbed trees, one (count, N) mmHg array a branch, and their aortic pressures.

    One more tree than asked for is solved, the unperturbed one, for it decides where the throats are.
    """
    sd = {source.name: source.sd for source in found}
    net = network(tree)
    normal = rng.standard_normal((count + 1, len(found)))
    normal[0] = 0.0
    z = {source.name: normal[:, i] for i, source in enumerate(found)}
    rho = blood.REST_RESPONSE_CORRELATION
    response = rho * z["resting_flow"] + math.sqrt(1 - rho**2) * z["hyperaemic_resistance"]
    total = given["resting_flow_ml_s"] * _lognormal(sd["resting_flow"], z["resting_flow"])
    factor = given["hyperaemic_resistance_factor"] * _lognormal(sd["hyperaemic_resistance"], response)
    # A mean pressure of half or less would not be a patient who comes to CT.
    aortic = given["aortic_pressure_mmhg"] * np.maximum(
        1 + sd["aortic_pressure"] / given["aortic_pressure_mmhg"] * z["aortic_pressure"], 0.5
    )
    exponent = np.maximum(given["flow_split_exponent"] + sd["flow_split_exponent"] * z["flow_split_exponent"], 1.0)
    flow = flow_fractions(tree, exponent) * total[:, None]
    values: Mapping[str, float] = {name: quantity.value for name, quantity in given.values.items()}
    rest = resting_resistance_mmhg_s_ml(tree, net, flow_ml_s=flow, aortic_mmhg=aortic, values=values)
    radii = radius_samples(tree, sd["radius_bias"] * z["radius_bias"], rng)
    lost = losses(tree, radii, values["viscosity_pa_s"], values["density_kg_m3"])
    model = _lognormal(sd["loss_model"], z["loss_model"])[:, None]
    lost = Losses(tuple(v * model for v in lost.viscous), tuple(e * model for e in lost.expansion))
    linear, quadratic = lost.per_edge(net)
    drive = (aortic - values["venous_pressure_mmhg"])[:, None]
    q, _, _ = outlet_flows_ml_s(net, linear, quadratic, rest * factor[:, None], drive)
    viscous, expansion = along_branches(tree, net, lost, q @ net.below.T)
    pressures = tuple((aortic[:, None] - v - e)[1:] for v, e in zip(viscous, expansion, strict=True))
    return pressures, aortic[1:]


def radius_samples(tree: Tree, bias_mm: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return perturbed radii, one (S, N) mm array a branch; ``bias_mm`` is (S,), and its first sample is not perturbed.

    Along a branch the error is an Ornstein-Uhlenbeck process of unit variance times ``radius_sd_mm``; it acts on the
    radius's logarithm, so that no lumen is turned inside out.
    """
    moved: list[np.ndarray] = []
    for branch in tree.branches:
        fade = np.exp(-np.diff(branch.distance_mm) / CORRELATION_LENGTH_MM)
        noise = rng.standard_normal((len(branch.radius_mm), len(bias_mm)))
        noise[:, 0] = 0.0
        for i, rho in enumerate(fade):
            noise[i + 1] = rho * noise[i] + math.sqrt(1 - rho * rho) * noise[i + 1]
        relative = (noise.T * branch.radius_sd_mm + bias_mm[:, None]) / branch.radius_mm
        factor = np.clip(np.exp(relative), LEAST_RADIUS_FACTOR, MOST_RADIUS_FACTOR)
        moved.append(np.maximum(branch.radius_mm * factor, CLOSED_RADIUS_MM))
    return tuple(moved)


def _lognormal(relative_sd: float, normal: np.ndarray) -> np.ndarray:
    spread: np.ndarray = np.exp(relative_sd * normal)
    return spread
