"""The last task of a case: report and artefacts into the object store, rows into the results database.

A result goes to ``cases/<case id>/<stage>/<key12>/`` of the store, its manifest last: where a manifest is, all of the result
is.  Everything is named by content keys, so publishing again changes nothing.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import Context

from algorithms.contract.case import Case
from algorithms.contract.errors import DataError
from algorithms.contract.manifest import MANIFEST, Manifest
from algorithms.contract.record import StageState
from algorithms.contract.store import Store, put_tree
from operators import settings
from operators.case import CaseTask, OpenCase
from operators.cost import Prices, case_cost, leave_cost
from operators.credentials import deployment_store
from operators.links import REPORT_LINKS
from operators.results.audit import Action, append_once, head
from operators.results.database import transaction
from operators.results.heads import publish_head
from operators.results.rows import RESULT, Published, answer_of, hashes_of, record_rows
from operators.watch import metrics

log = logging.getLogger(__name__)

MIB = 2**20


class Publish(CaseTask):
    """Publish what there is of a case; see `publish` and `record_rows`."""

    ui_color = "#e8f7e4"
    operator_extra_links = REPORT_LINKS

    def execute(self, context: Context) -> dict[str, str | None]:
        """Return the key of the case's report and its verdict, if there is one; what is refused is in the audit."""
        here = settings.load()
        case = Case.read(here.home_folder.case_folder(self.case_id))
        try:
            return self._publish(context)
        except DataError:
            refused(here.results_url, case)
            raise

    def _publish(self, context: Context) -> dict[str, str | None]:
        opened = self.open()
        answered = publish_case(opened)
        if answered is None:
            return {"key": None, "state": None}
        name, verdict = opened.pipeline.name, answered.verdict or metrics.OTHER
        metrics.CASE_PRICE.set(answered.price, pipeline=name)
        metrics.ANSWERS.add(pipeline=name, state=verdict)
        taken = datetime.now(UTC) - context["dag_run"].run_after
        metrics.CASE_DURATION.took(taken.total_seconds(), pipeline=name, state=verdict)
        return {"key": answered.key, "state": answered.verdict}


@dataclass(frozen=True)
class Answered:
    """A published report: its key, its verdict, and the price of all of its stages together."""

    key: str
    verdict: str | None
    price: float


def publish_case(opened: OpenCase) -> Answered | None:
    """Put what there is of a case into store and database, and its cost beside its report; ``None`` where it has no report."""
    here, pipeline, case, found = opened.here, opened.pipeline, opened.case, opened.states()
    store = deployment_store(here)
    published = publish(case, found, store, here.publish_limit_mib)
    prices = Prices.read(here.price_list)
    record_rows(here.results_url, pipeline, case, found, published, prices=prices, given=opened.given, stub=here.stub)
    with transaction(here.results_url) as connection:
        end = head(connection)
    publish_head(end, store)
    log.info("published %d artefacts, left %d that are too large", len(published.uris), len(published.left))
    maker = pipeline.maker(RESULT)
    report = found[maker.name] if maker else None
    if report is None or report.manifest is None:
        return None
    cost = case_cost(pipeline, case, found, prices)
    leave_cost(store, report, cost)
    return Answered(report.manifest.key, answer_of(pipeline, found).get("verdict"), cost["together"]["price"])


def refused(url: str, case: Case) -> None:
    """Write into the audit that the results of a case were not published."""
    with transaction(url) as connection:
        append_once(connection, action=Action.REFUSED, case_id=case.case_id, site=case.site, detail={"door": "publish"})


def publish(case: Case, found: Mapping[str, StageState], store: Store, limit_mib: float) -> Published:
    """Put every finished result of a case into the store.

    Raises
    ------
    DataError
        If an artefact is no longer what its stage wrote.
    RuntimeError
        If the store has the same result with other bytes: a stage is not reproducible, or changed without a new version.
    """
    uris: dict[str, str] = {}
    manifests: dict[str, str] = {}
    left: list[str] = []
    for state in found.values():
        if state.manifest is None or state.folder is None:
            continue
        prefix = f"cases/{case.case_id}/{state.stage.name}/{state.manifest.key[:12]}"
        there = _published_before(store, f"{prefix}/{MANIFEST}")
        if there is not None and hashes_of(there) != hashes_of(state.manifest):
            raise RuntimeError(f"the store has result {prefix} with other bytes; raise the version of stage {state.stage.name}")
        for name, written in state.manifest.outputs.items():
            if written.size_bytes > limit_mib * MIB:
                left.append(name)
                continue
            uris[name] = f"{store.uri}/{prefix}/{written.path}"
            if there is None:
                _put(store, state.manifest.output_path(name, state.folder), f"{prefix}/{written.path}")
        manifests[state.stage.name] = f"{store.uri}/{prefix}/{MANIFEST}"
        if there is None:
            store.put_file(state.folder / MANIFEST, f"{prefix}/{MANIFEST}")
    return Published(uris, manifests, tuple(left))


def _put(store: Store, path: Path, name: str) -> None:
    if path.is_dir():
        put_tree(store, path, name)
    else:
        store.put_file(path, name)


def _published_before(store: Store, name: str) -> Manifest | None:
    if not store.exists(name):
        return None
    with tempfile.TemporaryDirectory() as folder:
        store.get_file(name, Path(folder) / MANIFEST)
        return Manifest.read(Path(folder))
