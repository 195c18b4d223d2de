"""An appliance to be tested, in a thread or in a process that can be killed; its de-identifier stands in for the engine.

``python -m tests.edge.appliances CONFIG`` runs the process.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydicom import dcmread

from algorithms.contract.case import Home
from algorithms.contract.envelope import public_key, unseal
from algorithms.contract.intake import Upload
from algorithms.contract.store import Store
from algorithms.contract.vault import decrypt
from edge.appliance import main, run
from edge.config import Config
from edge.database import Study
from edge.deidentifier import Deidentifier, Request
from edge.spool import Spool
from tests.services import await_port, free_port

PROJECT = Path(__file__).resolve().parents[2]
SOON_S = 60


def stand_in(request: Request, stop: threading.Event) -> None:
    """Write every image without its name, as the engine's command lays it out, and what the engine says of its work."""
    folder = request.target / "patient" / "study" / "series"
    folder.mkdir(parents=True)
    for number, path in enumerate(sorted(request.source.iterdir()), start=1):
        data = dcmread(path)
        data.PatientName, data.PatientID = "", "P"
        data.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)
    (request.target / "patient" / "study" / "privacy.json").write_text("{}")


@dataclass(frozen=True)
class Site:
    """A configuration in a file, and what lies around it."""

    folder: Path
    config: Config

    @property
    def file(self) -> Path:
        return self.folder / "edge.yaml"

    @property
    def private_key(self) -> Path:
        return self.folder / "platform-key"

    def spool(self) -> Spool:
        """Open the spool beside the appliance, as the commands do."""
        return Spool(self.config.home, bytes.fromhex(Home(self.config.home).secret().read_text().strip()))

    def studies(self) -> list[Study]:
        spool = self.spool()
        try:
            return spool.studies()
        finally:
            spool.close()

    def counts(self) -> dict[str, int]:
        spool = self.spool()
        try:
            return {name: count for name, (count, _) in spool.counts().items()}
        finally:
            spool.close()

    def opened(self, store: Store, upload: str) -> list[bytes]:
        """Return the files of an upload as the platform reads them."""
        scratch = self.folder / "opened"
        scratch.mkdir(exist_ok=True)
        manifest = Upload.parse(store.get_file(f"{upload}/manifest.json", scratch / "manifest").read_bytes())
        assert manifest.envelope is not None
        key, files = unseal(manifest.envelope, self.private_key), []
        for file in manifest.files:
            sealed = store.get_file(f"{upload}/{file.name}", scratch / "sealed")
            decrypt(sealed, scratch / "plain", key, file.name)
            files.append((scratch / "plain").read_bytes())
        return files


def site(folder: Path, **sections: Any) -> Site:
    """Return a site whose appliance is quick: sections of the configuration may be changed key by key."""
    document: dict[str, Any] = {
        "home": str(folder / "home"),
        "listen": {"ae_title": "EDGE", "callers": ["SENDER", "OTHER"], "port": free_port(), "least_free_mib": 1},
        "complete": {"stable_s": 1.5, "patience_s": 2},
        "send": {
            "store": (folder / "arrivals").as_uri(),
            "pipeline": "coronary",
            "site": "site-07",
            "region": "eu-central-1",
            "seal_for": public_key(folder / "platform-key"),
            "first_wait_s": 0.1,
        },
        "health": {"port": free_port()},
    }
    for name, changes in sections.items():
        document[name] = document.get(name, {}) | changes if isinstance(changes, dict) else changes
    (folder / "edge.yaml").write_text(yaml.safe_dump(document))
    return Site(folder, Config.read(folder / "edge.yaml"))


@contextmanager
def running(at: Site, deidentifier: Deidentifier | None = stand_in) -> Iterator[None]:
    """Run the site's appliance in a thread; ``None`` takes the real engine."""
    stop, ended = threading.Event(), []
    thread = threading.Thread(target=lambda: ended.append(run(at.config, stop, deidentifier)))
    thread.start()
    try:
        await_port(at.config.health.port, SOON_S)  # opened after the port for DICOM
        yield
    finally:
        stop.set()
        thread.join()
    assert ended == [0]


@contextmanager
def process(at: Site, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the site's appliance in a process of its own, which is ended (TERM) unless the test has done so."""
    started = subprocess.Popen(
        [sys.executable, "-m", "tests.edge.appliances", str(at.file)], cwd=PROJECT, env=os.environ | environment
    )
    try:
        await_port(at.config.health.port, SOON_S)
        yield started
    finally:
        if started.poll() is None:
            started.send_signal(signal.SIGTERM)
        started.wait(SOON_S)


def until(holds: Callable[[], Any], seconds: float = SOON_S) -> Any:
    """Return what ``holds`` returns, as soon as that is true."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    return found


def uploads(store: Store) -> list[str]:
    """Return the uploads that are whole."""
    return [name.partition("/")[0] for name in store.list() if name.endswith("/manifest.json")]


def command(at: Site, action: str, *arguments: str) -> list[dict[str, Any]]:
    """Return what a command of the appliance prints."""
    said = io.StringIO()
    with redirect_stdout(said):
        assert main([action, str(at.file), *arguments]) == 0
    return [json.loads(text) for text in said.getvalue().splitlines()]


if __name__ == "__main__":
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    sys.exit(run(Config.read(Path(sys.argv[1])), over, stand_in))
