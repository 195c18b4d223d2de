"""What is in the images, and what is not: looked for in images that are really built."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.docker.images import LIMITS, PROJECT
from tests.docker.test_requirements import normalised, pins

pytestmark = [
    pytest.mark.slow,
    pytest.mark.system,
    pytest.mark.container,
    pytest.mark.timeout(3600),  # the first test of a session builds the images
]

LOCKS = {"stage": "requirements-stage.txt", "airflow": "requirements.txt"}


@pytest.fixture(params=LOCKS)
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def image(target: str, request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{target}_image"))


def podman(*arguments: str) -> str:
    """Return what a podman command says."""
    done = subprocess.run(["podman", "--runtime", "runc", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def inside(image: str, *command: str, user: str = "") -> str:
    """Return what a command says in a container of ``image``."""
    as_user = [f"--user={user}"] if user else []
    return podman("run", "--rm", *LIMITS, *as_user, image, *command)


def test_an_image_runs_as_nobody_in_particular(image: str) -> None:
    """Neither root nor a user who owns a program, so that a stage that is taken over can change nothing that runs."""
    script = "id -u; find / -xdev -writable -not -type l -not -path '/proc/*' 2>/dev/null; true"
    uid, writable = inside(image, "sh", "-c", script).split("\n", 1)

    own = re.compile(r"/(tmp|var/tmp|run/lock|dev|data|arrivals|opt/airflow|opt/airflow/.*|sys/.*)(/.*)?")
    assert uid == "10001"
    assert [path for path in writable.split() if not own.fullmatch(path)] == []


def test_an_image_has_no_compiler_and_no_installer_left(image: str) -> None:
    """Nothing that would help somebody who got in; no cache that costs a pull on every machine."""
    left = "for name in gcc cc g++ make ld uv pip pip3; do command -v $name; done; ls -A /var/lib/apt/lists /root /tmp"

    assert inside(image, "sh", "-c", f"{left}; find / -xdev -path '*/.cache' -not -path '/proc/*'; true", user="0").split() == [
        "/root:",
        ".bashrc",
        ".profile",
        "/tmp:",
        "/var/lib/apt/lists:",
    ]


def test_the_bill_of_materials_keeps_its_schema(image: str) -> None:
    """CycloneDX 1.6, held to the schema by the project that wrote it."""
    bill = inside(image, "cat", "/opt/heartwood/sbom.cdx.json")

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None


def test_the_bill_of_materials_lists_what_is_installed(target: str, image: str) -> None:
    """Python's and Debian's own lists, asked in the finished image, and every pin of the lock."""
    bill = json.loads(inside(image, "cat", "/opt/heartwood/sbom.cdx.json"))
    listed = {kind: {} for kind in ("pypi", "deb")}
    for component in bill["components"]:
        listed[component["purl"][4:].partition("/")[0]][component["name"]] = component["version"]
    script = (
        "import importlib.metadata as m, json; print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))"
    )
    debian = dict(line.split() for line in inside(image, "dpkg-query", "--show").splitlines())

    assert json.loads(inside(image, "python", "-c", script)) == listed["pypi"]
    assert {name.partition(":")[0]: version for name, version in debian.items()} == listed["deb"]
    python = {normalised(name): version.partition("+")[0] for name, version in listed["pypi"].items()}
    assert {name: version for name, version in pins(LOCKS[target]).items() if python.get(name) != version} == {}


def test_the_bill_of_materials_lies_beside_the_image(target: str, image: str) -> None:
    """For whoever asks what a release contains without pulling it."""
    beside = PROJECT / "docker/built" / f"{target}.cdx.json"

    assert inside(image, "cat", "/opt/heartwood/sbom.cdx.json") == beside.read_text()


def test_nothing_of_the_machine_that_built_an_image_is_in_it(image: str) -> None:
    """Where packages came from, and the certificates of its mirror, were lent for the build only."""
    config = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    values = {word for line in config.splitlines() if ".cert=" not in line for word in re.findall(r"[\w.:/-]*/[\w./-]+", line)}
    values |= {path.removeprefix("file://") for path in values} | {str(PROJECT)}
    described = podman("history", "--no-trunc", image) + podman("inspect", image)
    patterns = [text for value in sorted(values) for text in ("-e", value)]
    search = ["grep", "-rIlF", *patterns, "/etc", "/opt", "/root", "/run", "/home", "/var"]
    found = podman("run", "--rm", *LIMITS, "--user=0", "--entrypoint=sh", image, "-c", '"$@"; true', "sh", *search)

    assert [value for value in values if value in described] == []
    assert [path for path in found.split() if path not in {"/etc/hosts", "/etc/resolv.conf", "/etc/hostname"}] == []


def test_an_image_trusts_whom_debian_trusts(image: str) -> None:
    """A mirror's certificate that stayed would let its owner read what a deployment says to AWS."""
    script = """
        cat /usr/share/ca-certificates/mozilla/*.crt | sort -u >/tmp/debian
        sort -u /etc/ssl/certs/ca-certificates.crt | comm -23 - /tmp/debian
        ls -A /usr/local/share/ca-certificates
    """

    assert inside(image, "sh", "-c", script) == ""


def test_a_stage_can_import_every_module_without_airflow(stage_image: str) -> None:
    """The set of requirements is derived from names; this is the proof that it is whole."""
    script = """
import importlib.util, pkgutil, algorithms
found = [module.name for module in pkgutil.walk_packages(algorithms.__path__, "algorithms.")]
names = [name for name in found if not name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
print(len(names), importlib.util.find_spec("airflow"))
"""
    number, airflow = inside(stage_image, "python", "-c", script).split()

    assert int(number) == len([p for p in (PROJECT / "algorithms").rglob("*.py") if p.name != "__main__.py"]) - 1
    assert airflow == "None"


def test_a_stage_is_smaller_than_airflow(stage_image: str, airflow_image: str) -> None:
    """Every machine that runs stages pulls it."""
    sizes = [int(podman("image", "inspect", "--format={{.Size}}", image)) for image in (stage_image, airflow_image)]

    assert sizes[0] < sizes[1]


def test_an_image_says_which_source_it_is_made_of(target: str, image: str) -> None:
    """What a manifest keeps as ``image`` where a place does not know better."""
    revision = image.rpartition(":")[2]

    assert inside(image, "sh", "-c", "echo $HEARTWOOD_IMAGE").strip() == f"heartwood-{target}@{revision}"
    labels = json.loads(podman("inspect", image))[0]["Labels"]
    assert labels["org.opencontainers.image.revision"] == revision


def test_a_container_ends_when_it_is_told_to(stage_image: str) -> None:
    """TERM reaches the stage through the image's first process: exit code 143 at once, not KILL after a grace."""
    name = podman("run", "--detach", *LIMITS, stage_image, "python", "-c", "import time; time.sleep(600)").strip()
    try:
        podman("stop", "--time=60", name)

        assert json.loads(podman("inspect", name))[0]["State"]["ExitCode"] == 143
    finally:
        podman("rm", "--force", name)


def test_the_context_of_a_build_has_no_case_and_no_key(stage_image: str) -> None:
    """The folder may hold data/ and docker/secrets/; the context is a list of what is wanted, so neither can come along."""
    listed = inside(stage_image, "find", "/opt/heartwood", "-maxdepth", "1", "-printf", "%f\\n").split()

    assert sorted(listed) == ["LICENSE", "algorithms", "docker", "heartwood", "requirements-stage.txt", "sbom.cdx.json"]
