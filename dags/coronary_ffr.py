"""Airflow DAG: a coronary CT angiography study becomes an FFR-CT report.

Trigger it with the id that ``python -m algorithms coronary receive STUDY`` prints.  The stages are declared in
``algorithms/coronary/pipeline.py``; everything that Airflow shows is made from that declaration.
"""

from __future__ import annotations

from operators.dag import dag_called

dag = dag_called("coronary_ffr")
