"""The ``[heartwood]`` section of the Airflow configuration, read in one place.

Every setting is one field of `Settings`, is documented in docs/operations.md, and is set as any Airflow option is: in
``airflow.cfg`` or as the environment variable ``AIRFLOW__HEARTWOOD__<NAME>``.  The defaults make a laptop work.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from airflow.configuration import conf

from algorithms.contract.case import CODE, Home
from algorithms.contract.catalogue import pipelines
from operators.cost import LIST

SECTION = "heartwood"
PREFIX = "AIRFLOW__HEARTWOOD__"
PIN = "runner."
"""What an option that pins one stage begins with."""

ROOT = Path(__file__).resolve().parents[1]
"""The checkout: where ``algorithms`` is imported from, and what a relative ``home`` is relative to."""


def _setting(default: Any, help: str, *, secret: bool = False) -> Any:
    return field(default=default, metadata={"help": help, "secret": secret})


@dataclass(frozen=True)
class Settings:
    """What a deployment may choose."""

    home: str = _setting("data", "Folder of inbox, cases, vault and the default store; a relative one lies in the checkout.")
    region: str = _setting("local", "Code of the region of this deployment; a case of another region is refused at every door.")
    site: str = _setting("local", "Code of the site of cases that arrive here without one; never a hospital's name.")
    runner: str = _setting(
        "local", "Where stages run: local (a subprocess of the Airflow worker), container, ecs or kubernetes."
    )
    runners: str = _setting("", "Stages that run elsewhere, as in encode=kubernetes, prostate.tissue=container.")
    memory_limit_gib: float = _setting(
        32.0, "A stage killed for want of memory gets half as much again each time, at most this (GiB)."
    )
    image: str = _setting("", "Image of a stage, with its digest where it comes from a registry; for container and kubernetes.")
    image_gpu: str = _setting("", "The same, of a stage that declares a GPU.")
    container_home: str = _setting("", "Path of the home inside containers; the same as outside when empty.")
    container_user: str = _setting("", "User and group (uid:gid) of a stage in a container; the worker's own when empty.")
    container_network: str = _setting("none", "Network of a stage in a container; no stage needs one.")
    container_url: str = _setting("", "Socket of Docker or podman; DOCKER_HOST or unix://var/run/docker.sock when empty.")
    kubernetes_namespace: str = _setting("heartwood", "Namespace of the pods of stages.")
    kubernetes_volume_claim: str = _setting(
        "", "Claim of the volume that is the home; the node's own disk when empty (one machine)."
    )
    kubernetes_service_account: str = _setting("", "Service account of the pods; the namespace's default when empty.")
    kubernetes_pod_template: str = _setting(
        "", "File of a pod to start from: node selectors, tolerations, pull secrets, priority."
    )
    ecs_cluster: str = _setting("", "ECS cluster.")
    ecs_task: str = _setting("", "ECS task definition of a stage (family, or family:revision).")
    ecs_task_gpu: str = _setting("", "The same, of a stage that declares a GPU.")
    ecs_capacity: str = _setting("FARGATE", "FARGATE, EC2, or a capacity provider of the cluster such as FARGATE_SPOT.")
    ecs_capacity_gpu: str = _setting("EC2", "The same, of a stage that declares a GPU; Fargate has none.")
    ecs_subnets: str = _setting("", "Private subnets of ECS tasks, separated by commas.")
    ecs_security_groups: str = _setting(
        "", "Security groups of ECS tasks, separated by commas; they must reach the file system."
    )
    ecs_log_group: str = _setting(
        "", "CloudWatch log group whose lines are shown in the log of the Airflow task; none when empty."
    )
    store: str = _setting("", "Object store for published reports, file:// or s3:// URI; file://<home>/store when empty.")
    store_connection: str = _setting(
        "", "Airflow Connection (type aws) with credentials and endpoint of the store; the AWS client's own chain when empty."
    )
    store_kms_key: str = _setting(
        "", "KMS key (id, ARN or alias) for what is stored in s3://; the bucket's own rule when empty."
    )
    results: str = _setting("", "SQLAlchemy URL of the results database; sqlite:///<home>/results.db when empty.", secret=True)
    cache: str = _setting(
        "", "Cache of the portal, redis:// or rediss:// URL; memory of the web server's process when empty.", secret=True
    )
    cache_mib: float = _setting(64.0, "What the cache in memory may take (MiB); no value larger than an eighth of it is kept.")
    cache_keep_s: float = _setting(3600.0, "Seconds that a value stays in the cache.")
    prices: str = _setting(
        "", "List of prices (TOML) for the estimates in cost.json and the database; Heartwood's own when empty."
    )
    notify: str = _setting(
        "",
        "Where a message for each failed case goes: log, http:CONNECTION, sns:TOPIC_ARN or sqs:QUEUE_URL; nowhere when empty.",
    )
    notify_connection: str = _setting("", "Airflow Connection (aws) for sns and sqs; the client's own chain when empty.")
    publish_limit_mib: float = _setting(64.0, "Artefacts larger than this (MiB) stay in the case folder and are not published.")
    retries: int = _setting(2, "How often a stage is tried again after a transient error or a kill.")
    retry_delay_s: float = _setting(
        30.0, "Seconds before the first retry; each further one waits twice as long, at most 15 min."
    )
    kill_grace_s: float = _setting(3.0, "Seconds between TERM and KILL for a stage that must end; below Airflow's own 5 s.")
    max_active_runs: int = _setting(2, "Cases of one diagnostic that are worked on at once.")
    memory_pool: str = _setting(
        "", "Airflow pool with one slot a GiB of memory; the default pool, one slot a stage, when empty."
    )
    memory_pool_gib: int = _setting(0, "Size of that pool: a stage asks for at most so many slots, or it would wait for ever.")
    intake_queue: str = _setting("", "URL of the SQS queue that announces uploads; none is read when empty.")
    intake_dead_letters: str = _setting(
        "", "URL of the SQS queue for messages that cannot be answered; goes with intake_queue."
    )
    intake_store: str = _setting("", "Where announced uploads lie, s3:// or file:// URI; goes with intake_queue.")
    intake_connection: str = _setting(
        "", "Airflow Connection of type aws that opens queue and intake_store; the AWS client's own credentials when empty."
    )
    intake_key: str = _setting(
        "", "File with the private key for which senders encrypt their uploads; encrypted ones are refused when empty."
    )
    intake_folder: str = _setting("", "Folder that is watched for uploads; none is when empty.")
    intake_pool: str = _setting(
        "", "Airflow pool that counts deferred tasks, one slot a case from its arrival to its report; no limit when empty."
    )
    intake_poll_s: float = _setting(30.0, "Seconds between two looks at queue and folder.")
    intake_visibility_s: int = _setting(
        300, "Seconds after which a message is taken again when its worker died; a living one renews them."
    )
    intake_attempts: int = _setting(10, "An arrival that was taken so often and never ended becomes a dead letter.")
    reprocess_schedule: str = _setting("", "Cron expression of the DAG reprocess; it runs by hand only when empty.")
    reprocess_limit: int = _setting(100, "Most cases that one run of it answers again; the next run takes the rest.")
    reprocess_at_once: int = _setting(
        1, "How many of them are worked on at once; always fewer than max_active_runs, if it is above 1."
    )
    inbox_days: float = _setting(30.0, "Originals that are still in the inbox after so many days are deleted.")
    archive_originals: bool = _setting(
        False, "Originals are kept in the object store, encrypted under a key for each case that can be destroyed."
    )
    stub: bool = _setting(False, "Stages write placeholders instead of results, to try a deployment without any tools.")

    @property
    def home_folder(self) -> Home:
        """The home as a folder."""
        return Home((ROOT / Path(self.home).expanduser()).resolve())

    @property
    def store_uri(self) -> str:
        """The URI of the object store."""
        return self.store or self.home_folder.store.as_uri()

    def runner_of(self, pipeline: str, stage: str) -> str:
        """Return the place in which a stage runs: its own, where one is pinned, or that of all stages."""
        pins = _pins(self.runners)
        return pins.get(f"{pipeline}.{stage}", pins.get(stage, self.runner))

    @property
    def home_inside(self) -> Path:
        """The path of the home as a container has it."""
        return Path(self.container_home) if self.container_home else self.home_folder.root

    def needed(self, name: str) -> str:
        """Return a setting without which the chosen place does not work; raises ``ValueError`` where it is empty."""
        value: str = getattr(self, name)
        if not value:
            raise ValueError(f"[{SECTION}] {name} must be set for the place where stages run")
        return value

    def image_for(self, gpu: int) -> str:
        """Return the image of a stage that needs so many GPUs."""
        return self.needed("image_gpu" if gpu else "image")

    @property
    def price_list(self) -> Path:
        """The file of prices."""
        return ROOT / Path(self.prices).expanduser() if self.prices else LIST

    @property
    def results_url(self) -> str:
        """The SQLAlchemy URL of the results database."""
        return self.results or f"sqlite:///{self.home_folder.root / 'results.db'}"


def load() -> Settings:
    """Return the settings of this process.

    Raises
    ------
    ValueError
        If the section has an option that no setting reads, a value is not of its type, or a pinned stage does not exist.
    """
    known = {f.name: f for f in fields(Settings)}
    # Airflow reads ..._CMD and ..._SECRET, and hides values, only of options that it knows as secrets.
    conf.sensitive_config_values.update((SECTION, f.name) for f in known.values() if f.metadata["secret"])
    named = _named()
    pinned = {name for name in named if name.startswith(PIN)}
    unknown = sorted(named - pinned - set(known))
    if unknown:
        raise ValueError(f"no such setting in [{SECTION}]: {', '.join(unknown)}; there are {', '.join(known)}")
    given = {name: conf.get(SECTION, name, fallback=None) for name in known}
    # `runner.encode = kubernetes` reads well in a file, but is no name for a variable of a shell.
    pins = [given["runners"] or "", *(f"{name.removeprefix(PIN)}={conf.get(SECTION, name)}" for name in sorted(pinned))]
    given["runners"] = ", ".join(filter(None, pins)) or None
    here = Settings(**{name: _parsed(name, known[name].default, text) for name, text in given.items() if text is not None})
    _check_pins(here.runners)
    for name in ("region", "site"):
        if not CODE.fullmatch(getattr(here, name)):
            raise ValueError(f"[{SECTION}] {name} must be 1 to 32 lower-case letters, digits and hyphens")
    return here


def _pins(text: str) -> dict[str, str]:
    """Return the place of each pinned stage by ``stage`` or ``pipeline.stage``."""
    pins = [pin.partition("=") for pin in text.split(",") if pin.strip()]
    return {stage.strip(): place.strip() for stage, _, place in pins}


def _check_pins(text: str) -> None:
    pins = _pins(text)
    if not pins:
        return
    stages = {name for p in pipelines().values() for s in p.stages for name in (s.name, f"{p.name}.{s.name}")}
    strangers = sorted(stage for stage, place in pins.items() if stage not in stages or not place)
    if strangers:
        raise ValueError(f"[{SECTION}] runners: {', '.join(strangers)} must be STAGE=PLACE or PIPELINE.STAGE=PLACE of a stage")


def _named() -> set[str]:
    """Return the options that this deployment names, in its file or in the environment (also as ..._CMD and ..._SECRET)."""
    # getsection() leaves out a section that only the environment has.
    in_file = set(conf.getsection(SECTION) or {})
    in_environment = {name.removeprefix(PREFIX).lower() for name in os.environ if name.startswith(PREFIX)}
    return {name.removesuffix("_cmd").removesuffix("_secret") for name in in_file | in_environment}


def _parsed(name: str, default: Any, text: str) -> Any:
    kind = type(default)
    if kind is bool:
        if text.lower() not in {"true", "false"}:
            raise ValueError(f"[{SECTION}] {name} must be true or false")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"[{SECTION}] {name} must be a {kind.__name__}") from None
