"""The report as one HTML file: styles, type and pictures inside it, no script, nothing fetched."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import jinja2
from markupsafe import Markup

from algorithms.report import fonts, palette
from algorithms.report.blocks import Interval, Picture, Report, Shares
from algorithms.report.scale import WIDTH, interval_svg, shares_svg


def write_html(report: Report, path: Path) -> None:
    """Write ``report`` to ``path``; every text is escaped, and a policy in the page forbids scripts and requests."""
    path.write_text(page(report), encoding="utf-8")


def page(report: Report) -> str:
    """Return the HTML of ``report``."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(data_uri=_data_uri, interval=_interval, shares=_shares, anchor=anchor)
    body = environment.get_template("body.html.j2").render(report=report)
    style = environment.get_template("page.css.j2").render(palette=palette, faces=_faces(body))
    return environment.get_template("page.html.j2").render(report=report, body=Markup(body), style=Markup(style))


def anchor(title: str) -> str:
    """Return the address of a section inside the page, from its title."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"


def _data_uri(picture: Picture) -> str:
    return f"data:{picture.mime};base64,{base64.b64encode(picture.data).decode()}"


def _interval(interval: Interval) -> Markup:
    wide = "" if interval.stretch == 1 else f' style="width:{WIDTH * interval.stretch:g}px;max-width:100%"'
    return Markup(interval_svg(interval).replace("<svg ", f'<svg class="interval" aria-hidden="true"{wide} ', 1))


def _shares(shares: Shares) -> Markup:
    return Markup(shares_svg(shares).replace("<svg ", '<svg class="share" aria-hidden="true" ', 1))


def _faces(body: str) -> list[tuple[int, str]]:
    text = re.sub(r"data:[^\"]*", "", body)
    characters = "".join(sorted(set(text) | set(map(chr, range(32, 127)))))
    return [(weight, fonts.web_face(name, characters)) for name, weight in fonts.WEIGHTS.items()]
