"""The phantom's study is a DICOM study that other programs read, and the same one every time."""

from __future__ import annotations

import json

import numpy as np
import pydicom
import pytest

from algorithms.phantom.__main__ import main
from algorithms.phantom.coronary.companions import write_companions
from algorithms.phantom.coronary.dicom import invented_identity, write_study
from tests.phantoms import small_coronary


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_study(small_coronary(1), folder)
    return folder


def test_simpleitk_reads_the_same_hounsfield_units(study):
    """Rescale, order of slices and geometry survive: what GDCM reads equals what was painted, voxel for voxel."""
    import SimpleITK

    phantom = small_coronary(1)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(study)))
    image = reader.Execute()

    assert np.array_equal(SimpleITK.GetArrayFromImage(image), phantom.volume_hu)
    assert image.GetSpacing() == pytest.approx(phantom.spacing_mm[::-1], abs=1e-5)
    assert image.GetOrigin() == pytest.approx(phantom.origin_mm, abs=1e-6)


def test_instances_are_valid_and_unique(study):
    """One study, one series, no UID twice, and values of the right form (pydicom warns otherwise, and warnings fail)."""
    instances = [pydicom.dcmread(p) for p in sorted(study.iterdir())]

    assert len({d.SOPInstanceUID for d in instances}) == len(instances)
    assert len({(d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID) for d in instances}) == 1
    for data in instances[:: len(instances) // 3]:
        assert data.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
        assert len(data.SOPInstanceUID) <= 64
        assert list(data.ImageType) == ["ORIGINAL", "PRIMARY", "AXIAL"]
        for element in data.iterall():
            assert str(element.VR) != "UN", element.tag


def test_identity_hides_where_real_scanners_hide_it(study):
    """The name stands at the top, in a nested sequence, in free text and in a private block: de-identification has work."""
    phantom = small_coronary(1)
    identity = invented_identity(phantom)
    data = pydicom.dcmread(sorted(study.iterdir())[0])
    family = identity.PatientName.split("^")[0]

    assert data.PatientName == identity.PatientName
    assert family in data.PatientComments
    assert data.RequestAttributesSequence[0].AccessionNumber == identity.AccessionNumber
    assert family in data.private_block(0x0029, "HEARTWOOD PHANTOM 1.0")[0x01].value
    assert family.encode() in data.private_block(0x0029, "HEARTWOOD PHANTOM 1.0")[0x04].value


def test_companions_are_series_of_their_own(tmp_path):
    """Localizer, calcium score without contrast and a dose report with the name burned in share the study, no series."""
    write_companions(small_coronary(1), tmp_path)
    instances = [pydicom.dcmread(p) for p in sorted(tmp_path.iterdir())]
    series = {d.SeriesInstanceUID: d for d in instances}
    by_number = {int(d.SeriesNumber): d for d in series.values()}

    assert sorted(by_number) == [1, 3, 501]
    assert len({d.StudyInstanceUID for d in instances}) == 1
    assert by_number[1].ImageType[2] == "LOCALIZER"
    assert "ContrastBolusAgent" not in by_number[3]
    assert float(by_number[3].SliceThickness) == 3.0
    assert by_number[501].BurnedInAnnotation == "YES"
    assert by_number[501].pixel_array.max() == 255


def test_the_command_line_writes_the_same_phantom_again(tmp_path, capsys, study):
    """Nothing depends on the clock or on order: a second run, from the command line, gives the same files."""
    status = main(["coronary", str(tmp_path), "--seed", "1", "--size", "small", "--difficulty", "easy"])
    answer = json.loads(capsys.readouterr().out)

    assert status == 0
    assert answer["lesions"] == len(small_coronary(1).tree["stenoses"])
    written = sorted((tmp_path / "study").iterdir())
    assert [p.name for p in written] == [p.name for p in sorted(study.iterdir())]
    assert all(p.read_bytes() == (study / p.name).read_bytes() for p in written)
    assert sorted(p.name for p in (tmp_path / "truth").iterdir()) == [
        "labels.nii.gz", "lumen_fraction.nii.gz", "phantom.json", "tree.json",
    ]  # fmt: skip


def test_a_setting_that_no_scan_can_have_is_refused(tmp_path, capsys):
    """The command says which words there are, and makes nothing."""
    with pytest.raises(SystemExit):
        main(["coronary", str(tmp_path / "out"), "--set", "kernel=blunt"])

    assert "kernel must be one of soft, medium, sharp" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
