"""What a solution of OpenFOAM says along a tree: one that is known in closed form, so that OpenFOAM is not needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.contract.errors import DataError
from algorithms.coronary.conditions import conditions_of
from algorithms.coronary.geometry.swept import swept_lumen
from algorithms.coronary.openfoam.solve import FoamSolution
from algorithms.coronary.solved.by_openfoam import openfoam_answer
from algorithms.coronary.solved.document import document, verdict
from algorithms.coronary.solved.reduced import reduced_answer
from algorithms.coronary.tree import Tree
from tests.algorithms.coronary.solved.flow_file import require_valid
from tests.algorithms.coronary.tubes import tube

RADIUS_MM, LENGTH_MM, SIDE_MM = 1.5, 12.0, 0.15
FLOW, INLET_PA = 1e-6, 12000.0
GIVEN = conditions_of(
    {"inlets": {"inlet": {"flow_m3_s": FLOW, "pressure_pa": INLET_PA}}, "outlets": {"LAD": {"flow_fraction": 1}}}
)
SLOPE_PA_MM = 8 * GIVEN.viscosity_pa_s * FLOW / (np.pi * (RADIUS_MM * 1e-3) ** 4) * 1e-3
TREE = Tree((tube("LAD", LENGTH_MM, RADIUS_MM),))
LUMEN = swept_lumen(TREE)


def poiseuille():
    """Return Poiseuille's flow in a grid that is fitted to the tube: parts of rings, with the exact means of each.

    The cells are smaller in the middle than at the wall, as those of a grid that is moved onto a wall are not alike.
    """
    edges = np.linspace(0, RADIUS_MM, 11)
    angle = 2 * np.pi * (np.arange(16) + 0.5) / 16
    height = SIDE_MM * (np.arange(round(LENGTH_MM / SIDE_MM)) + 0.5)
    inner, outer = edges[:-1], edges[1:]
    middle = 2 / 3 * (outer**3 - inner**3) / (outer**2 - inner**2) * np.sinc(1 / 16)
    mean = FLOW / (np.pi * (RADIUS_MM * 1e-3) ** 2)
    speed = 2 * mean * (1 - (inner**2 + outer**2) / (2 * RADIUS_MM**2))
    z, ring, turn = (a.ravel() for a in np.meshgrid(height, np.arange(10), angle, indexing="ij"))
    ring = ring.astype(int)
    return FoamSolution(
        points_mm=np.stack([middle[ring] * np.cos(turn), middle[ring] * np.sin(turn), z], axis=1),
        volume_mm3=np.pi * (outer**2 - inner**2)[ring] / 16 * SIDE_MM,
        side_mm=SIDE_MM,
        velocity_m_s=speed[ring, None] * np.array([0.0, 0.0, 1.0]),
        pressure_pa=INLET_PA - SLOPE_PA_MM * z,
        openings=LUMEN.openings,
        flow_m3_s=np.array([-FLOW if opening.inlet else FLOW for opening in LUMEN.openings]),
        opening_pa=np.array([INLET_PA - (0 if o.inlet else SLOPE_PA_MM * LENGTH_MM) for o in LUMEN.openings]),
        iterations=321,
        residual=9e-7,
        cpu_seconds=1.0,
    )


def answer_of(found):
    """Return the answer for a solution in the tube."""
    return openfoam_answer(found, LUMEN, reduced_answer(TREE, LUMEN.openings, GIVEN), GIVEN)


def test_a_tube_has_poiseuilles_means_losses_and_ffr():
    """Cells of unlike volumes: flow and pressure to rounding, for in whole layers their volumes are exact."""
    answer = answer_of(poiseuille())
    said = document(answer, GIVEN, {"openfoam": "openfoam"})
    (line,) = said["branches"]
    along = np.array(line["distance_mm"])

    require_valid(said)
    assert said["model"] == "openfoam"
    assert said["verdict"] == {"kind": "answered", "ffr": "given", "reasons": []}
    assert said["grids"] == [{"cell_mm": SIDE_MM, "cells": 12800, "iterations": 321}]
    assert all(line["measured"][1:-1])
    assert not any(line["measured"][i] for i in (0, -1))  # an opening cuts these sections in half
    assert np.array(line["flow_m3_s"]) == pytest.approx(FLOW, rel=1e-6)
    assert np.array(line["pressure_pa"]) == pytest.approx(INLET_PA - SLOPE_PA_MM * along, abs=1e-2)
    # Ten rings know the cube of a parabola, which is what flow carries of kinetic energy, to a hundredth.
    assert np.array(line["total_loss_pa"]) == pytest.approx(SLOPE_PA_MM * along, abs=0.02 * SLOPE_PA_MM * LENGTH_MM)
    assert said["openings"][1]["pressure_pa"] == pytest.approx(INLET_PA - SLOPE_PA_MM * LENGTH_MM, abs=5e-3)  # seven digits
    assert said["openings"][1]["ffr"] == pytest.approx(1 - SLOPE_PA_MM * LENGTH_MM / INLET_PA, abs=1e-6)


def test_only_what_openfoam_can_tell_is_checked():
    """Six checks with their values; one grid has no convergence index, and an incompressible flow no Mach number."""
    found = {check.name: check for check in answer_of(poiseuille()).checks}
    reynolds = 4 * FLOW * GIVEN.density_kg_m3 / (np.pi * 2 * RADIUS_MM * 1e-3 * GIVEN.viscosity_pa_s)

    assert list(found) == [
        "mass balance", "flow between sections", "residual", "cells across the throat", "reynolds number", "reduced model",
    ]  # fmt: skip
    assert found["mass balance"].value == 0
    assert found["flow between sections"].value < 1e-6
    assert found["residual"].value == 9e-7
    assert found["cells across the throat"].value == 20
    assert found["reynolds number"].value == pytest.approx(reynolds, rel=1e-3)
    assert found["reduced model"].value < 1e-3  # the same friction, set against a fifth of the inlet's pressure


def faster(found):
    """Let the second half of the tube carry 2 % more than the first."""
    return replace(found, velocity_m_s=found.velocity_m_s * np.where(found.points_mm[:, 2:] > LENGTH_MM / 2, 1.02, 1.0))


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        pytest.param(faster, "flow between sections is 0.02, wanted <= 0.01", id="sections"),
        pytest.param(
            lambda found: replace(found, residual=2e-5), "residual is 2e-05, wanted <= 1e-05", id="iterations ran out"
        ),
        pytest.param(
            lambda found: replace(found, flow_m3_s=found.flow_m3_s * [1, 0.998]), "mass balance is 0.002", id="a leak"
        ),
        pytest.param(
            lambda found: replace(found, side_mm=0.4), "cells across the throat is 7.5, wanted >= 10", id="large cells"
        ),
        pytest.param(
            # 70 times the fall of 21 Pa, up to the last section: 0.58 of a fifth of the inlet's pressure more than friction.
            lambda found: replace(found, pressure_pa=INLET_PA - 70 * (INLET_PA - found.pressure_pa)),
            "reduced model is 0.5",
            id="another loss",
        ),
    ],
)
def test_a_failed_check_withholds_ffr(spoilt, said):
    """Each of them alone."""
    (reason,) = verdict(answer_of(spoilt(poiseuille())), GIVEN)["reasons"]

    assert reason.startswith(said)
    assert verdict(answer_of(spoilt(poiseuille())), GIVEN)["ffr"] == "withheld"


def test_a_tube_without_one_whole_section_is_refused():
    """Cells of 3.1 mm: every section of the 12 mm reaches an opening."""
    with pytest.raises(DataError, match="no section of the 1 branches is clear of divisions and openings"):
        answer_of(replace(poiseuille(), side_mm=3.1))
