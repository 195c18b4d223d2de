"""A real PACS of this machine for tests: Debian's Orthanc with its DICOMweb plugin, on loopback, empty, ended with the test."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset

from tests.services import free_port

PROGRAM = Path("/usr/sbin/Orthanc")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc."""

    port: int

    @property
    def dicom_web(self) -> str:
        return f"http://127.0.0.1:{self.port}/dicom-web"

    def put(self, images: Sequence[Dataset]) -> None:
        """Store images by Orthanc's own interface."""
        for data in images:
            buffer = BytesIO()
            dcmwrite(buffer, data, enforce_file_format=True)
            request = urllib.request.Request(f"http://127.0.0.1:{self.port}/instances", buffer.getvalue(), method="POST")
            urllib.request.urlopen(request).close()


@contextmanager
def orthanc() -> Iterator[Orthanc]:
    """Give a running Orthanc; skips where Debian's orthanc or orthanc-dicomweb is missing."""
    if not (PROGRAM.exists() and PLUGIN.exists()):
        pytest.skip("Debian's orthanc and orthanc-dicomweb are not installed")
    folder = Path(tempfile.mkdtemp(prefix="heartwood-orthanc-"))
    server = Orthanc(free_port())
    settings = {
        "HttpPort": server.port,
        "DicomPort": free_port(),
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "Plugins": [str(PLUGIN)],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    process = subprocess.Popen(
        [str(PROGRAM), str(folder / "orthanc.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await(f"{server.dicom_web}/studies")
        yield server
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def _await(url: str, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return
