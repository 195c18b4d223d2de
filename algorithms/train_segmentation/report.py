"""Write the answer of a training, failures first: ``result.json``, ``report.html`` and ``report.pdf``, whatever happened."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algorithms.report.blocks import (
    Bibliography,
    Block,
    Callout,
    Column,
    Figure,
    Methods,
    Picture,
    Report,
    Section,
    Table,
    Verdict,
)
from algorithms.report.html import write_html
from algorithms.report.page_one import unanswered_blocks
from algorithms.report.pdf import write_pdf
from algorithms.report.sections import (
    NOT_AVAILABLE,
    checks_section,
    limits_section,
    methods_section,
    provenance_section,
    stage_sentences,
)
from algorithms.report.verdict import check_sentence, envelope, judge, provenance
from algorithms.report.words import Vocabulary, sentence
from algorithms.train_segmentation.pictures import draw_losses
from algorithms.train_segmentation.pipeline import PIPELINE
from algorithms.train_segmentation.register import WORDS, statement_of

log = logging.getLogger(__name__)

SCHEMA = "https://heartwood.invalid/train_segmentation/result/1"
"""Name of the document's schema, result.schema.json; ``.invalid`` is a domain that never resolves (RFC 2606)."""

VOCABULARY = Vocabulary(("_mm",), {"hd95": "95 % surface distance"})

REMEDIES = {
    "receive": "Put dataset.toml and all files that it names into one folder and receive it again; docs/training.md.",
    "prepare": "Mend the study that was refused, or take it out of dataset.toml; docs/training.md.",
    "train": "Train longer, with more studies or with a smaller learning rate.",
}

SHOWN = 6
"""Most cases that are shown as pictures, the worst ones."""

LIMITS = (
    "Phantoms are simpler than people: how the model does on patients' studies is not known from them.",
    "Studies that were held back come from the same source as those that were learnt from.",
)

CHECKS = "A training with a failed check is held: its model is registered and should not be promoted."


def run(inputs: Mapping[str, Path], out: Path) -> dict[str, float | int | str]:
    """Write the three files below ``out``; return the verdict and counts."""
    record = json.loads(inputs["record"].read_text())
    told = {name: json.loads(inputs[name].read_text()) for name in ("data", "evaluation", "losses") if name in inputs}
    result = result_document(record, told)
    (out / "result.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")
    pictures = read_pictures(inputs, told)
    report = training_report(record, result, pictures)
    write_html(report, out / "report.html")
    write_pdf(report, out / "report.pdf")
    judged = len(told.get("evaluation", {"cases": []})["cases"])
    log.info("%s, %d held-back studies, %d reasons", result["verdict"], judged, len(result["reasons"]))
    return {"verdict": result["verdict"], "cases": judged, "reasons": len(result["reasons"])}


