"""The stage flow with its three models; real lattices are small, and slow where they must be fine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithms.coronary import flow, flow_models
from algorithms.coronary.boundary import write_boundary
from algorithms.coronary.coupled.measured import conditions as lattice_conditions
from algorithms.coronary.coupled.measured import energy_pa
from algorithms.coronary.coupled.whole import parts, tip_resistances_mmhg_s_ml
from algorithms.coronary.geometry.swept import swept_lumen
from algorithms.coronary.haemodynamics.blood import PA_PER_MMHG
from algorithms.coronary.haemodynamics.network import network
from algorithms.coronary.lattice.conditions import Flow, Fluid, Pressure, Share
from algorithms.coronary.lattice.solve import solve
from algorithms.coronary.lattice.state import Lattice
from algorithms.coronary.pipeline import FLOW
from algorithms.coronary.tree import Tree, read_tree, write_tree
from tests.algorithms.coronary.coupled.test_couple import branched, conditions
from tests.algorithms.coronary.tubes import coronary_tree, cosine_stenosis, stenosis, tube

BLOOD = Fluid(1060.0, 0.0035)


def stage(tree: Tree, folder: Path, mass_g: float = 130.0, **settings: Any) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """Run the stage on ``tree``; return flow.json, the measurements and the folder."""
    write_tree(tree, folder / "tree.json")
    write_boundary(conditions(read_tree(folder / "tree.json"), mass_g), folder / "boundary.json")
    out = folder / "out"
    out.mkdir(exist_ok=True)
    inputs = {name: folder / f"{name}.json" for name in FLOW.inputs}
    measured = flow_models.run(inputs, out, **FLOW.settings(settings))  # type: ignore[arg-type]
    return json.loads((out / "flow.json").read_text()), dict(measured), out


def mild(area: float = 0.4) -> Tree:
    """Return 30 mm of a vessel of 3 mm, across the grid, with a mild stenosis: coarse cells suffice."""
    branch = tube("LAD", 30, cosine_stenosis(9, 6, 1.5, area), reference_mm=1.5, direction=(1, 2, 3))
    return Tree((branch,), (stenosis((branch,), 0, 6, 9, 12),))


def test_the_reduced_model_writes_its_lines_and_nothing_in_three_dimensions(tmp_path: Path) -> None:
    """Every model leaves the folder ``fields``, so that what reads it has one way."""
    document, measured, out = stage(coronary_tree(0.8), tmp_path, flow_model="reduced")

    assert document["three_dimensional"]["used"] == "reduced"
    assert document["three_dimensional"]["parts"] == []
    assert sorted(path.name for path in (out / "fields").iterdir()) == ["centreline.vtp", "tree.glb"]
    assert measured["parts_solved_in_3d"] == 0


@pytest.mark.parametrize("model", ["lesion3d", "tree3d"])
def test_without_the_time_the_reduced_answer_stands_and_says_so(tmp_path: Path, model: str) -> None:
    """No minute for 3-D: the same pressures as reduced to the last digit, and the reason with the time it would take."""
    document, _, _ = stage(coronary_tree(0.8), tmp_path, flow_model=model, flow_3d_minutes=0.0)
    (tmp_path / "again").mkdir()
    reduced, _, _ = stage(coronary_tree(0.8), tmp_path / "again", flow_model="reduced")

    three = document["three_dimensional"]
    assert (three["asked"], three["used"]) == (model, "reduced")
    assert {part["state"] for part in three["parts"]} == {"not solved"}
    assert "minutes" in three["parts"][0]["reason"]
    assert document["branches"] == reduced["branches"]


def test_a_tree_without_a_tight_lesion_is_reduced(tmp_path: Path) -> None:
    """20 % of the area is 11 % of the diameter, wanted 40 %."""
    document, _, _ = stage(mild(0.2), tmp_path, flow_model="lesion3d")

    assert document["three_dimensional"]["parts"] == []
    assert "no lesion narrows its vessel by 40 % or more" in document["three_dimensional"]["summary"]


def test_what_cannot_be_meshed_keeps_the_reduced_loss(tmp_path: Path) -> None:
    """Two branches that lie in one another: refused in 3-D with the reason, and no doubt about the reduced answer."""
    lad = tube("LAD", 60, cosine_stenosis(20, 6, 1.5, 0.7), reference_mm=1.5)
    d1 = tube("D1", 30, 1.2, parent=0, parent_point=60, origin_mm=tuple(lad.points_mm[60]), direction=(0.02, 0, 1))
    tree = Tree((lad, d1), (stenosis((lad,), 0, 17, 20, 23),))

    document, measured, _ = stage(tree, tmp_path, 30.0, flow_model="lesion3d", flow_3d_minutes=120.0)

    (part,) = document["three_dimensional"]["parts"]
    assert part["state"] == "not solved"
    assert "D1" in part["reason"]
    assert measured["failed_checks"] == 0


def test_energy_is_lost_as_poiseuille_says() -> None:
    """8 mu L Q / (pi r^4) between the openings of an even tube across the grid: 2.5 % at 12 cells (issue 5)."""
    lumen = swept_lumen(Tree((tube("LAD", 5, 1.5, direction=(1, 2, 3)),)))
    q = 1e-6
    (found,) = solve(lumen, {"inlet": Flow(q), "LAD": Pressure(12000.0)}, BLOOD, (0.25,))

    lost = energy_pa(found, lumen.openings[0]) - energy_pa(found, lumen.openings[1])

    assert lost == pytest.approx(8 * BLOOD.viscosity_pa_s * 5e-3 * q / (np.pi * 1.5e-3**4), rel=0.025)


def test_conditions_are_a_flow_a_pressure_and_shares() -> None:
    """Mass: the shares leave the rest to the vessel's end."""
    from algorithms.coronary.coupled.domain import domains, through

    tree = branched()
    (domain,) = domains(tree, 0.4)
    now = through(tree, domain, flow.solve(tree, conditions(tree, 40.0)))
    given = lattice_conditions(swept_lumen(domain.crop.tree, ends=domain.crop.ends).openings, now)

    assert given["inlet"] == Flow(now.inflow_ml_s * 1e-6)
    assert given["LAD"] == Pressure(now.end_mmhg * PA_PER_MMHG)
    assert given["D1"] == Share(float(now.sides_ml_s[0]) / now.inflow_ml_s)


