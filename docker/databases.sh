#!/usr/bin/env bash
# Run by PostgreSQL when its volume is new, where the database `airflow` is there already: the other two, and who may write results.
# The owner of the tables upgrades them; the components of Airflow write as another role, which rules of the database bind.
set -euo pipefail
psql --quiet --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set ON_ERROR_STOP=1 \
  --set password="$(cat "${RESULTS_PASSWORD_FILE:-/run/secrets/results_password}")" <<'SQL'
CREATE DATABASE celery;
CREATE DATABASE results;
CREATE ROLE heartwood_platform LOGIN PASSWORD :'password';
SQL
