"""The command ``python -m algorithms.coronary.flow``: the flow in a geometry and under conditions that an engineer gives."""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from algorithms.contract.errors import EXIT_DATA, EXIT_OK, DataError
from algorithms.contract.shell import exit_code, log_to_stderr
from algorithms.coronary.conditions import Conditions, read_conditions, require_openings
from algorithms.coronary.geometry.centrelines import centrelines
from algorithms.coronary.geometry.read import kind_of, read_centrelines, read_lumen
from algorithms.coronary.geometry.shape import Lumen
from algorithms.coronary.openfoam.case import Numerics
from algorithms.coronary.openfoam.program import require
from algorithms.coronary.openfoam.solve import FoamSolution, require_new
from algorithms.coronary.solved.answer import Answer
from algorithms.coronary.solved.by_openfoam import solved_by_openfoam
from algorithms.coronary.solved.document import document, inlet_pressure_pa, verdict, write_document
from algorithms.coronary.solved.files import Run, write_fields_of, write_foam_volume, write_lines_of
from algorithms.coronary.solved.reduced import reduced_answer
from algorithms.coronary.solved.three_dimensional import plan, solved
from algorithms.coronary.tree import Tree

log = logging.getLogger("algorithms")

FILES = {"centreline": "centreline.vtp", "volume": "volume.vtu", "wall": "wall.vtp", "streamlines": "streamlines.vtp"}

CHECKPOINTS = "checkpoints"

OPENFOAM = "openfoam"
"""The model, and the folder of its case."""

DESCRIPTION = """\
Solve the steady flow of blood in a geometry, in three dimensions (our lattice, or OpenFOAM where it is
installed) or with the reduced model.

GEOMETRY is one of
  a labelled NIfTI volume   1 lumen, 2 the face of the inlet, 3 and up those of outlets ("outlet 3" ...);
                            without faces the cut ends are found ("inlet", "opening 1" ...)
  an STL or VTP surface     in mm, open at its ends; lids with names (solids of an STL, the cell array
                            "opening" of a VTP) name them; otherwise "inlet" is the widest, "outlet 1" ...
  a centreline tree         the pipeline's tree.json, or JSON or CSV with radii (docs/coronary.md);
                            outlets have the names of their branches

A boundary.json for a vessel with two outlets, in SI units:
  {"inlets":  {"inlet": {"pressure_pa": 12000}},
   "outlets": {"outlet 3": {"resistance_pa_s_m3": 1.1e10}, "outlet 4": {"pressure_pa": 9000}}}
An inlet has pressure_pa or flow_m3_s, an outlet resistance_pa_s_m3, pressure_pa or flow_fraction.
If the names are wrong, the message says which openings the geometry has.
"""

