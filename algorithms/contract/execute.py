"""Run one stage of a case, once: find what is done, verify what goes in, publish what comes out in one rename.

A result is named by the content that made it, so nothing is ever overwritten and "it exists" means "it is done":

- two equal runs at once both compute, the first to finish publishes, the other takes that result;
- a killed run leaves only a draft folder, which the next run of the stage removes, or goes on with where the stage resumes;
- a folder without a manifest that can be read (a copy that was broken off) is no result, and is removed for one;
- a stage that runs once an item publishes each item's result, and whoever finishes last puts them together;
- an artefact that was changed after it was written stops the stage that reads it.
"""

from __future__ import annotations

import importlib
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from algorithms.contract.case import Case, Home
from algorithms.contract.cost import Meter
from algorithms.contract.disk import flush, require_room
from algorithms.contract.draft import draft, kept_draft, remove, remove_abandoned
from algorithms.contract.errors import DataError
from algorithms.contract.gather import gathered
from algorithms.contract.identity import Identity, is_remembered, remember
from algorithms.contract.items import place
from algorithms.contract.manifest import Manifest, Measurement, entry_point, written
from algorithms.contract.pipeline import RECORD, Output, Pipeline, Stage, Value
from algorithms.contract.record import Failure, StageState, record, states

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """A published result: its manifest, the folder that holds it, and whether it had been there before."""

    manifest: Manifest
    folder: Path
    reused: bool


def execute(
    pipeline: Pipeline,
    stage: Stage,
    case: Case,
    home: Home,
    given: Mapping[str, Value],
    *,
    item: str | None = None,
    stub: bool = False,
) -> Result:
    """Return the result of ``stage`` for ``case``, computed now unless it is there already.

    A stage that runs once an item runs for ``item``, or without one for each of them in turn.

    Raises
    ------
    DataError
        If an input is missing or has changed, the case folder cannot be written, or the stage refuses the data.
    """
    job = _Job(pipeline, stage, case, home, given, states(pipeline, case, given, stub=stub), stub)
    if not stage.each:
        if item is not None:
            raise DataError(f"stage {stage.name} runs once a case; leave --item out")
        return _execute_one(job)
    _check_items(job, item)
    results = [_execute_one(replace(job, item=one)) for one in ([item] if item else job.state.items)]
    whole = _put_together(job)
    if item or whole is None:
        return results[0]
    return replace(whole, reused=all(result.reused for result in results))


@dataclass(frozen=True)
class _Job:
    """One result to be made, of a stage or of one item of it, and what was there before."""

    pipeline: Pipeline
    stage: Stage
    case: Case
    home: Home
    given: Mapping[str, Value]
    before: Mapping[str, StageState]
    stub: bool
    item: str | None = None

    @property
    def state(self) -> StageState:
        state = self.before[self.stage.name]
        return state if self.item is None else state.items[self.item]

    @property
    def place(self) -> Path:
        return place(self.case, self.stage, self.item)

    def again(self) -> _Job:
        """Return the same job with what is there now."""
        return replace(self, before=states(self.pipeline, self.case, self.given, stub=self.stub))


def _execute_one(job: _Job) -> Result:
    reused = job.state.manifest is not None
    if not reused:
        try:
            _execute_now(job)
        except Exception:
            # An equal run may have ended meanwhile and deleted what both were reading.
            if job.again().state.manifest is None:
                raise
            log.info("%s: an equal run has the result", job.stage.name)
        job = job.again()
    if not job.stub:
        if reused:
            _remember_again(job)
        _delete_consumed(job.stage, job.case, job.home)
    manifest, folder = _found(job)
    if reused:
        # A run that was killed between publishing and cleaning up has left its draft.
        remove_abandoned(job.place)
        log.info("%s: reused %s", job.stage.name, manifest.key[:12])
    return Result(manifest, folder, reused)


def _check_items(job: _Job, item: str | None) -> None:
    if not job.state.items:
        _inputs(job)  # says which stage must run first
        raise DataError(f"stage {job.stage.name} has no item to run over: {', '.join(job.stage.each)} have none in common")
    if item is not None and item not in job.state.items:
        raise DataError(f"stage {job.stage.name} has no such item, only {', '.join(job.state.items)}")


def _put_together(job: _Job) -> Result | None:
    """Return the result of all items, published now unless it was; ``None`` while that of an item is missing."""
    job = job.again()
    if job.state.manifest is None:
        parts = {item: _found(replace(job, item=item)) for item, state in job.state.items.items() if state.manifest is not None}
        if len(parts) < len(job.state.items):
            return None
        with draft(job.place) as folder:
            manifest = gathered(folder, job.stage, parts, key=_key(job), inputs=job.state.inputs)
            _publish(folder, job, manifest)
        job = job.again()
    return Result(*_found(job), reused=False)


