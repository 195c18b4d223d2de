"""What has been done for a case: the state of every stage, and the record of it that the report is made from."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

from algorithms.contract.case import Case
from algorithms.contract.digest import sha256_path
from algorithms.contract.items import item_inputs, items, place
from algorithms.contract.manifest import HEARTWOOD, Manifest, result_key
from algorithms.contract.pipeline import PROJECT, RECORD, Pipeline, Stage, Value


@dataclass(frozen=True)
class Failure:
    """Why a stage ended without a result: ``kind`` is data, transient, bug or timeout; ``key`` is of the result it was to make.

    ``kills`` counts how often it was killed for want of memory since it last had a result.
    """

    FILE: ClassVar[str] = "failure.json"
    kind: str
    message: str
    key: str | None = None
    traceback: str = ""
    kills: int = 0

    def write(self, stage_folder: Path) -> None:
        """Write the failure into the stage's folder, where operators, the report and the case page look for it."""
        stage_folder.mkdir(parents=True, exist_ok=True)
        draft = stage_folder / f".failure-{secrets.token_hex(4)}"
        try:
            draft.write_text(json.dumps(asdict(self), indent=2) + "\n")
            draft.rename(stage_folder / self.FILE)
        finally:
            draft.unlink(missing_ok=True)

    @staticmethod
    def read(stage_folder: Path) -> Failure | None:
        """Return the stage's last failure, or ``None`` where its last run published a result or left nothing to read."""
        try:
            return Failure(**json.loads((stage_folder / Failure.FILE).read_text()))
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
            return None

    @staticmethod
    def kills_before(stage_folder: Path) -> int:
        """Return how often the stage was killed for want of memory since its last result."""
        before = Failure.read(stage_folder)
        return before.kills if before else 0

    @staticmethod
    def clear(stage_folder: Path) -> None:
        """Forget the last failure, and what a killed run has written of one: the stage has a result now."""
        for path in (stage_folder / Failure.FILE, *stage_folder.glob(".failure-*")):
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class StageState:
    """``state`` is "done", "failed" or "not run"; ``inputs`` are the hashes of the inputs that exist.

    Files that the stage reads count as inputs by the name ``file:PATH``.  ``items`` are the states of a stage that runs once an
    item; it is done itself once all of them are put together.
    """

    stage: Stage
    state: str
    inputs: Mapping[str, str]
    key: str | None = None
    folder: Path | None = None
    manifest: Manifest | None = None
    failure: Failure | None = None
    items: Mapping[str, StageState] = field(default_factory=dict)


def states(pipeline: Pipeline, case: Case, given: Mapping[str, Value], *, stub: bool = False) -> dict[str, StageState]:
    """Return the state of every stage for these parameters, by name, in pipeline order.

    A result counts when its key follows from the case's inputs and ``given`` through the results before it; results of
    other parameters, versions or inputs lie beside it and do not count.
    """
    found: dict[str, StageState] = {}
    hashes = dict(case.inputs)
    for stage in pipeline.stages:
        state = _state(pipeline, stage, case, given, hashes=hashes, found=found, stub=stub)
        if state.manifest is not None:
            hashes |= {name: written.sha256 for name, written in state.manifest.outputs.items()}
        found[stage.name] = state
    return found


def _state(
    pipeline: Pipeline,
    stage: Stage,
    case: Case,
    given: Mapping[str, Value],
    *,
    hashes: Mapping[str, str],
    found: Mapping[str, StageState],
    stub: bool,
) -> StageState:
    inputs = {name: hashes[name] for name in stage.inputs if name in hashes}
    if stage.always:
        inputs[RECORD] = hashlib.sha256(record(pipeline, case, stage, found).encode()).hexdigest()
    elif len(inputs) < len(stage.inputs):
        # Whatever failure lies here is of another time: today this stage was not reached.
        return StageState(stage, "not run", inputs)
    parameters = stage.settings(dict(given))
    inputs |= files_read(stage, parameters)
    manifests = {name: state.manifest for name, state in found.items() if state.manifest is not None}
    of_items = {
        item: _result(stage, case, parameters, item_inputs(pipeline, stage, item, inputs, manifests), stub=stub, item=item)
        for item in items(pipeline, stage, manifests)
    }
    return _result(stage, case, parameters, inputs, stub=stub, of_items=of_items)


def files_read(stage: Stage, parameters: Mapping[str, Value]) -> dict[str, str]:
    """Return the sha256 of every file of the project that the stage reads with these parameters, by the name ``file:PATH``."""
    paths = stage.files(parameters)
    missing = [path for path in paths if not (PROJECT / path).exists()]
    if missing:
        raise RuntimeError(f"stage {stage.name} declares that it reads {', '.join(missing)}, which the project does not have")
    return {f"file:{path}": sha256_path(PROJECT / path) for path in paths}


def _result(
    stage: Stage,
    case: Case,
    parameters: Mapping[str, Value],
    inputs: Mapping[str, str],
    *,
    stub: bool,
    item: str | None = None,
    of_items: Mapping[str, StageState] | None = None,
) -> StageState:
    """Return the state of the result that these parameters and inputs make."""
    key = result_key(stage, parameters, inputs, stub)
    here, of_items = place(case, stage, item), of_items or {}
    folder = here / key[:12]
    if (manifest := Manifest.found(folder)) is not None:
        return StageState(stage, "done", inputs, key, folder, manifest, items=of_items)
    failure = Failure.read(here)
    if failure and failure.key not in {None, key}:
        failure = None
    failure = failure or next((state.failure for state in of_items.values() if state.failure), None)
    return StageState(stage, "failed" if failure else "not run", inputs, key, failure=failure, items=of_items)


def record(pipeline: Pipeline, case: Case, stage: Stage, found: Mapping[str, StageState]) -> str:
    """Return the record of the stages before ``stage`` as JSON text.

    It holds nothing that differs between two equal runs (no time, no host), so that equal cases get equal reports.
    """
    entries = []
    for before in pipeline.stages[: pipeline.stages.index(stage)]:
        state = found[before.name]
        manifest = state.manifest
        entries.append(
            {
                "name": before.name,
                "help": before.help,
                "source": before.source,
                "state": state.state,
                "version": before.version,
                "key": state.key,
                "parameters": dict(manifest.parameters) if manifest else {},
                "measurements": dict(manifest.measurements) if manifest else {},
                "inputs": dict(state.inputs),
                "outputs": {name: written.sha256 for name, written in manifest.outputs.items()} if manifest else {},
                "failure": {"kind": state.failure.kind, "message": state.failure.message} if state.failure else None,
            }
        )
    document = {
        "case_id": case.case_id,
        "pipeline": pipeline.name,
        "title": pipeline.title,
        "heartwood": HEARTWOOD,
        "stages": entries,
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"