def result_document(record: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer as one document."""
    evaluation = told.get("evaluation", {"means": {}, "cases": []})
    found = {stage["name"]: stage["measurements"] or {} for stage in record["stages"]}
    checks = training_checks(found.get("train", {}), evaluation)
    failed = [(check["stage"], check_sentence(check, VOCABULARY)) for check in checks if not check["passed"]]
    verdict, reasons = judge(record, REMEDIES, (), failed, None)
    data = told.get("data", {"title": None, "licence": None, "task": None, "studies": []})
    return {
        **envelope(record, SCHEMA, statement_of(data), verdict),
        "reasons": reasons,
        "task": data["task"],
        "data": {"title": data["title"], "licence": data["licence"], "studies": len(data["studies"])},
        "weights_sha256": found.get("register", {}).get("weights_sha256"),
        "structures": [{"label": channel, **_every(figures)} for channel, figures in evaluation["means"].items()],
        "cases": [
            {"label": f"{case['label']}, {channel}", **_every(figures)}
            for case in evaluation["cases"]
            for channel, figures in case["channels"].items()
        ],
        "checks": checks,
        "provenance": provenance(record),
    }


def _every(figures: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: figures.get(name) for name in WORDS}


def training_checks(trained: Mapping[str, Any], evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return whether the network has learnt at all, of a training that came to its end."""
    checks: list[dict[str, Any]] = []
    if "last_loss" in trained:
        value = round(trained["last_loss"] / trained["first_loss"], 4)
        told = "mean loss of the last steps over that of the first"
        checks.append(
            {"stage": "train", "name": "loss_ratio", "value": value, "limit": "< 1", "passed": value < 1, "help": told}
        )
    if evaluation["means"]:
        missed = sum(figures.get("dice") == 0 for figures in evaluation["means"].values())
        told = "structures of which nothing is found in any held-back study"
        found = {"stage": "evaluate", "name": "structures_missed", "value": missed, "limit": "== 0"}
        checks.append(found | {"passed": missed == 0, "help": told})
    return [check | {"unit": "1"} for check in checks]


def read_pictures(inputs: Mapping[str, Path], told: Mapping[str, Any]) -> dict[str, Picture]:
    """Return the pictures of the worst studies by their names, and that of the losses as ``losses``."""
    found: dict[str, Picture] = {}
    for case in told.get("evaluation", {"cases": []})["cases"][:SHOWN] if "case_pictures" in inputs else ():
        alt = f"Three slices of study {case['label']} with outlines of truth and answer."
        found[case["label"]] = Picture((inputs["case_pictures"] / f"{case['label']}.png").read_bytes(), alt)
    if told.get("losses"):
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "losses.svg"
            draw_losses(told["losses"], path)
            found["losses"] = Picture(path.read_bytes(), "The loss of every step of the training and its running mean.")
    return found


def training_report(record: Mapping[str, Any], result: Mapping[str, Any], pictures: Mapping[str, Picture]) -> Report:
    """Return the report of any verdict as data: the same sections, each left out where there is nothing to say."""
    bibliography = Bibliography()
    cases = [picture for name, picture in pictures.items() if name != "losses"]
    caption = "The studies with the worst structure, worst first: the slices with most errors of the worst answered structure."
    parts: list[Section | None] = [Section("Answer", tuple(answer_blocks(result)))]
    if cases:
        parts.append(Section("Failures first", (Figure(tuple(cases), caption), figures_table(result["cases"], "Study"))))
    if "losses" in pictures:
        parts.append(Section("Training", (Figure((pictures["losses"],), "The loss of every step, and its running mean."),)))
    sentences = [cited for _, cited in stage_sentences(record, {}, bibliography)]
    parts += [
        checks_section(result, VOCABULARY, CHECKS),
        methods_section(Methods((tuple(sentences),) if sentences else ()), bibliography),
        provenance_section(result, {s.name: s.settings({}) for s in PIPELINE.stages}),
        limits_section(result, LIMITS),
    ]
    return Report(
        title=record["title"],
        subtitle=PIPELINE.help,
        case=record["case_id"],
        statement=result["statement"],
        maker=f"Heartwood {record['heartwood']}",
        sections=tuple(part for part in parts if part is not None),
        known_as="Training",
    )


def answer_blocks(result: Mapping[str, Any]) -> list[Block]:
    """Return the verdict and the means of every structure."""
    if result["verdict"] in {"rejected", "failed"}:
        return unanswered_blocks(result, "This data set cannot be learnt from")
    table = figures_table(result["structures"], "Structure")
    text = f"Network {result['task']}, weights {result['weights_sha256'][:12]}, judged on studies that were held back."
    if result["verdict"] == "held":
        found = tuple(sentence(reason["message"]) for reason in result["reasons"])
        verdict = Verdict("warning", "Held", "The model is registered and should not be promoted", text)
        return [verdict, Callout("warning", "Why it is held, and what helps", (*found, REMEDIES["train"])), table]
    return [Verdict("neutral", "Trained", "The model is registered and not in use", text), table]


def figures_table(rows: list[dict[str, Any]], first: str) -> Table:
    """Return the figures of rows with a label."""
    columns = (Column(first, width=2.0), *(Column(word, number=True) for word in WORDS.values()))
    cells = tuple((row["label"], *(NOT_AVAILABLE if row[n] is None else f"{row[n]:.3f}" for n in WORDS)) for row in rows)
    return Table(columns, cells, "Judged on studies that were held back; a dash where a figure cannot be had.", small=True)
