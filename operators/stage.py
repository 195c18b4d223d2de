"""What every place of execution shares: what a stage is told, what it gets, and what its end means.

A runner is one thin subclass of `StageTask` and of the provider's own operator.  It starts ``StageTask.command_of`` with the
resources that the stage declares and says how that ended.  The case folder is the only channel between a task and its
stage: a result is a manifest there, a failure is ``failure.json``.  Airflow sees a case id, parameters, a result key and a
state.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from airflow.sdk import Context, ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferralError, TaskDeferralTimeout

from algorithms.contract.case import SECRET, Case, Home
from algorithms.contract.catalogue import pipeline as pipeline_called
from algorithms.contract.command import interrupted, killed, overdue, stage_command
from algorithms.contract.errors import EXIT_DATA, EXIT_OK, EXIT_TRANSIENT, DataError, TransientError
from algorithms.contract.items import place
from algorithms.contract.manifest import Manifest
from algorithms.contract.pipeline import Resources, Stage
from algorithms.contract.record import Failure
from algorithms.contract.vault import IDENTITIES, KEYS
from operators.case import CaseTask, OpenCase
from operators.watch import metrics

SIGNALLED = 128
"""A shell's exit code for "ended by signal n" is 128 + n."""

MORE_MEMORY = 1.5
"""A stage that was killed for want of memory gets this much more each time."""

VISIBLE_S = 60
"""A network file system shows a new folder to another machine after this time at the latest (nfs(5): acdirmax)."""

RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule("algorithms.contract.errors.TransientError", RetryAction.RETRY, reason="transient, or killed: tried again"),
        RetryRule(
            "algorithms.contract.errors.DataError", RetryAction.FAIL, reason="the data cannot be answered: a person must act"
        ),
        RetryRule("airflow.sdk.exceptions.AirflowTaskTimeout", RetryAction.FAIL, reason="ran past its time limit"),
        # Also before and after our own code: a task that cannot tell its state while the database is away has not failed.
        RetryRule("airflow.sdk.exceptions.AirflowRuntimeError", RetryAction.RETRY, reason="Airflow's API is out of reach"),
    ],
    default=RetryAction.FAIL,
)
"""By who must act.  A worker that dies takes the policy with it; the scheduler then retries by the task's count."""


class StageBug(RuntimeError):  # noqa: N818 - the contract calls it a bug
    """A stage ended with an error that a developer must look at."""


@dataclass(frozen=True)
class End:
    """How a stage ended.

    ``code`` is its exit code as a shell gives it.  ``reason`` is set where the place ended it, or could not start it, and
    knows why; KILL without a reason counts as want of memory.
    """

    code: int
    reason: str = ""


@dataclass(frozen=True)
class Mount:
    """A folder of the home that a stage sees, relative to it."""

    path: str
    read_only: bool = False


STOPPED = "because its task was stopped"

ENVIRONMENT = {"HOME": "/tmp"}
"""What every containerised stage is told: whoever it runs as, there is a place for caches."""


