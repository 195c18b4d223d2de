"""Real servers of this machine for tests: PostgreSQL, Redis, moto's AWS over HTTP, rclone's S3, podman.

Each is this test's own and ends with it.  A test that needs one that is not installed is skipped with a reason;
``.ci/prepare`` installs them all.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

POSTGRES = Path("/usr/lib/postgresql/15/bin")

AWS_ACCOUNT = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing-secret", "AWS_DEFAULT_REGION": "eu-central-1"}
"""What boto3 must know beside the endpoint; moto believes any credentials, rclone these."""


class Postgres:
    """A PostgreSQL server that can be stopped and started again; it listens on a socket that only it knows, and on loopback."""

    def __init__(self) -> None:
        # A socket's path is limited to 107 bytes, which pytest's own folders exceed; the server refuses to run as root.
        self.folder = Path(tempfile.mkdtemp(prefix="heartwood-pg-"))
        self.port = free_port()
        self._user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        if os.getuid() == 0:
            shutil.chown(self.folder, self._user)
        self._run("initdb", "-D", str(self.folder / "data"), "-A", "trust", "-U", "heartwood", "--no-sync")

    def url(self, user: str = "heartwood", database: str = "postgres") -> str:
        """Return the SQLAlchemy URL of a database, for one of the server's roles."""
        return f"postgresql+psycopg://{user}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start and wait until it answers."""
        options = f"-k {self.folder} -p {self.port} -c listen_addresses=127.0.0.1 -c max_connections=200"
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Stop at once, as a crash would: clients lose their connections, the next start recovers."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        as_user = ["setpriv", f"--reuid={self._user}", f"--regid={self._user}", "--clear-groups"] if os.getuid() == 0 else []
        subprocess.run([*as_user, str(POSTGRES / program), *arguments], check=True, capture_output=True, cwd=self.folder)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Give a running PostgreSQL; skips where Debian's postgresql or the driver is missing."""
    pytest.importorskip("psycopg", reason="the PostgreSQL driver psycopg is not installed")
    if not POSTGRES.exists():
        pytest.skip("Debian's postgresql is not installed")
    server = Postgres()
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder)


@contextmanager
def redis(port: int | None = None) -> Iterator[str]:
    """Give the URL of a running, empty Redis, on a port of one's choice; skips where Debian's redis-server is missing."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("Debian's redis-server is not installed")
    port = port or free_port()
    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"], stdout=subprocess.DEVNULL
    )
    try:
        await_port(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


class StatsD:
    """A StatsD server that keeps what it is sent."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._datagrams: list[bytes] = []

    @property
    def environment(self) -> dict[str, str]:
        """What makes an Airflow send its metrics here, with tags."""
        port = str(self._socket.getsockname()[1])
        options = {"STATSD_ON": "True", "STATSD_HOST": "127.0.0.1", "STATSD_PORT": port, "STATSD_INFLUXDB_ENABLED": "True"}
        return {f"AIRFLOW__METRICS__{name}": value for name, value in options.items()}

    @property
    def datagrams(self) -> list[bytes]:
        """All that has come until now; the kernel holds what nobody asked for."""
        with suppress(BlockingIOError):
            while True:
                self._datagrams.append(self._socket.recv(2**16))
        return self._datagrams

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


@contextmanager
def statsd() -> Iterator[StatsD]:
    """Give a StatsD server on loopback."""
    server = StatsD()
    try:
        yield server
    finally:
        server.close()


@contextmanager
def moto() -> Iterator[str]:
    """Give the endpoint of an AWS of this process's own (moto over HTTP, so that boto3 is the real client)."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()


@dataclass(frozen=True)
class Podman:
    """A podman of this test's own: the socket on which it speaks Docker's API, and an image of this machine's own programs."""

    socket: str
    image: str
    command: tuple[str, ...]

    def run(self, *arguments: str) -> str:
        """Return what a podman command says."""
        return subprocess.run([*self.command, *arguments], check=True, capture_output=True, text=True).stdout


