"""Boundary conditions: aortic pressure, resting flow, its split over the outlets, and the hyperaemic resistances.

Nothing here is measured inside the patient's coronaries.  Pressure comes from a cuff where one was read; flow from the
mass of the left ventricle; its split from the healthy calibres; the response to adenosine from other people.  So every
value says whether it was assumed, and from which source.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.coronary.haemodynamics import blood
from algorithms.coronary.haemodynamics.branching import Outlet, flow_fractions
from algorithms.coronary.haemodynamics.network import Network, edge_losses_mmhg, losses, network
from algorithms.coronary.tree import Tree, read_tree

log = logging.getLogger(__name__)

LEAST_SYSTOLIC_MMHG = 60.0
"""A systolic pressure below this is a mistyped value, not a patient sent to CT."""


HEART_RATE_RANGE_PER_MIN = (25.0, 220.0)
"""A heart rate outside these is a mistyped value or a broken header, not a person in a scanner (own bounds)."""


@dataclass(frozen=True)
class Quantity:
    """One value with its unit, whether it was assumed, and where it comes from."""

    value: float
    unit: str
    assumed: bool
    source: str


@dataclass(frozen=True, eq=False)
class Boundary:
    """Values by name, and one entry of each (M,) array for every outlet, in the order of ``branching.outlets``."""

    values: Mapping[str, Quantity]
    places: tuple[Outlet, ...]
    flow_fraction: np.ndarray
    resting_flow_ml_s: np.ndarray
    resistance_rest_mmhg_s_ml: np.ndarray
    resistance_hyperaemic_mmhg_s_ml: np.ndarray

    def __getitem__(self, name: str) -> float:
        """Return the value called ``name``."""
        return float(self.values[name].value)


def mean_aortic_pressure_mmhg(systolic_mmhg: float, diastolic_mmhg: float) -> float:
    """Return the mean pressure: 40 % of the pulse pressure above the diastolic one (Bos et al. 2007)."""
    return diastolic_mmhg + blood.MEAN_PRESSURE_FRACTION * (systolic_mmhg - diastolic_mmhg)


def resting_flow_ml_s(lv_mass_g: float) -> float:
    """Return the resting flow of both coronaries: 3.16 M^0.75 ml/min, 1 ml/min/g at 100 g.

    The right ventricle's own share is not added; its branches take theirs from this total.

    References
    ----------
    Choy and Kassab, *Scaling of myocardial mass to flow and morphometry of coronary arteries*, J Appl Physiol 104:1281 (2008).
    """
    relative_mass = lv_mass_g / blood.REFERENCE_LV_MASS_G
    per_minute = blood.RESTING_FLOW_ML_MIN_G * blood.REFERENCE_LV_MASS_G * math.pow(relative_mass, blood.MASS_EXPONENT)
    return per_minute / 60


def resting_resistance_mmhg_s_ml(
    tree: Tree, net: Network, *, flow_ml_s: np.ndarray, aortic_mmhg: float | np.ndarray, values: Mapping[str, float]
) -> np.ndarray:
    """Return the microvascular resistance behind each outlet, (..., M), that lets ``flow_ml_s`` (..., M) pass at rest.

    The healthy vessel (reference radii) stands before it.  Autoregulation opens the microvasculature behind a stenosis,
    which keeps resting flow up; but how far it opens at hyperaemia is given by its anatomy.  Calibrating with the
    diseased vessel would count the stenosis twice.  ``values`` holds the venous pressure and blood's properties.

    Raises
    ------
    DataError
        If that flow would use up the aortic pressure before the microvasculature even of the healthy tree.
    """
    healthy = tuple(b.reference_radius_mm for b in tree.branches)
    linear, quadratic = losses(tree, healthy, values["viscosity_pa_s"], values["density_kg_m3"]).per_edge(net)
    lost = edge_losses_mmhg(linear, quadratic, flow_ml_s @ net.below.T) @ net.below
    left = np.asarray(aortic_mmhg)[..., None] - values["venous_pressure_mmhg"] - lost
    if not (left > 0).all():
        raise DataError(
            f"resting flow would lose {float(np.max(lost)):.0f} mmHg in the undiseased vessels, wanted less than the aortic "
            "pressure; the reference radii are too small or the flow too large: review the tree and the LV mass"
        )
    resistance: np.ndarray = left / flow_ml_s
    return resistance


def boundary(tree: Tree, values: Mapping[str, Quantity]) -> Boundary:
    """Return the boundary conditions of ``tree`` for the given ``values`` (as made by :func:`quantities`)."""
    net = network(tree)
    fraction = flow_fractions(tree, values["flow_split_exponent"].value)
    flow = fraction * values["resting_flow_ml_s"].value
    numbers = {name: quantity.value for name, quantity in values.items()}
    rest = resting_resistance_mmhg_s_ml(tree, net, flow_ml_s=flow, aortic_mmhg=numbers["aortic_pressure_mmhg"], values=numbers)
    hyperaemic = rest * values["hyperaemic_resistance_factor"].value
    return Boundary(values, net.places, fraction, flow, rest, hyperaemic)


def pressure(systolic_mmhg: float, diastolic_mmhg: float) -> Quantity:
    """Return the mean aortic pressure from a cuff reading, or the assumed one where both readings are 0 (not measured).

    Raises
    ------
    DataError
        If only one was given, or they cannot belong to one reading.
    """
    if systolic_mmhg == 0 and diastolic_mmhg == 0:
        mean = mean_aortic_pressure_mmhg(blood.ASSUMED_SYSTOLIC_MMHG, blood.ASSUMED_DIASTOLIC_MMHG)
        source = "no blood pressure given: the mean of patients with chest pain, Cox et al., J Clin Invest 84:592 (1989)"
        return Quantity(mean, "mmHg", True, source)
    if systolic_mmhg < LEAST_SYSTOLIC_MMHG or not 0 < diastolic_mmhg < systolic_mmhg:
        raise DataError(
            "systolic_mmhg and diastolic_mmhg are not one blood pressure reading; wanted "
            f"{LEAST_SYSTOLIC_MMHG:.0f} mmHg or more over less than that, or 0 for both if it was not measured"
        )
    source = "cuff: diastolic plus 0.4 of the pulse pressure, Bos et al., J Hypertens 25:751 (2007)"
    return Quantity(mean_aortic_pressure_mmhg(systolic_mmhg, diastolic_mmhg), "mmHg", False, source)


def lv_mass(measured_g: float | None, override_g: float, facts: Mapping[str, Any]) -> Quantity:
    """Return the LV mass: the one given (``override_g`` > 0), the segmented one, or one from sex and body size.

    ``facts`` are the de-identified facts of the study; ``PatientSex``, ``PatientSize`` (m) and ``PatientWeight`` (kg)
    are used where they are there.
    """
    if override_g > 0:
        return Quantity(override_g, "g", False, "given with the case")
    low, high = blood.LV_MASS_RANGE_G
    if measured_g is not None and low <= measured_g <= high:
        return Quantity(float(measured_g), "g", False, "myocardium segmented on this CT")
    found = "not measured" if measured_g is None else f"segmented mass outside {low:.0f}-{high:.0f} g and not believed"
    by_sex = blood.LV_MASS_INDEX_G_M2
    index = by_sex.get(str(facts.get("PatientSex", "")), sum(by_sex.values()) / len(by_sex))
    height_m, weight_kg = _number(facts.get("PatientSize")), _number(facts.get("PatientWeight"))
    known = 1.2 <= height_m <= 2.3 and 30 <= weight_kg <= 250
    surface_m2 = math.sqrt(height_m * 100 * weight_kg / 3600) if known else blood.BODY_SURFACE_M2
    size = "height and weight (Mosteller, N Engl J Med 317:1098 (1987))" if known else "a mean body surface of 1.75 m2"
    sex = "sex" if facts.get("PatientSex") in by_sex else "unknown sex"
    source = f"{found}: from {sex} and {size}, with the CT mass index of Budoff et al., Acad Radiol 16:726 (2009)"
    return Quantity(index * surface_m2, "g", True, source)


def heart_rate(given_per_min: float, facts: Mapping[str, Any]) -> Quantity:
    """Return the heart rate: the one given (above 0), the scanner's, or the assumed one.

    Raises
    ------
    DataError
        If the one given is no living heart's.
    """
    low, high = HEART_RATE_RANGE_PER_MIN
    if 0 < given_per_min < low:
        raise DataError(f"heart_rate_per_min is no heart rate; wanted {low:.0f} to {high:.0f} per minute, or 0 if not measured")
    if given_per_min > 0:
        return Quantity(given_per_min, "/min", False, "given with the case")
    scanner = _number(facts.get("HeartRate"))
    if low <= scanner <= high:
        return Quantity(scanner, "/min", False, "the scanner's header (HeartRate) during this CT")
    source = "no heart rate known: the mean at rest of patients before coronary CT, ctisus.com/learning/journalclub/231294"
    return Quantity(blood.ASSUMED_HEART_RATE_PER_MIN, "/min", True, source)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def quantities(aortic: Quantity, mass: Quantity, constants: Mapping[str, float]) -> dict[str, Quantity]:
    """Return every value of the boundary conditions by name; ``constants`` are those in ``CONSTANTS``."""
    flow = Quantity(resting_flow_ml_s(mass.value), "ml/s", True, RESTING_FLOW_SOURCE)
    found = {"aortic_pressure_mmhg": aortic, "lv_mass_g": mass, "resting_flow_ml_s": flow}
    return found | {name: Quantity(constants[name], unit, True, source) for name, (unit, source) in CONSTANTS.items()}


RESTING_FLOW_SOURCE = (
    "3.16 M^0.75 ml/min from the LV mass M in g: exponent of Choy and Kassab, J Appl Physiol 104:1281 (2008), "
    "through 1 ml/min/g at 100 g (Seiler, Swiss Med Wkly 145:w14143 (2015))"
)

CONSTANTS = {
    "venous_pressure_mmhg": ("mmHg", "Poullis, Heart 82:644 (1999)"),
    "hyperaemic_resistance_factor": ("1", "Wilson et al., Circulation 82:1595 (1990)"),
    "flow_split_exponent": ("1", "Huo and Kassab, Biophys J 96:347 (2009); van der Giessen et al., J Biomech 44:1089 (2011)"),
    "viscosity_pa_s": ("Pa s", "Hund et al., Fluids 2:10 (2017)"),
    "density_kg_m3": ("kg/m3", "Cutnell and Johnson, Physics, 4th edition, table 11.1"),
}
"""Unit and source of the values that are parameters of the stage and the same for every patient unless set."""


def write_boundary(given: Boundary, path: Path) -> None:
    """Write ``given`` as JSON; an outlet with a ``station`` stands for branches not seen, one without is a tip.

    What outlets are given is rounded to nine digits: the last bits of a product of matrices depend on the processor's kind.
    """
    outlets = [
        asdict(place) | {name: float(f"{getattr(given, name)[i]:.9g}") for name in _COLUMNS}
        for i, place in enumerate(given.places)
    ]
    document = {"values": {name: asdict(quantity) for name, quantity in given.values.items()}, "outlets": outlets}
    path.write_text(json.dumps(document, indent=1) + "\n")


_COLUMNS = ("flow_fraction", "resting_flow_ml_s", "resistance_rest_mmhg_s_ml", "resistance_hyperaemic_mmhg_s_ml")


def read_boundary(path: Path) -> Boundary:
    """Return the boundary conditions in ``path``."""
    document = json.loads(path.read_text())
    columns = {name: np.array([outlet[name] for outlet in document["outlets"]], dtype=float) for name in _COLUMNS}
    places = tuple(Outlet(outlet["branch"], outlet["point"], outlet["station"]) for outlet in document["outlets"])
    return Boundary({name: Quantity(**entry) for name, entry in document["values"].items()}, places, **columns)


def run(
    inputs: Mapping[str, Path],
    out: Path,
    *,
    systolic_mmhg: float,
    diastolic_mmhg: float,
    lv_mass_g: float,
    heart_rate_per_min: float,
    viscosity_pa_s: float,
    density_kg_m3: float,
    venous_pressure_mmhg: float,
    hyperaemic_resistance_factor: float,
    flow_split_exponent: float,
) -> dict[str, float | int | str]:
    """Read ``tree``, ``anatomy`` and ``quality``, write ``boundary.json``, return the totals."""
    tree = read_tree(inputs["tree"])
    measured_g = json.loads(inputs["anatomy"].read_text()).get("lv_mass_g")
    facts = json.loads(inputs["quality"].read_text()).get("facts", {})
    constants = {
        "venous_pressure_mmhg": venous_pressure_mmhg,
        "hyperaemic_resistance_factor": hyperaemic_resistance_factor,
        "flow_split_exponent": flow_split_exponent,
        "viscosity_pa_s": viscosity_pa_s,
        "density_kg_m3": density_kg_m3,
    }
    aortic = pressure(systolic_mmhg, diastolic_mmhg)
    values = quantities(aortic, lv_mass(measured_g, lv_mass_g, facts), constants)
    result = boundary(tree, values | {"heart_rate_per_min": heart_rate(heart_rate_per_min, facts)})
    write_boundary(result, out / "boundary.json")
    log.info("%d outlets, %.2f ml/s at rest, %.0f mmHg", len(result.flow_fraction), result["resting_flow_ml_s"], aortic.value)
    return {
        "aortic_pressure_mmhg": round(result["aortic_pressure_mmhg"], 2),
        "resting_flow_ml_s": round(result["resting_flow_ml_s"], 4),
        "lv_mass_g": round(result["lv_mass_g"], 2),
        "outlets": len(result.flow_fraction),
        "pressure_assumed": int(aortic.assumed),
        "heart_rate_assumed": int(result.values["heart_rate_per_min"].assumed),
        "lv_mass_assumed": int(result.values["lv_mass_g"].assumed),
    }
