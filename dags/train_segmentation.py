"""Airflow DAG: a data set of phantoms and labelled studies becomes a segmentation network in the registry.

Trigger it with the id that ``python -m algorithms train_segmentation receive FOLDER`` prints.  The stages are declared in
``algorithms/train_segmentation/pipeline.py``; everything that Airflow shows is made from that declaration.
"""

from __future__ import annotations

from operators.dag import dag_called

dag = dag_called("train_segmentation")
