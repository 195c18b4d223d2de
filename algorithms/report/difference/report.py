"""The report on what reprocessing changed, from its document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from algorithms.report.blocks import (
    Badge,
    Bibliography,
    Block,
    Cell,
    Code,
    Column,
    KeyValues,
    Methods,
    Paragraph,
    Report,
    Section,
    Table,
    Verdict,
)
from algorithms.report.difference.agreement import SOURCES
from algorithms.report.difference.figures import difference_unit, paired_figure, signed
from algorithms.report.sections import NOT_AVAILABLE
from algorithms.report.words import sentence

MOST_ROWS = 200
"""Longer tables end with how many rows more difference.json has."""

STATEMENT = (
    "For research only, not a medical device. This report sets answers of the same cases beside each other; "
    "it does not say which of them is right, and no decision about a person may rest on it."
)


def difference_report(document: Mapping[str, Any]) -> Report:
    """Return the report of `document.difference`: what crossed, what made the difference, each value, each case."""
    bibliography = Bibliography()
    numbers = [one for one in document["numbers"] if one["pairs"] or one["unpaired"]]
    sections = [
        _first_section(document),
        *(_numbers_section(one) for one in numbers),
        _words_section(document["words"]),
        _unpaired_section(document),
        _cases_section(document),
    ]
    if any(one["agreement"] for one in numbers):
        text = Methods((tuple(_methods(bibliography)),))
        sections.append(Section("Methods", (text, bibliography.references())))
    return Report(
        title="What reprocessing changed",
        subtitle=document["title"],
        case=document["run"],
        statement=STATEMENT,
        maker=f"Heartwood {document['heartwood']}",
        sections=tuple(section for section in sections if section is not None),
        known_as="Comparison",
    )


def crossings(document: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Return every pair of values that crossed a decision limit, with its series."""
    return [(one, pair) for one in document["numbers"] for pair in one["pairs"] if pair["crossed"]]


