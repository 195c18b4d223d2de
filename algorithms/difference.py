"""Set old and new answers of cases beside each other: ``python -m algorithms.difference ANSWERS.json OUT``.

ANSWERS.json names a ``pipeline`` and a ``run``, in ``cases`` the two results of each case, and in ``left`` the cases that were
not reprocessed, each with its ``reason``::

    {"pipeline": "coronary", "run": "0123456789ab",
     "cases": [{"case_id": "...", "old_key": "...", "old": "PATH/result.json", "new_key": "...", "new": "PATH/result.json"}],
     "left": [{"case_id": "...", "reason": "..."}]}

OUT gets ``report.html``, ``report.pdf`` and ``difference.json``; equal answers give equal bytes.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algorithms.contract.catalogue import pipeline as pipeline_called
from algorithms.contract.errors import EXIT_OK
from algorithms.contract.shell import exit_code, log_to_stderr
from algorithms.report.difference.document import Reprocessed, difference
from algorithms.report.difference.pairs import Answers
from algorithms.report.difference.report import crossings, difference_report, moves
from algorithms.report.html import write_html
from algorithms.report.pdf import write_pdf

log = logging.getLogger("algorithms.difference")


def main(arguments: list[str] | None = None) -> int:
    """Write the report and print one line of JSON: how many cases were compared, crossed a limit, or changed group."""
    log_to_stderr()
    parser = argparse.ArgumentParser(
        "python -m algorithms.difference", description="Set old and new answers beside each other."
    )
    parser.add_argument("answers", type=Path, metavar="ANSWERS", help="which answers; see the module's docstring")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write into; made where it is missing")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _do(options), log)


def _do(options: argparse.Namespace) -> int:
    document = compare(json.loads(options.answers.read_text()), options.out)
    counts = {"cases": len(document["cases"]), "crossed": len(crossings(document)), "changed": len(moves(document))}
    sys.stdout.write(json.dumps(counts) + "\n")
    return EXIT_OK


def compare(answers: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Write the three files below ``out`` and return the document."""
    cases = [_reprocessed(case) for case in answers["cases"]]
    document = difference(pipeline_called(answers["pipeline"]), answers["run"], cases, answers.get("left", ()))
    out.mkdir(parents=True, exist_ok=True)
    (out / "difference.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    report = difference_report(document)
    write_html(report, out / "report.html")
    write_pdf(report, out / "report.pdf")
    log.info("compared %d cases", len(cases))
    return document


def _reprocessed(case: Mapping[str, Any]) -> Reprocessed:
    old, new = (json.loads(Path(case[name]).read_text()) for name in ("old", "new"))
    return Reprocessed(Answers(case["case_id"], old, new), case["old_key"], case["new_key"])


if __name__ == "__main__":
    sys.exit(main())
