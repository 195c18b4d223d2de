"""CPU time of de-identifying a CT series, proof included, beside a file copy and beside the usual tools, in one run.

``python -m benchmarks.deidentification --peers PYTHON``, an interpreter with the tools of `deidentification_peers.txt`.
Every program works in one process and on the same files; each time is the median of its repeats after a warm-up.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from algorithms.dicom.privacy.confined import Cleaning, Survey
from algorithms.dicom.privacy.policy import DEFAULT
from algorithms.dicom.privacy.study import Cleaned, proved
from algorithms.dicom.privacy.taken import Taken
from benchmarks.evidence import keep

log = logging.getLogger("benchmarks.deidentification")

SLICES, SIDE = 300, 512
REPEATS = 5
PEER_SLICES, PEER_REPEATS = 60, 3
"""Peers are ten times slower; their times are per image too."""

PEERS = ("dicognito", "dicom-anonymizer", "deid")
ROOT = "1.3.12.2.1107.5.1.4.99999.30000026031407301200000"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
SECRET = bytes(range(32)).hex()

TEXTS = {
    "InstitutionName": "Klinikum am Deich", "InstitutionAddress": "Deichweg 7\r\n26721 Emden",
    "StationName": "CTAWP99999", "StudyDescription": "Herz^CTA (Adult)",
    "SeriesDescription": "CorCTA 0.75 Bv40 BestDiast 74 %", "ProtocolName": "CorCTA",
    "PerformingPhysicianName": "Wanderfalke^Berta", "OperatorsName": "Zaunkoenig^Emil",
    "ReferringPhysicianName": "Specht^Ida", "AccessionNumber": "ACC5550173", "PatientName": "Quastenflosser^Ottokar",
    "PatientID": "KH7301942", "StudyID": "1", "PatientBirthDate": "19511224", "PatientSex": "M", "PatientAge": "074Y",
    "PatientSize": "1.78", "PatientWeight": "81", "PatientComments": "none", "RequestingPhysician": "Specht^Ida",
    "PerformedProcedureStepID": "CT20260314093215", "PerformedProcedureStepStartDate": "20260314",
    "PerformedProcedureStepStartTime": "093215.125000", "PerformedProcedureStepDescription": "Herz^CTA (Adult)",
    "DeviceSerialNumber": "99999", "SoftwareVersions": "syngo CT VB20A", "StudyDate": "20260314",
    "SeriesDate": "20260314", "AcquisitionDate": "20260314", "ContentDate": "20260314", "StudyTime": "093215.125000",
    "SeriesTime": "093312.000000", "Modality": "CT", "Manufacturer": "SIEMENS",
    "ManufacturerModelName": "SOMATOM Force", "BodyPartExamined": "HEART", "PatientPosition": "HFS",
    "ContrastBolusAgent": "Ultravist", "ConvolutionKernel": "Bv40", "KVP": "100", "SliceThickness": "0.75",
    "DataCollectionDiameter": "500", "ScanOptions": "HELICAL", "ReconstructionDiameter": "180",
    "DistanceSourceToDetector": "1085.6", "DistanceSourceToPatient": "595", "FilterType": "FLAT",
    "GantryDetectorTilt": "0", "TableHeight": "151", "RotationDirection": "CW", "ExposureTime": "250",
    "GeneratorPower": "52", "FocalSpots": "0.8", "RescaleType": "HU", "RescaleIntercept": "-1024", "RescaleSlope": "1",
    "WindowCenter": "200", "WindowWidth": "800", "PhotometricInterpretation": "MONOCHROME2",
    "PositionReferenceIndicator": "", "SeriesNumber": "5", "AcquisitionNumber": "3",
    "PatientSpeciesDescription": "human", "DateOfLastCalibration": "20260301", "TimeOfLastCalibration": "070000.000000",
    "BurnedInAnnotation": "NO", "LossyImageCompression": "00",
}  # fmt: skip
"""Invented identity and a scanner's usual header."""


