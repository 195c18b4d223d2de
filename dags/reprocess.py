"""Airflow DAG: cases whose report is not what today's code, parameters and weights would give are answered again and compared.

By hand, or by the schedule of the setting ``reprocess_schedule``.
"""

from __future__ import annotations

from operators.reprocess.dag import reprocess_dag

dag = reprocess_dag()
