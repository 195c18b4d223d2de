"""The portal in the real web server: who gets in, what they get, and that nothing else is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from airflow.sdk.types import TaskInstanceKey

from algorithms.contract.case import Case, Home
from algorithms.contract.catalogue import pipeline
from algorithms.contract.execute import execute
from algorithms.contract.inbox import admit
from algorithms.contract.store import open_store
from operators.cache import deployment_cache
from operators.links import COMPARE, difference_path, report_path
from tests.operators.airflow_home import DATA, PROJECT, migrate
from tests.services import redis

pytestmark = [
    # Airflow imports its in-process API through FastAPI's test client.
    pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient` is deprecated"),
    # Airflow reads .airflowignore with a deprecated name of the library it uses.
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern"),
]

Get = Callable[..., Any]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """The whole web server of Airflow with our plugin in it."""
    migrate()
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    with TestClient(create_app(apps="core"), base_url="http://testserver") as client:
        yield client


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, client: Any) -> tuple[str, Case]:
    """A case with a stub report, and a run whose report task says that it made it: the run's id and the case."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.models.xcom import XComModel

    study = tmp_path_factory.mktemp("study")
    (study / "image").write_text("the portal's")
    case = admit(study, "coronary", Home(DATA))
    coronary = pipeline("coronary")
    report = execute(coronary, coronary.stage("report"), case, Home(DATA), {}, stub=True).manifest
    dag = DagBag(PROJECT / "dags").dags["coronary_ffr"]
    made = dag.test(run_conf={"case_id": case.case_id}, mark_success_pattern=".*")
    told = {"key": report.key, "state": "done"}
    XComModel.set("return_value", told, dag_id="coronary_ffr", task_id="report", run_id=made.run_id)
    return made.run_id, case


@pytest.fixture
def get(client: Any, run: tuple[str, Case]) -> Get:
    """Ask for a file of the run as a user of a role, or as nobody."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    def ask(file: str = "report.html", role: str | None = "viewer", dag_id: str = "coronary_ffr", run_id: str = run[0]) -> Any:
        headers = {}
        if role is not None:
            token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="somebody", role=role or None))
            headers = {"Authorization": f"Bearer {token}"}
        return client.get(f"/heartwood/dags/{dag_id}/runs/{run_id}/{file}", headers=headers)

    return ask


def test_whoever_may_read_the_runs_reads_the_report(get: Get, run: tuple[str, Case]) -> None:
    """The bytes are those that the report stage wrote, under the type that the browser must know."""
    written = next((run[1].folder / "report").glob("*/report.html")).read_bytes()

    answer = get("report.html")

    assert answer.status_code == 200
    assert answer.content == written
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(("file", "kind"), [("report.pdf", "application/pdf"), ("result.json", "application/json")])
def test_pdf_and_json_are_downloads_named_by_the_case(get: Get, run: tuple[str, Case], file: str, kind: str) -> None:
    """Ten reports in a download folder must be told apart, by the opaque id and nothing else."""
    answer = get(file)

    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert answer.headers["content-disposition"] == f'attachment; filename="{run[1].case_id}-{file}"'


def test_a_report_loads_nothing_runs_nothing_and_is_not_kept(get: Get) -> None:
    """A script that got into a report through a hostile study would run with the reader's login."""
    headers = get().headers

    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "script" not in policy
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")


def test_every_route_refuses_the_anonymous_and_the_unauthorised(client: Any) -> None:
    """Walks all routes of the mounted app, so that one added later is asked too; Airflow itself protects none of them."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    mounted = [r.app for r in client.app.routes if getattr(r, "path", "") == "/heartwood"]
    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="nobody", role=None))
    asked = []
    for route in mounted[0].routes:
        path = "/heartwood" + re.sub(r"\{.*?\}", "coronary_ffr", route.path)
        for method in route.methods:
            asked.append(path)
            assert client.request(method, path).status_code == 401
            assert client.request(method, path, headers={"Authorization": "Bearer x"}).status_code == 403
            assert client.request(method, path, headers={"Authorization": f"Bearer {token}"}).status_code == 403

    assert len(mounted) == 1
    assert len(asked) >= 1


@pytest.mark.parametrize("path", ["docs", "redoc", "openapi.json", "", "dags/coronary_ffr"])
def test_there_is_nothing_beside_the_routes(client: Any, path: str) -> None:
    """FastAPI's own pages would be public."""
    assert client.get(f"/heartwood/{path}").status_code == 404


@pytest.mark.parametrize(
    "file",
    [
        "manifest.json",
        "case.json",
        "..%2F..%2Fcase.json",
        "../../case.json",
        "%2e%2e/case.json",
        "report.html%00",
        "record",
        "html",
    ],
)
def test_only_the_files_of_the_report_are_served(get: Get, file: str) -> None:
    """A name is looked up among the declared outputs and never becomes a part of a path."""
    assert get(file).status_code == 404


@pytest.mark.parametrize(
    ("dag_id", "run_id", "reason"),
    [
        pytest.param("coronary_ffr", "manual__none", "there is no such run", id="run"),
        pytest.param("kidney_stone", "manual__none", "writes no reports", id="dag"),
        pytest.param("~", "manual__none", "writes no reports", id="all dags"),
    ],
)
def test_what_is_not_there_says_so(get: Get, dag_id: str, run_id: str, reason: str) -> None:
    """A link that was typed wrongly, or a run that was deleted."""
    answer = get(dag_id=dag_id, run_id=run_id)

    assert answer.status_code == 404
    assert reason in answer.json()["detail"]


