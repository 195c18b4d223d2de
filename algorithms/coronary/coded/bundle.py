"""The findings of a case as a FHIR bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydicom.dataset import Dataset

from algorithms.coronary.coded import codes
from algorithms.dicom.results.origin import Origin
from algorithms.dicom.results.sr import Measured, Number
from algorithms.report import fhir

TITLE = "FFR-CT from coronary CT angiography"


def coronary_bundle(
    result: Mapping[str, Any], seed: str, origin: Origin | None, found: Sequence[Measured], objects: Sequence[Dataset]
) -> fhir.Resource:
    """Return the bundle of a result; ``origin`` is ``None`` where no series was de-identified, so that there is no study.

    The DICOM objects made of the same result are listed as series of the study.
    """
    named = fhir.namer(seed)
    status = "final" if result["released"] else "preliminary"
    first = origin.images[0] if origin is not None else None
    when = fhir.fhir_date(str(first.get("StudyDate", ""))) if first is not None else None
    pseudonym = str(first.PatientID) if first is not None else result["case_id"]
    facts = (result["image"] or {}).get("facts", {})
    about = {
        "patient": fhir.patient(named("patient"), pseudonym, facts.get("PatientSex")),
        "device": fhir.device(named("device"), "Heartwood coronary", result["heartwood"]),
    }
    if origin is not None:
        about["study"] = _study(named("study"), origin, objects, about["patient"], when)
    observations = [_observation(named(finding.label), finding, about, status, when) for finding in found]
    report = fhir.diagnostic_report(
        named("report"),
        result,
        fhir.coded(codes.PROCEDURE, text=TITLE),
        about,
        observations,
        conclusion=_conclusion(result),
        when=when,
    )
    provenance = fhir.provenance(named("provenance"), result, [report, *observations], about["device"])
    return fhir.bundle(named("bundle"), [report, *about.values(), *observations, provenance])


def _conclusion(result: Mapping[str, Any]) -> str:
    category = result["cad_rads"]
    return f"Suggested category: {category['text']} ({category['meaning']})." if category else ""


def _study(id_: str, origin: Origin, objects: Sequence[Dataset], patient: fhir.Resource, when: str | None) -> fhir.Resource:
    first = origin.images[0]
    by_series: dict[str, list[Dataset]] = {}
    for instance in (*origin.images, *objects):
        by_series.setdefault(str(instance.SeriesInstanceUID), []).append(instance)
    told: fhir.Resource = {
        "resourceType": "ImagingStudy",
        "id": id_,
        "identifier": [{"system": fhir.DICOM_UID, "value": f"urn:oid:{first.StudyInstanceUID}"}],
        "status": "available",
        "subject": fhir.reference(patient),
        "numberOfSeries": len(by_series),
        "numberOfInstances": sum(len(instances) for instances in by_series.values()),
        "series": [_series(uid, instances, source=instances[0] is first) for uid, instances in by_series.items()],
    }
    return told | ({"started": when} if when else {})


def _series(uid: str, instances: Sequence[Dataset], *, source: bool) -> fhir.Resource:
    """Return a series with its instances; of the source series their number, because the archive lists them anyway."""
    told: fhir.Resource = {
        "uid": uid,
        "modality": {"system": fhir.SYSTEMS["DCM"], "code": str(instances[0].Modality)},
        "numberOfInstances": len(instances),
    }
    if not source:
        told["instance"] = [
            {
                "uid": str(instance.SOPInstanceUID),
                "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{instance.SOPClassUID}"},
            }
            for instance in instances
        ]
    return told


def _observation(
    id_: str, finding: Measured, about: Mapping[str, fhir.Resource], status: str, when: str | None
) -> fhir.Resource:
    """Return a finding as an Observation.

    A vessel's FFR and a category are its value; of a stenosis every number is a component.
    """
    numbers, judgements = list(finding.numbers), list(finding.judgements)
    code, value = fhir.coded(finding.kind), None
    more: fhir.Resource = {}
    if finding.kind == codes.BLOOD_VESSEL:
        main = numbers.pop(0)
        code, value = fhir.coded(main.name), fhir.quantity(main.value, main.unit)
    elif not numbers:
        name, judged = judgements.pop(0)
        code, value = fhir.coded(name), fhir.coded(judged)
    if any(number.method == codes.FROM_CT for number in finding.numbers):
        more["method"] = fhir.coded(codes.FROM_CT)
    more["bodySite"] = fhir.coded(*finding.sites, text=finding.label)
    more["identifier"] = [{"system": fhir.DICOM_UID, "value": f"urn:oid:{finding.tracking_uid}"}]
    components = [fhir.component(_name(number), fhir.quantity(number.value, number.unit)) for number in numbers]
    components += [fhir.component(name, fhir.coded(judged)) for name, judged in judgements]
    return fhir.observation(id_, code, about, status=status, when=when, value=value, components=components, more=more)


def _name(number: Number) -> fhir.Code:
    """Return the code of a value's name; FHIR has no place for a derivation, so the least diameter has a code of its own."""
    return codes.LEAST_DIAMETER if number.derivation == codes.MINIMUM else number.name
