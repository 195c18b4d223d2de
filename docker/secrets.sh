#!/usr/bin/env bash
# Make every password and key of the system that docker/compose.yaml describes, once, in docker/secrets; prints where the login is.
# The folder can be read by this user only.  The files in it can be read by whoever gets them mounted, as the components do.
set -euo pipefail
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
write() {
  if [ -e "secrets/$1" ]; then cat >/dev/null; else cat >"secrets/$1.new" && chmod 444 "secrets/$1.new" && mv "secrets/$1.new" "secrets/$1"; fi
}
random() { head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }
file() { cat "secrets/$1"; }

for name in postgres_password results_password redis_password s3_password api_secret; do random 24 | write "$name"; done
random 64 | write jwt_secret
head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n' | write fernet_key
printf heartwood | write s3_user

database() { printf '%s://%s:%s@postgres/%s' "$1" "$2" "$(file "$3")" "$4"; }
database postgresql+psycopg heartwood postgres_password airflow | write airflow_database
database db+postgresql+psycopg heartwood postgres_password celery | write celery_results
database postgresql+psycopg heartwood postgres_password results | write results_owner
database postgresql+psycopg heartwood_platform results_password results | write results_database
printf 'requirepass %s\n' "$(file redis_password)" | write redis_configuration
printf 'redis://:%s@redis:6379/0' "$(file redis_password)" | write broker
printf 'redis://:%s@redis:6379/1' "$(file redis_password)" | write cache

# Both servers are AWS to the components: one Connection that names an address for each.
printf '{"store": {"conn_type": "aws", "login": "%s", "password": "%s", "extra": {"region_name": "eu-central-1", "service_config": %s}}}\n' \
  "$(file s3_user)" "$(file s3_password)" '{"s3": {"endpoint_url": "http://s3:9000"}, "sqs": {"endpoint_url": "http://sqs:9324"}}' |
  write connections.json
printf '{"admin": "%s"}\n' "$(random 9)" | write login.json
printf '{"RegisteredUsers": {"heartwood": "%s"}}\n' "$(random 9)" | write orthanc_users.json
echo "the login of http://127.0.0.1:8080 is in docker/secrets/login.json, that of http://127.0.0.1:8042 in docker/secrets/orthanc_users.json"
