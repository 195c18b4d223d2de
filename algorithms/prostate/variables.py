"""The six clinical variables of a man with prostate cancer on biopsy: what they are, and what a file may say of them.

``clinical.json`` is written by hand or exported from a hospital's system, so it is not believed: only the six names are
read, each value is checked for its type and bounds, and everything else is dropped and counted.  Nothing here ever
repeats a value: what stands in the wrong field may identify a person.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algorithms.contract.errors import DataError

Value = int | float | str


@dataclass(frozen=True)
class Variable:
    """One clinical variable: its type, unit, and either its bounds or its choices.

    ``reading`` says what the bounds mean for whoever typed something outside them; ``source`` where they come from.
    """

    name: str
    title: str
    kind: type[int] | type[float] | type[str]
    unit: str
    source: str
    reading: str = ""
    minimum: float = 0.0
    maximum: float = 0.0
    choices: tuple[str, ...] = ()

    @property
    def wanted(self) -> str:
        """What a value of this variable looks like, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        number = "a whole number" if self.kind is int else "a number"
        unit = "" if self.unit == "1" else f" {self.unit}"
        return f"{number} from {self.minimum:g} to {self.maximum:g}{unit}"


T_STAGES: dict[str, tuple[str, ...]] = {
    "T1": ("T1a", "T1b", "T1c"),
    "T1a": ("T1a",),
    "T1b": ("T1b",),
    "T1c": ("T1c",),
    "T2": ("T2a", "T2b", "T2c"),
    "T2a": ("T2a",),
    "T2b": ("T2b",),
    "T2c": ("T2c",),
    "T3": ("T3a", "T3b"),
    "T3a": ("T3a",),
    "T3b": ("T3b",),
    "T4": ("T4",),
}
"""What each clinical T stage may mean: one without its letter leaves the subcategories open (AJCC, 8th edition, chapter 58)."""

OLDEST_STORED_YEARS = 90
"""A man older than 89 is stored as 90: ages above 89 identify (HIPAA, 45 CFR 164.514(b)(2)(i)(C))."""

VARIABLES: dict[str, Variable] = {
    variable.name: variable
    for variable in (
        Variable(
            "age_years",
            "age at biopsy",
            int,
            "years",
            "adults; 120 is above every documented age. Ages over 89 are stored as 90: 45 CFR 164.514(b)(2)(i)(C)",
            "completed years; 90 stands for 90 or older",
            18,
            120,
        ),
        Variable(
            "psa_ng_ml",
            "PSA before biopsy",
            float,
            "ng/ml",
            "own bounds: below 0.1 is an assay's floor or a treated man, above 1000 is not a cancer confined to the pelvis",
            "the last value before biopsy and before any treatment, in ng/ml (the same number as in ug/l)",
            0.1,
            1000,
        ),
        Variable(
            "gleason_primary",
            "primary Gleason pattern",
            int,
            "1",
            "Epstein et al., Am J Surg Pathol 40:244 (2016), doi:10.1097/PAS.0000000000000530: biopsies are graded 3 to 5",
            "the most extensive pattern on biopsy; patterns 1 and 2 are not diagnosed on a needle biopsy",
            3,
            5,
        ),
        Variable(
            "gleason_secondary",
            "secondary Gleason pattern",
            int,
            "1",
            "Epstein et al., Am J Surg Pathol 40:244 (2016), doi:10.1097/PAS.0000000000000530: biopsies are graded 3 to 5",
            "the second pattern of the biopsy's Gleason score (the same as the primary one where there is only one)",
            3,
            5,
        ),
        Variable(
            "t_stage",
            "clinical T stage",
            str,
            "",
            "AJCC Cancer Staging Manual, 8th edition (2017), chapter 58",
            "the clinical stage; a stage read from a removed prostate (pT) is another one",
            choices=tuple(T_STAGES),
        ),
        Variable(
            "percent_positive_cores",
            "biopsy cores with cancer",
            float,
            "%",
            "own bounds: a biopsy with cancer has a positive core, and one of 64 is 1.6 %",
            "100 times the cores with cancer over all cores taken, those aimed at one region as one; not a fraction",
            1.5,
            100,
        ),
    )
}
"""The variables by name, in the order in which they are shown."""

