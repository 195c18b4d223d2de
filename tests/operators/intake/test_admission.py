"""At least once in, exactly one case out; what cannot be admitted becomes a dead letter with its reason."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType

import boto3
import pytest

from algorithms.contract.case import Case
from algorithms.contract.errors import TransientError
from algorithms.contract.inbox import admit
from algorithms.contract.pipeline import Value
from operators.intake.admission import Admitted, Outcome, admit_next
from operators.watch.notice import RUN_ID
from tests.operators.intake.ways import SITE, Intake
from tests.services import AWS_ACCOUNT, aws_environment


def test_an_upload_becomes_a_case_and_a_run(intake: Intake) -> None:
    """The case is the one that a person would have made of the same files by hand; the arrival and its copy are gone."""
    intake.send("an examination")

    (outcome,) = intake.drain()

    by_hand = admit_again(intake, "an examination")
    assert (outcome.state, outcome.case_id) == ("started", by_hand.case_id)
    assert intake.cases() == [outcome.case_id]
    assert intake.runs() == [outcome.run_id]
    assert intake.audit() == [("admitted", outcome.case_id)]
    assert intake.left() == []


def admit_again(intake: Intake, content: str) -> Case:
    """Return the case of the files that `Intake.send` sends."""
    study = intake.folder / "by hand"
    study.mkdir()
    for number in (1, 2):
        (study / str(number)).write_text(f"{content} {number}")
    return admit(study, "coronary", intake.here.home_folder, region=SITE["region"], site=SITE["site"])


@pytest.mark.slow
def test_fifty_copies_of_a_message_in_any_order_make_one_case(queue: Intake) -> None:
    """SQS delivers at least once and in no order; here three uploads, one of them announced fifty times, with five workers."""
    uploads = [queue.send(name) for name in ("one", "two", "three")]
    copies = [uploads[0]] * 49 + uploads[1:] * 2
    random.Random(4).shuffle(copies)
    for upload in copies:
        queue.announce(upload)
    outcomes: list[str] = []
    patient = Intake(queue.way, replace(queue.here, intake_visibility_s=300), queue.folder)

    workers = [threading.Thread(target=lambda: outcomes.extend(o.state for o in patient.drain())) for _ in range(5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert outcomes.count("started") == len(queue.cases()) == len(queue.runs()) == 3
    assert outcomes.count("running already") == len(copies)
    assert queue.letters() == []
    assert queue.left() == []


def test_the_same_upload_again_in_the_folder_is_the_same_case(folder: Intake) -> None:
    """The watched folder forgets an upload that was admitted; the home does not."""
    folder.send("an examination")
    (first,) = folder.drain()
    folder.send("an examination")

    (second,) = folder.drain()

    assert (first.state, second.state) == ("started", "running already")
    assert len(folder.cases()) == len(folder.runs()) == 1
    assert list((folder.folder / "watched").glob("[!.]*")) == []


def test_the_same_examination_under_another_pseudonym_is_the_same_case(intake: Intake) -> None:
    """A case is the content that a site sent, whatever the site calls it; the audit keeps both names."""
    intake.send("an examination")
    intake.send("an examination", study="0" * 32)

    outcomes = intake.drain()

    assert sorted(outcome.state for outcome in outcomes) == ["running already", "started"]
    assert len(intake.cases()) == len(intake.runs()) == 1
    assert intake.audit() == [("admitted", outcomes[0].case_id)] * 2


BETWEEN = [
    ("take", "return"),
    ("manifest_text", "return"),
    (".get_file", "return"),
    ("fetch", "return"),
    ("admit", "return"),
    ("record", "call"),
    ("record", "return"),
    ("Admitted.write", "return"),
    ("receive", "return"),
    (".start", "call"),
    (".start", "return"),
    (".release", "return"),
]


@pytest.mark.parametrize("intake", ["folder", pytest.param("queue", marks=pytest.mark.slow)], indirect=True)
@pytest.mark.parametrize(("step", "event"), [pytest.param(*at, id=f"{at[0].strip('.')}-{at[1]}") for at in BETWEEN])
def test_a_worker_that_dies_between_two_steps_leaves_nothing_lost_and_nothing_doubled(
    intake: Intake, step: str, event: str
) -> None:
    """SIGKILL; the next worker finds what the dead one did, and ends with the same one case, one row and one run."""
    intake.send("an examination")

    dead = dying(intake, step, event)
    until_empty(intake)

    assert dead == -signal.SIGKILL
    (case_id,) = intake.cases()
    assert len(intake.runs()) == 1
    assert intake.audit() == [("admitted", case_id)]
    assert intake.letters() == []
    assert intake.left() == []


def dying(intake: Intake, step: str, event: str) -> int:
    """Return how a worker ended that gets SIGKILL, as for want of memory, when a function is called or returns."""

    def watch(frame: FrameType, happened: str, _: object) -> None:
        if happened == event and frame.f_code.co_qualname.endswith(step):
            os.kill(os.getpid(), signal.SIGKILL)

    worker = os.fork()
    if worker == 0:
        sys.setprofile(watch)
        try:
            intake.next()
        finally:
            os._exit(1)
    _, status = os.waitpid(worker, 0)
    return os.waitstatus_to_exitcode(status)


def until_empty(intake: Intake, seconds: float = 60) -> list[Outcome]:
    """Return the outcomes of a worker that goes on until nothing waits and no message is held by a dead one."""
    outcomes: list[Outcome] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        outcomes += intake.drain()
        if not held_by_somebody(intake) and not intake.arrivals.waiting():
            return outcomes
        time.sleep(0.2)
    raise TimeoutError("arrivals still wait")


def held_by_somebody(intake: Intake) -> int:
    if not intake.here.intake_queue:
        return 0
    name = "ApproximateNumberOfMessagesNotVisible"
    asked = boto3.client("sqs").get_queue_attributes(QueueUrl=intake.here.intake_queue, AttributeNames=[name])
    return int(asked["Attributes"][name])


@pytest.mark.slow
def test_a_message_whose_work_takes_long_stays_with_its_worker(queue: Intake) -> None:
    """It is renewed for as long as the worker lives: nobody else fetches eight gigabytes at the same time."""
    queue.send("an examination")
    patient = Intake(queue.way, replace(queue.here, intake_visibility_s=9), queue.folder)
    arrival = patient.arrivals.take()
    assert arrival is not None

    with patient.arrivals.held(arrival):
        time.sleep(12)
        taken_meanwhile = patient.arrivals.take()

    assert taken_meanwhile is None


def test_what_fails_for_reasons_that_pass_is_put_off_and_no_dead_letter(intake: Intake) -> None:
    """A database that is out for an hour must not cost the examinations of that hour."""
    intake.send("an examination")
    nowhere = {"results": "postgresql+psycopg://nobody@127.0.0.1:9/none", "intake_visibility_s": 300}
    out = Intake(intake.way, replace(intake.here, **nowhere), intake.folder)

    with pytest.raises(TransientError):
        out.next()

    assert out.next() is None  # not at once again
    assert intake.letters() == []
    assert intake.runs() == []


def test_an_arrival_that_kills_every_worker_becomes_a_dead_letter(intake: Intake) -> None:
    """Otherwise it would go round for ever and take a worker with it each time."""
    upload = intake.send("an examination")
    doomed = Intake(intake.way, replace(intake.here, intake_attempts=2), intake.folder)
    deaths = 0
    while deaths < 2:  # a worker that comes before the message is visible again finds nothing, and lives
        deaths += dying(doomed, "fetch", "return") == -signal.SIGKILL

    (outcome,) = until_empty(doomed)

    (letter,) = intake.letters()
    assert outcome.state == "refused"
    assert letter["upload"] == upload
    assert "taken 2 times" in letter["reason"]


def changed_file(intake: Intake, upload: str) -> None:
    """Give a file of the upload other content than the manifest says, with the store's consent."""
    other = intake.folder / "other"
    other.write_text("another examination")
    if intake.here.intake_queue:
        bucket, _, prefix = intake.here.intake_store.removeprefix("s3://").partition("/")
        boto3.client("s3").delete_object(Bucket=bucket, Key=f"{prefix}/{upload}/files/000002")
    else:
        (intake.folder / "watched" / upload / "files/000002").unlink()
    intake.store.put_file(other, f"{upload}/files/000002")


