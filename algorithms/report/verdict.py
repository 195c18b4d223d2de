"""The verdict of a case and its reasons, from the pipeline's record, the doubts and the checks.

A case is answered, held (a doubt or a failed check: a physician decides), rejected (the data cannot be answered) or
failed (the machine or the program).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from algorithms.report.words import Vocabulary, limit, with_unit

Reason = dict[str, str | None]
"""``stage``, ``message``, ``remedy``, and ``reference``: what to quote to the developers, of a failed case only."""

OTHER_REMEDY = "Ask the people who run this system; give them the case and the stage."
TRANSIENT_REMEDY = "Nothing is wrong with the study: run the case again once the machine has room; finished stages are kept."
STOPPED_BY = {"transient": "a passing fault of the machine", "timeout": "its time limit"}
"""What stopped a stage, by the kind of its failure; anything else is an error in the program."""

BUG_REMEDY = "Nothing is known to be wrong with the study: give this reference to the developers, who find the details by it."


def judge(
    record: Mapping[str, Any],
    remedies: Mapping[str, str],
    doubts: Sequence[tuple[str, str]],
    failed_checks: Sequence[tuple[str, str]],
    lacking: str | None,
) -> tuple[str, list[Reason]]:
    """Return the verdict and its reasons: a failure outweighs a doubt, and a doubt outweighs an answer.

    Parameters
    ----------
    record
        What every stage did (docs/contract.md).
    remedies
        What to do when a stage refuses a case, by stage.
    doubts, failed_checks
        Stage and sentence of each.
    lacking
        The stage whose artefact an answer needs and does not have, or ``None``.
    """
    doubtful = [reason(stage, message, remedies) for stage, message in doubts]
    for stage in record["stages"]:
        if stage["state"] == "failed":
            verdict, why = _failure(record, stage, remedies)
            return verdict, [why, *doubtful]
    unfinished = [stage["name"] for stage in record["stages"] if stage["state"] != "done"]
    if unfinished or lacking:
        name = unfinished[0] if unfinished else str(lacking)
        remedy = "Run the whole pipeline for this case."
        return "failed", [reason(name, f"the stage {name} has not been run", {name: remedy})]
    reasons = doubtful + [reason(stage, message, remedies) for stage, message in failed_checks]
    return ("held" if reasons else "answered"), reasons


def reason(stage: str, message: str, remedies: Mapping[str, str], reference: str | None = None) -> Reason:
    """Return one reason with the remedy of its stage."""
    return {"stage": stage, "message": message, "remedy": remedies.get(stage, OTHER_REMEDY), "reference": reference}


def _failure(record: Mapping[str, Any], stage: Mapping[str, Any], remedies: Mapping[str, str]) -> tuple[str, Reason]:
    name, kind = stage["name"], stage["failure"]["kind"]
    if kind == "data":
        return "rejected", reason(name, stage["failure"]["message"], remedies)
    reference = f"{record['case_id']}/{name}/{(stage['key'] or 'none')[:12]}"
    # The message of a bug is not repeated: it may hold anything, a value from the patient's file too.
    message = f"the stage {name} was stopped by {STOPPED_BY.get(kind, 'an error in the program')}"
    remedy = TRANSIENT_REMEDY if kind == "transient" else BUG_REMEDY
    return "failed", reason(name, message, {name: remedy}, reference)


def check_sentence(check: Mapping[str, Any], vocabulary: Vocabulary) -> str:
    """Return what a failed check found and what it wanted."""
    unit = "" if check["unit"] in {"", "1"} else f" {check['unit']}"
    found = with_unit(check["value"], check["unit"])
    return f"{vocabulary.name(check['name'])} is {found}, wanted {limit(check['limit'])}{unit}"


def envelope(record: Mapping[str, Any], schema: str, statement: str, verdict: str) -> dict[str, Any]:
    """Return the fields with which the ``result.json`` of every diagnostic begins."""
    return {
        "schema": schema,
        "case_id": record["case_id"],
        "pipeline": record["pipeline"],
        "heartwood": record["heartwood"],
        "statement": statement,
        "verdict": verdict,
        "released": verdict == "answered",
    }


def provenance(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every stage as it ran, without its failure and its help."""
    names = ("name", "state", "version", "key", "parameters", "measurements", "inputs", "outputs")
    return [{name: stage[name] for name in names} for stage in record["stages"]]
