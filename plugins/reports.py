"""The portal's pages: a run's report, behind Airflow's login and permissions.

``/heartwood/dags/<dag id>/runs/<run id>/<file>`` serves one file of the report that *this* run made.  Whoever may read the
runs of the DAG may read it, nobody else; a case id alone opens nothing.  ``.../compare/<number>/<file>`` serves one of the
difference report that a run of the DAG `reprocess` made, one a diagnostic.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path
from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import requires_access_dag
from airflow.models.dagrun import DagRun
from airflow.models.xcom import XComModel
from fastapi import Depends, FastAPI, HTTPException, Response, status
from sqlalchemy import select

from algorithms.contract.case import Case
from algorithms.contract.errors import DataError
from algorithms.contract.manifest import MANIFEST, Manifest
from algorithms.contract.pipeline import Pipeline
from operators import settings
from operators.cache import deployment_cache, key_of
from operators.credentials import deployment_store
from operators.dag import pipeline_of
from operators.links import COMPARE
from operators.reprocess.comparison import FILES as DIFFERENCE_FILES
from operators.reprocess.comparison import FOLDER as DIFFERENCE_FOLDER
from operators.results.rows import RESULT

KEY = re.compile(r"[0-9a-f]{64}")
DIFFERENCE_KEY = re.compile(r"[0-9a-f]{12}")

HEADERS = {
    # The report is one file: it loads nothing, runs nothing, and no other site may frame it.
    "Content-Security-Policy": "default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

MEDIA_TYPES = {".html": "text/html; charset=utf-8", ".pdf": "application/pdf", ".json": "application/json"}

# The dependency stands here, once for all routes, and the app has none of FastAPI's own, which would be public.
app = FastAPI(
    title="Heartwood",
    docs_url=None,
    redoc_url=None,
    openapi_url=None,
    dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.RUN))],
)


@app.get("/dags/{dag_id}/runs/{run_id}/{file}")
def report_file(dag_id: str, run_id: str, file: str, session: SessionDep) -> Response:
    """Return a file of the report that a run made."""
    try:
        pipeline = pipeline_of(dag_id)
    except DataError:
        raise _absent("this DAG writes no reports") from None
    folder = _report_folder(pipeline, dag_id, run_id, session)
    maker = pipeline.maker(RESULT)
    assert maker is not None
    name = next((o.name for o in maker.outputs if o.path == file and Path(file).suffix in MEDIA_TYPES), None)
    if name is None:
        raise _absent("the report has no such file")
    try:
        content = _verified(Manifest.read(folder), name, folder)
    except DataError as error:
        raise HTTPException(status.HTTP_409_CONFLICT, str(error), HEADERS) from None
    return _answer(content, Path(file).name, named=folder.parents[1].name)


@app.get("/dags/{dag_id}/runs/{run_id}/compare/{number}/{file}")
def difference_file(dag_id: str, run_id: str, number: int, file: str, session: SessionDep) -> Response:
    """Return a file of a difference report that a run made."""
    if file not in DIFFERENCE_FILES:
        raise _absent("the comparison has no such file")
    key = _xcom(session, dag_id, run_id, COMPARE, number).get("key")
    if not isinstance(key, str) or not DIFFERENCE_KEY.fullmatch(key):
        raise _absent("this run has compared nothing of this diagnostic")
    name = f"{DIFFERENCE_FOLDER}/{key}/{file}"
    store = deployment_store(settings.load())
    if not store.exists(name):
        raise _absent("the comparison is not in the store")
    with tempfile.TemporaryDirectory() as folder:
        content = store.get_file(name, Path(folder) / file).read_bytes()
    return _answer(content, file, named=key)


def _answer(content: bytes, file: str, *, named: str) -> Response:
    suffix = Path(file).suffix
    shown = "inline" if suffix == ".html" else "attachment"
    told = {"Content-Disposition": f'{shown}; filename="{named}-{file}"'}
    return Response(content, media_type=MEDIA_TYPES[suffix], headers=HEADERS | told)


def _verified(manifest: Manifest, name: str, folder: Path) -> bytes:
    """Return the bytes of an artefact, which have the sha256 of its manifest; raises `DataError` if they have not."""
    sha256 = manifest.outputs[name].sha256
    key = key_of("report", sha256, *_identity(folder / manifest.outputs[name].path))
    kept = deployment_cache().get(key)
    # Whoever can write into a shared cache must not be able to write a report.
    if kept is not None and hashlib.sha256(kept).hexdigest() == sha256:
        return kept
    content = manifest.output_path(name, folder).read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError("the report was changed while it was read; load the page again")
    deployment_cache().set(key, content)
    return content


def _identity(path: Path) -> tuple[int, ...]:
    """Return what changes when somebody touches a file, so that it is read and verified again."""
    try:
        now = path.stat()
    except FileNotFoundError:
        return ()
    return now.st_ino, now.st_size, now.st_mtime_ns


def _report_folder(pipeline: Pipeline, dag_id: str, run_id: str, session: Any) -> Path:
    """Return the result folder of the report that a run made; every part of its path is checked."""
    run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
    if run is None:
        raise _absent("there is no such run")
    maker = pipeline.maker(RESULT)
    key = _xcom(session, dag_id, run_id, maker.name).get("key") if maker else None
    if not isinstance(key, str) or not KEY.fullmatch(key) or maker is None:
        raise _absent("this run has not written its report yet")
    try:
        case = Case.read(settings.load().home_folder.case_folder(str((run.conf or {}).get("case_id"))))
    except DataError:
        raise _absent("the case of this run is not on this machine") from None
    folder = case.folder / maker.name / key[:12]
    if case.pipeline != pipeline.name or not (folder / MANIFEST).exists():
        raise _absent("the report of this run is not on this machine")
    return folder


def _xcom(session: Any, dag_id: str, run_id: str, task_id: str, number: int | None = None) -> dict[str, Any]:
    """Return what a task left, of a mapped one that of its ``number``."""
    query = XComModel.get_many(run_id=run_id, key="return_value", task_ids=task_id, dag_ids=dag_id, map_indexes=number, limit=1)
    row = session.execute(query.with_only_columns(XComModel.value)).first()
    value = XComModel.deserialize_value(row) if row else {}
    return value if isinstance(value, dict) else {}


def _absent(reason: str) -> HTTPException:
    return HTTPException(status.HTTP_404_NOT_FOUND, reason, HEADERS)
