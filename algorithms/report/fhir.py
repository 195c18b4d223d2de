"""A result as an HL7 FHIR R4 (4.0.1) Bundle of type ``collection``: resources as plain JSON, about a pseudonym.

Ids are UUIDs made from a seed, so that equal results are equal bytes.  What would need the clock (when it was recorded) is
stated as masked, with the extension that FHIR has for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

Code = tuple[str, str, str]
"""Code, designator of its system, display."""

Resource = dict[str, Any]

SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "LN": "http://loinc.org",
    "UCUM": "http://unitsofmeasure.org",
    "99HEARTWOOD": "https://heartwood.invalid/codes",
}
"""By the designator that DICOM uses (PS3.16 table 8-1); ``.invalid`` is a domain that never resolves (RFC 2606)."""

PSEUDONYMS = "https://heartwood.invalid/pseudonym"
CASES = "https://heartwood.invalid/case"
DICOM_UID = "urn:dicom:uid"

STATUS = {"answered": "final", "held": "preliminary", "rejected": "cancelled", "failed": "cancelled"}
"""Status of the report by the verdict; nothing but an answer is final (http://hl7.org/fhir/R4/valueset-diagnostic-report-status)."""

MASKED = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}]}


def namer(seed: str) -> Callable[[str], str]:
    """Return the function that gives every name a UUID of its own under ``seed``."""

    def named(name: str) -> str:
        return str(UUID(bytes=hashlib.sha256(f"{seed}\0{name}".encode()).digest()[:16], version=4))

    return named


def coded(*codes: Code, text: str | None = None) -> Resource:
    """Return a CodeableConcept."""
    codings = [{"system": SYSTEMS[scheme], "code": value, "display": meaning} for value, scheme, meaning in codes]
    return ({"coding": codings} if codings else {}) | ({"text": text} if text else {})


def quantity(value: float, unit: str) -> Resource:
    """Return a Quantity in a UCUM unit."""
    return {"value": value, "unit": unit, "system": SYSTEMS["UCUM"], "code": unit}


def fhir_date(text: str) -> str | None:
    """Return a DICOM date as FHIR writes it, or ``None`` where ``text`` is none."""
    try:
        return datetime.strptime(text, "%Y%m%d").date().isoformat()
    except ValueError:
        return None


def reference(resource: Resource) -> Resource:
    """Return a Reference to a resource of the same bundle."""
    return {"reference": f"urn:uuid:{resource['id']}", "type": resource["resourceType"]}


def patient(id_: str, pseudonym: str, sex: str | None = None) -> Resource:
    """Return a Patient who is known by a pseudonym alone."""
    gender = {"M": "male", "F": "female", "O": "other"}.get(sex or "")
    told = {"resourceType": "Patient", "id": id_, "identifier": [{"system": PSEUDONYMS, "value": pseudonym}]}
    return told | ({"gender": gender} if gender else {})


def device(id_: str, name: str, version: str) -> Resource:
    """Return the program as a Device."""
    return {
        "resourceType": "Device",
        "id": id_,
        "deviceName": [{"name": name, "type": "model-name"}],
        "manufacturer": "Heartwood",
        "version": [{"value": version}],
    }


def observation(
    id_: str,
    code: Resource,
    about: Mapping[str, Resource],
    *,
    status: str,
    when: str | None = None,
    value: Resource | None = None,
    components: Sequence[Resource] = (),
    more: Mapping[str, Any] | None = None,
) -> Resource:
    """Return an Observation; ``about`` holds the patient and the device, ``value`` is a Quantity or a CodeableConcept."""
    told: Resource = {
        "resourceType": "Observation",
        "id": id_,
        "status": status,
        "code": code,
        "subject": reference(about["patient"]),
        "device": reference(about["device"]),
    }
    if "study" in about:
        told["partOf"] = [reference(about["study"])]
    if when:
        told["effectiveDateTime"] = when
    if value is not None:
        told["valueQuantity" if "value" in value else "valueCodeableConcept"] = value
    if components:
        told["component"] = list(components)
    return told | dict(more or {})


def component(code: Code, value: Resource) -> Resource:
    """Return one component of an Observation."""
    return {"code": coded(code), "valueQuantity" if "value" in value else "valueCodeableConcept": value}


def diagnostic_report(
    id_: str,
    result: Mapping[str, Any],
    code: Resource,
    about: Mapping[str, Resource],
    observations: Sequence[Resource],
    *,
    conclusion: str,
    when: str | None = None,
) -> Resource:
    """Return the DiagnosticReport of a ``result.json``; its conclusion tells the verdict, and that it is for research."""
    reasons = [f"{reason['message']}. {reason['remedy']}" for reason in result["reasons"]]
    told: Resource = {
        "resourceType": "DiagnosticReport",
        "id": id_,
        "identifier": [{"system": CASES, "value": result["case_id"]}],
        "status": STATUS[result["verdict"]],
        "code": code,
        "subject": reference(about["patient"]),
        "conclusion": " ".join([f"Verdict: {result['verdict']}.", *reasons, conclusion, result["statement"]]).replace(
            "  ", " "
        ),
    }
    if when:
        told["effectiveDateTime"] = when
    if observations:
        told["result"] = [reference(resource) for resource in observations]
    if "study" in about:
        told["imagingStudy"] = [reference(about["study"])]
    return told


def provenance(id_: str, result: Mapping[str, Any], targets: Sequence[Resource], maker: Resource) -> Resource:
    """Return what made the report: the program, and the sha256 of every input of every stage that had a result."""
    read = {
        f"{stage['name']}/{name}": sha256
        for stage in result["provenance"]
        if stage["state"] == "done"
        for name, sha256 in stage["inputs"].items()
    }
    return {
        "resourceType": "Provenance",
        "id": id_,
        "target": [reference(resource) for resource in targets],
        "_recorded": MASKED,
        "agent": [
            {
                "type": {
                    "coding": [
                        {"system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type", "code": "assembler"}
                    ]
                },
                "who": reference(maker),
            }
        ],
        "entity": [
            {"role": "source", "what": {"identifier": {"system": "urn:sha256", "value": sha256}, "display": name}}
            for name, sha256 in sorted(read.items())
        ],
    }


def bundle(id_: str, resources: Sequence[Resource]) -> Resource:
    """Return the Bundle of the resources, each found by its ``urn:uuid``."""
    entries = [{"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "id": id_, "type": "collection", "entry": entries}
