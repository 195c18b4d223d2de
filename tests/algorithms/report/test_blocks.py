"""A report becomes one page and one PDF that hold its words, and nothing that its words could do."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser

import pypdf
import pytest

from algorithms.report.blocks import (
    Badge,
    Bibliography,
    Callout,
    Code,
    Column,
    Figure,
    Heading,
    Interval,
    KeyValues,
    Methods,
    Paragraph,
    Picture,
    Report,
    Section,
    Table,
    Verdict,
)  # fmt: skip
from algorithms.report.html import page, write_html
from algorithms.report.palette import TONES
from algorithms.report.pdf import write_pdf
from algorithms.report.scale import interval_svg

HOSTILE = "<script>alert(1)</script> \"&' #show: $x$ @label *bold* \\ // [a] `b` {{ 7*7 }} {% raw %}"
"""Text that is markup in HTML, Typst or Jinja."""

DOT = Picture(
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"><circle cx="2" cy="2" r="1"/></svg>', 'a dot " onload="x'
)

ZONES = ((0.75, "positive"), (0.80, "grey"), (1.0, "negative"))


def every_kind(text: str) -> Report:
    """Return a report with each block and cell kind, ``text`` in every place that takes one."""
    bibliography = Bibliography()
    cells = (text, Badge(text, "grey"), Code(text), bibliography.cite(text, text), Interval(0.7, 0.6, 0.8, 0.5, 1, ZONES, text))
    blocks = (
        Verdict("positive", text, text, text, ((text, text),)), Heading(text), Paragraph(text), Paragraph(text, small=True),
        Callout("warning", text, (text, text)), KeyValues(((text, text), (text, cells[3]))),
        Table(tuple(Column(text) for _ in cells), (cells,), text), Figure((DOT, DOT), text, columns=2),
        Methods(((bibliography.cite(text, text, "Second"),),)), bibliography.references(),
    )  # fmt: skip
    return Report(text, text, text, text, text, (Section("First", blocks), Section(text, blocks[1:], new_page=True)))


class Tags(HTMLParser):
    """Collects what a browser would see as tags."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def tags(html: str) -> list[tuple[str, dict[str, str | None]]]:
    """Return the start tags of ``html`` with their attributes."""
    parser = Tags()
    parser.feed(html)
    return parser.tags


def pdf_text(path) -> str:
    """Return the PDF's words with single spaces."""
    return " ".join(" ".join(sheet.extract_text() for sheet in pypdf.PdfReader(path).pages).split())


def test_no_text_becomes_markup_in_the_page():
    """Each hostile text is escaped wherever it stands: no tag or event attribute comes from it."""
    found = tags(page(every_kind(HOSTILE)))

    assert {tag for tag, _ in found} & {"script", "iframe", "object", "link"} == set()
    assert [name for _, attributes in found for name in attributes if name.startswith("on")] == []
    assert "alert(1)&lt;/script&gt;" in page(every_kind(HOSTILE))


def test_no_text_becomes_markup_in_the_pdf(tmp_path):
    """Typst reads the texts as data, so its own signs come out as they went in."""
    write_pdf(every_kind(HOSTILE), tmp_path / "report.pdf")

    assert "#show: $x$ @label *bold*" in pdf_text(tmp_path / "report.pdf")
    assert "{{ 7*7 }} {% raw %}" in pdf_text(tmp_path / "report.pdf")


def test_the_page_fetches_nothing():
    """A report is opened in hospitals' networks: every address in it is inside it, and its policy says so."""
    html = page(every_kind("plain"))
    addresses = [a[name] for _, a in tags(html) for name in ("src", "href") if name in a]

    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert re.findall(r"url\((?!data:)", html) == []
    assert "default-src 'none'" in html


def test_equal_reports_are_equal_files(tmp_path):
    """Content keys need it: nothing in a report comes from the clock, and a PDF has no date."""
    for name in ("one", "two"):
        write_html(every_kind("same"), tmp_path / f"{name}.html")
        write_pdf(every_kind("same"), tmp_path / f"{name}.pdf")

    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes()
    assert not {"/CreationDate", "/ModDate"} & set(pypdf.PdfReader(tmp_path / "one.pdf").metadata or {})


def test_a_reader_who_cannot_see_gets_the_pictures_in_words(tmp_path):
    """Every image has its text, the language is said, tables name their rows; the PDF is tagged."""
    html = page(every_kind("plain"))
    write_pdf(every_kind("plain"), tmp_path / "report.pdf")
    catalogue = pypdf.PdfReader(tmp_path / "report.pdf").trailer["/Root"]

    assert all(a.get("alt") for tag, a in tags(html) if tag == "img")
    assert ("html", {"lang": "en"}) in tags(html)
    assert any(tag == "th" and a.get("scope") == "row" for tag, a in tags(html))
    assert catalogue["/MarkInfo"]["/Marked"] is True or bool(catalogue["/MarkInfo"]["/Marked"])
    assert catalogue["/Lang"] == "en"


@pytest.mark.parametrize("tone", sorted(TONES))
def test_ink_on_its_tint_has_a_contrast_of_seven(tone):
    """WCAG 2.2 success criterion 1.4.6 asks for 7 to 1; relative luminance as WCAG defines it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    contrast = (luminance(TONES[tone].tint) + 0.05) / (luminance(TONES[tone].ink) + 0.05)

    assert contrast >= 7


def test_references_are_numbered_in_order_of_appearance():
    """The first source cited is 1; citing it again adds no entry; an empty source is no reference."""
    bibliography = Bibliography()
    first = bibliography.cite("a", "B", "A")
    again = bibliography.cite("b", "A", "", "C")

    assert (first.numbers, again.numbers) == ((1, 2), (2, 3))
    assert bibliography.references().entries == ("B", "A", "C")


def test_two_ways_to_cite_one_edition_of_a_guideline_are_one_reference():
    """Pages differ from citation to citation; the longer text is printed."""
    bibliography = Bibliography()
    short = bibliography.cite("a", "NCCN Guidelines Prostate Cancer, Version 6.2026, for risk groups")
    long = bibliography.cite(
        "b", "NCCN Clinical Practice Guidelines in Oncology, Prostate Cancer, Version 6.2026 (28 July 2026)"
    )
    other = bibliography.cite("c", "NCCN Guidelines Prostate Cancer, Version 1.2027")

    assert (short.numbers, long.numbers, other.numbers) == ((1,), (1,), (2,))


@pytest.mark.parametrize(
    ("value", "centre"),
    [pytest.param(0.5, 5, id="low end"), pytest.param(0.75, 60, id="middle"), pytest.param(1.2, 115, id="beyond the scale")],
)
def test_an_interval_is_drawn_where_its_value_lies(value, centre):
    """The scale runs over 110 of 120 units with 5 to each side, and a value beyond it stays at its end."""
    drawn = interval_svg(Interval(value, value, value, 0.5, 1.0, ZONES, "x"))

    assert f'<circle cx="{centre:.2f}"' in drawn


def test_a_pdf_of_many_rows_runs_over_pages_with_its_header_repeated(tmp_path):
    """A table of 200 rows cannot stand on one A4 sheet; each sheet names the columns."""
    rows = tuple((str(n), "value") for n in range(200))
    report = Report("t", "s", "c", "f", "m", (Section("S", (Table((Column("Row"), Column("Thing")), rows, "caption"),)),))
    write_pdf(report, tmp_path / "long.pdf")
    sheets = pypdf.PdfReader(io.BytesIO((tmp_path / "long.pdf").read_bytes())).pages

    assert len(sheets) > 2
    assert all("Thing" in sheet.extract_text() for sheet in sheets)