def missing_file(intake: Intake, upload: str) -> None:
    """Lose a file of the upload."""
    if intake.here.intake_queue:
        bucket, _, prefix = intake.here.intake_store.removeprefix("s3://").partition("/")
        boto3.client("s3").delete_object(Bucket=bucket, Key=f"{prefix}/{upload}/files/000001")
    else:
        (intake.folder / "watched" / upload / "files/000001").unlink()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(changed_file, "file 2 of 2 is not the one", id="a file changed on the way"),
        pytest.param(missing_file, "no object", id="a file missing"),
    ],
)
def test_an_upload_that_is_not_what_its_manifest_says_becomes_a_dead_letter(
    intake: Intake, spoil: Callable[[Intake, str], None], reason: str
) -> None:
    """The reason is a sentence for the site; no case is made, and nothing of the examination stays behind in the inbox."""
    upload = intake.send("an examination")
    spoil(intake, upload)

    (outcome,) = intake.drain()

    (letter,) = intake.letters()
    assert outcome.state == "refused"
    assert reason in letter["reason"]
    assert intake.cases() == intake.runs() == intake.left() == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param({"region": "us-east-1"}, "of region us-east-1", id="a region that is not ours"),
        pytest.param({"pipeline": "astrology"}, "no such pipeline", id="a pipeline that nobody has"),
        pytest.param({"pipeline": "train_segmentation"}, "no upload may begin", id="a pipeline that costs hours"),
        pytest.param({"parameters": {"series": "99999"}}, "out of bounds", id="a parameter out of its bounds"),
        pytest.param({"parameters": {"colour": "blue"}}, "no parameter of 1 given names", id="a parameter that is none"),
    ],
)
def test_a_request_that_is_not_answered_here_becomes_a_dead_letter(
    intake: Intake, changed: dict[str, str], reason: str
) -> None:
    """Said once, at the door, and not by a run that fails."""
    intake.send("an examination", **changed)

    assert [outcome.state for outcome in intake.drain()] == ["refused"]
    assert reason in intake.letters()[0]["reason"]
    assert intake.audit() == [("dead-lettered", None)]
    assert intake.cases() == intake.left() == []


