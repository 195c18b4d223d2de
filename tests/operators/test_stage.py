"""What every place of execution shares: memory after a kill, what of the home a stage sees, what its end means."""

from __future__ import annotations

from dataclasses import replace

import pytest
from airflow.sdk import RetryAction
from airflow.sdk.exceptions import AirflowRuntimeError, AirflowTaskTimeout, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from algorithms.contract.case import Case
from algorithms.contract.command import interrupted, killed
from algorithms.contract.errors import DataError, TransientError
from algorithms.contract.execute import execute
from algorithms.contract.record import Failure
from operators.runners.local import LocalStage
from operators.stage import RETRY_POLICY, End, Mount, StageTask, raise_for_end


def task(case: Case, stage: str) -> StageTask:
    return LocalStage(task_id=stage, pipeline="coronary", stage=stage, case_id=case.case_id, parameters={})


def test_only_kills_for_want_of_memory_raise_the_memory(case: Case) -> None:
    """6 GiB are declared; two kills give 1.5 times 1.5 as much, and neither a stop nor a full disk in between counts."""
    segment = task(case, "segment")
    opened = segment.open()
    declared = segment.declared.resources.memory_gib

    killed(case, segment.declared, 9)
    interrupted(case, segment.declared, "because its machine was taken away")
    killed(case, segment.declared, 9)
    killed(case, segment.declared, 15)

    assert segment.need_of(opened).memory_gib == declared * 1.5**2
    assert replace(segment.need_of(opened), memory_gib=declared) == segment.declared.resources


@pytest.mark.parametrize(
    ("limit_gib", "memory_gib"), [(8.0, 8.0), (1.0, 6.0)], ids=["a limit", "a limit below what is declared"]
)
def test_memory_is_not_raised_without_limit(case: Case, limit_gib: float, memory_gib: float) -> None:
    """A pod that asks for more than any machine has would wait for ever; what is declared is given whatever the limit."""
    segment = task(case, "segment")
    opened = segment.open()
    killed(case, segment.declared, 9)

    need = segment.need_of(replace(opened, here=replace(opened.here, memory_limit_gib=limit_gib)))

    assert need.memory_gib == memory_gib


def test_a_result_makes_the_kills_before_it_forgotten(case: Case) -> None:
    """They belong to a result that was not made; the next one, of other parameters, starts with what is declared."""
    receive = task(case, "receive")
    opened = receive.open()
    killed(case, receive.declared, 9)

    execute(opened.pipeline, receive.declared, case, opened.here.home_folder, {}, stub=True)

    assert receive.need_of(opened) == receive.declared.resources


@pytest.mark.parametrize(
    ("stage", "seen"),
    [
        pytest.param("deidentify", {"cases", "inbox", "vault"}, id="reads originals and the key"),
        pytest.param("segment", {"cases"}, id="reads what others made"),
        pytest.param("report", {"cases"}, id="runs always"),
    ],
)
def test_a_stage_sees_its_own_case_and_originals_only_where_it_reads_them(case: Case, stage: str, seen: set[str]) -> None:
    """Code that parses foreign files in a container has no way to another patient's, nor to the key of pseudonyms."""
    mounts = task(case, stage).mounts_of(task(case, stage).open())

    assert {mount.path.partition("/")[0] for mount in mounts} == seen
    assert all(mount.path.startswith("vault") or mount.path.endswith(f"/{case.case_id}") for mount in mounts)


def test_only_a_stage_that_remembers_may_write_into_the_vault_and_never_over_the_secret(case: Case) -> None:
    """It keeps who the case is about before the original goes; of slides nothing is remembered."""
    coronary = task(case, "deidentify")
    slides = LocalStage(task_id="d", pipeline="prostate", stage="deidentify", case_id=case.case_id, parameters={})

    vaults = [[m for m in t.mounts_of(coronary.open()) if m.path.startswith("vault")] for t in (coronary, slides)]

    assert vaults == [
        [Mount("vault", read_only=True), Mount("vault/keys"), Mount("vault/identities")],
        [Mount("vault", read_only=True)],
    ]


def test_what_a_place_says_of_an_end_is_in_the_message_and_no_kill(case: Case) -> None:
    """137 with a reason is a stopped machine, not want of memory; it is tried again all the same."""
    flow = task(case, "flow").declared

    with pytest.raises(TransientError, match="ended because its machine was taken away"):
        raise_for_end(End(137, "because its machine was taken away"), case, flow)
    assert (left := Failure.read(case.folder / "flow")) is not None
    assert (left.kind, left.kills) == ("transient", 0)


@pytest.mark.parametrize(
    ("error", "action"),
    [
        pytest.param(TransientError("killed"), RetryAction.RETRY, id="transient"),
        pytest.param(
            AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR)), RetryAction.RETRY, id="Airflow's API away"
        ),
        pytest.param(DataError("20 slices"), RetryAction.FAIL, id="data"),
        pytest.param(AirflowTaskTimeout("too long"), RetryAction.FAIL, id="time limit"),
        pytest.param(KeyError("a bug"), RetryAction.FAIL, id="bug"),
    ],
)
def test_only_what_may_pass_is_tried_again(error: BaseException, action: RetryAction) -> None:
    """A database that was away for half a minute failed a case for good, without a reason, before its stage had begun."""
    assert RETRY_POLICY.evaluate(error, try_number=1, max_tries=2).action == action
