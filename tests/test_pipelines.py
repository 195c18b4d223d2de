"""Every declared pipeline keeps the contract (docs/contract.md)."""

from __future__ import annotations

import importlib
import inspect

import pytest

from algorithms.contract.case import Home
from algorithms.contract.catalogue import pipelines
from algorithms.contract.command import run_pipeline
from algorithms.contract.errors import DataError
from algorithms.contract.inbox import admit
from algorithms.contract.pipeline import Output, Parameter, Pipeline, Stage
from algorithms.contract.record import states

STAGES = [pytest.param(p, s, id=f"{p.name}-{s.name}") for p in pipelines().values() for s in p.stages]
PARAMETERS = [pytest.param(p, id=f"{s.name}-{p.name}") for pipe in pipelines().values() for s, p in pipe.parameters()]


@pytest.mark.parametrize(("pipeline", "stage"), STAGES)
def test_a_stage_says_what_it_does_and_on_whose_word(pipeline, stage):
    """The command line, the docs table and the report's methods text are made of these."""
    assert stage.help.endswith(".")
    assert len(stage.source) > 10
    assert all(output.help for output in stage.outputs)
    assert 0 < stage.resources.memory_gib <= 64
    assert stage.resources.timeout_s >= 60


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_a_parameter_has_unit_bounds_help_and_source(parameter):
    """The trigger form and --help show them; a number without bounds invites an answer to a wrong question."""
    assert parameter.help
    assert parameter.source
    if isinstance(parameter.default, bool) or parameter.choices:
        assert parameter.unit == ""
    elif isinstance(parameter.default, int | float):
        assert parameter.unit
        assert parameter.minimum is not None
        assert parameter.maximum is not None
    assert parameter.parse(parameter.default) == parameter.default


@pytest.mark.parametrize(("pipeline", "stage"), STAGES)
def test_a_stage_takes_exactly_the_parameters_it_declares(pipeline, stage):
    """``run(inputs, out, *, ...)``: a parameter that only one side knows would fail at run time, after an hour."""
    module, function = stage.run.split(":")
    signature = inspect.signature(getattr(importlib.import_module(module), function))

    names = list(signature.parameters)

    assert names[:2] == ["inputs", "out"]
    assert set(names[2:]) == {p.name for p in stage.parameters}
    assert all(signature.parameters[n].kind is inspect.Parameter.KEYWORD_ONLY for n in names[2:])


@pytest.mark.parametrize("pipeline", pipelines().values(), ids=lambda p: p.name)
def test_a_stub_run_makes_every_declared_output(pipeline, tmp_path):
    """The graph is whole: every stage finds its inputs without any of the tools."""
    (tmp_path / "study").write_text("anything")
    home = Home(tmp_path / "home")
    case = admit(tmp_path / "study", pipeline.name, home)

    code, summary = run_pipeline(pipeline, case, home, {}, stub=True)

    assert code == 0
    assert set(summary["stages"].values()) == {"done"}
    for state in states(pipeline, case, {}, stub=True).values():
        assert state.folder is not None
        assert all((state.folder / output.path).exists() for output in state.stage.outputs)
    assert case.verify_input("study", home).exists()  # a stub must not delete an original


def stage(name: str, inputs: tuple[str, ...], output: str, *parameters: Parameter) -> Stage:
    """Return a stage with no implementation, for the declarations below."""
    return Stage(name, "nowhere:run", 1, "Does nothing.", inputs, (Output(output, f"{output}.json", "x"),), "none", parameters)


@pytest.mark.parametrize(
    "stages",
    [
        pytest.param((stage("a", ("absent",), "x"),), id="unknown input"),
        pytest.param((stage("a", ("later",), "x"), stage("b", ("study",), "later")), id="made later"),
        pytest.param((stage("a", ("study",), "x"), stage("b", ("study",), "x")), id="artefact made twice"),
        pytest.param((stage("a", ("study",), "x"), stage("a", ("study",), "y")), id="two stages of one name"),
    ],
)
def test_a_pipeline_that_cannot_run_cannot_be_declared(stages):
    """It fails when it is imported, on the developer's machine, not in the middle of a case."""
    with pytest.raises(ValueError, match="pipeline broken"):
        Pipeline("broken", "t", "h", "a", stages)


def test_one_parameter_name_means_one_thing_in_a_pipeline():
    """Every ``--set`` is given to every stage, so a name shared by two would set both."""
    twice = [stage(n, ("study",), n, Parameter("size_mm", 1.0, "h", "s", "mm", 0, 2)) for n in ("a", "b")]

    with pytest.raises(ValueError, match="two parameters of one name"):
        Pipeline("broken", "t", "h", "a", tuple(twice))


@pytest.mark.parametrize(
    ("value", "expected"),
    [pytest.param("1.5", 1.5, id="text"), pytest.param(2, 2.0, id="integer"), pytest.param("2e0", 2.0, id="exponent")],
)
def test_a_parameter_reads_text_in_its_own_type(value, expected):
    """A shell and a web form give text, a test gives numbers."""
    assert expected == Parameter("size_mm", 1.0, "h", "s", "mm", 0, 3).parse(value)


@pytest.mark.parametrize("value", ["4", "-1", "nan", "Muster^Max"])
def test_a_refused_parameter_is_not_repeated_in_the_message(value):
    """What was typed into the wrong field may be a name; NaN compares false with every bound and must not slip through."""
    with pytest.raises(DataError) as refused:
        Parameter("size_mm", 1.0, "h", "s", "mm", 0, 3).parse(value)

    assert value not in str(refused.value).replace("0 to 3", "")
    assert "0 to 3 mm" in str(refused.value)


def test_an_unknown_parameter_names_those_that_exist():
    """The message helps and does not repeat what was typed."""
    pipeline = Pipeline("p", "t", "h", "a", (stage("a", ("study",), "x", Parameter("size_mm", 1.0, "h", "s", "mm", 0, 3)),))

    with pytest.raises(DataError, match="it has size_mm"):
        pipeline.parse({"patient": "Muster^Max"})
