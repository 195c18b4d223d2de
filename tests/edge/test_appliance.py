"""The appliance whole: what is sent to it arrives at the platform encrypted, once, whatever happens on the way."""

from __future__ import annotations

import json
import logging
import random
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from algorithms.contract.errors import EXIT_BUG, EXIT_DATA, DataError, TransientError
from algorithms.contract.intake import Message
from algorithms.contract.store import open_store
from edge import appliance
from edge.appliance import main, run
from edge.database import Step
from edge.deidentifier import Request
from tests.algorithms.dicom.ct_series import assert_nameless, chest_hu, write_series
from tests.edge.appliances import PROJECT, Site, command, process, running, site, stand_in, until, uploads
from tests.edge.images import NAME, acknowledged, image, send, storescu, uids, written
from tests.services import AWS_ACCOUNT, aws_environment, moto


def numbers(files: list[bytes]) -> list[int]:
    """Return the InstanceNumber of each de-identified image."""
    return sorted(int(dcmread(DicomBytesIO(content)).InstanceNumber) for content in files)


def test_a_study_arrives_encrypted_and_only_the_platform_reads_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """All images and nothing else, without the name; in the store no image can be read."""
    caplog.set_level(logging.INFO)
    at = site(tmp_path)
    store = open_store(at.config.send.store)
    with running(at):
        send(at.config.listen.port, [image("1.2.3", number) for number in (3, 1, 2)])
        (upload,) = until(lambda: uploads(store))
        until(lambda: at.counts().get("announced"))

    files = at.opened(store, upload)
    assert [1, 2, 3] == numbers(files)
    assert NAME.encode() not in b"".join(files)
    stored = b"".join(path.read_bytes() for path in (tmp_path / "arrivals").rglob("*") if path.is_file())
    assert b"DICM" not in stored
    assert "is announced, 3 instances" in caplog.text
    assert not [word for word in (NAME, "4711", "1.2.3", image("1.2.3").SOPInstanceUID) if word in caplog.text]
    assert [Step.ANNOUNCED] == [study.step for study in at.studies()]
    assert [] == list((at.config.home / "work").iterdir())
    assert [path.name for path in (at.config.home / "records").rglob("*.json")] == ["privacy.json"]


@pytest.mark.slow
def test_with_the_real_engine_no_planted_value_leaves(tmp_path: Path) -> None:
    """A series of an invented person and a screen save: the series goes up nameless, the capture is quarantined."""
    at = site(tmp_path)
    store = open_store(at.config.send.store)
    folder = write_series(tmp_path / "study", chest_hu(8))
    capture = dcmread(folder / "000001")
    capture.SOPInstanceUID = capture.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    capture.ImageType, capture.SeriesInstanceUID = ["DERIVED", "SECONDARY", "SCREEN SAVE"], "1.2.4"
    with running(at, None):
        send(at.config.listen.port, [*map(dcmread, sorted(folder.iterdir())), capture])
        (upload,) = until(lambda: uploads(store))
        until(lambda: at.counts().get("announced"))

    files = at.opened(store, upload)
    assert 8 == len(files)
    assert_nameless(b"".join(files).decode("latin-1"))
    assert 1 == len(list((at.config.home / "quarantine").rglob("*.dcm")))
    assert ["privacy.json"] == [path.name for path in (at.config.home / "records").rglob("*.json")]


def test_what_comes_late_goes_with_all_the_rest_and_what_comes_again_does_not(tmp_path: Path) -> None:
    """The platform answers whole examinations, so a study that grew is sent whole as another upload."""
    at = site(tmp_path)
    store = open_store(at.config.send.store)
    with running(at):
        send(at.config.listen.port, [image("1.2.3", 1)])
        (first,) = until(lambda: at.counts().get("announced") and uploads(store))
        send(at.config.listen.port, [image("1.2.3", 1)])
        send(at.config.listen.port, [image("1.2.3", 2)])
        until(lambda: at.counts().get("announced") == 2)

    (second,) = set(uploads(store)) - {first}
    assert ([1], [1, 2]) == tuple(numbers(at.opened(store, upload)) for upload in (first, second))


