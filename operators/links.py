"""From a task in the web UI to its report, which the portal (``plugins/``) serves behind Airflow's login."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from airflow.configuration import conf
from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.types import TaskInstanceKey

PORTAL = "/heartwood"
"""Where the portal stands below the web server's own address."""


def portal_path() -> str:
    """Return the portal's path, behind the prefix that ``[api] base_url`` may have."""
    return f"{urlsplit(conf.get('api', 'base_url', fallback='')).path.rstrip('/')}{PORTAL}"


def report_path(dag_id: str, run_id: str, file: str) -> str:
    """Return the path of a file of a run's report."""
    return f"{portal_path()}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}/{file}"


class ReportLink(BaseOperatorLink):
    """The report as a page."""

    name = "Open report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the path of the page."""
        return report_path(ti_key.dag_id, ti_key.run_id, "report.html")


class ReportPdfLink(BaseOperatorLink):
    """The report for print and archive."""

    name = "Report as PDF"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the path of the file."""
        return report_path(ti_key.dag_id, ti_key.run_id, "report.pdf")


REPORT_LINKS = (ReportLink(), ReportPdfLink())

COMPARE = "compare"
"""Id of the mapped task that compares the cases of one diagnostic."""


def difference_path(ti_key: TaskInstanceKey, file: str) -> str:
    """Return the path of a file of the difference report that a task `COMPARE` wrote."""
    run = f"{portal_path()}/dags/{quote(ti_key.dag_id, safe='')}/runs/{quote(ti_key.run_id, safe='')}"
    return f"{run}/{COMPARE}/{ti_key.map_index}/{file}"


class DifferenceLink(BaseOperatorLink):
    """What reprocessing changed, as a page."""

    name = "Open comparison"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the path of the page."""
        return difference_path(ti_key, "report.html")


class DifferencePdfLink(BaseOperatorLink):
    """What reprocessing changed, for print and archive."""

    name = "Comparison as PDF"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the path of the file."""
        return difference_path(ti_key, "report.pdf")


DIFFERENCE_LINKS = (DifferenceLink(), DifferencePdfLink())