def image(number: int) -> FileDataset:
    """Return one slice with a header as scanners write it: private blocks, nested sequences, times of its own."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(CT_IMAGE), UID(f"{ROOT}.{1000 + number}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    for keyword, value in TEXTS.items():
        setattr(dataset, keyword, value)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM7 SPI"]
    dataset.SOPClassUID, dataset.SOPInstanceUID = CT_IMAGE, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = ROOT, f"{ROOT}.5", f"{ROOT}.9"
    seconds = 9 * 3600 + 33 * 60 + 12 + number * 0.25
    clock = f"{int(seconds // 3600):02d}{int(seconds // 60) % 60:02d}{seconds % 60:09.6f}"
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = "20260314", clock
    dataset.AcquisitionTime = dataset.ContentTime = clock
    dataset.InstanceNumber, dataset.SliceLocation = number, f"{-1200.5 + 0.5 * number:.1f}"
    dataset.ImagePositionPatient = ["-90.32421875", "-250.32421875", f"{-1200.5 + 0.5 * number:.1f}"]
    dataset.ImageOrientationPatient, dataset.PixelSpacing = [1, 0, 0, 0, 1, 0], ["0.3515625", "0.3515625"]
    dataset.XRayTubeCurrent, dataset.Exposure = 400 + number % 40, 60 + number % 7
    dataset.CTDIvol, dataset.SpiralPitchFactor, dataset.SingleCollimationWidth, dataset.TotalCollimationWidth = (
        9.5,
        0.2,
        0.6,
        57.6,
    )
    dataset.SamplesPerPixel, dataset.Rows, dataset.Columns = 1, SIDE, SIDE
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    reference, code = Dataset(), Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = CT_IMAGE, f"{ROOT}.7"
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "CTCOR", "99KLINIK", "CT Koronarien"
    request = Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepDescription = "RP20260314", "CT Herz"
    request.ScheduledProtocolCodeSequence = Sequence([code])
    dataset.ReferencedImageSequence, dataset.ProcedureCodeSequence = Sequence([reference]), Sequence([code])
    dataset.RequestAttributesSequence = Sequence([request])
    for group, creator in ((0x0019, "SIEMENS CT VA0  COAD"), (0x0021, "SIEMENS MED"), (0x0029, "SIEMENS CSA HEADER")):
        block = dataset.private_block(group, creator, create=True)
        for element in range(16):
            block.add_new(element, "DS" if element % 2 else "LO", f"{element * 1.5}" if element % 2 else f"private {element}")
    return dataset


def main() -> None:
    """Measure and keep the evidence."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    parser = argparse.ArgumentParser("python -m benchmarks.deidentification", description=__doc__)
    parser.add_argument("--peers", type=Path, help="a Python interpreter with the tools of deidentification_peers.txt")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        folder = Path(name)
        elements = write_series(folder / "in")
        copied = peer(Path(sys.executable), "file copy", folder, SLICES, REPEATS)
        ours = own(folder)
        peers = (
            [peer(options.peers, peer_name, folder, PEER_SLICES, PEER_REPEATS) for peer_name in PEERS] if options.peers else []
        )
        command = whole_command(folder)
    for entry in peers:
        entry["times_ours"] = round(entry["cpu_ms_per_image"] / ours["cpu_ms_per_image"], 1)
    results = {
        "images": SLICES, "matrix": SIDE, "elements_per_image": elements, "ours": ours, "file_copy": copied, "peers": peers,
        "command": command,
    }  # fmt: skip
    log.info("%s\nkept in %s", json.dumps(results, indent=1), keep("deidentification", results))


def write_series(folder: Path) -> int:
    """Write the series and return how many elements an image has, those in sequences too."""
    folder.mkdir()
    noise = np.random.default_rng(1).integers(0, 4096, (SIDE, SIDE), dtype=np.uint16).astype("<u2")
    for number in range(1, SLICES + 1):
        dataset = image(number)
        dataset.PixelData = np.roll(noise, number).tobytes()
        dataset.save_as(folder / f"{number:06d}", enforce_file_format=True)
    return sum(1 for _ in dataset.iterall())


