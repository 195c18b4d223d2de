"""What a finished stage wrote: the record beside its artefacts, and the key by which equal work is found again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from algorithms.contract.digest import sha256_entries, sha256_listing, sha256_path, size_bytes
from algorithms.contract.errors import DataError
from algorithms.contract.pipeline import Stage, Value

HEARTWOOD = "0.1.0"
"""Version of this program."""

MANIFEST = "manifest.json"
STUB = "stub:"
"""Prefix of the entry point of a stage in stub mode: its results never stand in for real ones."""

Measurement = float | int | str


@dataclass(frozen=True)
class Written:
    """One artefact as written: its path relative to the manifest, sha256 and size; of a collection also each entry's sha256."""

    path: str
    sha256: str
    size_bytes: int
    entries: Mapping[str, str] = field(default_factory=dict)

    def items(self) -> dict[str, str]:
        """Return the entry of each item of a collection: an item is called as its entry without what follows the first dot."""
        return {name.partition(".")[0]: name for name in self.entries}


@dataclass(frozen=True)
class Manifest:
    """What a stage read, with which parameters, what it wrote, measured and cost."""

    key: str
    pipeline: str
    stage: str
    run: str
    version: int
    parameters: Mapping[str, Value]
    inputs: Mapping[str, str]
    outputs: Mapping[str, Written]
    measurements: Mapping[str, Measurement]
    seconds: float
    cpu_seconds: float
    peak_memory_mib: float
    heartwood: str = HEARTWOOD
    image: str = ""

    def write(self, folder: Path) -> None:
        """Write ``manifest.json`` into ``folder``."""
        (folder / MANIFEST).write_text(json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")

    @staticmethod
    def read(folder: Path) -> Manifest:
        """Return the manifest in ``folder``."""
        document = json.loads((folder / MANIFEST).read_text())
        outputs = {name: Written(**written) for name, written in document.pop("outputs").items()}
        return Manifest(outputs=outputs, **document)

    @staticmethod
    def found(folder: Path) -> Manifest | None:
        """Return the manifest in ``folder``, or ``None`` where there is none that can be read: the folder is no result."""
        try:
            return Manifest.read(folder)
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def output_path(self, name: str, folder: Path, item: str | None = None) -> Path:
        """Return the path of artefact ``name`` in ``folder`` (which holds this manifest), if it is still what was written.

        With ``item`` the entry of that item of a collection; the others are not looked at.

        Raises
        ------
        DataError
            If the artefact is gone or has been changed.
        """
        written = self.outputs[name]
        path = folder / written.path
        if item is None:
            intact = path.exists() and _sha256(path, written) == written.sha256
        else:
            entry = written.items()[item]
            path = path / entry
            intact = path.exists() and sha256_path(path) == written.entries[entry]
        if not intact:
            raise DataError(
                f"artefact {name} of stage {self.stage} ({self.key[:12]}) is not what was written; "
                "delete that result folder and run the stage again"
            )
        return path


def written(folder: Path, path: str, *, collection: bool) -> Written:
    """Return the record of the artefact at ``path`` in ``folder``."""
    entries = sha256_entries(folder / path) if collection else {}
    sha256 = sha256_listing(entries) if collection else sha256_path(folder / path)
    return Written(path, sha256, size_bytes(folder / path), entries)


def _sha256(path: Path, written: Written) -> str:
    return sha256_listing(sha256_entries(path)) if written.entries else sha256_path(path)


def entry_point(stage: Stage, stub: bool) -> str:
    """Return the name of what runs: the stage's function, or its stub."""
    return STUB + stage.run if stub else stage.run


def result_key(stage: Stage, parameters: Mapping[str, Value], inputs: Mapping[str, str], stub: bool = False) -> str:
    """Return the sha256 that names a result: equal entry point, version, parameters and inputs give the equal key."""
    identity = {
        "run": entry_point(stage, stub),
        "version": stage.version,
        "parameters": dict(parameters),
        "inputs": dict(inputs),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
