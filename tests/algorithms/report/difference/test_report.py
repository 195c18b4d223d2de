"""The report on what reprocessing changed: what it says first, what it may not leave out, and that it is reproducible."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys

import pytest

from algorithms.contract.catalogue import pipeline
from algorithms.contract.pipeline import PROJECT
from algorithms.report.blocks import Figure, Table, Verdict
from algorithms.report.difference.document import Reprocessed, changes, difference
from algorithms.report.difference.figures import TEXT_HEIGHT, apart
from algorithms.report.difference.pairs import Answers
from algorithms.report.difference.report import MOST_ROWS, difference_report
from algorithms.report.html import page
from tests.algorithms.report.difference.invented_answers import answer, cohort, stage

CORONARY = pipeline("coronary")


def reprocessed(answers):
    """Return cases with made-up keys."""
    return [Reprocessed(one, "a" * 64, "b" * 64) for one in answers]


def document(answers, left=()):
    return difference(CORONARY, "0123456789ab", reprocessed(answers), left)


def case(number, old, new):
    return Answers(f"{number:016x}", old, new)


def text_of(report):
    """Return what a reader of the page reads."""
    body = re.sub(r"<style>.*?</style>", "", page(report), flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", " ", body))


def test_the_first_page_counts_and_names_who_crossed():
    """Of three cases one crosses 0.80 and one changes its category; a physician must find them without turning a page."""
    answers = [
        case(1, answer({"LAD": 0.82}), answer({"LAD": 0.79})),
        case(2, answer({"LAD": 0.90}, category="2"), answer({"LAD": 0.91}, category="3")),
        case(3, answer({"LAD": 0.95}), answer({"LAD": 0.94})),
    ]

    first = difference_report(document(answers)).sections[0]

    (verdict,) = [block for block in first.blocks if isinstance(block, Verdict)]
    assert verdict.title == "2 of 3 cases crossed a decision limit or changed group"
    assert dict(verdict.facts)["Paired values"] == "3"
    named = [row[0].text for block in first.blocks if isinstance(block, Table) for row in block.rows if hasattr(row[0], "text")]
    assert named == ["0000000000000001", "0000000000000002"]


def test_bias_and_limits_are_printed_with_their_number_of_values():
    """Differences of -0.01, -0.03 and -0.05: bias -0.030 and limits 1.96 times 0.020 beside it."""
    answers = [case(n, answer({"LAD": 0.9}), answer({"LAD": 0.9 - n / 100})) for n in (1, 3, 5)]

    text = text_of(difference_report(document(answers)))

    assert "3 from 3 cases" in text
    assert "bias −0.030, limits of agreement −0.069 to +0.009" in text


def test_nothing_changed_is_said_in_words():
    """Only the report was written anew: no case is named on the first page, and the figure of no difference is drawn."""
    answers = [case(n, answer({"LAD": 0.9}), answer({"LAD": 0.9})) for n in (1, 2, 3)]

    report = difference_report(document(answers))

    text = text_of(report)
    assert "None of 3 cases crossed a decision limit or changed group" in text
    assert "of these, not equal 0" in re.sub(r"\s+", " ", text)
    assert any(isinstance(block, Figure) for section in report.sections for block in section.blocks)


def test_what_was_not_paired_and_not_reprocessed_is_listed():
    """Dropping them would make the agreement look better than it is."""
    left = [{"case_id": "f" * 16, "reason": "stage receive needs study, which was deleted"}]
    answers = [case(1, answer({"LAD": 0.9, "RCA": 0.8}), answer({"LAD": 0.9}))]

    text = text_of(difference_report(document(answers, left)))

    assert "RCA" in text
    assert "only in the old answer" in text
    assert "ffffffffffffffff" in text
    assert "Stage receive needs study, which was deleted." in text


@pytest.mark.parametrize("answers", [[], [case(1, {}, {})]], ids=["no case", "stubs"])
def test_a_comparison_of_nothing_is_a_report_too(answers):
    """In stub mode answers are empty; the report says that no value is in both."""
    report = difference_report(document(answers))

    assert f"None of {len(answers)} case" in text_of(report)


def test_long_tables_say_what_they_leave_out():
    """A thousand cases make no readable page; the document beside it has them all."""
    answers = [case(n, answer({"LAD": 0.9}), answer({"LAD": 0.7})) for n in range(MOST_ROWS + 50)]

    found = document(answers)

    assert f"The first {MOST_ROWS} of {MOST_ROWS + 50}; difference.json has all." in text_of(difference_report(found))
    assert len(found["numbers"][0]["pairs"]) == MOST_ROWS + 50


def test_what_made_the_difference_is_told_once_with_its_count():
    """Version, setting and file of a stage count; a stage that only read another input follows from the one before it."""
    old = [stage("tree", 1), stage("flow", parameters={"n": 1}, inputs={"file:rules.toml": "1" * 64, "tree": "2" * 64})]
    new = [stage("tree", 2), stage("flow", parameters={"n": 2}, inputs={"file:rules.toml": "3" * 64, "tree": "4" * 64})]

    found = changes([case(n, {"provenance": old}, {"provenance": new}) for n in (1, 2)])

    assert [(row["stage"], row["what"], row["cases"]) for row in found] == [
        ("tree", "version 1 → 2", 2),
        ("flow", "n 1 → 2", 2),
        ("flow", "rules.toml 111111111111 → 333333333333", 2),
    ]


@pytest.mark.slow
def test_the_command_writes_equal_files_for_equal_answers(tmp_path):
    """The report is named by content, so it may not hold a time; its pictures and the PDF neither."""
    answers = cohort(8, -0.01, 0.02)
    cases = []
    for one in answers:
        paths = {}
        for which in ("old", "new"):
            paths[which] = str(tmp_path / f"{one.case_id}-{which}.json")
            (tmp_path / f"{one.case_id}-{which}.json").write_text(json.dumps(getattr(one, which)))
        cases.append({"case_id": one.case_id, "old_key": "a" * 64, "new_key": "b" * 64} | paths)
    (tmp_path / "answers.json").write_text(json.dumps({"pipeline": "coronary", "run": "0123456789ab", "cases": cases}))

    for out in ("one", "two"):
        command = [sys.executable, "-m", "algorithms.difference", str(tmp_path / "answers.json"), str(tmp_path / out)]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)

    assert json.loads(done.stdout)["cases"] == 8
    written = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert written == ["difference.json", "report.html", "report.pdf"]
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in written)


def test_a_pipeline_that_is_not_here_is_a_data_error(tmp_path):
    """Exit code 65, as of every command of ours, and a sentence instead of a traceback."""
    (tmp_path / "answers.json").write_text(json.dumps({"pipeline": "renal", "run": "0", "cases": []}))
    command = [sys.executable, "-m", "algorithms.difference", str(tmp_path / "answers.json"), str(tmp_path / "out")]

    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)

    assert done.returncode == 65
    assert "no such pipeline" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_names_of_close_lines_stand_apart() -> None:
    """With two cases the confidence intervals are wide and the three lines close to each other in the picture."""
    placed = apart({"upper": 0.56, "bias": 0.53, "lower": 0.50})

    assert placed == pytest.approx({"upper": 0.53 + TEXT_HEIGHT, "bias": 0.53, "lower": 0.53 - TEXT_HEIGHT})
    assert apart({"upper": 0.9, "bias": 0.5, "lower": 0.1}) == {"upper": 0.9, "bias": 0.5, "lower": 0.1}