def test_a_report_that_was_changed_is_not_shown(get: Get, run: tuple[str, Case]) -> None:
    """Its sha256 is in the manifest; what somebody edited by hand is nobody's answer."""
    path = next((run[1].folder / "report").glob("*/report.html"))
    before = path.read_bytes()
    path.write_bytes(before.replace(b"stub", b"fake"))

    answer = get()
    path.write_bytes(before)

    assert answer.status_code == 409
    assert "not what was written" in answer.json()["detail"]


@pytest.fixture(params=["memory", "redis"])
def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The portal's cache, of each kind, with nothing in it."""
    deployment_cache.cache_clear()
    if request.param == "redis":
        with redis() as url:
            monkeypatch.setenv("AIRFLOW__HEARTWOOD__CACHE", url)
            yield deployment_cache()
    else:
        yield deployment_cache()
    deployment_cache.cache_clear()


def test_a_report_that_was_verified_comes_from_the_cache(get: Get, run: tuple[str, Case], kept: Any) -> None:
    """One byte of the file is changed with all its times kept, which shows where the answer comes from: it is still right."""
    path = next((run[1].folder / "report").glob("*/report.html"))
    before, times = get().content, path.stat()
    with path.open("r+b") as file:
        file.write(b"?")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    cached = get()
    deployment_cache.cache_clear()
    path.write_bytes(before)

    assert (cached.status_code, cached.content) == (200, before)


def test_what_somebody_put_into_the_cache_is_not_shown(
    get: Get, run: tuple[str, Case], kept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shared Redis has other users; a report is verified on its way out of it too."""
    monkeypatch.setattr(kept, "get", lambda key: b"FFR 0.95")

    assert get().content == next((run[1].folder / "report").glob("*/report.html")).read_bytes()


def test_a_newer_report_of_the_case_is_not_this_runs(get: Get, run: tuple[str, Case]) -> None:
    """Two runs with other parameters make two reports; each run shows its own."""
    current = next((run[1].folder / "report").glob("*/report.html"))
    other = current.parents[1] / ("0" * 12)
    other.mkdir()
    (other / "report.html").write_text("another")

    assert get().content == current.read_bytes()


def test_the_path_of_a_link_is_the_path_that_is_served(get: Get, client: Any, run: tuple[str, Case]) -> None:
    """A run's id holds colons and a plus sign, which must be quoted."""
    assert report_path("coronary_ffr", run[0], "report.html") == str(get().url).removeprefix("http://testserver").replace(
        ":", "%3A"
    ).replace("+", "%2B")
    assert get(run_id=quote(run[0], safe="")).status_code == 200


@pytest.fixture(scope="module")
def compared(client: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a run of `reprocess` whose task for the first diagnostic says that it compared something."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.models.xcom import XComModel

    page = tmp_path_factory.mktemp("comparison") / "report.html"
    page.write_text("what changed")
    open_store((DATA / "store").as_uri()).put_file(page, "reprocess/0123456789ab/report.html")
    made = DagBag(PROJECT / "dags").dags["reprocess"].test(run_conf={"dry_run": True})
    where = {"dag_id": "reprocess", "task_id": COMPARE, "run_id": made.run_id}
    XComModel.set("return_value", {"key": "0123456789ab", "cases": 1}, **where, map_index=0)
    XComModel.set("return_value", {"key": "../../cases"}, **where, map_index=1)
    return str(made.run_id)


def test_a_comparison_is_read_through_the_run_that_made_it(get: Get, compared: str) -> None:
    """From the store, where it lies by its content; the link on the task is the path that is served."""
    answer = get("compare/0/report.html", dag_id="reprocess", run_id=compared)
    linked = difference_path(TaskInstanceKey("reprocess", COMPARE, compared, 1, 0), "report.html")

    assert (answer.status_code, answer.text) == (200, "what changed")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert linked == str(answer.url).removeprefix("http://testserver").replace(":", "%3A").replace("+", "%2B")


@pytest.mark.parametrize(
    "file", ["compare/0/report.pdf", "compare/0/answers.json", "compare/1/report.html", "compare/2/report.html"]
)
def test_a_comparison_has_only_its_own_files(get: Get, compared: str, file: str) -> None:
    """One that is not in the store, one that is no file of it, a key that is none, a diagnostic that was not compared."""
    assert get(file, dag_id="reprocess", run_id=compared).status_code == 404


def test_the_plugin_file_loads_as_airflow_loads_it(client: Any) -> None:
    """By its path from the plugins folder; one that does not load is only a line in a log."""
    from airflow.plugins_manager import get_import_errors, get_plugin_info  # type: ignore[attr-defined]

    assert {k: v for k, v in get_import_errors().items() if str(Path(PROJECT) / "plugins") in k} == {}
    assert "heartwood" in {p["name"] for p in get_plugin_info()}


def test_a_task_does_not_load_the_pages() -> None:
    """Airflow loads every plugin into each task's process; the web server's libraries would cost it 2 CPU seconds."""
    script = (
        "import sys, airflow.sdk.plugins_manager as manager\n"
        "plugins, errors = manager._get_plugins()\n"
        "assert [p.name for p in plugins if p.name == 'heartwood'], errors\n"
        "sys.exit('plugins.reports' in sys.modules or 'airflow.api_fastapi.core_api.security' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