class StageTask(CaseTask):
    """Run one stage of a case, or one item of it; a subclass says where.

    Parameters
    ----------
    stage
        Its name.
    item
        Which one, of a stage that runs once an item.
    """

    ui_color = "#e8eef7"

    def __init__(self, *, stage: str, item: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage
        self.item = item

    def execute(self, context: Context) -> dict[str, str]:
        """Return the key of the stage's result and how it came about: nothing is started for one that is there already."""
        try:
            return self._execute(context)
        except AirflowTaskTimeout:
            self.overdue()
            raise

    def _execute(self, context: Context) -> dict[str, str]:
        opened = self.open()
        there = self.result_of(opened)
        if there is not None and self._nothing_left(opened):
            self.forget(context)
            self.log.info("stage %s reused result %s", self.named, there.key[:12])
            metrics.STAGE_REUSED.add(pipeline=self.pipeline, stage=self.stage)
            return {"key": there.key, "state": "reused"}
        started = time.monotonic()
        end = self.run_stage(opened, context)
        outcome = "done" if end.code == EXIT_OK else "failed"
        self.log.info("stage %s %s in %.1f s", self.named, outcome, time.monotonic() - started)
        return self.answer(opened, end)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral; stop a stage past its time limit, leave one that was lost sight of to the next try."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            self.recall(context)
            self.on_kill()
            self.overdue()
            raise AirflowTaskTimeout(f"stage {self.named} ran past its time limit") from None
        except TaskDeferralError:
            raise TransientError(f"stage {self.named} was lost sight of; the next try waits for it") from None

    def recall(self, context: Context) -> None:
        """Find again what was started before a deferral, so that ``on_kill`` can stop it; a place that defers must."""

    def run_stage(self, opened: OpenCase, context: Context) -> End:
        """Start the stage, wait for it and return how it ended."""
        raise NotImplementedError

    def forget(self, context: Context) -> None:
        """Remove what an earlier try, whose worker died, may have left in the place; here nothing can be."""

    def answer(self, opened: OpenCase, end: End) -> dict[str, str]:
        """Return the result's key and state, or raise what the end means; see `raise_for_end`."""
        raise_for_end(end, opened.case, self.declared, self.item, memory_gib=self.need_of(opened).memory_gib)
        until = time.monotonic() + VISIBLE_S
        while (made := self.result_of(opened)) is None:
            if time.monotonic() > until:
                raise TransientError(
                    f"stage {self.named} ended well, but its result is not in the case folder as seen from here"
                )
            time.sleep(1)
            # A network file system remembers that a name was missing; listing its folder makes it look again.
            for folder in (opened.case.folder, place(opened.case, self.declared), place(opened.case, self.declared, self.item)):
                if folder.is_dir():
                    list(folder.iterdir())
        self._tell(made)
        return {"key": made.key, "state": "done"}

    def overdue(self) -> None:
        """Leave the reason of a stage that was stopped at its time limit, for the report, before the task ends."""
        overdue(self.open().case, self.declared, self.item)

    def _tell(self, made: Manifest) -> None:
        of_stage = {"pipeline": self.pipeline, "stage": self.stage}
        metrics.STAGE_DURATION.took(made.seconds, **of_stage)
        metrics.STAGE_CPU_TIME.took(made.cpu_seconds, **of_stage)
        metrics.STAGE_MEMORY.set(made.peak_memory_mib, **of_stage)
        metrics.STAGE_MEMORY_SHARE.set(made.peak_memory_mib / 1024 / self.declared.resources.memory_gib, **of_stage)

    @property
    def declared(self) -> Stage:
        """The stage as its pipeline declares it."""
        return pipeline_called(self.pipeline).stage(self.stage)

    @property
    def named(self) -> str:
        """The stage's name for a log line, with the item's."""
        return f"{self.stage} {self.item}" if self.item else self.stage

    def result_of(self, opened: OpenCase) -> Manifest | None:
        """Return the manifest of the result that the case folder has now, ``None`` where there is none."""
        state = opened.states()[self.stage]
        if self.item is not None:
            state = state.items[self.item]
        return state.manifest

    def command_of(self, opened: OpenCase, home: Path, python: str = "python") -> list[str]:
        """Return what is started where ``home`` is the path of the home."""
        case = home / opened.case.folder.relative_to(opened.here.home_folder.root)
        names = (self.pipeline, self.stage)
        arguments = stage_command(*names, home=home, case=case, given=opened.given, item=self.item, stub=opened.here.stub)
        return [python, *arguments]

    def need_of(self, opened: OpenCase) -> Resources:
        """Return what this try gets: what the stage declares, and more memory for each time that it was killed for want of it.

        Other failures do not count, and the limit never takes away what is declared.
        """
        declared = self.declared.resources
        kills = Failure.kills_before(place(opened.case, self.declared, self.item))
        wanted = declared.memory_gib * MORE_MEMORY**kills
        return replace(declared, memory_gib=max(declared.memory_gib, min(wanted, opened.here.memory_limit_gib)))

    def mounts_of(self, opened: OpenCase) -> list[Mount]:
        """Return what of the home the stage needs: its case; originals and the key of pseudonyms only where it reads them."""
        case, stage = opened.case, self.declared
        mounts = [Mount(str(case.folder.relative_to(opened.here.home_folder.root)))]
        originals = [name for name in {*stage.inputs, *stage.consumes} if name in case.inputs and name != SECRET]
        inbox = opened.here.home_folder.inbox / case.case_id
        if originals and inbox.exists():
            mounts.append(Mount(str(inbox.relative_to(opened.here.home_folder.root))))
        if SECRET in stage.inputs:
            mounts += vault_mounts(opened.here.home_folder, remembers=bool(stage.remembers))
        return mounts

    def _nothing_left(self, opened: OpenCase) -> bool:
        """Whether a stage that has its result has nothing more to do: items are put together, originals are deleted."""
        gathered = opened.states()[self.stage].manifest is not None
        home = opened.here.home_folder
        originals = [opened.case.input_path(name, home) for name in self.declared.consumes]
        return gathered and (opened.here.stub or not any(path.exists() for path in originals))


def vault_mounts(home: Home, *, remembers: bool) -> list[Mount]:
    """Return the vault to be read; a stage that takes the identity out also writes data keys and records, never the secret."""
    mounts = [Mount(str(home.vault.relative_to(home.root)), read_only=True)]
    for folder in (KEYS, IDENTITIES) if remembers else ():
        # A folder that is not there cannot be mounted; one that root makes belongs to whom the vault belongs to.
        made = home.vault / folder
        made.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.geteuid() == 0:
            os.chown(made, home.vault.stat().st_uid, home.vault.stat().st_gid)
        mounts.append(Mount(str(made.relative_to(home.root))))
    return mounts


def raise_for_end(end: End, case: Case, stage: Stage, item: str | None = None, *, memory_gib: float | None = None) -> None:
    """Return if a stage, or one item of it, succeeded, else raise what its end means, with the message that it left.

    Raises
    ------
    DataError
        Exit code 65: a person must act.
    TransientError
        Exit code 75, ended by a signal, or by its place: the same call may succeed later.
    StageBug
        Anything else.
    """
    if end.code == EXIT_OK:
        return
    if end.reason:
        interrupted(case, stage, end.reason, item)
    elif end.code > SIGNALLED:
        killed(case, stage, end.code - SIGNALLED, item, memory_gib=memory_gib)
    failure = Failure.read(place(case, stage, item)) or Failure.read(place(case, stage))
    message = failure.message if failure else f"exit code {end.code}, and no reason was left"
    text = f"stage {stage.name}{f' of {item}' if item else ''}: {message}"
    if end.reason or end.code == EXIT_TRANSIENT or end.code > SIGNALLED:
        raise TransientError(text)
    if end.code == EXIT_DATA:
        raise DataError(text)
    raise StageBug(f"{text}\n\n{failure.traceback}" if failure and failure.traceback else text)