EPILOG = """\
DIR then holds flow.json (openings, section means, checks, verdict; docs/result.md), centreline.vtp, and of
the model 3d volume.vtu, wall.vtp and streamlines.vtp for ParaView.  A killed run of 3d goes on where it was
when the same command is given again.  The model openfoam writes volume.vtu too, and its case stays in
DIR/openfoam for OpenFOAM's own tools; it starts with a DIR in which there is no such case.
FFR is pressure over the pressure given at the inlet; where a flow is given there, there is no FFR.

The path of flow.json goes to standard output, progress to standard error.
Exit codes: 0 done; 65 the data cannot be answered, or a check failed and FFR is withheld (flow.json says
which); 70 a bug; 75 try again later.
"""


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code."""
    options = _parser().parse_args(arguments)
    log_to_stderr(logging.WARNING)
    log.setLevel(logging.INFO)
    return exit_code(lambda: _answered(options), log)


def _answered(options: argparse.Namespace) -> int:
    case: Path = options.out / OPENFOAM
    if options.model == OPENFOAM:
        require(options.processes or 1)
        require_new(case)
    elif options.processes is not None:
        raise DataError(f"--processes is for --model openfoam, not for {options.model}; leave it out")
    given = read_conditions(options.boundary)
    lumen, tree = geometry(options.geometry, options.inlet)
    require_openings(given, lumen.openings)
    folder: Path = options.out
    folder.mkdir(parents=True, exist_ok=True)
    # Whatever happens from here on, no answer of an earlier run is taken for one of this.
    for name in ("flow.json", *FILES.values()):
        (folder / name).unlink(missing_ok=True)
    run: Run | FoamSolution | None = None
    answer = reduced_answer(tree, lumen.openings, given)
    _tell_first(answer, lumen)
    if options.model == "3d":
        answer, run = _in_3d(lumen, answer, given, (options.cell_mm, folder / CHECKPOINTS))
    elif options.model == OPENFOAM:
        answer, run = _by_openfoam(lumen, answer, given, (options.cell_mm, options.processes or 1, case))
    said = verdict(answer, given)
    _write(answer, run, (given, said), folder)
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    _tell(answer, said)
    sys.stdout.write(f"{folder / 'flow.json'}\n")
    return EXIT_DATA if said["kind"] == "withheld" else EXIT_OK


def geometry(path: Path, inlet: str | None) -> tuple[Lumen, Tree]:
    """Return the lumen in ``path`` and its tree of centrelines: the file's own, or one that is found in it.

    Raises
    ------
    DataError
        If the file holds no vessel with an inlet and an outlet.
    """
    lumen = read_lumen(path, inlet=inlet)
    if kind_of(path) in {"labels", "stl", "vtp"}:
        return lumen, replace(centrelines(lumen), doubts=lumen.doubts)
    if inlet is not None:
        raise DataError("--inlet is for volumes and surfaces; in a tree blood comes in where a branch has no parent")
    return lumen, read_centrelines(path)


def _tell_first(answer: Answer, lumen: Lumen) -> None:
    inflow = sum(end.flow_m3_s for end in answer.openings if end.opening.inlet)
    log.info(
        "%d openings, %d branches, narrowest %.2f mm across; the reduced model finds %.3g ml/s",
        len(lumen.openings), len(answer.tree.branches),
        2 * min(branch.radius_mm.min() for branch in answer.tree.branches), 1e6 * inflow,
    )  # fmt: skip


def _in_3d(lumen: Lumen, first: Answer, given: Conditions, how: tuple[float | None, Path]) -> tuple[Answer, Run]:
    chosen = plan(first, how[0])
    log.info(
        "about %.2g cells of %.3g mm, %.1f across the throat, after fewer of %.3g mm; about %s if the machine is idle",
        chosen.cells, chosen.sides_mm[1], chosen.across, chosen.sides_mm[0], _duration(chosen.seconds),
    )  # fmt: skip
    return solved(lumen, first, given, chosen, how[1])


def _by_openfoam(
    lumen: Lumen, first: Answer, given: Conditions, how: tuple[float | None, int, Path]
) -> tuple[Answer, FoamSolution]:
    cell_mm, processes, case = how
    chosen = plan(first, cell_mm)
    log.info(
        "about %.2g cells of %.3g mm, %.1f across the throat, in %d processes; how long that takes is not known beforehand",
        chosen.cells, chosen.sides_mm[1], chosen.across, processes,
    )  # fmt: skip
    return solved_by_openfoam(lumen, first, given, Numerics(chosen.sides_mm[1], processes=processes), case)


def _duration(seconds: float) -> str:
    return f"{max(seconds, 60) / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _write(answer: Answer, run: Run | FoamSolution | None, said: tuple[Conditions, dict[str, Any]], folder: Path) -> None:
    given, words = said
    reference = inlet_pressure_pa(given) if words["ffr"] == "given" else None
    write_lines_of(answer, reference, folder)
    names = {"centreline": FILES["centreline"]}
    if isinstance(run, Run):
        write_fields_of(run, reference, folder)
        names = FILES
    elif run is not None:
        write_foam_volume(folder / OPENFOAM, run, reference, folder / FILES["volume"])
        names |= {"volume": FILES["volume"], OPENFOAM: OPENFOAM}
    # Last: where there is a flow.json, everything that it names is there.
    write_document(document(answer, given, names), folder / "flow.json")


def _tell(answer: Answer, said: dict[str, Any]) -> None:
    for end in answer.openings:
        log.info("%s: %.5g Pa, %.4g ml/s", end.opening.name, end.pressure_pa, 1e6 * end.flow_m3_s)
    for reason in said["reasons"]:
        log.warning("%s: %s", said["kind"], reason)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m algorithms.coronary.flow",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("geometry", type=Path, metavar="GEOMETRY", help="the file of the lumen")
    parser.add_argument(
        "--boundary", type=Path, required=True, metavar="FILE", help="boundary.json: what is known at the openings"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the files go; made if it is not there")
    parser.add_argument(
        "--model",
        choices=("reduced", "3d", OPENFOAM),
        default="3d",
        help="reduced: a tree of resistances, at once; 3d: lattice (default); openfoam: OpenFOAM's simpleFoam, where it is "
        "installed",
    )
    parser.add_argument(
        "--cell-mm",
        type=_positive,
        metavar="H",
        help="side of the cells in three dimensions (default: a sixteenth of the throat, larger where that makes more than "
        "2 million cells); a throat under 10 cells gets no FFR",
    )
    parser.add_argument("--processes", type=_count, metavar="N", help="processes of OpenFOAM, started by mpirun (default: 1)")
    parser.add_argument("--inlet", metavar="NAME", help="which opening of a volume or surface blood comes in through")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 10:
        raise argparse.ArgumentTypeError(f"{text} mm is no side of a cell, wanted above 0 and below 10")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} processes solve nothing, wanted 1 or more")
    return value


if __name__ == "__main__":
    sys.exit(main())
