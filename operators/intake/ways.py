"""The ways of intake that a deployment has switched on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from algorithms.contract.store import Store, open_store
from operators.credentials import environment
from operators.intake.arrivals import Arrivals
from operators.intake.folder import FolderArrivals
from operators.settings import Settings

QUEUE = "queue"
FOLDER = "folder"


def ways(here: Settings) -> list[str]:
    """Return the ways that are on, none by default.

    Raises
    ------
    ValueError
        If the settings of a way are incomplete.
    """
    if here.intake_queue and not (here.intake_dead_letters and here.intake_store):
        raise ValueError("[heartwood] intake_queue goes with intake_dead_letters and intake_store; set all three")
    return [name for name, on in ((QUEUE, here.intake_queue), (FOLDER, here.intake_folder)) if on]


def arrivals(way: str, here: Settings) -> Arrivals:
    """Return the arrivals of one way."""
    if way == QUEUE:
        import boto3  # costs a second, which the DAG processor would spend at every look at the DAG's file
        from airflow.providers.amazon.aws.hooks.sqs import SqsHook

        from operators.intake.queue import QueueArrivals

        client = SqsHook(aws_conn_id=here.intake_connection).get_conn() if here.intake_connection else boto3.client("sqs")
        return QueueArrivals(client, here.intake_queue, here.intake_dead_letters, here.intake_visibility_s)
    return FolderArrivals(_folder(here))


def uploads(way: str, here: Settings) -> Store:
    """Return the store in which the uploads of one way lie."""
    if way == QUEUE:
        return open_store(here.intake_store, environment(replace(here, store_connection=here.intake_connection)))
    return open_store(_folder(here).as_uri())


def _folder(here: Settings) -> Path:
    return Path(here.intake_folder).expanduser().resolve()
