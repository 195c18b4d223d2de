"""Everything that turns an examination into numbers; no Airflow here, everything runs from a shell."""
