"""Many cases on many workers: Celery with Redis and PostgreSQL, and a pool that counts memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from algorithms.contract.case import Home
from algorithms.contract.catalogue import pipeline
from algorithms.contract.inbox import admit
from tests.faults.cases import ShellCase, contents, left_behind, once
from tests.faults.cluster import SLOTS, WORKERS, Try, cluster

CASES = 20
POOL_GIB = 12
"""Two of the largest stages; the eight slots of the workers would hold 48 GiB of them."""

CORONARY = pipeline("coronary")


def most_at_once(tries: Iterable[Try], weight: Callable[[Try], int]) -> int:
    """Return the largest sum of ``weight`` over the tries that ran at one time; one that ends makes room first."""
    moments = [(t.start, weight(t)) for t in tries if t.start] + [(t.end, -weight(t)) for t in tries if t.start and t.end]
    most = now = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.timeout(1800)
def test_twenty_cases_at_once_end_once_and_within_the_memory_pool(
    tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    """Stages in stub mode, real everything else: every task runs once, on either worker, and never more GiB than a pool."""
    pool = {"MEMORY_POOL": "heartwood_memory", "MEMORY_POOL_GIB": str(POOL_GIB), "STUB": "true"}
    with cluster(tmp_path, **{f"AIRFLOW__HEARTWOOD__{name}": value for name, value in pool.items()}) as airflow:
        studies = [tmp_path / "studies" / str(number) for number in range(CASES)]
        for study in studies:
            study.mkdir(parents=True)
            (study / "image").write_text(study.name)
        cases = [admit(study, "coronary", Home(airflow.home)) for study in studies]

        runs = [airflow.trigger("coronary_ffr", case.case_id) for case in cases]
        ended = airflow.wait_for_runs(runs)

        tries = [t for t in airflow.tries() if t.host and t.run_id in runs]
        at_work = {name: airflow.log(name).count("Executing workload") for name in WORKERS}
        reports = airflow.rows("SELECT case_id, count(*) FROM reports GROUP BY case_id", "heartwood")

    assert dict.fromkeys(runs, "success") == ended
    stages = [stage.name for stage in CORONARY.stages]
    assert Counter(dict.fromkeys([*stages, "publish"], CASES)) == Counter(t.task_id for t in tries)
    assert {1} == {t.number for t in tries}
    assert all(once(case.folder, stages) for case in cases)
    assert [] == left_behind(airflow.home)
    assert dict.fromkeys([case.case_id for case in cases], 1) == dict(reports)
    alone = ShellCase("coronary", airflow.home, studies[0]).again(tmp_path / "alone")
    assert [0] * len(stages) == [alone.run(stage, "--stub") for stage in stages]
    assert contents(alone.folder) == contents(cases[0].folder)

    gib = {stage.name: int(stage.resources.memory_gib) for stage in CORONARY.stages}
    of_stages = [t for t in tries if t.task_id in gib]
    assert gib == {t.task_id: t.slots for t in of_stages}
    most_gib = most_at_once(of_stages, lambda t: t.slots)
    assert max(gib.values()) < most_gib <= POOL_GIB
    most_cases = most_at_once(tries, lambda _: 1)
    assert SLOTS < most_cases <= SLOTS * len(WORKERS)
    assert min(at_work.values()) > CASES
    record_property("cases", CASES)
    record_property("tasks", len(tries))
    record_property("pool_gib", POOL_GIB)
    record_property("most_gib", most_gib)
    record_property("most_tasks", most_cases)
    record_property("seconds", round(max(t.end or 0 for t in tries) - min(t.start or 0 for t in tries)))