UNKNOWN_T_STAGES = frozenset({"TX", "CTX"})
"""Ways to write that the T stage was not assessed (AJCC's TX)."""

LARGEST_FILE_BYTES = 1 << 20
"""Six values need 200 bytes; a file above this is something else, and reading it could only do harm."""

DOCUMENT = "clinical.json"
"""Under this name among the problems stands what is wrong with the whole file."""


def checked(variable: Variable, given: object) -> tuple[Value | None, str]:
    """Return the value that ``given`` stands for and an empty text, or ``None`` and what is wrong with it.

    ``None`` with an empty text means: not known.
    """
    if given is None:
        return None, ""
    if variable.choices:
        return _stage(variable, given)
    if isinstance(given, bool) or not isinstance(given, int | float):
        quotes = ", without quotes" if isinstance(given, str) else ""
        return None, f"is no number; wanted {variable.wanted}{quotes}"
    return _number(variable, given)


def _number(variable: Variable, given: float) -> tuple[Value | None, str]:
    # Integers are compared as they are: JSON may hold one that no float can.
    if isinstance(given, float) and not math.isfinite(given):
        return None, f"is not a finite number; wanted {variable.wanted}"
    if not variable.minimum <= given <= variable.maximum:
        side = "below" if given < variable.minimum else "above"
        return None, f"is {side} its bounds; wanted {variable.wanted}: {variable.reading}"
    if variable.kind is int and given != int(given):
        return None, f"is not a whole number; wanted {variable.wanted}"
    if variable.name == "age_years":
        return min(int(given), OLDEST_STORED_YEARS), ""
    return (int(given) if variable.kind is int else float(given)), ""


def _stage(variable: Variable, given: object) -> tuple[str | None, str]:
    if not isinstance(given, str):
        return None, f"is no text; wanted {variable.wanted}"
    # Longer text is no stage; cutting it off first keeps a megabyte of it out of the comparison below.
    written = "".join(given[:16].split()).upper() if len(given) <= 16 else ""
    if written in UNKNOWN_T_STAGES:
        return None, ""
    names = {stage.upper(): stage for stage in variable.choices}
    found = names.get(written) or names.get(written.removeprefix("C"))
    if found is None:
        return None, f"is not a clinical T stage; wanted {variable.wanted}, with or without a c before it: {variable.reading}"
    return found, ""


def declared(document: object) -> dict[str, Any]:
    """Return what a parsed ``clinical.json`` says: valid ``values``, ``problems`` in words, and ``dropped_fields``.

    ``values`` holds only the six names and only values within bounds; ``problems`` names each variable that has another
    value, without that value; every other field is counted in ``dropped_fields`` and forgotten.
    """
    if not isinstance(document, dict):
        return _refused(f"is not one JSON object; wanted the fields {', '.join(VARIABLES)}")
    values: dict[str, Value] = {}
    problems: dict[str, str] = {}
    for name, variable in VARIABLES.items():
        value, problem = checked(variable, document.get(name))
        if problem:
            problems[name] = f"{name} {problem}"
        elif value is not None:
            values[name] = value
    return {"values": values, "problems": problems, "dropped_fields": sum(name not in VARIABLES for name in document)}


def _refused(problem: str) -> dict[str, Any]:
    return {"values": {}, "problems": {DOCUMENT: f"{DOCUMENT} {problem}"}, "dropped_fields": 0}


def read_declared(path: Path) -> dict[str, Any]:
    """Return what the file at ``path``, written by anybody, says (see :func:`declared`).

    A file that is no JSON, or too large or too deeply nested to be these six values, is one problem of the whole file.
    """
    if path.stat().st_size > LARGEST_FILE_BYTES:
        return _refused(f"is larger than {LARGEST_FILE_BYTES // 1024} KiB; wanted the six variables only")
    try:
        document = json.loads(path.read_bytes(), object_pairs_hook=_once)
    except DataError as error:
        return _refused(str(error))
    except (ValueError, RecursionError):
        # ValueError: no JSON, bytes that are no text, and integers of more digits than Python converts.
        return _refused("is not valid JSON; wanted one object of numbers and text")
    return declared(document)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if name in VARIABLES and names.count(name) > 1})
    if twice:
        raise DataError(f"gives {', '.join(twice)} more than once; wanted each once")
    return dict(pairs)
