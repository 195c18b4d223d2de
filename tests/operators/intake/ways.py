"""A queue on moto and a watched folder, each with a home of its own, for the tests of both."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
from sqlalchemy import select

from algorithms.contract.intake import Message, announcement
from algorithms.contract.store import Store
from edge.upload import send
from operators.intake import ways
from operators.intake.admission import Admitted, Outcome, admit_next
from operators.intake.arrivals import Arrivals
from operators.results.audit import lines
from operators.results.database import transaction
from operators.results.models import Case as CaseRow
from operators.settings import Settings
from tests.services import AWS_ACCOUNT

SITE = {"pipeline": "coronary", "site": "site-07", "region": "eu-central-1"}
BUCKET = "arrivals"


@dataclass(frozen=True)
class Intake:
    """A deployment with one way of intake, and what a site does to it."""

    way: str
    here: Settings
    folder: Path

    @property
    def arrivals(self) -> Arrivals:
        return ways.arrivals(self.way, self.here)

    @property
    def store(self) -> Store:
        return ways.uploads(self.way, self.here)

    def send(self, content: str, **changed: str) -> str:
        """Send an examination with this content, and announce it; return the name of the upload."""
        study = self.folder / secrets.token_hex(4)
        study.mkdir()
        for number in (1, 2):
            (study / f"Mustermann {number}").write_text(f"{content} {number}")
        upload = send(study, self.store, b"a site's key", **SITE | changed)
        self.announce(upload)
        return upload

    def announce(self, upload: str) -> None:
        """Announce an upload (again); a folder needs no announcement."""
        if self.way == ways.QUEUE:
            self.put_message(self.message(upload).text())

    def message(self, upload: str) -> Message:
        """Return the message that announces an upload."""
        path = self.store.get_file(f"{upload}/manifest.json", self.folder / "manifest.json")
        return announcement(upload, path.read_bytes())

    def put_message(self, text: str) -> None:
        boto3.client("sqs").send_message(QueueUrl=self.here.intake_queue, MessageBody=text)

    def next(self) -> Outcome | None:
        """Admit one arrival, as a task of the intake DAG does."""
        return admit_next(self.arrivals, self.store, self.here, self.start)

    def drain(self) -> list[Outcome]:
        """Admit until nothing waits."""
        outcomes, arrivals, store = [], self.arrivals, self.store
        while outcome := admit_next(arrivals, store, self.here, self.start):
            outcomes.append(outcome)
        return outcomes

    def start(self, admitted: Admitted) -> bool:
        """Stand in for Airflow, which refuses a second run of one id: a file that can be made once."""
        runs = self.folder / "runs"
        runs.mkdir(exist_ok=True)
        try:
            (runs / admitted.run_id).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def runs(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "runs").glob("*"))

    def cases(self) -> list[str]:
        """Return the case ids in the home; the results database has the same, or this fails."""
        in_home = sorted(path.parent.name for path in self.here.home_folder.cases.glob("*/case.json"))
        with transaction(self.here.results_url) as connection:
            recorded = sorted(connection.scalars(select(CaseRow.case_id)))
        assert in_home == recorded
        return in_home

    def letters(self) -> list[dict[str, Any]]:
        """Return the dead letters: id, reason, upload."""
        with self.arrivals.letters() as letters:
            return [
                {"id": letter.letter_id, "reason": letter.reason, "upload": letter.message and letter.message.upload}
                for letter in letters
            ]

    def audit(self) -> list[tuple[str, str | None]]:
        """Return action and case of every line of the audit."""
        with transaction(self.here.results_url) as connection:
            return [(line.action, line.case_id) for line, _ in lines(connection)]

    def left(self) -> list[str]:
        """Return what lies in the inbox beside the originals of cases: nothing, when all is over."""
        return sorted(path.name for path in self.here.home_folder.inbox.glob(".*"))


def queue_intake(folder: Path, **changed: Any) -> Intake:
    """Return an intake from a queue of its own; boto3 must be pointed at moto."""
    name = secrets.token_hex(4)
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    s3.create_bucket(
        Bucket=f"{BUCKET}-{name}", CreateBucketConfiguration={"LocationConstraint": AWS_ACCOUNT["AWS_DEFAULT_REGION"]}
    )
    here = Settings(
        home=str(folder / "home"),
        region=SITE["region"],
        intake_queue=sqs.create_queue(QueueName=f"intake-{name}")["QueueUrl"],
        intake_dead_letters=sqs.create_queue(QueueName=f"dead-letters-{name}")["QueueUrl"],
        intake_store=f"s3://{BUCKET}-{name}/intake",
        intake_visibility_s=1,
    )
    return Intake(ways.QUEUE, replace(here, **changed), folder)


def folder_intake(folder: Path, **changed: Any) -> Intake:
    """Return an intake from a watched folder."""
    (folder / "watched").mkdir()
    here = Settings(home=str(folder / "home"), region=SITE["region"], intake_folder=str(folder / "watched"))
    return Intake(ways.FOLDER, replace(here, **changed), folder)
