"""Stages and pipelines as data: what goes in, what comes out, what may be turned.

A pipeline's edges are not written down: naming an artefact as input *is* the edge.
Nothing here imports an implementation; it is named ``"package.module:function"`` and imported where the stage runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from string import Formatter
from typing import Any

from algorithms.contract.errors import DataError

Value = float | int | str | bool

TOGETHER = "+"
"""Joins the names of several files that one parameter chooses."""

PROJECT = Path(__file__).resolve().parents[2]
"""The folder that holds ``algorithms``."""


@dataclass(frozen=True)
class Parameter:
    """A number or choice that a user may set for a case, with its bounds and where its default comes from.

    ``unit`` is a unit symbol, or ``"1"`` for a pure number, or ``""`` for a choice or a switch.
    """

    name: str
    default: Value
    help: str
    source: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    def parse(self, value: Value) -> Value:
        """Return ``value`` (often text from a shell) in this parameter's type, checked against its bounds.

        Raises
        ------
        DataError
            If it is not of the type, not among the choices or out of bounds; the message never repeats the value,
            because what was typed into the wrong field may identify a person.
        """
        kind = type(self.default)
        try:
            parsed = _parsed(kind, value)
        except ValueError:
            raise DataError(f"parameter {self.name} must be a {kind.__name__}{self._range()}") from None
        if self.choices and parsed not in self.choices:
            raise DataError(f"parameter {self.name} must be one of {', '.join(choice or 'empty' for choice in self.choices)}")
        if not isinstance(parsed, str | bool):
            below = self.minimum is not None and not parsed >= self.minimum
            above = self.maximum is not None and not parsed <= self.maximum
            if below or above:
                raise DataError(f"parameter {self.name} is out of bounds, wanted{self._range()}")
        return parsed

    def _range(self) -> str:
        if self.minimum is None and self.maximum is None:
            return ""
        return f" {self.minimum:g} to {self.maximum:g} {self.unit if self.unit != '1' else ''}".rstrip()


def _parsed(kind: type, value: Value) -> Value:
    if kind is bool:
        text = str(value).lower()
        if text not in {"true", "false"}:
            raise ValueError(text)
        return text == "true"
    if kind is int and not isinstance(value, str) and int(value) != value:
        raise ValueError(value)
    parsed: Value = kind(value)
    return parsed


@dataclass(frozen=True)
class Resources:
    """What one run of a stage needs; containers and pools are sized from it."""

    cpu: float = 1.0
    memory_gib: float = 1.0
    gpu: int = 0
    disk_gib: float = 1.0
    timeout_s: int = 600


@dataclass(frozen=True)
class Output:
    """An artefact that a stage writes: a file or a folder, named relative to the stage's result folder.

    A ``collection`` is a folder with one entry (file or folder) an item, such as one a slide; an item is called as its
    entry is, without what follows the first dot.
    """

    name: str
    path: str
    help: str
    collection: bool = False


@dataclass(frozen=True)
class Stage:
    """One step of a pipeline.

    ``run`` names ``f(inputs: Mapping[str, Path], out: Path, **parameters) -> Mapping[str, float | int | str]``: it reads
    the artefacts, writes every declared output below ``out``, and returns measurements for the manifest.  Raise
    ``version`` whenever the results change.  ``consumes`` names case inputs (originals) that are deleted once the
    result is published.  A stage with ``always`` runs whatever failed before it: it gets the artefacts that exist, and
    the pipeline's record as the artefact ``record``.

    ``each`` names collections among the inputs: the stage runs once an item, each time with that item's entries in their
    place, and its outputs are collections, put together when the last item is done.  ``resumes`` says that ``run`` goes on
    with whatever an interrupted run of the same key has left in ``out``.  ``reads`` are files of the project (rules, a
    model's description) on which the results depend, relative to its root; ``{name}`` stands for a parameter's value,
    where that is empty there is no such file, and where it is several joined by ``+`` there is one for each.

    ``remembers`` names ``f(inputs: Mapping[str, Path]) -> Identity`` of a stage that takes the identity out: it is called when
    ``run`` has succeeded and before anything is published or deleted, and what it returns is kept in the vault.
    """

    name: str
    run: str
    version: int
    help: str
    inputs: tuple[str, ...]
    outputs: tuple[Output, ...]
    source: str
    parameters: tuple[Parameter, ...] = ()
    resources: Resources = field(default_factory=Resources)
    consumes: tuple[str, ...] = ()
    always: bool = False
    each: tuple[str, ...] = ()
    resumes: bool = False
    reads: tuple[str, ...] = ()
    remembers: str = ""

    def settings(self, given: dict[str, Value]) -> dict[str, Value]:
        """Return the value of every parameter of this stage: the one given, or the default."""
        return {p.name: p.parse(given.get(p.name, p.default)) for p in self.parameters}

    def files(self, parameters: Mapping[str, Value]) -> tuple[str, ...]:
        """Return the files of the project that the stage reads with these parameters, relative to its root."""
        found: list[str] = []
        for path in self.reads:
            names = [name for _, name, _, _ in Formatter().parse(path) if name]
            chosen = product(*(str(parameters[name]).split(TOGETHER) for name in names))
            found += [path.format_map(dict(zip(names, values, strict=True))) for values in chosen if all(values)]
        return tuple(found)


def names_in(folder: str, suffix: str) -> tuple[str, ...]:
    """Return the names, sorted and without ``suffix``, of the files in a folder of the project: choices that are files.

    A ``suffix`` such as ``/entry.json`` names folders that hold such a file.
    """
    found = (path.relative_to(PROJECT / folder).as_posix() for path in (PROJECT / folder).glob(f"*{suffix}"))
    return tuple(sorted(path.removesuffix(suffix) for path in found))


@dataclass(frozen=True)
class Compared:
    """A value of ``result.json`` that a difference report sets beside that of an older answer of the same case.

    ``path`` leads to it by dots; where it passes a list, every entry is a subject, called by its fields ``subject``.  Subjects
    of two answers are the same by that name or, with ``position`` (a field with a point in mm), by lying within ``within_mm``
    of each other.  ``apart`` takes each subject for itself, because their values are not of one kind.

    A number crosses a decision limit when it is on the other side of one of ``bounds``, judged as it is shown: times ``scale``,
    with ``digits``; a value equal to a bound is on the side ``bound_is`` ("below" or "above").  A word is compared instead of a
    number where ``order`` names the words, from least to most grave.
    """

    name: str
    path: str
    subject: tuple[str, ...] = ()
    position: str = ""
    within_mm: float = 0.0
    apart: bool = False
    bounds: tuple[float, ...] = ()
    bound_is: str = "below"
    scale: float = 1.0
    digits: int = 2
    unit: str = ""
    order: tuple[str, ...] = ()


RECORD = "record"
"""The input that an ``always`` stage gets beside the artefacts: what every stage before it did (docs/contract.md)."""


@dataclass(frozen=True)
class Pipeline:
    """The stages of one diagnostic, in an order in which they can run.

    ``phantom`` names a module with ``arguments(parser)`` and ``make(out, options)``, which writes a synthetic examination
    (``out/study``) with its truth (``out/truth``).  ``truth`` names ``f(result, truth) -> lines of text``, which sets a
    case's ``result.json`` beside that folder.  ``compared`` are the values that tell what reprocessing changed.
    ``demo`` are parameters with which ``make demo`` answers the phantom in the time that a demonstration has.
    ``unattended`` says that uploads begin cases, and that cases whose answer today's code would change are answered again,
    without a person who names them.
    """

    name: str
    title: str
    help: str
    accepts: str
    stages: tuple[Stage, ...]
    inputs: tuple[str, ...] = ("study", "secret")
    phantom: str = ""
    truth: str = ""
    compared: tuple[Compared, ...] = ()
    demo: tuple[tuple[str, Value], ...] = ()
    unattended: bool = True

    def __post_init__(self) -> None:
        known = set(self.inputs)
        names: set[str] = set()
        for stage in self.stages:
            missing = set(stage.inputs) - known
            made = {output.name for output in stage.outputs}
            if missing or made & known or stage.name in names:
                raise ValueError(f"pipeline {self.name}, stage {stage.name}: missing {missing}, made twice {made & known}")
            if not set(stage.each) <= {o.name for before in self.stages for o in before.outputs if o.collection}:
                raise ValueError(f"pipeline {self.name}, stage {stage.name}: {stage.each} are not collections")
            if stage.each and not all(output.collection for output in stage.outputs):
                raise ValueError(f"pipeline {self.name}, stage {stage.name}: runs once an item, so its outputs are collections")
            known |= made
            names.add(stage.name)
        counted = [parameter.name for _, parameter in self.parameters()]
        if len(counted) != len(set(counted)):
            raise ValueError(f"pipeline {self.name}: two parameters of one name among {sorted(counted)}")

    def stage(self, name: str) -> Stage:
        """Return the stage called ``name``; raises ``KeyError`` with the known names."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(f"{self.name} has no stage {name}, only {', '.join(s.name for s in self.stages)}")

    def maker(self, artefact: str) -> Stage | None:
        """Return the stage that writes ``artefact``, or ``None`` for an input of the case."""
        return next((s for s in self.stages if any(o.name == artefact for o in s.outputs)), None)

    def upstream(self, stage: Stage) -> tuple[Stage, ...]:
        """Return the stages whose artefacts ``stage`` reads, in pipeline order."""
        read = {maker.name for name in stage.inputs if (maker := self.maker(name))}
        return tuple(s for s in self.stages if s.name in read)

    def parameters(self) -> Iterator[tuple[Stage, Parameter]]:
        """Yield every parameter with its stage."""
        for stage in self.stages:
            for parameter in stage.parameters:
                yield stage, parameter

    def parse(self, given: dict[str, Any]) -> dict[str, Value]:
        """Return ``given`` with every value checked.

        Raises
        ------
        DataError
            If a name belongs to no stage, or a value is out of its bounds.
        """
        known = {parameter.name: parameter for _, parameter in self.parameters()}
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise DataError(f"{self.name} has no parameter of {len(unknown)} given names; it has {', '.join(sorted(known))}")
        return {name: known[name].parse(value) for name, value in given.items()}
