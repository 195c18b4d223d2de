"""Registers the portal with Airflow: its pages in the web server, its tab on a run's page, its links on the tasks.

Airflow loads this file into every process, each task's too.  The pages lie in ``reports.py``, which ``.airflowignore`` keeps
from that and which only the web server imports: it costs 2 CPU seconds.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from airflow.plugins_manager import AirflowPlugin

from operators.links import DIFFERENCE_LINKS, PORTAL, REPORT_LINKS, portal_path

ICON = "data:image/svg+xml," + quote(
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='#51606f' stroke-width='2' "
    "stroke-linejoin='round'><path d='M6 2h8l5 5v15H6z M14 2v5h5 M9 15h2l1.5-4 2 6 1-2h1.5'/></svg>"
)
"""A page with a pulse, drawn for the run's tab."""


class Portal(AirflowPlugin):
    """The portal."""

    name = "heartwood"
    external_views = [  # noqa: RUF012 - as the base class declares it
        {
            "name": "Open report",
            "href": f"{portal_path()}/dags/{{DAG_ID}}/runs/{{RUN_ID}}/report.html",
            "destination": "dag_run",
            "url_route": "report",
            "icon": ICON,
        }
    ]
    operator_extra_links = [*REPORT_LINKS, *DIFFERENCE_LINKS]  # noqa: RUF012

    @property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]
        """The pages, imported when the web server asks for them."""
        from plugins.reports import app

        return [{"app": app, "url_prefix": PORTAL, "name": "Heartwood"}]
