"""From a task in the web UI to the case's report, which the portal (``plugins/``) serves behind Airflow's login."""

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