def test_a_study_whose_number_is_known_is_worked_on_when_it_is_whole_and_not_before(tmp_path: Path) -> None:
    """Said by the sender or by a command; one that stays short becomes a dead letter, and redriven goes as it is."""
    at = site(tmp_path, complete={"stable_s": 0.1, "patience_s": 3})
    store = open_store(at.config.send.store)
    images = [image("1.2.3", number) for number in (1, 2)]
    for data in images:
        data.NumberOfStudyRelatedInstances = 2
    with running(at):
        command(at, "expect", "--study", "1.2.4", "--instances", "3")
        send(at.config.listen.port, [image("1.2.4", number) for number in (1, 2)])
        send(at.config.listen.port, images[:1])
        threading.Event().wait(2)  # many times what makes a study stable whose number is not known
        assert [Step.RECEIVING] * 2 == [study.step for study in at.studies()]
        send(at.config.listen.port, images[1:])
        until(lambda: at.counts().get("announced") == 1)
        (letter,) = until(lambda: command(at, "list"))
        moved = command(at, "redrive", "--id", letter["id"])
        until(lambda: at.counts().get("announced") == 2)

    assert "2 of 3 instances have come" in letter["reason"]
    assert [{"redrive": 1}] == moved
    assert [[1, 2], [1, 2]] == [numbers(at.opened(store, upload)) for upload in uploads(store)]


@pytest.mark.slow
def test_failures_that_pass_are_tried_again_and_then_become_dead_letters(tmp_path: Path) -> None:
    """Redriven it goes on; what a person must mend is not tried again by itself; discarded it is gone with its originals."""
    tries: list[str] = []
    hopeless = threading.Event()

    def failing(request: Request, stop: threading.Event) -> None:
        tries.append(request.source.name)
        if hopeless.is_set():
            raise DataError("no image may leave")
        if len(tries) <= 4:
            raise TransientError("no memory")
        if len(tries) == 5:
            raise ValueError(f"a bug that repeats {NAME}")
        stand_in(request, stop)

    at = site(tmp_path, send={"attempts": 3})
    with running(at, failing):
        send(at.config.listen.port, [image("1.2.3", 1)])
        (letter,) = until(lambda: command(at, "list"))
        command(at, "redrive", "--all")
        until(lambda: at.counts().get("announced"))
        hopeless.set()
        send(at.config.listen.port, [image("1.2.4", 1)])
        (refused,) = until(lambda: command(at, "list"))
        command(at, "discard", "--id", refused["id"])
        until(lambda: len(at.studies()) == 1)

    assert (3, "no memory") == (tries[:3].count(letter["id"]), letter["reason"])
    assert 6 == tries.count(letter["id"])
    assert (1, "no image may leave") == (tries.count(refused["id"]), refused["reason"])
    assert {"failed transient": 4, "failed bug": 1, "failed data": 1}.items() <= at.counts().items()
    assert ["1.2.3"] == [str(dcmread(path).StudyInstanceUID) for path in (at.config.home / "studies").rglob("*.dcm")]


def test_originals_go_when_their_time_is_over(tmp_path: Path) -> None:
    """What identifies a person is not kept longer than the configuration says, nor is the key of what was sent."""
    at = site(tmp_path, keep_days=0)
    with running(at):
        send(at.config.listen.port, [image("1.2.3", 1)])
        until(lambda: at.counts().get("announced") and not at.studies())

    left = [path for path in at.config.home.rglob("*") if path.is_file()]
    assert not [path for path in left if NAME.encode() in path.read_bytes()]
    assert [] == list((at.config.home / "vault" / "keys").iterdir())


def test_images_of_two_patients_in_one_study_stop_it(tmp_path: Path) -> None:
    """Somebody mixed them up, and only the site can tell them apart."""

    def mixed(request: Request, stop: threading.Event) -> None:
        stand_in(request, stop)
        (request.target / "other" / "study" / "series").mkdir(parents=True)
        (request.target / "patient" / "study" / "series" / "0001.dcm").rename(
            request.target / "other" / "study" / "series" / "0001.dcm"
        )

    at = site(tmp_path)
    with running(at, mixed):
        send(at.config.listen.port, [image("1.2.3", number) for number in (1, 2)])
        (letter,) = until(lambda: command(at, "list"))

    assert "2 patients or studies" in letter["reason"]


