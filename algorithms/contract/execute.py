"""Run one stage of a case, once: find what is done, verify what goes in, publish what comes out in one rename.

A result is named by the content that made it, so nothing is ever overwritten and "it exists" means "it is done":

- two equal runs at once both compute, the first to finish publishes, the other takes that result;
- a killed run leaves only a draft folder, which the next run of the stage on that machine removes;
- an artefact that was changed after it was written stops the stage that reads it.
"""

from __future__ import annotations

import importlib
import logging
import os
import resource
import secrets
import shutil
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from algorithms.contract.case import Case, Home
from algorithms.contract.digest import sha256_path, size_bytes
from algorithms.contract.errors import DataError
from algorithms.contract.manifest import MANIFEST, Manifest, Measurement, Written, entry_point, result_key
from algorithms.contract.pipeline import RECORD, Pipeline, Stage, Value
from algorithms.contract.record import Failure, StageState, record, states

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """A published result: its manifest, the folder that holds it, and whether it had been there before."""

    manifest: Manifest
    folder: Path
    reused: bool


def execute(
    pipeline: Pipeline, stage: Stage, case: Case, home: Home, given: Mapping[str, Value], *, stub: bool = False
) -> Result:
    """Return the result of ``stage`` for ``case``, computed now unless it is there already.

    Raises
    ------
    DataError
        If an input is missing or has changed, the case folder cannot be written, or the stage refuses the data.
    """
    parameters = stage.settings(dict(given))
    before = states(pipeline, case, given, stub=stub)
    state = before[stage.name]
    if state.manifest is None:
        _execute_now(pipeline, stage, case, home, parameters=parameters, before=before, stub=stub)
        state = states(pipeline, case, given, stub=stub)[stage.name]
        reused = False
    else:
        log.info("%s: reused %s", stage.name, state.manifest.key[:12])
        reused = True
    if not stub:
        _delete_consumed(stage, case, home)
    if state.manifest is None or state.folder is None:
        raise RuntimeError(f"stage {stage.name} published a result that its own key does not find")
    return Result(state.manifest, state.folder, reused)


def _execute_now(
    pipeline: Pipeline,
    stage: Stage,
    case: Case,
    home: Home,
    *,
    parameters: Mapping[str, Value],
    before: Mapping[str, StageState],
    stub: bool,
) -> None:
    draft = _draft(case.folder / stage.name)
    try:
        inputs = _inputs(pipeline, stage, case, home, before)
        hashes = before[stage.name].inputs
        if stage.always:
            inputs[RECORD] = draft / "record.json"
            inputs[RECORD].write_text(record(pipeline, case, stage, before))
        out = draft / "out"
        out.mkdir()
        measured = _Measured()
        run = _write_stubs if stub else _function(stage)
        measurements: Mapping[str, Measurement] = run(inputs, out, **(parameters if not stub else {"stage": stage}))
        manifest = Manifest(
            key=result_key(stage, parameters, hashes, stub),
            pipeline=pipeline.name,
            stage=stage.name,
            run=entry_point(stage, stub),
            version=stage.version,
            parameters=parameters,
            inputs=hashes,
            outputs={o.name: _written(stage, o.path, out) for o in stage.outputs},
            measurements=measurements,
            image=os.environ.get("HEARTWOOD_IMAGE", ""),
            **asdict(measured.stop()),
        )
        manifest.write(out)
        _publish(out, case.folder / stage.name / manifest.key[:12], manifest)
        Failure.clear(case.folder / stage.name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _inputs(pipeline: Pipeline, stage: Stage, case: Case, home: Home, before: Mapping[str, StageState]) -> dict[str, Path]:
    """Return the verified path of every input; an ``always`` stage goes without those that were never made."""
    paths: dict[str, Path] = {}
    for name in stage.inputs:
        maker = pipeline.maker(name)
        if maker is None:
            paths[name] = case.verify_input(name, home)
            continue
        made = before[maker.name]
        if made.manifest is not None and made.folder is not None:
            paths[name] = made.manifest.output_path(name, made.folder)
        elif not stage.always:
            raise DataError(
                f"stage {stage.name} needs {name} of stage {maker.name}, which has no result for these parameters; "
                f"run `python -m algorithms {pipeline.name} {maker.name}` with the same --case and --set first"
            )
    return paths


def _function(stage: Stage):  # type: ignore[no-untyped-def]  # the signature is the stage's own
    module, function = stage.run.split(":")
    return getattr(importlib.import_module(module), function)


def _write_stubs(inputs: Mapping[str, Path], out: Path, *, stage: Stage) -> dict[str, Measurement]:
    """Write every declared output of ``stage`` as a placeholder that no tool would take for a result."""
    for output in stage.outputs:
        path = out / output.path
        if path.suffix:
            path.write_text("{}\n" if path.suffix == ".json" else f"stub of {output.name}\n")
        else:
            path.mkdir()
            (path / "stub").write_text(f"stub of {output.name}\n")
    return {"stub_inputs": len(inputs)}


def _written(stage: Stage, path: str, out: Path) -> Written:
    if not (out / path).exists():
        raise RuntimeError(f"stage {stage.name} declares {path} but did not write it")
    return Written(path, sha256_path(out / path), size_bytes(out / path))


def _publish(out: Path, place: Path, manifest: Manifest) -> None:
    try:
        out.rename(place)
    except OSError:
        # rename() refuses to replace a folder that is not empty: an equal run has published first.
        if not (place / MANIFEST).exists():
            raise
        other = Manifest.read(place)
        if other.key != manifest.key:
            raise RuntimeError(f"two keys of stage {manifest.stage} share their first 12 digits") from None
        if {n: w.sha256 for n, w in other.outputs.items()} != {n: w.sha256 for n, w in manifest.outputs.items()}:
            log.warning("%s: an equal run published other bytes first; the stage is not reproducible", manifest.stage)


def _draft(stage_folder: Path) -> Path:
    host = socket.gethostname()
    try:
        stage_folder.mkdir(parents=True, exist_ok=True)
        for old in stage_folder.glob(f".draft-{host}-*"):
            if not psutil.pid_exists(int(old.name.split("-")[-2])):
                shutil.rmtree(old, ignore_errors=True)
        draft = stage_folder / f".draft-{host}-{os.getpid()}-{secrets.token_hex(4)}"
        draft.mkdir()
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise DataError(
            f"cannot write into the case folder ({error.strerror}); give this user the right to, or move it"
        ) from error
    return draft


def _delete_consumed(stage: Stage, case: Case, home: Home) -> None:
    for name in stage.consumes:
        path = case.input_path(name, home)
        if path.exists():
            shutil.rmtree(path)
            log.info("deleted the original %s of case %s", name, case.case_id)


@dataclass(frozen=True)
class _Cost:
    seconds: float
    cpu_seconds: float
    peak_memory_mib: float


class _Measured:
    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._cpu_start = self._cpu()

    @staticmethod
    def _cpu() -> float:
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(u.ru_utime + u.ru_stime for u in usages)

    def stop(self) -> _Cost:
        peak_kib = max(resource.getrusage(w).ru_maxrss for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        seconds = time.perf_counter() - self._start
        return _Cost(round(seconds, 3), round(self._cpu() - self._cpu_start, 3), round(peak_kib / 1024, 1))
