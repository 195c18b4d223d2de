"""Pipelines by name, and the names of DAGs."""

from __future__ import annotations

import pytest

from algorithms.contract.catalogue import called_after


@pytest.mark.parametrize(
    ("dag_id", "name"),
    [
        pytest.param("coronary_ffr", "coronary", id="pipeline and answer"),
        pytest.param("train_segmentation", "train_segmentation", id="a pipeline with an underscore"),
        pytest.param("train_segmentation_nightly", "train_segmentation", id="the same with an answer"),
        pytest.param("intake_queue", "intake", id="no pipeline"),
        pytest.param("coronaryx", "coronaryx", id="a name goes to its end or an underscore"),
    ],
)
def test_a_dag_is_called_after_its_pipeline(dag_id, name):
    """Airflow knows a case's pipeline by the id of its DAG alone."""
    assert name == called_after(dag_id)
