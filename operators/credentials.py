"""What opens the object store, from an Airflow Connection, as variables that every AWS client knows.

::

    [heartwood] store_connection = ""       the client's own chain: a role of the machine, task or pod, a profile, variables
    [heartwood] store_connection = store    the Connection ``store`` of type ``aws``: keys or a role to take, region, endpoint

Secrets go from the Connection into a client or into the environment of a subprocess, and nowhere else: not into a template,
an XCom, a command line or a log line, where Airflow masks them besides.  Places that show an environment to others (the
description of an ECS task, of a pod) get none; there the stage's own role opens the store.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from algorithms.contract.errors import DataError
from algorithms.contract.store import Store, open_store
from algorithms.contract.store.s3 import KMS_KEY
from operators.settings import Settings

TYPE = "aws"
"""Type of the Connection; MinIO and other servers are of it too, with an ``endpoint_url`` in its extra."""


def deployment_store(here: Settings) -> Store:
    """Return the object store of this deployment, opened with its credentials."""
    return open_store(here.store_uri, environment(here))


def environment(here: Settings) -> dict[str, str]:
    """Return the variables that open the store; none for what the AWS client finds by itself.

    Keys of a role that the Connection names end with the session that it gives, an hour by default.

    Raises
    ------
    DataError
        If there is no such Connection, or one of another type.
    """
    kms_key = {KMS_KEY: here.store_kms_key} if here.store_kms_key else {}
    return kms_key | (_variables_of(here.store_connection) if here.store_connection else {})


def _variables_of(connection_id: str) -> dict[str, str]:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    # The provider's own hook would take whatever it finds around when there is no such Connection.
    try:
        kind = BaseHook.get_connection(connection_id).conn_type
    except AirflowNotFoundException:
        raise DataError(f"there is no Connection {connection_id}; add it, or leave store_connection empty") from None
    if kind != TYPE:
        raise DataError(f"Connection {connection_id} is of type {kind}, wanted {TYPE}")
    hook: AwsGenericHook[Any] = AwsGenericHook(aws_conn_id=connection_id, client_type="s3")
    told = hook.conn_config
    variables = {
        "AWS_DEFAULT_REGION": hook.region_name,
        "AWS_ENDPOINT_URL_S3": told.get_service_endpoint_url("s3"),
        "AWS_CA_BUNDLE": hook.verify if isinstance(hook.verify, str) else None,
    }
    found = {name: value for name, value in variables.items() if value}
    if not (told.aws_access_key_id or told.role_arn or told.profile_name):
        return found
    keys = hook.get_credentials()
    # A token that happens to be around belongs to other keys: an empty one takes its place.
    pair = {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key}
    return found | pair | {"AWS_SESSION_TOKEN": keys.token or ""}
