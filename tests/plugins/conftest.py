"""Sets the Airflow home of the tests before a test module imports airflow."""

import tests.operators.airflow_home  # noqa: F401
