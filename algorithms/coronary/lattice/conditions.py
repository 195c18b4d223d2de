"""What an engineer says about an opening, in SI: a flow, a pressure, a resistance, or a share of the flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from algorithms.contract.errors import DataError
from algorithms.coronary.geometry.shape import Opening


@dataclass(frozen=True)
class Flow:
    """A flow in m3/s: into the lumen at the inlet, out of it at an outlet."""

    m3_s: float
    plug: bool = False
    """At the inlet: the same velocity everywhere in place of a developed profile."""


@dataclass(frozen=True)
class Pressure:
    """A pressure in Pa."""

    pa: float


@dataclass(frozen=True)
class Resistance:
    """A resistance in Pa s/m3 between an outlet and a pressure in Pa behind it."""

    pa_s_m3: float
    behind_pa: float = 0.0


@dataclass(frozen=True)
class Share:
    """A fraction of all that flows out; the outlet's pressure is what it takes."""

    fraction: float


Condition = Flow | Pressure | Resistance | Share


@dataclass(frozen=True)
class Fluid:
    """Density in kg/m3 and dynamic viscosity in Pa s."""

    density_kg_m3: float
    viscosity_pa_s: float

    @property
    def kinematic_m2_s(self) -> float:
        """Viscosity over density."""
        return self.viscosity_pa_s / self.density_kg_m3


def ordered(openings: tuple[Opening, ...], given: Mapping[str, Condition]) -> tuple[Condition, ...]:
    """Return the condition of each opening.

    Raises
    ------
    DataError
        If an opening has none, or none is given for it, or together they have no answer.
    """
    names = [opening.name for opening in openings]
    if sorted(names) != sorted(given):
        raise DataError(f"conditions are given for {sorted(given)} but the openings are {sorted(names)}; give one for each")
    found = tuple(given[name] for name in names)
    for opening, condition in zip(openings, found, strict=True):
        _check(opening, condition)
    if not any(isinstance(condition, Pressure | Resistance) for condition in found):
        raise DataError("no opening holds the pressure; give at least one of them a pressure or a resistance")
    shares = sum(condition.fraction for condition in found if isinstance(condition, Share))
    if shares >= 1:
        raise DataError(f"the shares of the flow add up to {shares:g}; give one outlet a pressure or a resistance for the rest")
    return found


def _check(opening: Opening, condition: Condition) -> None:
    if opening.inlet and not isinstance(condition, Flow | Pressure):
        raise DataError(f"the inlet {opening.name} has a {type(condition).__name__.lower()}; give it a flow or a pressure")
    if isinstance(condition, Flow) and condition.m3_s <= 0:
        raise DataError(f"the flow of {opening.name} is {condition.m3_s:g} m3/s; it must be above 0")
    if isinstance(condition, Resistance) and condition.pa_s_m3 < 0:
        raise DataError(f"the resistance of {opening.name} is {condition.pa_s_m3:g} Pa s/m3; it must not be negative")
    if isinstance(condition, Share) and not 0 < condition.fraction < 1:
        raise DataError(f"the share of {opening.name} is {condition.fraction:g}; it must lie between 0 and 1")