def test_tips_take_what_leaves_before_them_unseen() -> None:
    """Conductances add up: nothing of the microvasculature is lost, and each ostium keeps its own."""
    tree = coronary_tree(0.8)
    given = conditions(tree)

    tips = tip_resistances_mmhg_s_ml(tree, given)

    places = network(tree).places
    left = {0, 1, 2, 3, 4}
    for own in (left, {5, 6}):
        each = zip(given.resistance_hyperaemic_mmhg_s_ml, places, strict=True)
        wanted = sum(1 / r for r, place in each if place.branch in own)
        assert sum(1 / r for branch, r in tips.items() if branch in own) == pytest.approx(wanted, rel=1e-12)


def test_every_ostium_feeds_a_part_of_its_own() -> None:
    """LM with four branches, and RCA with one."""
    found = parts(coronary_tree())

    assert [part.number for part in found] == [(0, 1, 2, 3, 4), (5, 6)]
    assert [branch.parent for branch in found[1].tree.branches] == [None, 0]


def lesion() -> Tree:
    """Return a short vessel with a lesion of 45 % of the area: at 11 cells across its throat it has 20,000 of them."""
    branch = tube("LAD", 16, cosine_stenosis(6, 6, 1.5, 0.45), reference_mm=1.5, direction=(1, 2, 3))
    return Tree((branch,), (stenosis((branch,), 0, 3, 6, 9),))


LESION = {"flow_model": "lesion3d", "flow_3d_stenosis": 0.2, "flow_3d_minutes": 0.06}


@pytest.mark.slow
def test_a_lesion_is_solved_inside_its_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real lesion: all checks pass, 3-D loses within 12 % of the reduced model (issue 5's bound for that is 6 to 12 %),
    and its files are there.  A run that was killed before it had written them takes no step more, and writes the same.
    """
    document, measured, out = stage(lesion(), tmp_path, 12.0, **LESION)

    (part,) = document["three_dimensional"]["parts"]
    assert part["state"] == "solved", part["reason"]
    assert all(check["passed"] for check in part["checks"])
    assert part["values"]["ratio"] == pytest.approx(1, abs=0.12)
    assert document["three_dimensional"]["summary"].startswith("Solved in three dimensions at LAD L1")
    folder = out / "fields" / part["folder"]
    assert sorted(path.name for path in folder.iterdir()) == ["streamlines.vtp", "volume.vtu", "wall.vtp"]
    assert measured["parts_solved_in_3d"] == 1
    assert ["fields", "flow.json"] == sorted(path.name for path in out.iterdir())

    (tmp_path / "killed").mkdir()
    write = flow_models.write_fields
    monkeypatch.setattr(flow_models, "write_fields", killed)
    with pytest.raises(KeyboardInterrupt):
        stage(lesion(), tmp_path / "killed", 12.0, **LESION)
    monkeypatch.setattr(flow_models, "write_fields", write)
    monkeypatch.setattr(Lattice, "advance", killed)
    again, _, _ = stage(lesion(), tmp_path / "killed", 12.0, **LESION)
    assert document == again


def killed(*_: object) -> None:
    """Do what a key at the keyboard does."""
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_small_tree_is_solved_whole(tmp_path: Path) -> None:
    """A fork without disease: pressures along it are the reduced model's to 1 % of aortic pressure, flows to 3 %."""
    trunk = tube("LM", 8, 1.5, direction=(0, 0, 1))
    end = tuple(trunk.points_mm[-1])
    one = tube("LAD", 10, 1.3, parent=0, parent_point=16, origin_mm=end, direction=(1, 0, 1.5))
    two = tube("LCx", 10, 1.3, parent=0, parent_point=16, origin_mm=end, direction=(-1, 0, 1.5))
    tree = Tree((trunk, one, two))

    document, _, _ = stage(tree, tmp_path, 12.0, flow_model="tree3d", flow_3d_minutes=0.05)

    assert document["three_dimensional"]["used"] == "tree3d", document["three_dimensional"]["parts"]
    reduced = flow.solve(tree, conditions(tree, 12.0))
    for found, its in zip(document["branches"], reduced.pressure_mmhg, strict=True):
        assert np.array(found["pressure_mmhg"]) == pytest.approx(its, abs=1.0)
    out = [outlet["flow_ml_s"] for outlet in document["outlets"]]
    assert out == pytest.approx(list(reduced.outlet_flow_ml_s), rel=0.03)
