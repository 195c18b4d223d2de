"""The FHIR bundle of a case as it was before its study was de-identified: about the patient, and with ids of its own.

It is plain JSON here: patient, UIDs, dates and ids are exchanged, and nothing else is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from algorithms.contract.errors import DataError
from algorithms.contract.identity import Identity
from algorithms.dicom.pseudonym import dicom_date, digest
from algorithms.dicom.reidentified import filed_uid

DICOM_UID = re.compile(r"(urn:oid:)?(2\.25\.\d+)")
ID = re.compile(r"(urn:uuid:)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
DATES = frozenset({"effectiveDateTime", "started"})
"""Elements with a day of the study."""

TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"


def reidentify_bundle(bundle: Mapping[str, Any], identity: Identity, secret: bytes) -> dict[str, Any]:
    """Return the bundle about the patient; raises `DataError` if it is of another study, or of none."""
    studies = [resource for resource in _resources(bundle) if resource["resourceType"] == "ImagingStudy"]
    named = [entry["value"].removeprefix("urn:oid:") for study in studies for entry in study["identifier"]]
    if len(named) != 1 or named[0] not in identity.uids:
        raise DataError("the FHIR bundle is of another study than the case, or of none; name the bundle of this case")
    shifted, original = studies[0].get("started"), dicom_date(identity.attributes.get("StudyDate", ""))
    days = (original - date.fromisoformat(shifted)).days if shifted and original else 0
    told: dict[str, Any] = _restored(bundle, "", identity, days, secret)
    for resource in _resources(told):
        if resource["resourceType"] == "Patient":
            resource.update(_person(identity.attributes))
        if resource["resourceType"] == "ImagingStudy" and identity.attributes.get("AccessionNumber"):
            resource["identifier"].append(_identifier("ACSN", identity.attributes["AccessionNumber"]))
    return told


def _resources(bundle: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle["entry"]]


def _restored(thing: Any, name: str, identity: Identity, days: int, secret: bytes) -> Any:
    """Return a copy of a part of the document, which is called ``name``, with UIDs, ids and dates exchanged."""
    if isinstance(thing, Mapping):
        return {key: _restored(value, key, identity, days, secret) for key, value in thing.items()}
    if isinstance(thing, list):
        return [_restored(value, name, identity, days, secret) for value in thing]
    return _restored_text(thing, name, identity, days, secret) if isinstance(thing, str) else thing


def _restored_text(thing: str, name: str, identity: Identity, days: int, secret: bytes) -> str:
    if match := DICOM_UID.fullmatch(thing):
        return (match[1] or "") + (identity.uids.get(match[2]) or filed_uid(match[2], secret))
    if match := ID.fullmatch(thing):
        return (match[1] or "") + str(UUID(bytes=digest(secret, "reidentified", match[2])[:16], version=4))
    if name in DATES:
        return date.fromordinal(date.fromisoformat(thing).toordinal() + days).isoformat()
    return thing


def _person(attributes: Mapping[str, str]) -> dict[str, Any]:
    """Return what is known of the patient; the first component group of a name is the alphabetic one (PS3.5 6.2.1)."""
    told: dict[str, Any] = {"identifier": [_identifier("MR", attributes.get("PatientID", ""))]}
    family, _, given = attributes.get("PatientName", "").partition("=")[0].partition("^")
    if family or given:
        names = [part for part in given.split("^")[:2] if part]
        told["name"] = [({"family": family} if family else {}) | ({"given": names} if names else {})]
    born = dicom_date(attributes.get("PatientBirthDate", ""))
    return told | ({"birthDate": born.isoformat()} if born else {})


def _identifier(kind: str, value: str) -> dict[str, Any]:
    return {"type": {"coding": [{"system": TYPES, "code": kind}]}, "value": value}
