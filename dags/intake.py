"""The Airflow DAGs by which examinations arrive unattended; none is shown until a queue or a folder is set."""

from __future__ import annotations

from operators.intake.dag import intake_dags

for dag in intake_dags():
    globals()[dag.dag_id] = dag