def _execute_now(job: _Job) -> None:
    stage, key = job.stage, _key(job)
    with kept_draft(job.place, key) if stage.resumes and not job.stub else draft(job.place) as folder:
        inputs = _inputs(job)
        if stage.always:
            inputs[RECORD] = folder / "record.json"
            inputs[RECORD].write_text(record(job.pipeline, job.case, stage, job.before))
        out = folder / "out"
        out.mkdir(exist_ok=True)
        parameters = stage.settings(dict(job.given))
        with Meter() as meter:
            measurements = _write_stubs(inputs, out, stage=stage) if job.stub else _call(stage, inputs, out, parameters)
            # An item's own artefact is no collection: it is one entry of it.
            outputs = {o.name: written(out, o.path, collection=o.collection and job.item is None) for o in _made(stage, out)}
        require_room(out)
        if stage.remembers and not job.stub:
            remember(job.home, job.case.case_id, _identity(stage, inputs))
        manifest = Manifest(
            key=key,
            pipeline=job.pipeline.name,
            stage=stage.name,
            run=entry_point(stage, job.stub),
            version=stage.version,
            parameters=parameters,
            inputs=job.state.inputs,
            outputs=outputs,
            measurements=measurements,
            image=os.environ.get("HEARTWOOD_IMAGE", ""),
            **asdict(meter.cost),
        )
        manifest.write(out)
        _publish(out, job, manifest)


def _key(job: _Job) -> str:
    if job.state.key is None:
        _inputs(job)  # says which stage must run first
        raise RuntimeError(f"stage {job.stage.name} has all of its inputs and no key")
    return job.state.key


def _found(job: _Job) -> tuple[Manifest, Path]:
    if job.state.manifest is None or job.state.folder is None:
        raise RuntimeError(f"stage {job.stage.name} published a result that its own key does not find")
    return job.state.manifest, job.state.folder


def _inputs(job: _Job) -> dict[str, Path]:
    """Return the verified path of every input; an ``always`` stage goes without those that were never made."""
    paths: dict[str, Path] = {}
    for name in job.stage.inputs:
        maker = job.pipeline.maker(name)
        if maker is None:
            paths[name] = job.case.verify_input(name, job.home)
            continue
        made = job.before[maker.name]
        if made.manifest is not None and made.folder is not None:
            item = job.item if name in job.stage.each else None
            paths[name] = made.manifest.output_path(name, made.folder, item)
        elif not job.stage.always:
            raise DataError(
                f"stage {job.stage.name} needs {name} of stage {maker.name}, which has no result for these parameters; "
                f"run `python -m algorithms {job.pipeline.name} {maker.name}` with the same --case and --set first"
            )
    return paths


def _call(stage: Stage, inputs: Mapping[str, Path], out: Path, parameters: Mapping[str, Value]) -> Mapping[str, Measurement]:
    module, function = stage.run.split(":")
    try:
        measurements: Mapping[str, Measurement] = getattr(importlib.import_module(module), function)(inputs, out, **parameters)
    except OSError as error:
        if error.errno is None:
            # numpy and Pillow say so that they could not write all of it, and not why.
            require_room(out)
        raise
    return measurements


def _identity(stage: Stage, inputs: Mapping[str, Path]) -> Identity:
    module, function = stage.remembers.split(":")
    identity: Identity = getattr(importlib.import_module(module), function)(inputs)
    return identity


def _remember_again(job: _Job) -> None:
    """Keep who a case is about whose result was there before: the record was shredded, or the result is older than records."""
    here = all(job.case.input_path(name, job.home).exists() for name in job.stage.consumes)
    if job.stage.remembers and here and not is_remembered(job.home, job.case.case_id):
        remember(job.home, job.case.case_id, _identity(job.stage, _inputs(job)))


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


def _made(stage: Stage, out: Path) -> tuple[Output, ...]:
    for output in stage.outputs:
        if not (out / output.path).exists():
            raise RuntimeError(f"stage {stage.name} declares {output.path} but did not write it")
    return stage.outputs


def _publish(out: Path, job: _Job, manifest: Manifest) -> None:
    flush(out)
    target = job.place / manifest.key[:12]
    if target.exists() and Manifest.found(target) is None:
        log.warning("%s: removed a folder that stood in the place of the result and was none", manifest.stage)
        remove(target)
    try:
        out.rename(target)
    except OSError:
        # rename() refuses to replace a folder that is not empty: an equal run has published first.
        other = Manifest.found(target)
        if other is None:
            raise
        if other.key != manifest.key:
            raise RuntimeError(f"two keys of stage {manifest.stage} share their first 12 digits") from None
        if {n: w.sha256 for n, w in other.outputs.items()} != {n: w.sha256 for n, w in manifest.outputs.items()}:
            log.warning("%s: an equal run published other bytes first; the stage is not reproducible", manifest.stage)
    Failure.clear(job.place)


def _delete_consumed(stage: Stage, case: Case, home: Home) -> None:
    for name in stage.consumes:
        path = case.input_path(name, home)
        if path.exists():
            shutil.rmtree(path, onerror=_unless_gone)
            log.info("deleted the original %s of case %s", name, case.case_id)


def _unless_gone(_function: object, _path: str, problem: tuple[type, BaseException, object]) -> None:
    """Let a tree be removed that an equal run is removing too."""
    if not isinstance(problem[1], FileNotFoundError):
        raise problem[1]
