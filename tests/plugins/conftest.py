"""Sets the Airflow home of the tests before a test module imports airflow."""

from tests.operators import airflow_home as airflow_home
