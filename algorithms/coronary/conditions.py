"""What an engineer gives at the openings of a lumen: ``boundary.json`` of a flow run on its own, all in SI units.

::

    {"inlets":  {"inlet": {"pressure_pa": 12000}},
     "outlets": {"LAD": {"resistance_pa_s_m3": 1.1e10}, "D1": {"resistance_pa_s_m3": 4e10}},
     "distal_pressure_pa": 667,
     "fluid": {"density_kg_m3": 1060, "viscosity_pa_s": 0.0035}}

An inlet has ``pressure_pa`` or ``flow_m3_s``.  An outlet has one of ``resistance_pa_s_m3`` (to ``distal_pressure_pa``),
``pressure_pa`` and ``flow_fraction`` (of all that comes in).  Where all outlets have fractions the inlet has both flow and
pressure, for nothing else says how high the pressure is.  What may be left out is in ``ASSUMED``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

from algorithms.contract.errors import DataError
from algorithms.coronary.geometry.shape import Opening
from algorithms.coronary.haemodynamics import blood

ASSUMED = {
    "distal_pressure_pa": blood.VENOUS_PRESSURE_MMHG * blood.PA_PER_MMHG,
    "density_kg_m3": blood.DENSITY_KG_M3,
    "viscosity_pa_s": blood.VISCOSITY_PA_S,
}
"""Values that stand in for those that the file leaves out; their sources are in ``haemodynamics.blood``."""


@dataclass(frozen=True)
class Bounds:
    """What a value of the file may be, and what is most likely wrong with one that is not."""

    low: float
    high: float
    unit: str
    remedy: str


MMHG = "multiply a value in mmHg by 133.322"

BOUNDS = {
    "inlet pressure_pa": Bounds(2000, 40000, "Pa", MMHG),
    "outlet pressure_pa": Bounds(0, 40000, "Pa", MMHG),
    "distal_pressure_pa": Bounds(0, 5000, "Pa", MMHG),
    "flow_m3_s": Bounds(1e-9, 2e-4, "m3/s", "multiply a value in ml/s by 1e-6, one in ml/min by 1.667e-8"),
    "resistance_pa_s_m3": Bounds(1e6, 1e14, "Pa s/m3", "multiply a value in mmHg s/ml by 1.33322e8"),
    "flow_fraction": Bounds(1e-4, 1, "1", "give the part of all flow that leaves here"),
    "density_kg_m3": Bounds(900, 1300, "kg/m3", "multiply a value in g/ml by 1000"),
    "viscosity_pa_s": Bounds(5e-4, 0.05, "Pa s", "multiply a value in mPa s or cP by 0.001"),
}
"""From 15 mmHg, which no circulation survives, to 300; flow from a thin branch to the aorta; water to thick model fluids."""

FRACTION_TOLERANCE = 1e-3
"""Flow fractions that add up to 1 within this are rounded, not wrong."""


def _number(name: str) -> dict[str, Any]:
    return {"type": "number", "minimum": BOUNDS[name].low, "maximum": BOUNDS[name].high}


def _openings(where: str, names: tuple[str, ...], most: int) -> dict[str, Any]:
    properties = {name: _number(f"{where} {name}" if name == "pressure_pa" else name) for name in names}
    one = {
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": most,
        "properties": properties,
    }
    return {"type": "object", "minProperties": 1, "additionalProperties": one}


SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["inlets", "outlets"],
    "additionalProperties": False,
    "properties": {
        "inlets": _openings("inlet", ("pressure_pa", "flow_m3_s"), 2),
        "outlets": _openings("outlet", ("resistance_pa_s_m3", "pressure_pa", "flow_fraction"), 1),
        "distal_pressure_pa": _number("distal_pressure_pa"),
        "fluid": {
            "type": "object",
            "additionalProperties": False,
            "properties": {name: _number(name) for name in ("density_kg_m3", "viscosity_pa_s")},
        },
    },
}


@dataclass(frozen=True)
class Condition:
    """What is known at one opening: pressure, flow, the resistance behind it, or its fraction of all flow."""

    pressure_pa: float | None = None
    flow_m3_s: float | None = None
    resistance_pa_s_m3: float | None = None
    flow_fraction: float | None = None


@dataclass(frozen=True)
class Conditions:
    """What is known at the openings, by their names, and of the fluid; ``assumed`` names what the file left out."""

    inlets: Mapping[str, Condition]
    outlets: Mapping[str, Condition]
    distal_pressure_pa: float
    density_kg_m3: float
    viscosity_pa_s: float
    assumed: tuple[str, ...]


def read_conditions(path: Path) -> Conditions:
    """Return the conditions in ``path``.

    Raises
    ------
    DataError
        If it is no JSON, or :func:`conditions_of` refuses it.
    """
    try:
        document = json.loads(path.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path.name} is no JSON: {error}; correct it there") from None
    return conditions_of(document)


def conditions_of(document: Mapping[str, Any]) -> Conditions:
    """Return the conditions of a document.

    Raises
    ------
    DataError
        If a field is missing, unknown or not physical, or what is given does not determine the flow.
    """
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(SCHEMA).iter_errors(document))
    if error is not None:
        raise DataError(_told(error))
    given = {"distal_pressure_pa": document.get("distal_pressure_pa")} | dict.fromkeys(list(ASSUMED)[1:])
    given |= document.get("fluid", {})
    values = {name: float(ASSUMED[name] if value is None else value) for name, value in given.items()}
    found = Conditions(
        {name: Condition(**entry) for name, entry in document["inlets"].items()},
        {name: Condition(**entry) for name, entry in document["outlets"].items()},
        assumed=tuple(name for name, value in given.items() if value is None),
        **values,
    )
    _require_determined(found)
    _require_downhill(found)
    return found


def _told(error: jsonschema.ValidationError) -> str:
    """Return the sentence for an error of the schema: the field, what was found, what was wanted, what to do."""
    field = error.json_path.removeprefix("$").lstrip(".") or "the file"
    last = str(error.absolute_path[-1]) if error.absolute_path else ""
    name = f"{str(error.absolute_path[0])[:-1]} {last}" if last == "pressure_pa" else last
    if name in BOUNDS:
        bounds = BOUNDS[name]
        found = f"{error.instance:g} {bounds.unit}" if isinstance(error.instance, int | float) else repr(error.instance)
        return (
            f"boundary.json: {field} is {found}, wanted a number from {bounds.low:g} to {bounds.high:g} {bounds.unit}; "
            f"{bounds.remedy}"
        )
    return f"boundary.json: {field}: {error.message[:200]}"


def _require_determined(found: Conditions) -> None:
    fractions = [c.flow_fraction for c in found.outlets.values() if c.flow_fraction is not None]
    if fractions and len(fractions) < len(found.outlets):
        raise DataError(
            f"boundary.json: {len(fractions)} of {len(found.outlets)} outlets have a flow_fraction, wanted all or none of them"
        )
    if fractions and abs(sum(fractions) - 1) > FRACTION_TOLERANCE:
        raise DataError(f"boundary.json: the outlets' flow_fraction add up to {sum(fractions):.4g}, wanted 1")
    for name, inlet in found.inlets.items():
        both = inlet.flow_m3_s is not None and inlet.pressure_pa is not None
        if fractions and not both:
            raise DataError(
                f"boundary.json: inlets.{name} lacks {'pressure_pa' if inlet.pressure_pa is None else 'flow_m3_s'}; where all "
                "outlets have fractions, the inlet's flow says how much comes in and its pressure how high it starts"
            )
        if both and not fractions:
            raise DataError(
                f"boundary.json: inlets.{name} has both pressure_pa and flow_m3_s, and the outlets' conditions determine one "
                "from the other; give one of them"
            )


def _require_downhill(found: Conditions) -> None:
    known = {name: c.pressure_pa for name, c in found.inlets.items() if c.pressure_pa is not None}
    if not known:
        return
    lowest = min(known, key=lambda name: known[name])
    behind = {f"outlets.{name}.pressure_pa": c.pressure_pa for name, c in found.outlets.items() if c.pressure_pa is not None}
    if any(c.resistance_pa_s_m3 is not None for c in found.outlets.values()):
        behind["distal_pressure_pa"] = found.distal_pressure_pa
    for field, pressure in behind.items():
        if pressure >= known[lowest]:
            raise DataError(
                f"boundary.json: {field} is {pressure:g} Pa, wanted less than the {known[lowest]:g} Pa of inlets.{lowest}; "
                "blood would flow backwards"
            )


def require_openings(found: Conditions, openings: Iterable[Opening]) -> None:
    """Refuse conditions that are not those of the openings of a lumen, by their names.

    Raises
    ------
    DataError
        With the openings that there are.
    """
    for field, given, wanted in (
        ("inlets", found.inlets, [o.name for o in openings if o.inlet]),
        ("outlets", found.outlets, [o.name for o in openings if not o.inlet]),
    ):
        strange, missing = sorted(set(given) - set(wanted)), sorted(set(wanted) - set(given))
        if strange or missing:
            named = f"names {', '.join(strange)}" if strange else f"lacks {', '.join(missing)}"
            raise DataError(f"boundary.json: {field} {named}; the geometry's {field} are {', '.join(wanted)}")
