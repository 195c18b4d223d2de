"""What a case costs: from manifests to money, and where it is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from algorithms.contract.case import Case, Home
from algorithms.contract.catalogue import pipeline, pipelines
from algorithms.contract.execute import execute
from algorithms.contract.manifest import Manifest
from algorithms.contract.pipeline import Resources
from algorithms.contract.record import StageState, states
from algorithms.contract.store import open_store
from operators.cost import LIST, Prices, case_cost, leave_cost, stage_price
from tests.operators.airflow_home import DATA
from tests.operators.conftest import case_for

ROUND = Prices(
    edition="round",
    date="2026-01-01",
    region="here",
    currency="EUR",
    source="made up",
    vcpu_hour=1.0,
    gib_hour=0.1,
    gpu_hour=10.0,
    disk_gib_hour=0.01,
    disk_gib_free=20.0,
    seconds_at_least=60.0,
    spot_share=0.3,
)


@pytest.fixture(params=["coronary", "prostate"])
def found(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Case, dict[str, StageState]]:
    """A stub case that ran through, of each diagnostic, and its states."""
    case = case_for(request.param, tmp_path)
    for stage in pipeline(request.param).stages:
        execute(pipeline(request.param), stage, case, Home(DATA), {}, stub=True)
    return case, states(pipeline(request.param), case, {}, stub=True)


@pytest.mark.parametrize(
    ("need", "runs_s", "price"),
    [
        pytest.param(Resources(cpu=2, memory_gib=10), [1800], 0.5 * (2 * 1.0 + 10 * 0.1), id="half an hour"),
        pytest.param(Resources(cpu=1, memory_gib=0), [1], 1 / 60, id="a minute at least"),
        pytest.param(Resources(cpu=1, memory_gib=0), [1, 120], 3 / 60, id="each run for itself"),
        pytest.param(Resources(cpu=0, memory_gib=0, gpu=1), [3600], 10.0, id="a GPU"),
        pytest.param(Resources(cpu=0, memory_gib=0, disk_gib=120), [3600], 1.0, id="disk above what is free"),
        pytest.param(Resources(cpu=0, memory_gib=0, disk_gib=20), [3600], 0.0, id="free disk"),
    ],
)
def test_a_price_is_machine_hours_times_what_an_hour_costs(need: Resources, runs_s: list[float], price: float) -> None:
    """By hand, from a list of round prices; machines are billed for what is declared, not for what is used."""
    assert price == pytest.approx(ROUND.of(need, runs_s), rel=1e-12)  # sums of round numbers


def test_the_cost_of_a_case_is_that_of_its_stages(found: tuple[Case, dict[str, StageState]]) -> None:
    """Every stage with what its manifest says and its machine's size; times and money add up, memory does not."""
    case, of_stages = found
    document = case_cost(pipeline(case.pipeline), case, of_stages, ROUND)

    stages = document["stages"]
    assert [s["stage"] for s in stages] == [s.name for s in pipeline(case.pipeline).stages]
    for entry in stages:
        manifest = of_stages[entry["stage"]].manifest
        assert manifest is not None
        for name in ("key", "seconds", "cpu_seconds", "peak_memory_mib"):
            assert entry[name] == getattr(manifest, name)
    assert document["together"]["price"] == pytest.approx(sum(s["price"] for s in stages), abs=1e-6)  # rounded to 1e-6
    assert document["together"]["peak_memory_mib"] == max(s["peak_memory_mib"] for s in stages)
    assert document["prices"]["edition"] == "round"


def test_items_are_paid_for_one_by_one(tmp_path: Path) -> None:
    """Two slides of a second each are two machines for the least time, though their whole says two seconds."""
    stage = pipeline("prostate").stage("encode")
    manifest = Manifest("k", "prostate", "encode", "run", 1, {}, {}, {}, {}, seconds=2, cpu_seconds=2, peak_memory_mib=1)
    item = StageState(stage, "done", {}, manifest=replace(manifest, seconds=1))

    price = stage_price(StageState(stage, "done", {}, manifest=manifest, items={"s01": item, "s02": item}), ROUND)

    assert price == pytest.approx(ROUND.of(stage.resources, [60, 60]), abs=1e-6)  # rounded to 1e-6


def test_a_stage_without_a_result_has_no_price(found: tuple[Case, dict[str, StageState]]) -> None:
    """What a failed run took is not known to its case."""
    _, of_stages = found
    state = replace(of_stages["report"], manifest=None)

    assert stage_price(state, ROUND) is None


def test_the_first_cost_beside_a_report_stays(found: tuple[Case, dict[str, StageState]], tmp_path: Path) -> None:
    """Objects are never replaced: with next year's prices the same report still says what it was estimated to cost."""
    case, of_stages = found
    store = open_store((tmp_path / "store").as_uri())
    first = case_cost(pipeline(case.pipeline), case, of_stages, ROUND)

    name = leave_cost(store, of_stages["report"], first)
    assert leave_cost(store, of_stages["report"], first | {"estimate": "another"}) == name

    key = of_stages["report"].key
    assert key is not None
    assert name == f"cases/{case.case_id}/report/{key[:12]}/cost.json"
    assert json.loads(store.get_file(name, tmp_path / "cost.json").read_text()) == first


def test_the_list_that_comes_along_says_where_it_is_from() -> None:
    """A price without region, date and source is hearsay; and every stage must have one above nothing."""
    prices = Prices.read(LIST)

    assert all(prices.provenance.values())
    assert all(prices.of(s.resources, [1.0]) > 0 for p in pipelines().values() for s in p.stages)


@pytest.mark.parametrize(
    ("line", "instead", "says"),
    [
        pytest.param("gpu_hour", "", "has the entries", id="one missing"),
        pytest.param("gpu_hour", "gpu_minute = 1", "has the entries", id="misspelt"),
        pytest.param("gpu_hour", "gpu_hour = -1", "gpu_hour must be a number of 0 or more", id="negative"),
        pytest.param("gpu_hour", 'gpu_hour = "1"', "gpu_hour must be a number of 0 or more", id="text"),
        pytest.param("gpu_hour", "gpu_hour = nan", "gpu_hour must be a number of 0 or more", id="nan"),
    ],
)
def test_a_wrong_list_of_prices_is_refused(tmp_path: Path, line: str, instead: str, says: str) -> None:
    """A missing price taken for 0 would make the dearest stage the cheapest."""
    lines = [instead if text.startswith(line) else text for text in LIST.read_text().splitlines()]
    (tmp_path / "prices.toml").write_text("\n".join(lines))

    with pytest.raises(ValueError, match=says):
        Prices.read(tmp_path / "prices.toml")