def test_parameters_of_the_manifest_reach_the_run_in_their_type(intake: Intake) -> None:
    """The same examination with other parameters is the same case in another run."""
    intake.send("an examination")
    intake.send("an examination", parameters={"series": "2"})  # type: ignore[arg-type]
    asked: list[dict[str, Value]] = []

    def start(admitted: Admitted) -> bool:
        asked.append(dict(admitted.parameters))
        return intake.start(admitted)

    for _ in range(2):
        admit_next(intake.arrivals, intake.store, intake.here, start)

    assert sorted(asked, key=len) == [{}, {"series": 2}]
    assert len(intake.cases()) == 1
    assert len(intake.runs()) == 2


def test_an_airflow_connection_opens_queue_and_store(queue: Intake, aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets of a deployment are Connections; nothing in the environment says where AWS is."""
    queue.send("an examination")
    for name in aws_environment(aws_endpoint):
        monkeypatch.delenv(name)
    account = {"login": AWS_ACCOUNT["AWS_ACCESS_KEY_ID"], "password": AWS_ACCOUNT["AWS_SECRET_ACCESS_KEY"]}
    place = {"endpoint_url": aws_endpoint, "region_name": AWS_ACCOUNT["AWS_DEFAULT_REGION"]}
    monkeypatch.setenv("AIRFLOW_CONN_ARRIVALS", json.dumps({"conn_type": "aws", **account, "extra": place}))
    opened = Intake(queue.way, replace(queue.here, intake_connection="arrivals"), queue.folder)

    assert [outcome.state for outcome in opened.drain()] == ["started"]


POISON = [
    pytest.param("Mustermann^Max, born 1950", "not JSON", id="a text"),
    pytest.param('{"PatientName": "Mustermann^Max"}', "undeclared", id="a document of another kind"),
    pytest.param(
        json.dumps({"version": 1, "upload": "../Mustermann", "manifest_sha256": "0" * 64, **SITE}), "upload", id="a path"
    ),
]


@pytest.mark.parametrize(("text", "reason"), POISON)
def test_a_poison_message_becomes_a_dead_letter_without_what_it_said(queue: Intake, text: str, reason: str) -> None:
    """Nobody knows what is in it; a hash is enough to find it in the sender's log.  Sound messages are not held up."""
    queue.put_message(text)
    queue.send("an examination")

    states = sorted(outcome.state for outcome in queue.drain())

    letter = boto3.client("sqs").receive_message(QueueUrl=queue.here.intake_dead_letters, MessageAttributeNames=["All"])
    assert states == ["refused", "started"]
    assert "Muster" not in json.dumps(letter["Messages"])
    assert reason in letter["Messages"][0]["MessageAttributes"]["reason"]["StringValue"]


def test_a_message_about_an_upload_that_is_not_there_becomes_a_dead_letter(queue: Intake) -> None:
    """A forged or very old message."""
    queue.put_message(json.dumps({"version": 1, "upload": "0" * 32, "manifest_sha256": "0" * 64, **SITE}))

    assert [outcome.state for outcome in queue.drain()] == ["refused"]
    assert "no object" in queue.letters()[0]["reason"]


def test_a_folder_called_by_a_name_is_refused_under_another(folder: Intake) -> None:
    """The name is never repeated: not in the reason, and not among the dead letters."""
    (folder.folder / "watched/Mustermann^Max").mkdir()
    manifest = folder.folder / "watched/Mustermann^Max/manifest.json"
    manifest.write_text("{}")
    os.utime(manifest, (0, 0))  # long ago, and never followed by its sha256: no sender of ours wrote it

    assert [outcome.state for outcome in folder.drain()] == ["refused"]
    assert [path for path in (folder.folder / "watched").rglob("*") if "Muster" in path.name] == []
    assert "32 hexadecimal digits" in folder.letters()[0]["reason"]


def test_an_upload_that_is_under_way_is_left_alone(folder: Intake) -> None:
    """The manifest comes last, and its sha256 after it; before them there is nothing to admit."""
    upload = folder.send("an examination")
    (Path(folder.here.intake_folder) / upload / "manifest.json.sha256").unlink()

    assert folder.arrivals.waiting() == 0
    assert folder.drain() == []


def test_a_notice_can_link_to_the_run(folder: Intake) -> None:
    """The notifier links only to runs whose ids it knows to be opaque: these, with parameters and without."""
    folder.send("an examination")
    folder.send("an examination", parameters={"series": "2"})  # type: ignore[arg-type]

    runs = [outcome.run_id for outcome in folder.drain()]

    assert len(set(runs)) == 2
    assert all(RUN_ID.fullmatch(run_id) for run_id in runs)
