"""Answering one case again in subprocesses of this process, as a run of its DAG does it on an Airflow worker."""

from __future__ import annotations

from algorithms.contract.case import Case
from algorithms.contract.command import run_pipeline
from algorithms.contract.pipeline import Pipeline
from operators.case import OpenCase
from operators.publish import publish_case
from operators.reprocess.stale import Stale, look_again
from operators.settings import Settings


def answer_again(here: Settings, pipeline: Pipeline, case_id: str) -> bool:
    """Run what changed for a case and publish its new report; return whether it was stale still.

    A stage that fails is no error here: the case then has a report that says so, as from the DAG.
    """
    judged, given = look_again(here, pipeline, case_id)
    if not isinstance(judged, Stale):
        return False
    case = Case.read(here.home_folder.case_folder(case_id))
    run_pipeline(pipeline, case, here.home_folder, given, stub=here.stub)
    publish_case(OpenCase(here, pipeline, case, given))
    return True
