"""What other systems are told is what result.json says: every number, every vessel, and nothing that is withheld."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from fhir.resources.R4B.bundle import Bundle
from PIL import Image

from algorithms.coronary.coded import codes
from algorithms.coronary.grid import read_grid
from tests.algorithms.coronary.exchanged import SERIES, STUDY, answered, exchanged
from tests.algorithms.coronary.invented_case import record

DCIODVFY = Path("/usr/bin/dciodvfy")
BEYOND_VOLUME = ("tree", "boundary", "flow", "ffr", "pictures", "lumen", "anatomy")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Return what the stage reads of an answered case."""
    return answered(tmp_path_factory.mktemp("answered"))


@pytest.fixture(scope="module")
def out(inputs, tmp_path_factory):
    """Return what the stage writes of an answered case."""
    return exchanged(inputs, tmp_path_factory.mktemp("exchanged") / "out")


def result_of(inputs):
    """Return the answer itself."""
    return json.loads(inputs["result"].read_text())


def measured(out):
    """Return the numbers of the structured report by label and code value, as highdicom reads them, and the judgements."""
    report = hd.sr.srread(out / "dicom_results" / "measurements.dcm").content
    groups = [
        *report.get_volumetric_roi_measurement_groups(),
        *report.get_planar_roi_measurement_groups(),
        *report.get_image_measurement_groups(),
    ]
    numbers = {
        group.tracking_identifier: {number.name.value: (number.value, number.unit.value) for number in group.get_measurements()}
        for group in groups
    }
    judged = {
        group.tracking_identifier: {e.name.value: e.value.value for e in group.get_qualitative_evaluations()}
        for group in groups
    }
    return numbers, judged


def expected(result):
    """Return what the report must hold, written down here a second time, from the document alone."""
    ffr = {"ffr": "371842003", "ffr_low": "ffr-low", "ffr_high": "ffr-high", "delta_ffr": "delta-ffr"}
    sizes = {
        "minimal_lumen_diameter_mm": "397413000", "reference_diameter_mm": "ref-diameter",
        "length_mm": "408716009", "from_ostium_mm": "from-ostium",
    }  # fmt: skip
    numbers = {}
    for entry in [*result["vessels"], *result["stenoses"]]:
        own = {code: (entry[field], "1") for field, code in ffr.items() if entry.get(field) is not None}
        own |= {f"ffr-p-{band}": (value, "1") for band, value in (entry["band_probability"] or {}).items()}
        if "label" in entry:
            own |= {code: (entry[field], "mm") for field, code in sizes.items()}
            own |= {"408715008": (100 * entry["diameter_stenosis"], "%"), "408714007": (100 * entry["area_stenosis"], "%")}
        if own:
            numbers[entry.get("label", entry.get("vessel"))] = own
    return numbers


def test_the_structured_report_says_every_number_of_the_result_and_no_other(inputs, out):
    """Both ways: nothing is lost, changed or added; per cent are the fractions times a hundred, to a millionth."""
    numbers, judged = measured(out)
    wanted = expected(result_of(inputs))

    assert numbers.pop("CAD-RADS") == {}
    assert numbers.keys() == wanted.keys()
    for label, values in wanted.items():
        assert {code: unit for code, (_, unit) in values.items()} == {code: unit for code, (_, unit) in numbers[label].items()}
        for code, (value, _) in values.items():
            assert numbers[label][code][0] == pytest.approx(value, abs=1e-6 if code.startswith("40871") else 0)
    bands = {entry["vessel"]: f"ffr-{entry['band']}" for entry in result_of(inputs)["vessels"]}
    assert bands == {label: values["ffr-band"] for label, values in judged.items() if label in bands}
    assert result_of(inputs)["cad_rads"]["category"] == "3"
    assert judged["CAD-RADS"] == {"130720": "130726"}


