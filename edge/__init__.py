"""What runs outside Airflow: the appliance in a hospital, the sender of an examination, the function that announces one."""
