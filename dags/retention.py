"""The Airflow DAG by which originals leave the inbox after their time, and cases are shredded on request."""

from __future__ import annotations

from operators.retention.dag import retention_dag

dag = retention_dag()