def own(folder: Path) -> dict[str, Any]:
    """Return our CPU time per image, by step; the median of all repeats after one that is not counted."""
    steps = [_once(folder) for _ in range(REPEATS + 1)][1:]
    survey, clean, prove, searched = (float(np.median([step[index] for step in steps])) for index in range(4))
    return {
        "cpu_ms_per_image": round((survey + clean + prove) * 1000 / SLICES, 3),
        "cpu_ms_per_image_without_proof": round((survey + clean) * 1000 / SLICES, 3),
        "cpu_ms_survey": round(survey * 1000 / SLICES, 3), "cpu_ms_clean_and_write": round(clean * 1000 / SLICES, 3),
        "cpu_ms_proof": round(prove * 1000 / SLICES, 3), "values_searched": int(searched), "values_found": 0,
        "cpu_s_of_repeats": [round(sum(step[:3]), 3) for step in steps],
    }  # fmt: skip


def _once(folder: Path) -> tuple[float, float, float, float]:
    out = folder / "ours"
    out.mkdir()
    names = sorted(path.name for path in (folder / "in").iterdir())
    context = {"source": str(folder / "in"), "target": str(out), "secret": SECRET, "patient": "KH7301942", "study": "s",
               "policy": DEFAULT}  # fmt: skip
    started = time.process_time()
    says = Survey(context)(names)
    surveyed = time.process_time()
    done = Cleaning(context)([[name, f"{name}.dcm"] for name in names])
    taken = {Taken(*entry): None for entry in done["taken"]}
    part = Cleaned(taken=taken, kept=set(done["kept"]), retained=set(done["retained"]), dates=set(done["dates"]))
    cleaned = time.process_time()
    scan, leaks = proved([part], sorted(out.iterdir()), DEFAULT)
    proved_at = time.process_time()
    if leaks or scan["files"] != SLICES or any(failure for _, failure in says) or any(done["failures"]):
        raise RuntimeError("the series was not de-identified")
    shutil.rmtree(out)
    return surveyed - started, cleaned - surveyed, proved_at - cleaned, float(scan["values_searched"])


def peer(python: Path, name: str, folder: Path, slices: int, repeats: int) -> dict[str, Any]:
    """Return the CPU time per image of another program, which runs in a process of its own."""
    out = folder / "theirs"
    out.mkdir()
    files = [str(path) for path in sorted((folder / "in").iterdir())][:slices]
    asked = {"peer": name, "files": files, "out": str(out), "repeats": repeats}
    script = Path(__file__).with_name("deidentification_peers.txt").read_text()
    done = subprocess.run([str(python), "-c", script], input=json.dumps(asked), capture_output=True, text=True, check=False)
    shutil.rmtree(out)
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr[-500:]}")
    answer = json.loads(done.stdout)
    if answer["files_written"] < slices:
        raise RuntimeError(f"{name} wrote {answer['files_written']} of {slices} files")
    seconds = float(np.median(answer["cpu_s"]))
    return {
        "name": name, "version": answer["version"], "images": slices,
        "cpu_ms_per_image": round(seconds * 1000 / slices, 3),
        "cpu_s_of_repeats": [round(value, 3) for value in answer["cpu_s"]],
    }  # fmt: skip


def whole_command(folder: Path) -> dict[str, Any]:
    """Return the CPU time of the command with all its processes, their start included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [
        "-m",
        "algorithms.dicom.deidentify",
        str(folder / "in"),
        str(folder / "command"),
        "--key-file",
        str(folder / "key"),
    ]
    done = subprocess.run([sys.executable, *words], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    summary = json.loads(done.stdout)
    return {"files_written": summary["files_written"], "cpu_ms_per_image": round(seconds * 1000 / SLICES, 3)}


if __name__ == "__main__":
    main()
