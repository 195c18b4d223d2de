"""The embedded Airflow of ``make demo`` and ``make up``: SQLite, files, local processes, and nothing reachable from outside.

It starts programs and prints what they came to; it imports neither Airflow nor a diagnostic, because Airflow reads its
configuration from the environment that is made here.
"""