def test_the_health_page_counts_and_names_nobody(tmp_path: Path) -> None:
    """For people, for a watchdog and for Prometheus; red when there is no room."""
    at = site(tmp_path)
    short = site(tmp_path, listen={**json.loads(json.dumps(vars(at.config.listen))), "least_free_mib": 2**40})
    with running(at):
        send(at.config.listen.port, [image("1.2.3", 1)])
        until(lambda: at.counts().get("announced"))
        told = {path: _get(at, path) for path in ("/", "/health", "/metrics", "/studies")}
        studies = [study.study for study in at.studies()]
    with running(short):
        code, text = _get(short, "/health")

    assert [200, 200, 200, 404] == [status for status, _ in told.values()]
    health = json.loads(told["/health"][1])
    assert ("ok", {"received": 1, "announced": 1}) == (health["status"], health["counts"])
    assert 'heartwood_edge_events_total{event="received"} 1\n' in told["/metrics"][1]
    assert 'heartwood_edge_up{part="listener"} 1\n' in told["/metrics"][1]
    assert "heartwood_edge_aside 0\n" in told["/metrics"][1]
    assert not [name for name in (*studies, NAME, "1.2.3") if name in "".join(text for _, text in told.values())]
    assert (503, {"listener": True, "worker": True, "disk": False}) == (code, json.loads(text)["parts"])


def test_what_somebody_must_look_at_is_said_while_it_is_there(tmp_path: Path) -> None:
    """Two contents under one UID; when the second one is removed nobody has to look any more."""
    at = site(tmp_path, complete={"stable_s": 600})
    changed = image("1.2.3", 1)
    changed.PatientComments = "other"
    with running(at):
        send(at.config.listen.port, [image("1.2.3", 1), changed])
        before, said = json.loads(_get(at, "/health")[1]), _get(at, "/")[1]
        next((at.config.home / "aside").glob("*/*")).unlink()
        after, quiet = json.loads(_get(at, "/health")[1]), _get(at, "/")[1]

    assert [(True, 1), (False, 0)] == [(told["attention"], told["aside"]) for told in (before, after)]
    assert ("Instances in <code>home/aside</code>: 1" in said, "somebody must look" in quiet) == (True, False)


def test_what_would_be_found_unusable_only_with_a_study_is_said_at_the_start(tmp_path: Path) -> None:
    """By ``check`` and by ``run``, in a sentence that names the key."""
    good = site(tmp_path)
    assert [{"usable": True}] == command(good, "check")

    with pytest.raises(DataError, match="policy file does not exist"):
        run(site(tmp_path, deidentify={"policy": str(tmp_path / "none")}).config, threading.Event(), stand_in)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="home cannot be written"):
        run(site(tmp_path, home=str(tmp_path / "file")).config, threading.Event(), stand_in)
    with pytest.raises(DataError, match=r"listen\.address and listen\.port cannot be listened on"):
        run(site(tmp_path, listen={"address": "192.0.2.1"}).config, threading.Event(), stand_in)


@pytest.mark.parametrize(("uid", "number"), [("", "3"), ("Mustermann", "3"), ("1.2.3", "0"), ("1.2.3", "-1")])
def test_what_is_no_uid_or_number_is_not_expected(tmp_path: Path, uid: str, number: str) -> None:
    """With less than one instance a study would be whole at once."""
    at = site(tmp_path)

    assert EXIT_DATA == main(["expect", str(at.file), f"--study={uid}", f"--instances={number}"])
    assert [] == at.studies()