def test_the_bundle_says_the_same_numbers_as_the_structured_report(inputs, out):
    """FHIR states the least diameter under a code of its own, because it has no derivation."""
    bundle = json.loads((out / "fhir.json").read_text())
    told = {}
    for resource in (entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Observation"):
        values = {
            c["code"]["coding"][0]["code"]: c["valueQuantity"] for c in resource.get("component", []) if "valueQuantity" in c
        }
        if "valueQuantity" in resource:
            values[resource["code"]["coding"][0]["code"]] = resource["valueQuantity"]
        if values:
            told[resource["bodySite"]["text"]] = {
                "397413000" if code == "min-diameter" else code: (value["value"], value["code"])
                for code, value in values.items()
            }
    numbers, _ = measured(out)
    numbers.pop("CAD-RADS")

    assert told == numbers


def test_the_bundle_is_valid_fhir_r4(out):
    """fhir.resources reads R5 by default; its R4B models are those of R4 for every resource used here."""
    bundle = Bundle.model_validate_json((out / "fhir.json").read_text())
    kinds = [entry.resource.get_resource_type() for entry in bundle.entry]
    known = {entry.fullUrl for entry in bundle.entry}
    references = set(find(json.loads((out / "fhir.json").read_text()), "reference"))

    assert {"DiagnosticReport", "Patient", "Device", "ImagingStudy", "Observation", "Provenance"} == set(kinds)
    assert references <= known
    assert len(references) > 5


def find(thing, name):
    """Yield every text under ``name`` in a document."""
    if isinstance(thing, dict):
        for key, value in thing.items():
            if key == name and isinstance(value, str):
                yield value
            yield from find(value, name)
    elif isinstance(thing, list):
        for value in thing:
            yield from find(value, name)


def test_the_segmentation_holds_the_lumen_by_vessel_where_the_images_have_it(inputs, out):
    """Voxel by voxel: the union of the segments is the lumen, and a stenosis' throat lies in its vessel's segment.

    Positions come from the frames' own ImagePositionPatient, as a viewer would find them.
    """
    segmentation = hd.seg.segread(out / "dicom_results" / "segmentation.dcm")
    volume = segmentation.get_volume(combine_segments=False)
    lumen = read_grid(inputs["lumen"])
    held = np.argwhere(volume.array.any(axis=-1))
    points = {tuple(np.round(p, 3)) for p in volume.map_indices_to_reference(held)}
    wanted = {tuple(np.round(p, 3)) for p in lumen.points_mm(np.argwhere(lumen.values > 0))}
    labels = [segmentation.get_segment_description(n).segment_label for n in segmentation.segment_numbers]

    assert len(labels) == 8
    assert points == wanted
    assert volume.array.sum(axis=-1).max() == 1  # no voxel is of two vessels
    for stenosis in result_of(inputs)["stenoses"]:
        own = np.argwhere(volume.array[..., labels.index(stenosis["branch_name"])])
        away_mm = np.linalg.norm(volume.map_indices_to_reference(own) - stenosis["throat_mm"], axis=1).min()
        assert away_mm < 2.0  # a voxel of the invented volume


def test_segments_vessels_and_lesions_carry_one_tracking_uid_each(out):
    """A vessel is the same thing in the segmentation, the report and the bundle."""
    segmentation = hd.seg.segread(out / "dicom_results" / "segmentation.dcm")
    descriptions = [segmentation.get_segment_description(n) for n in segmentation.segment_numbers]
    report = hd.sr.srread(out / "dicom_results" / "measurements.dcm").content
    groups = report.get_volumetric_roi_measurement_groups()
    bundle = (out / "fhir.json").read_text()

    assert {g.tracking_identifier: g.tracking_uid for g in groups}.items() <= {
        d.tracking_id: d.tracking_uid for d in descriptions
    }.items()
    assert all(f"urn:oid:{group.tracking_uid}" in bundle for group in groups)
    assert {g.tracking_identifier: g.referenced_segment.referenced_segment_numbers for g in groups} == {
        d.tracking_id: [d.segment_number] for d in descriptions if d.tracking_id in {g.tracking_identifier for g in groups}
    }


def test_the_evidence_sequence_names_every_image_and_the_segmentation(inputs, out):
    """(0040,A375): archives and viewers find through it what a report is about."""
    report = pydicom.dcmread(out / "dicom_results" / "measurements.dcm")
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    named = {r.ReferencedSOPInstanceUID for s in study.ReferencedSeriesSequence for r in s.ReferencedSOPSequence}
    images = {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in inputs["dicom"].iterdir()}

    assert study.StudyInstanceUID == STUDY
    assert named == images | {pydicom.dcmread(out / "dicom_results" / "segmentation.dcm").SOPInstanceUID}
    assert "PertinentOtherEvidenceSequence" not in report


def test_document_and_pictures_come_out_as_they_went_in(inputs, out):
    """The PDF byte for byte, with its length; the pictures on white, pixel for pixel; drawings of lines as pixels."""
    document = pydicom.dcmread(out / "dicom_results" / "report.dcm")
    pdf = inputs["pdf"].read_bytes()
    shown = [pydicom.dcmread(path) for path in sorted((out / "dicom_results").glob("picture-*.dcm"))]
    drawing = Image.open(inputs["pictures"] / "tree.png")
    white = Image.alpha_composite(Image.new("RGBA", drawing.size, "white"), drawing).convert("RGB")

    assert document.EncapsulatedDocument[: document.EncapsulatedDocumentLength] == pdf
    assert [dataset.DerivationDescription for dataset in shown] == ["A tree.", "A pullback.", "A lesion."]
    assert np.array_equal(shown[0].pixel_array, np.asarray(white))
    assert (shown[1].Columns, shown[1].Rows) == (1400, 700)
    assert tuple(shown[1].pixel_array[350, 700]) == (0, 170, 0)  # the green of the drawing


def test_all_objects_belong_to_the_study_and_keep_its_pseudonym(out):
    """They are filed beside the images, in series of their own, and say that the identity was removed."""
    objects = {path.name: pydicom.dcmread(path) for path in (out / "dicom_results").glob("*.dcm")}
    contents = json.loads((out / "dicom_results" / "contents.json").read_text())

    assert {entry["file"]: entry["SOPInstanceUID"] for entry in contents["objects"]} == {
        name: dataset.SOPInstanceUID for name, dataset in objects.items()
    }
    assert len({dataset.SOPInstanceUID for dataset in objects.values()}) == len(objects) == 6
    for dataset in objects.values():
        assert (dataset.StudyInstanceUID, dataset.PatientID, dataset.PatientIdentityRemoved) == (STUDY, "HWABCDEFGHIJ", "YES")
        assert dataset.SeriesInstanceUID != SERIES
        assert (dataset.ContentDate, dataset.SoftwareVersions) == ("20190314", "0.1.0")


def test_equal_cases_are_equal_bytes_and_another_answer_has_other_uids(inputs, out, tmp_path):
    """Nothing comes from the clock or at random; a corrected answer must not overwrite the one that an archive holds."""
    again = exchanged(inputs, tmp_path / "again")
    changed = dict(inputs) | {"result": tmp_path / "result.json"}
    result = result_of(inputs)
    result["stenoses"][0]["length_mm"] += 0.1
    changed["result"].write_text(json.dumps(result))
    other = exchanged(changed, tmp_path / "other")
    names = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())

    assert len(names) == 8
    assert all((out / name).read_bytes() == (again / name).read_bytes() for name in names)
    assert not uids(out) & uids(other)


