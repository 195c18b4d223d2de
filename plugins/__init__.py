"""The portal inside the Airflow web server."""
