"""The report as a PDF, set by Typst: tagged for screen readers (PDF/UA-1), no dates in it, equal reports equal bytes."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

import typst

from algorithms.report import fonts, palette
from algorithms.report.blocks import Interval, Report, Shares, plain
from algorithms.report.scale import interval_svg, shares_svg

STANDARD: Final = "ua-1"
"""ISO 14289-1.  PDF/A would want a date of making, and the report has none: its manifest has."""


def write_pdf(report: Report, path: Path) -> None:
    """Write ``report`` to ``path``; texts reach the typesetter as data, so none can be read as markup."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copyfile(Path(__file__).with_name("page.typ"), root / "page.typ")
        colours = {name: {"ink": t.ink, "line": t.line, "tint": t.tint} for name, t in palette.TONES.items()}
        basics = {"ink": palette.INK, "muted": palette.MUTED, "rule": palette.RULE, "faint": palette.FAINT}
        document = _with_files(plain(report), root)
        document |= {"tones": colours, "colours": basics | {"accent": palette.ACCENT}, "family": fonts.FAMILY}
        (root / "report.json").write_text(json.dumps(document))
        # Only the faces used: a folder with OTF and TTF of one face would leave the choice to the order of the listing.
        (root / "fonts").mkdir()
        for name in fonts.FACES:
            shutil.copyfile(fonts.face_path(name), root / "fonts" / name)
        written = typst.compile(
            root / "page.typ", root=root, font_paths=[root / "fonts"], ignore_system_fonts=True, pdf_standards=[STANDARD]
        )
    path.write_bytes(written)


def _with_files(thing: Any, root: Path) -> Any:
    """Return ``thing`` with every picture and interval replaced by the name of a file written below ``root``."""
    if isinstance(thing, list):
        return [_with_files(item, root) for item in thing]
    if not isinstance(thing, dict):
        return thing
    if "mime" in thing:
        suffix = {"image/png": ".png", "image/jpeg": ".jpg"}.get(thing["mime"], ".svg")
        return {"alt": thing["alt"], "file": _file(root, thing["data"], suffix)}
    if thing.get("kind") == "interval":
        zones = tuple((end, tone) for end, tone in thing["zones"])
        interval = Interval(**{k: v for k, v in thing.items() if k not in {"kind", "zones"}}, zones=zones)
        return thing | {"file": _file(root, interval_svg(interval).encode(), ".svg")}
    if thing.get("kind") == "shares":
        shares = Shares(tuple((share, tone) for share, tone in thing["parts"]), thing["text"])
        return thing | {"file": _file(root, shares_svg(shares).encode(), ".svg")}
    return {name: _with_files(value, root) for name, value in thing.items()}


def _file(root: Path, data: bytes, suffix: str) -> str:
    name = f"picture-{len(list(root.glob('picture-*')))}{suffix}"
    (root / name).write_bytes(data)
    return name