def uids(out):
    """Return the UIDs of the objects."""
    return {entry["SOPInstanceUID"] for entry in json.loads((out / "dicom_results" / "contents.json").read_text())["objects"]}


@pytest.mark.skipif(not DCIODVFY.exists(), reason="dciodvfy (dicom3tools) is not installed")
def test_an_independent_validator_finds_no_error(out):
    """David Clunie's dciodvfy checks modules, types, conditions and the templates' structure."""
    for path in sorted((out / "dicom_results").glob("*.dcm")):
        said = subprocess.run([DCIODVFY, path], capture_output=True, text=True, check=False)
        errors = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]
        assert errors == [], path.name


def test_a_held_case_is_preliminary_everywhere(tmp_path):
    """Whoever opens one object alone must see that nobody has released it."""
    out = exchanged(answered(tmp_path, doubts=("the tree is odd",)), tmp_path / "out")
    objects = {path.name: pydicom.dcmread(path) for path in (out / "dicom_results").glob("*.dcm")}
    bundle = json.loads((out / "fhir.json").read_text())
    statuses = {
        e["resource"]["status"] for e in bundle["entry"] if e["resource"]["resourceType"] in {"Observation", "DiagnosticReport"}
    }
    tree = objects["picture-01.dcm"]

    assert all(dataset.SeriesDescription.startswith("PRELIMINARY") for dataset in objects.values())
    assert (objects["measurements.dcm"].PreliminaryFlag, objects["measurements.dcm"].VerificationFlag) == (
        "PRELIMINARY",
        "UNVERIFIED",
    )
    assert objects["segmentation.dcm"].ContentLabel == "PRELIMINARY"
    assert objects["report.dcm"].DocumentTitle.startswith("PRELIMINARY")
    assert tree.Rows == 21 + 16  # the strip with the warning
    assert statuses == {"preliminary"}
    assert "the tree is odd" in bundle["entry"][0]["resource"]["conclusion"]


def test_a_released_case_is_final_but_verified_by_nobody(out):
    """A program cannot verify; the flag is for a person accountable for the content (PS3.3 C.17.2)."""
    report = pydicom.dcmread(out / "dicom_results" / "measurements.dcm")
    bundle = json.loads((out / "fhir.json").read_text())

    assert (report.PreliminaryFlag, report.CompletionFlag, report.VerificationFlag) == ("FINAL", "COMPLETE", "UNVERIFIED")
    assert bundle["entry"][0]["resource"]["status"] == "final"