@contextmanager
def podman(project: Path) -> Iterator[Podman]:
    """Give a podman whose image runs ``project`` with this Python; skips where Debian's podman or runc is missing.

    The image is empty: the folders of this machine that hold programs are mounted into it, read only, so that a container
    costs a second and no registry.
    """
    program = shutil.which("podman")
    if program is None or shutil.which("runc") is None or os.getuid() != 0:
        pytest.skip("Debian's podman and runc are not installed, or this is not root")
    # The path of a socket is limited to 107 bytes, and podman's layers are not for pytest's folders.
    folder = Path(tempfile.mkdtemp(prefix="heartwood-podman-"))
    real_python = Path(sys.executable).resolve().parents[1]
    programs = {"/usr", "/bin", "/lib", "/lib64", "/etc/alternatives", sys.prefix, str(Path(sys.prefix).resolve())}
    programs |= {str(real_python), str(project)}
    mounts = ", ".join(f'"{path}:{path}:ro"' for path in sorted(programs) if Path(path).exists())
    limits = '["nofile=1024:1024", "nproc=1024:1024"]'
    (folder / "containers.conf").write_text(
        f'[containers]\nvolumes = [{mounts}]\ndefault_ulimits = {limits}\n[engine]\nruntime = "runc"\n'
    )
    command = (program, f"--root={folder}/root", f"--runroot={folder}/run", "--storage-driver=vfs")
    environment = os.environ | {"CONTAINERS_CONF": str(folder / "containers.conf")}
    with tarfile.open(folder / "empty.tar", "w") as tar:
        for name, mode in {"tmp": 0o1777, "etc": 0o755}.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
    image, path = "localhost/this-machine:1", f"PATH={Path(sys.executable).parent}:/usr/bin"
    changes = [f"--change=ENV {path}", f"--change=WORKDIR {project}"]
    subprocess.run(
        [*command, "import", *changes, str(folder / "empty.tar"), image], check=True, capture_output=True, env=environment
    )
    socket = f"unix://{folder}/podman.sock"
    # Where memory ends, podman leaves a file in the folder that its service was started in.
    server = subprocess.Popen(
        [*command, "system", "service", "--time=0", socket], cwd=folder, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        await_file(folder / "podman.sock")
        yield Podman(socket, image, command)
    finally:
        subprocess.run([*command, "rm", "--all", "--force", "--time=0"], check=False, capture_output=True, env=environment)
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def rclone() -> Iterator[str]:
    """Give the endpoint of an S3 server on disk that checks signatures and is made for large objects (rclone)."""
    port, program = free_port(), Path(sys.executable).with_name("rclone")
    folder = Path(tempfile.mkdtemp(prefix="heartwood-s3-"))
    account = f"{AWS_ACCOUNT['AWS_ACCESS_KEY_ID']},{AWS_ACCOUNT['AWS_SECRET_ACCESS_KEY']}"
    command = [str(program), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", account, str(folder)]
    # An empty name keeps rclone from reading and writing a configuration in the user's home.
    process = subprocess.Popen(command, env=os.environ | {"RCLONE_CONFIG": ""}, stderr=subprocess.DEVNULL)
    try:
        await_port(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Orthanc:
    """An archive: C-STORE address, and URLs of its own and of its DICOMweb service."""

    address: str
    url: str
    dicomweb: str


@contextmanager
def orthanc() -> Iterator[Orthanc]:
    """Give an Orthanc on loopback with DICOMweb, empty."""
    plugin = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
    if shutil.which("Orthanc", path="/usr/sbin:/usr/bin") is None or not plugin.exists():
        pytest.skip("Orthanc with its DICOMweb plugin is not installed")
    folder, web, dicom = Path(tempfile.mkdtemp(prefix="heartwood-orthanc-")), free_port(), free_port()
    settings = {
        "Name": "Test",
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "Plugins": [str(plugin)],
        "HttpPort": web,
        "DicomPort": dicom,
        "DicomAet": "ARCHIVE",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    command = [str(shutil.which("Orthanc", path="/usr/sbin:/usr/bin")), str(folder / "orthanc.json")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        await_port(web, 60)
        await_port(dicom, 60)
        url = f"http://127.0.0.1:{web}"
        yield Orthanc(f"ARCHIVE@127.0.0.1:{dicom}", url, f"{url}/dicom-web")
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def webhook() -> Iterator[tuple[int, list[bytes]]]:
    """Give the port of a webhook on loopback and the bodies that it was sent."""
    bodies: list[bytes] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def aws_environment(endpoint: str) -> dict[str, str]:
    """Return the variables that make boto3 talk to ``endpoint``."""
    return {"AWS_ENDPOINT_URL": endpoint, **AWS_ACCOUNT}


def free_port() -> int:
    """Return a port of the loopback interface on which nobody listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def await_file(path: Path, seconds: float = 30) -> None:
    """Return when the file is there; raises ``TimeoutError`` if it is not in time."""
    until = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > until:
            raise TimeoutError(f"{path.name} is not there after {seconds:g} s")
        time.sleep(0.05)


def await_port(port: int, seconds: float = 30) -> None:
    """Return when somebody listens on a port of the loopback interface; raises ``TimeoutError`` if nobody does in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on port {port} after {seconds:g} s")
