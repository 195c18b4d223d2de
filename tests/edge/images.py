"""Small CT images of invented people, and ways to send them: dcmtk's storescu in a process of its own, and pynetdicom."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE

from edge.config import Listen

STORESCU = Path("/usr/bin/storescu")
"""dcmtk's; pynetdicom puts one of the same name into the virtual environment."""

LISTEN = Listen("EDGE", ["SENDER", "OTHER"], "127.0.0.1", 0, 8, 131072, 1)
NAME = "Mustermann^Max"


def image(study: str, number: int = 1, side: int = 16) -> Dataset:
    """Return one image; equal arguments give equal pixels and equal UIDs."""
    data = Dataset()
    data.SOPClassUID = CTImageStorage
    data.SOPInstanceUID = generate_uid(entropy_srcs=[study, str(number)])
    data.StudyInstanceUID = study
    data.SeriesInstanceUID = generate_uid(entropy_srcs=[study])
    data.PatientName, data.PatientID, data.Modality, data.InstanceNumber = NAME, "MUSTER-4711", "CT", number
    data.Rows = data.Columns = side
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.PixelData = np.random.default_rng(number).integers(0, 4096, (side, side), dtype=np.uint16).tobytes()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = CTImageStorage, data.SOPInstanceUID
    return data


def written(folder: Path, images: Sequence[Dataset]) -> Path:
    """Return ``folder`` with the images as files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(images):
        data.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)
    return folder


def uids(folder: Path) -> list[str]:
    """Return the SOPInstanceUID of every file below a folder, sorted; each must be read whole."""
    return sorted(dcmread(path).SOPInstanceUID for path in folder.rglob("*.dcm"))


def storescu(port: int, folder: Path, *, caller: str = "SENDER", called: str = "EDGE") -> subprocess.Popen[str]:
    """Start sending a folder by dcmtk; skips where it is not installed."""
    if not STORESCU.exists():
        pytest.skip("Debian's dcmtk is not installed")
    command = [str(STORESCU), "-v", "-aet", caller, "-aec", called, "+sd", "+r", "-pdu", "131072", "127.0.0.1", str(port)]
    return subprocess.Popen([*command, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def acknowledged(said: str, folder: Path) -> set[str]:
    """Return the SOPInstanceUIDs of the files that storescu says were taken; it says so before it sends the next one."""
    taken: set[str] = set()
    sending = ""
    for line in said.splitlines():
        if "Sending file: " in line:
            sending = line.rpartition("/")[2]
        elif "Received Store Response (Success)" in line:
            taken.add(dcmread(folder / sending, stop_before_pixels=True).SOPInstanceUID)
    return taken


def send(port: int, images: Sequence[Dataset], *, caller: str = "SENDER") -> list[int | None]:
    """Return the status of each image sent by pynetdicom over one association; ``None`` where no answer came."""
    sender = AE(ae_title=caller)
    sender.dimse_timeout = sender.network_timeout = 300  # a machine with other work to do is no failure of the listener
    for syntax in sorted({str(data.file_meta.TransferSyntaxUID) for data in images}):
        sender.add_requested_context(CTImageStorage, syntax)
    association = sender.associate("127.0.0.1", port, ae_title="EDGE")
    assert association.is_established
    try:
        return [association.send_c_store(data).get("Status") for data in images]
    finally:
        association.release()
