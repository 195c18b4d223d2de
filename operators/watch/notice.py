"""One message for each case that failed: which case, in which stage, who must act, and where to look.

Airflow calls the notifier when a run ends red.  It sends opaque ids, names of stages and a link, and no sentence: the sentence
of a failure stands behind the link, where a reader must log in.  Airflow calls once and does not try again, so an alarm on the
metrics is the net below.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from airflow.configuration import conf
from airflow.sdk import BaseNotifier, Context

from algorithms.contract.case import CASE_ID, Case
from algorithms.contract.catalogue import called_after
from algorithms.contract.catalogue import pipeline as pipeline_called
from algorithms.contract.errors import DataError
from algorithms.contract.record import StageState, states
from operators import settings
from operators.case import chosen_parameters
from operators.settings import Settings

WAYS = ("log", "http", "sns", "sqs")
"""What stands before the colon of ``[heartwood] notify``; the transports are Airflow's providers' own."""

RUN_ID = re.compile(r"(manual|scheduled|backfill|asset_triggered)__[\dT:.+-]+(_\w{1,8})?|intake__[0-9a-f]{16}(_[0-9a-f]{8})?")
"""Run ids of Airflow and of our intake: they say when, or which case; any other may be free text that somebody typed."""

UNKNOWN = "unknown"
"""The kind of a failure that left no reason in the case folder, or whose folder cannot be seen from here: see the log."""


@dataclass(frozen=True)
class Notice:
    """What is sent."""

    case_id: str
    dag_id: str
    stage: str
    kind: str
    link: str

    @property
    def subject(self) -> str:
        """One line for a mail or a chat."""
        return f"Heartwood: case {self.case_id or 'without id'} failed in {self.stage or 'no stage'} ({self.kind})"

    @property
    def text(self) -> str:
        """The message as JSON."""
        return json.dumps({"subject": self.subject, **asdict(self)})


class CaseFailed(BaseNotifier):
    """Send a `Notice`; for ``on_failure_callback`` of a DAG."""

    def notify(self, context: Context) -> None:
        """Send it the way that the deployment has chosen."""
        here = settings.load()
        notice = notice_of(context, here)
        way, _, target = here.notify.partition(":")
        self.log.info("%s", notice.subject)
        if way != "log":
            TRANSPORTS[way](target, notice, here).notify(context)


def callbacks(here: Settings) -> list[Callable[[Context], None]] | None:
    """Return what a DAG calls when a run of it fails, if anything; raises ``ValueError`` for a way that there is not."""
    if not here.notify:
        return None
    way, colon, target = here.notify.partition(":")
    if way not in WAYS or (way == "log") == bool(colon and target):
        raise ValueError("[heartwood] notify must be log, http:CONNECTION, sns:TOPIC_ARN or sqs:QUEUE_URL")
    return [CaseFailed()]


def notice_of(context: Context, here: Settings) -> Notice:
    """Return what there is to say of a failed run; what cannot be seen from this machine stays empty."""
    run = context.get("dag_run")
    dag_id = context["dag"].dag_id
    given = dict(run.conf or {}) if run is not None else {}
    case_id = str(given.pop("case_id", ""))
    if not CASE_ID.fullmatch(case_id):
        case_id = ""
    failed = _failed_stage(dag_id, case_id, given, here)
    if failed is not None and failed.failure is not None:
        stage, kind = failed.stage.name, failed.failure.kind
    else:
        ti = context.get("ti")
        stage, kind = (ti.task_id if ti is not None else ""), UNKNOWN
    return Notice(case_id, dag_id, stage, kind, _link(dag_id, str(context["run_id"])))


def _failed_stage(dag_id: str, case_id: str, given: dict[str, Any], here: Settings) -> StageState | None:
    """Return the first stage of the case that left a failure."""
    try:
        pipeline = pipeline_called(called_after(dag_id))
        case = Case.read(here.home_folder.case_folder(case_id))
        found = states(pipeline, case, chosen_parameters(pipeline, given), stub=here.stub)
    except DataError:
        return None  # no case, or its folder is not on this machine
    return next((state for state in found.values() if state.state == "failed"), None)


def _link(dag_id: str, run_id: str) -> str:
    base = conf.get("api", "base_url", fallback="").rstrip("/")
    run = f"/runs/{quote(run_id, safe='')}" if RUN_ID.fullmatch(run_id) else ""
    return f"{base}/dags/{quote(dag_id, safe='')}{run}"


def _http(target: str, notice: Notice, here: Settings) -> BaseNotifier:
    from airflow.providers.http.notifications.http import HttpNotifier

    return HttpNotifier(http_conn_id=target, data=notice.text, headers={"Content-Type": "application/json"})


def _sns(target: str, notice: Notice, here: Settings) -> BaseNotifier:
    from airflow.providers.amazon.aws.notifications.sns import SnsNotifier

    region, connection = target.split(":")[3], here.notify_connection or None
    return SnsNotifier(
        target_arn=target, message=notice.text, subject=notice.subject, region_name=region, aws_conn_id=connection
    )


def _sqs(target: str, notice: Notice, here: Settings) -> BaseNotifier:
    from airflow.providers.amazon.aws.notifications.sqs import SqsNotifier

    region = re.match(r"https://sqs\.([a-z0-9-]+)\.", target)
    return SqsNotifier(
        queue_url=target,
        message_body=notice.text,
        region_name=region[1] if region else None,
        aws_conn_id=here.notify_connection or None,
    )


TRANSPORTS = {"http": _http, "sns": _sns, "sqs": _sqs}
