"""Cases that faults strike: their studies, their stages from a shell, and what must be true of them afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom

from algorithms.contract.digest import sha256_path
from algorithms.contract.manifest import MANIFEST, Manifest
from tests.cases import PROJECT, phantom

COSTS = ("seconds", "cpu_seconds", "peak_memory_mib")
"""What two equal runs may differ in; it stands in manifests only."""

LIGHT = ("receive", "deidentify", "volume", "report")
"""Stages of the coronary pipeline that take seconds on a part of a small study: DICOM, originals, a volume, HTML and PDF."""

LIGHT_SLICES = 100
"""Of 156: enough for the rules of ``receive`` and for a volume, though not for a whole heart."""

LIGHT_SETTINGS = ("--set", "least_coverage_mm=40")


@dataclass(frozen=True)
class ShellCase:
    """A case that is worked on stage by stage from a shell."""

    pipeline: str
    home: Path
    study: Path
    settings: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The case folder, once the case is received."""
        return next(self.home.glob("cases/*"))

    def received(self) -> bool:
        """Return whether there is a case to work on."""
        return any(self.home.glob("cases/*/case.json"))

    def command(self, stage: str, *more: str) -> list[str]:
        """Return the command line that runs a stage; before the case is there, also the one that makes it."""
        place = ("--case", str(self.folder)) if self.received() else ("--input", str(self.study))
        home = ("--home", str(self.home))
        return [sys.executable, "-m", "algorithms", self.pipeline, stage, *home, *place, *self.settings, *more]

    def run(self, stage: str, *more: str, env: dict[str, str] | None = None) -> int:
        """Run a stage to its end and return the exit code."""
        return self.start(stage, *more, env=env).wait()

    def start(self, stage: str, *more: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a stage in a process group of its own."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(self.command(stage, *more), cwd=PROJECT, env=env, start_new_session=True, **quiet)

    def killed(self, stage: str, *more: str, after_s: float) -> bool:
        """Start a stage and KILL it with all of its children; return false if it had ended before."""
        process = self.start(stage, *more)
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait() == -signal.SIGKILL
        return False

    def again(self, home: Path) -> ShellCase:
        """Return the same case, not received yet, in another home with the same key: its artefacts must become the same."""
        (home / "vault").mkdir(parents=True)
        shutil.copy(self.home / "vault" / "secret", home / "vault" / "secret")
        return ShellCase(self.pipeline, home, self.study, self.settings)


def light_study(folder: Path) -> Path:
    """Return the slices in the middle of a small coronary study."""
    slices = [(float(pydicom.dcmread(p, stop_before_pixels=True).ImagePositionPatient[2]), p) for p in _small_study(folder)]
    first = (len(slices) - LIGHT_SLICES) // 2
    (folder / "light").mkdir()
    for _, path in sorted(slices)[first : first + LIGHT_SLICES]:
        path.rename(folder / "light" / path.name)
    return folder / "light"


def _small_study(folder: Path) -> list[Path]:
    return list(phantom("coronary", folder / "phantom", "--seed", "100", "--size", "small").iterdir())


def contents(case: Path) -> dict[str, str]:
    """Return the sha256 of every file of a case by its path; of manifests without what a run costs."""
    return {str(path.relative_to(case)): _sha256(path) for path in sorted(case.rglob("*")) if path.is_file()}


def half_published(case: Path) -> list[str]:
    """Return the folders of a case that readers look into and that are not whole."""
    return [str(p.relative_to(case)) for p in _results(case) if not _whole(p)]


def left_behind(home: Path) -> list[str]:
    """Return what a killed run may leave for a while, and must not be there at the end: drafts and unfinished results."""
    return [str(path.relative_to(home)) for path in home.rglob(".*")]


def once(case: Path, stages: Sequence[str]) -> bool:
    """Return whether each of the stages has one result, and no stage has two."""
    counted = {stage.name: len(_results(stage)) for stage in case.iterdir() if stage.is_dir()}
    return all(counted.get(stage) == 1 for stage in stages) and max(counted.values()) == 1


def _results(folder: Path) -> list[Path]:
    """Return the folders that are named by a key, without those of items, which are parts of one result."""
    return [p for p in folder.rglob("*") if p.is_dir() and len(p.name) == 12 and set(p.name) <= set("0123456789abcdef")
            and "items" not in p.relative_to(folder).parts]  # fmt: skip


def _whole(folder: Path) -> bool:
    manifest = Manifest.found(folder)
    return manifest is not None and all(manifest.output_path(name, folder).exists() for name in manifest.outputs)


def _sha256(path: Path) -> str:
    if path.name != MANIFEST:
        return sha256_path(path)
    document = {name: value for name, value in json.loads(path.read_text()).items() if name not in COSTS}
    return json.dumps(document, sort_keys=True)
