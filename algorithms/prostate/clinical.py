"""Gather a man's clinical variables from his file and the case's parameters; grade group and NCCN group by rule.

A value given with the case takes the place of the file's.  What is wrong in the file and was not replaced stops the case:
a risk from a mistyped PSA is worse than none.  What is missing is shown as missing, and nothing is put in its place here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algorithms.contract.errors import DataError
from algorithms.prostate.rules.nccn import isup_grade_group, nccn_group
from algorithms.prostate.variables import DOCUMENT, OLDEST_STORED_YEARS, VARIABLES, Value, checked

log = logging.getLogger(__name__)

NOT_GIVEN = (0, "as in clinical.json")
"""What a parameter of this stage holds where the case gives no value."""


def given_values(parameters: Mapping[str, Value]) -> dict[str, Value]:
    """Return the variables that were given with the case, by name, each checked.

    Raises
    ------
    DataError
        If one is out of the variable's bounds; the message never repeats the value.
    """
    values: dict[str, Value] = {}
    for name, parameter in parameters.items():
        if parameter in NOT_GIVEN:
            continue
        value, problem = checked(VARIABLES[name], parameter)
        if value is None:
            raise DataError(f"{name}, given with --set or in the form, {problem}; give another value, or 0 if it is not known")
        values[name] = value
    return values


def clinical(declared: Mapping[str, Any], given: Mapping[str, Value]) -> dict[str, Any]:
    """Return every variable with its value and origin, and what follows from them by rule.

    Parameters
    ----------
    declared
        What the man's ``clinical.json`` says (see :func:`algorithms.prostate.variables.declared`).
    given
        Valid values given with the case, which take the place of the file's.

    Raises
    ------
    DataError
        If the file has a value that cannot be used and none was given in its place.
    """
    _require_no_problems(declared["problems"], given)
    found = declared["values"]
    origins = {name: "given" if name in given else "file" if name in found else "missing" for name in VARIABLES}
    values: dict[str, Value | None] = {name: given.get(name, found.get(name)) for name in VARIABLES}
    score, grade_group = _grade(values["gleason_primary"], values["gleason_secondary"])
    return {
        "values": {
            name: {"value": values[name], "unit": variable.unit, "origin": origins[name], "title": variable.title}
            for name, variable in VARIABLES.items()
        },
        "gleason_score": score,
        "isup_grade_group": grade_group,
        "nccn": nccn_group(values),
        "dropped_fields": declared["dropped_fields"],
        "notes": _notes(values),
    }


def _grade(primary: Value | None, secondary: Value | None) -> tuple[str | None, int | None]:
    if not (isinstance(primary, int) and isinstance(secondary, int)):
        return None, None
    return f"{primary}+{secondary}={primary + secondary}", isup_grade_group(primary, secondary)


def _require_no_problems(problems: Mapping[str, str], given: Mapping[str, Value]) -> None:
    # A file that could not be read at all hides what it says of every variable.
    unanswered = [text for name, text in problems.items() if (set(VARIABLES) if name == DOCUMENT else {name}) - set(given)]
    if unanswered:
        names = [name for name in VARIABLES if name not in given and (name in problems or DOCUMENT in problems)]
        remedies = " ".join(f"--set {name}=..." for name in names)
        where = "" if DOCUMENT in problems else f"{DOCUMENT}: "
        raise DataError(f"{where}{'; '.join(unanswered)}; mend the file and send it again, or give {remedies}")


def _notes(values: Mapping[str, Value | None]) -> list[str]:
    notes = []
    if values["age_years"] == OLDEST_STORED_YEARS:
        notes.append("An age of 90 stands for 90 or older.")
    if values["t_stage"] in {"T1", "T2", "T3"}:
        notes.append("The clinical T stage was given without its letter; every subcategory is taken as possible.")
    return notes


def run(
    inputs: Mapping[str, Path],
    out: Path,
    *,
    age_years: int,
    psa_ng_ml: float,
    gleason_primary: int,
    gleason_secondary: int,
    t_stage: str,
    percent_positive_cores: float,
) -> dict[str, float | int | str]:
    """Read ``declared``, write ``clinical.json``, return how many variables are known and the groups."""
    parameters: dict[str, Value] = {
        "age_years": age_years,
        "psa_ng_ml": psa_ng_ml,
        "gleason_primary": gleason_primary,
        "gleason_secondary": gleason_secondary,
        "t_stage": t_stage,
        "percent_positive_cores": percent_positive_cores,
    }
    document = clinical(json.loads(inputs["declared"].read_text()), given_values(parameters))
    (out / "clinical.json").write_text(json.dumps(document, indent=1) + "\n")
    origins = [entry["origin"] for entry in document["values"].values()]
    log.info("%d of %d clinical variables known, %d of them given with the case", len(origins) - origins.count("missing"),
             len(origins), origins.count("given"))  # fmt: skip
    return {
        "variables_known": len(origins) - origins.count("missing"),
        "variables_given": origins.count("given"),
        "isup_grade_group": document["isup_grade_group"] or 0,
        "nccn_group": document["nccn"]["group"] or "undecided",
    }
