"""Airflow's side of a stage: pipelines as DAGs, where a stage runs, publishing, results database, settings."""
