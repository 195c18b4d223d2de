"""What runs outside Airflow: the sender of an examination, and the function that announces its arrival."""