def moves(document: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Return every pair of words that differ, with their series."""
    return [(one, pair) for one in document["words"] for pair in one["pairs"] if pair["old"] != pair["new"]]


def _first_section(document: Mapping[str, Any]) -> Section:
    crossed, moved = crossings(document), moves(document)
    persons = {pair["case_id"] for _, pair in (*crossed, *moved)}
    count = len(document["cases"])
    values = sum(one["values"] for one in document["numbers"])
    differ = values - sum(one["equal"] for one in document["numbers"])
    if persons:
        title = f"{len(persons)} of {counted(count)} crossed a decision limit or changed group"
        tone, text = "warning", "A physician should look at these cases again; both reports of each are kept."
    else:
        title = f"None of {counted(count)} crossed a decision limit or changed group"
        tone, text = "neutral", "Both reports of each case are kept."
    facts = (
        ("Cases compared", str(count)),
        ("Paired values", str(values)),
        ("of these, not equal", str(differ)),
        ("Not reprocessed", str(len(document["left"]))),
    )
    blocks: list[Block] = [Verdict(tone, "Old and new answers", title, f"{text} {_summary(document)}".strip(), facts)]
    if crossed:
        blocks.append(_table(_CROSSED, crossed, _crossed_row, "Values on the other side of a decision limit than before."))
    if moved:
        blocks.append(_table(_MOVED, moved, _moved_row, "Groups and verdicts that are not what they were."))
    blocks.append(_changes(document["changes"]))
    return Section("Answer", tuple(blocks))


def _summary(document: Mapping[str, Any]) -> str:
    told = [
        f"{one['name']}: bias {_signed(one, found['bias']['value'])}, limits of agreement "
        f"{_signed(one, found['lower']['value'])} to {_signed(one, found['upper']['value'])}{_points(one)}."
        for one in document["numbers"]
        if (found := one["agreement"])
    ]
    return " ".join(told)


_CROSSED = (
    Column("Case", width=1.5), Column("Value", width=1.6), Column("Of", width=2.2), Column("Old", True, width=0.7),
    Column("New", True, width=0.7), Column("Limit", width=1.4),
)  # fmt: skip

_MOVED = (
    Column("Case", width=1.5), Column("What", width=1.6), Column("Old", width=1.9), Column("New", width=1.9),
    Column("", width=1.0),
)  # fmt: skip


def _crossed_row(one: Mapping[str, Any], pair: Mapping[str, Any]) -> tuple[Cell, ...]:
    limits = ", ".join(_side(one, pair, bound) for bound in pair["crossed"])
    values = (_value(one, pair["old"]), _value(one, pair["new"]))
    return (Code(pair["case_id"]), one["name"], pair["subject"], *values, Badge(f"now {limits}", "grey"))


def _side(one: Mapping[str, Any], pair: Mapping[str, Any], bound: float) -> str:
    fell = pair["new"] < pair["old"]
    touches = one["bound_is"] == ("below" if fell else "above")
    sign = ("≤" if touches else "<") if fell else ("≥" if touches else ">")
    return f"{sign} {bound:.{one['digits']}f}{_unit(one)}"


def _moved_row(one: Mapping[str, Any], pair: Mapping[str, Any]) -> tuple[Cell, ...]:
    step = Badge("graver" if pair["step"] > 0 else "less grave", "grey") if pair["step"] else NOT_AVAILABLE
    return (Code(pair["case_id"]), one["name"], pair["old"], pair["new"], step)


def _changes(changes: Sequence[Mapping[str, Any]]) -> Block:
    if not changes:
        return Paragraph("No stage has another version, setting or file than before: only inputs or the report itself differ.")
    rows = [(change, change) for change in changes]
    columns = (Column("Stage", width=1), Column("What differs between the old and the new run", width=4), Column("Cases", True))
    return _table(
        columns,
        rows,
        lambda change, _: (change["stage"], change["what"], str(change["cases"])),
        "What made the difference. Stages that only read what these wrote are left out.",
    )


def counted(cases: int) -> str:
    """Return a number of cases in words."""
    return "1 case" if cases == 1 else f"{cases} cases"


def _numbers_section(one: Mapping[str, Any]) -> Section:
    blocks: list[Block] = []
    if one["pairs"]:
        blocks += [paired_figure(one), KeyValues(_statistics(one))]
    else:
        blocks.append(Paragraph("No value is in both answers of a case."))
    return Section(one["name"], tuple(blocks))


def _statistics(one: Mapping[str, Any]) -> tuple[tuple[str, Cell], ...]:
    differences = [pair["new"] - pair["old"] for pair in one["pairs"]]
    rows: list[tuple[str, Cell]] = [
        ("Paired values", f"{one['values']} from {counted(one['cases'])}"),
        ("Equal in both", str(one["equal"])),
    ]
    if found := one["agreement"]:
        rows += [
            ("Bias (95 % CI)", _estimate(one, found["bias"])),
            ("SD of differences", f"{found['sd']:.{one['digits'] + 1}f}{_points(one)}"),
            ("Lower limit (95 % CI)", _estimate(one, found["lower"])),
            ("Upper limit (95 % CI)", _estimate(one, found["upper"])),
        ]
    else:
        rows += [("Bias and limits", "not from one case")]
    rows.append(("Largest difference", f"{_signed(one, max(differences, key=abs))}{_points(one)}"))
    if one["bounds"]:
        limits = " or ".join(f"{bound:.{one['digits']}f}{_unit(one)}" for bound in one["bounds"])
        rows.append((f"Crossed {limits}", str(sum(bool(pair["crossed"]) for pair in one["pairs"]))))
    return tuple(rows)


def _words_section(words: Sequence[Mapping[str, Any]]) -> Section | None:
    tables = [_cross_table(one) for one in words if one["pairs"]]
    return Section("Groups and verdicts", tuple(tables)) if tables else None


def _cross_table(one: Mapping[str, Any]) -> Table:
    counts = Counter((pair["old"], pair["new"]) for pair in one["pairs"])
    known = [word for word in one["order"] if any(word in key for key in counts)]
    words = known + sorted({word for key in counts for word in key} - set(known))
    rows = tuple((old, *(_count(counts[old, new], old == new) for new in words)) for old in words)
    columns = (Column("Old", width=1.4), *(Column(f"now {word}", True, width=1) for word in words))
    return Table(columns, rows, f"{one['name']}: cases by their old (rows) and new answer (columns).", small=True)


def _count(count: int, equal: bool) -> Cell:
    if not count:
        return NOT_AVAILABLE
    return str(count) if equal else Badge(str(count), "grey")


def _unpaired_section(document: Mapping[str, Any]) -> Section | None:
    lone = [(one, each) for one in (*document["numbers"], *document["words"]) for each in one["unpaired"]]
    if not lone:
        return None
    columns = (Column("Case", width=1.5), Column("Value", width=1.8), Column("Of", width=2.4), Column("Where", width=2.2))
    table = _table(
        columns,
        lone,
        lambda one, each: (Code(each["case_id"]), one["name"], each["subject"] or NOT_AVAILABLE, each["reason"]),
        "Not paired, and so in no figure and no statistic above.",
    )
    return Section("In one answer only", (table,))


def _cases_section(document: Mapping[str, Any]) -> Section:
    columns = (
        Column("Case", width=1.6), Column("Old report", width=1.3), Column("New report", width=1.3),
        Column("Old verdict", width=1), Column("New verdict", width=1),
    )  # fmt: skip
    blocks: list[Block] = [
        _table(
            columns,
            [(case, case) for case in document["cases"]],
            lambda case, _: (
                Code(case["case_id"]), Code(case["old_key"][:12]), Code(case["new_key"][:12]),
                case["old_verdict"] or NOT_AVAILABLE, case["new_verdict"] or NOT_AVAILABLE,
            ),
            "Reprocessed cases, with the first twelve digits of their reports' keys: both reports are kept under them.",
        )
    ]  # fmt: skip
    if document["left"]:
        blocks.append(
            _table(
                (Column("Case", width=1.2), Column("Why it was not reprocessed", width=4)),
                [(one, one) for one in document["left"]],
                lambda one, _: (Code(one["case_id"]), sentence(one["reason"])),
                "Cases whose answer is not what today's stages would give, and which were not reprocessed.",
            )
        )
    return Section("Cases", tuple(blocks))


def _methods(bibliography: Bibliography) -> list[Any]:
    return [
        bibliography.cite(
            "Differences are new minus old; the bias is their mean, and the limits of agreement lie 1.96 standard deviations "
            "on either side of it: between them are 95 % of the differences if these are normal.",
            *SOURCES,
        ),
        bibliography.cite(
            "Confidence intervals are at 95 % from Student's t distribution; they count cases and not values, since values of "
            "one case hang together."
        ),
        bibliography.cite(
            "A value crossed a decision limit if it lies on the other side of it than before, judged as it is shown here."
        ),
    ]


def _table(
    columns: Sequence[Column],
    things: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]],
    row: Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[Cell, ...]],
    caption: str,
) -> Table:
    if len(things) > MOST_ROWS:
        caption += f" The first {MOST_ROWS} of {len(things)}; difference.json has all."
    return Table(tuple(columns), tuple(row(*thing) for thing in things[:MOST_ROWS]), caption, small=True)


def _estimate(one: Mapping[str, Any], estimate: Mapping[str, Any]) -> str:
    value, low, high = (_signed(one, estimate[name]) for name in ("value", "low", "high"))
    return f"{value}{_points(one)} ({low} to {high})"


def _signed(one: Mapping[str, Any], value: float) -> str:
    return signed(value, one["digits"] + 1)


def _points(one: Mapping[str, Any]) -> str:
    unit = difference_unit(one)
    return f" {unit}" if unit else ""


def _value(one: Mapping[str, Any], value: float) -> str:
    return f"{value:.{one['digits']}f}".replace("-", "−")


def _unit(one: Mapping[str, Any]) -> str:
    return f" {one['unit']}" if one["unit"] else ""