def _get(at: Site, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{at.config.health.port}{path}") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_home_has_one_appliance(tmp_path: Path) -> None:
    """Two would work on the same study at once."""
    at = site(tmp_path)
    with running(at), pytest.raises(DataError, match="another appliance"):
        run(at.config, threading.Event(), stand_in)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_killed_while_it_receives_it_has_all_that_it_acknowledged(tmp_path: Path, seed: int) -> None:
    """KILL at a random moment, with two senders at work; sent again, everything is there once and goes up once."""
    at = site(tmp_path, complete={"patience_s": 600})
    folders = []
    for study in ("1.2.3", "1.2.4"):
        images = [image(study, number, side=64) for number in range(60)]
        for data in images:
            data.NumberOfStudyRelatedInstances = 60
        folders.append(written(tmp_path / study, images))
    killed_after = random.Random(seed).randrange(5, 110)
    with process(at) as appliance:
        senders = [storescu(at.config.listen.port, folder) for folder in folders]
        until(lambda: len(list((at.config.home / "studies").glob("*/*.dcm"))) >= killed_after)
        appliance.kill()
        taken = [acknowledged(sender.communicate()[0], folder) for sender, folder in zip(senders, folders, strict=True)]

    assert taken[0] | taken[1] <= set(uids(at.config.home / "studies"))
    assert killed_after <= len(taken[0] | taken[1]) + 2  # one image of each sender may be here and not acknowledged
    with process(at):
        for folder in folders:
            storescu(at.config.listen.port, folder).communicate()
        until(lambda: at.counts().get("announced") == 2)
    store = open_store(at.config.send.store)
    assert [list(range(60))] * 2 == [numbers(at.opened(store, upload)) for upload in uploads(store)]
    assert 120 == len(uids(at.config.home / "studies"))


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    with moto() as endpoint:
        for name, value in aws_environment(endpoint).items():
            monkeypatch.setenv(name, value)
        yield aws_environment(endpoint)


@pytest.mark.slow
def test_killed_while_it_uploads_it_goes_on_and_announces_one_upload(tmp_path: Path, aws: dict[str, str]) -> None:
    """What the bucket has is not sent again; there is one manifest, and what the queue says leads to it."""
    place = {"LocationConstraint": AWS_ACCOUNT["AWS_DEFAULT_REGION"]}
    boto3.client("s3").create_bucket(Bucket="edge-killed", CreateBucketConfiguration=place)
    queue = boto3.client("sqs").create_queue(QueueName="edge-killed")["QueueUrl"]
    at = site(tmp_path, send={"store": "s3://edge-killed/intake", "queue": queue})
    store = open_store(at.config.send.store)
    with process(at, **aws) as appliance:
        send(at.config.listen.port, [image("1.2.3", number) for number in range(40)])
        until(lambda: len(store.list()) >= 5)
        appliance.kill()
        appliance.wait()
    objects = boto3.client("s3").list_objects_v2(Bucket="edge-killed")["Contents"]
    assert len(objects) < 41
    with process(at, **aws) as appliance:
        until(lambda: at.counts().get("announced"))
        appliance.send_signal(signal.SIGTERM)
        assert 0 == appliance.wait(30)

    (upload,) = uploads(store)
    again = {
        entry["Key"]: entry["LastModified"] for entry in boto3.client("s3").list_objects_v2(Bucket="edge-killed")["Contents"]
    }
    assert list(range(40)) == numbers(at.opened(store, upload))
    assert 41 == len(again)
    assert {entry["Key"]: entry["LastModified"] for entry in objects}.items() <= again.items()
    messages = boto3.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert [upload] == [Message.parse(message["Body"].encode()).upload for message in messages]


def test_the_commands_are_used_from_a_shell(tmp_path: Path) -> None:
    """One line of JSON, and a sentence with the exit code of a data error for what is no dead letter or no configuration."""
    at = site(tmp_path)
    spool = at.spool()
    spool.expect(spool.study_name("1.2.3"), 3, 0)
    spool.give_up(spool.studies()[0], "no image may leave")
    spool.close()
    line = [sys.executable, "-m", "edge.appliance"]

    told = subprocess.run([*line, "list", str(at.file)], cwd=PROJECT, capture_output=True, text=True, check=True)
    unknown = subprocess.run(
        [*line, "redrive", str(at.file), "--id", "ab"], cwd=PROJECT, capture_output=True, text=True, check=False
    )

    assert "no image may leave" == json.loads(told.stdout)["reason"]
    assert (EXIT_DATA, True) == (unknown.returncode, "1 of 1 ids are of no dead letter" in unknown.stderr)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_outside_the_steps_ends_the_appliance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the exit code of a bug, so that whatever watches the process starts it again."""

    def broken(place: object) -> int:
        raise ValueError("a bug")

    monkeypatch.setattr(appliance, "work", broken)

    assert EXIT_BUG == run(site(tmp_path).config, threading.Event(), stand_in)


def test_a_stop_is_no_crash(tmp_path: Path) -> None:
    """TERM ends it with exit code 0 within seconds, also while a step is under way, and nothing is recorded as failed."""
    started = threading.Event()

    def slow(request: Request, stop: threading.Event) -> None:
        started.set()
        stop.wait(60)
        raise TransientError("stopped")

    at = site(tmp_path)
    with running(at, slow):
        send(at.config.listen.port, [image("1.2.3", 1)])
        started.wait(30)

    assert {"received": 1} == at.counts()
    assert [(Step.RECEIVING, 0, None)] == [(study.step, study.attempts, study.dead) for study in at.studies()]
