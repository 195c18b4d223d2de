"""Airflow DAG: a patient's prostate biopsy slides and clinical variables become a risk report.

Trigger it with the id that ``python -m algorithms prostate receive SLIDES_FOLDER`` prints.  The stages are declared in
``algorithms/prostate/pipeline.py``; everything that Airflow shows is made from that declaration.
"""

from __future__ import annotations

from operators.dag import dag_called

dag = dag_called("prostate_risk")