def test_a_withheld_value_is_absent_and_never_zero(tmp_path):
    """No FFR, limit, band, probability or picture of it; sizes of stenoses stay."""
    out = exchanged(answered(tmp_path, check_passes=False), tmp_path / "out")
    numbers, judged = measured(out)
    names = {code for values in numbers.values() for code in values}
    shown = [pydicom.dcmread(path) for path in sorted((out / "dicom_results").glob("picture-*.dcm"))]

    assert not [name for name in names if "ffr" in name or name == codes.FFR[0]]
    assert {label for label, values in numbers.items() if values} == {"L1", "L2", "L3"}
    assert "ffr-band" not in json.dumps(judged)
    assert codes.FFR[0] not in (out / "fhir.json").read_text()
    assert [dataset.DerivationDescription for dataset in shown] == ["PRELIMINARY A lesion."]


def test_a_case_refused_at_the_door_gives_a_bundle_alone(tmp_path):
    """There is no study to which a DICOM object could belong."""
    told = record("receive", "data", "found 20 slices, wanted 100 to 500")
    inputs = answered(tmp_path, told, lacking=(*BEYOND_VOLUME, "dicom", "volume", "quality", "selection", "privacy"))
    out = exchanged(inputs, tmp_path / "out")
    contents = json.loads((out / "dicom_results" / "contents.json").read_text())
    bundle = json.loads((out / "fhir.json").read_text())

    Bundle.model_validate(bundle)
    assert contents["objects"] == []
    assert contents["not_made"] == ["no DICOM object: the study was refused before it was de-identified"]
    assert [path.name for path in (out / "dicom_results").iterdir()] == ["contents.json"]
    assert bundle["entry"][0]["resource"]["status"] == "cancelled"
    assert "found 20 slices" in bundle["entry"][0]["resource"]["conclusion"]


def test_a_case_refused_later_gives_its_report_and_says_what_is_missing(tmp_path):
    """The document goes back to the archive, so that whoever opens the study sees why there is no answer."""
    inputs = answered(tmp_path, record("anatomy", "data", "contrast is 143 HU"), lacking=BEYOND_VOLUME)
    out = exchanged(inputs, tmp_path / "out")
    contents = json.loads((out / "dicom_results" / "contents.json").read_text())

    assert [entry["file"] for entry in contents["objects"]] == ["report.dcm"]
    assert contents["objects"][0]["SeriesDescription"].startswith("PRELIMINARY")
    assert len(contents["not_made"]) == 3


@pytest.mark.parametrize(
    ("without", "made"),
    [
        pytest.param("FrameOfReferenceUID", {"measurements.dcm", "report.dcm"}, id="no frame of reference"),
        pytest.param("SliceThickness", {"segmentation.dcm", "measurements.dcm", "report.dcm"}, id="no slice thickness"),
    ],
)
def test_a_series_that_lacks_an_attribute_gives_what_can_be_given(inputs, tmp_path, without, made):
    """Archives hold such series; the numbers do not depend on it, and the reason is told."""
    bare = tmp_path / "dicom"
    bare.mkdir()
    for path in inputs["dicom"].iterdir():
        dataset = pydicom.dcmread(path)
        delattr(dataset, without)
        dataset.save_as(bare / path.name)
    given = {name: path for name, path in inputs.items() if name != "pictures"} | {"dicom": bare}
    out = exchanged(given, tmp_path / "out")
    numbers, _ = measured(out)

    assert made == {path.name for path in (out / "dicom_results").glob("*.dcm")}
    assert expected(result_of(inputs)).keys() <= numbers.keys()


def test_our_codes_are_those_of_the_standards_dictionary():
    """PS3.16 as pydicom ships it: a mistyped digit would name another artery."""
    from pydicom.sr._concepts_dict import concepts

    known = {
        (code, meaning)
        for scheme in ("SCT", "DCM")
        for entry in concepts[scheme].values()
        for code, (meaning, _) in entry.items()
    }
    used = [*codes.VESSELS.values(), *codes.SEGMENTS.values(), *codes.CAD_RADS_CATEGORIES.values(), codes.vessel_code("AM1")]
    used += [
        value for value in vars(codes).values() if isinstance(value, tuple) and len(value) == 3 and value[1] in {"SCT", "DCM"}
    ]

    assert len(used) > 45
    assert [code for code in used if (code[0], code[2]) not in known] == []


def test_the_tools_for_validation_are_on_the_list_of_what_tests_need():
    """A skipped validation must not be an oversight of the machine that proves the project."""
    listed = (Path(__file__).resolve().parents[3] / ".ci" / "prepare").read_text()

    assert "dicom3tools" in listed
