"""How long cases take and what they cost from a thousand to a million a day: ``python -m benchmarks.scale``.

A simulation (`benchmarks.fleet`, held to closed forms by its tests) of one fleet for both diagnostics, from measured figures:
the CPU seconds of every stage (``results/coronary_easy.json``, ``results/prostate.json``), what Airflow adds to a task
(``results/airflow.json``) and list prices (``operators/prices.toml``).  What is assumed stands in `ASSUMED` and is kept with
the results.  Neither Airflow's scheduler, the databases nor the stores have a limit here: it says what the stages need.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from typing import Any

import numpy as np

from algorithms.contract.catalogue import pipelines
from algorithms.contract.pipeline import Resources
from benchmarks.evidence import RESULTS, keep
from benchmarks.fleet import DAY_S, HOUR_S, Chain, Outcome, Plan, arrivals_s, simulate
from operators.cost import LIST, Prices

log = logging.getLogger("benchmarks.scale")

SEED = 20
CASES_A_DAY = (1_000, 10_000, 100_000, 1_000_000)

PROFILE = (1, 1, 1, 1, 1, 1, 2, 4, 8, 10, 10, 9, 8, 9, 10, 9, 8, 6, 4, 3, 2, 2, 1, 1)
"""Weights of the hours of a day."""

TAKEN_PER_HOUR = {"on demand": 0.0, "spot": 0.05}

ASSUMED = {
    "stage": "a stage takes as long as its CPU seconds: one thread, and machines that nobody else uses",
    "profile": "examinations arrive by the hours of a hospital's day, as a Poisson process",
    "mix": "half of the cases are coronary, half prostate",
    "spot": "a spot worker is taken away with 5 % an hour, far more often than the clouds publish",
    "limit": "at most half as many workers again as the busiest hour needs on average",
}


def main() -> None:
    """Simulate and keep the evidence."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    prices, chains = Prices.read(LIST), measured_chains()
    need = worker()
    rows = [day(cases, machines, chains, prices, need) for cases in CASES_A_DAY for machines in TAKEN_PER_HOUR]
    results = {
        "seed": SEED,
        "assumed": ASSUMED,
        "worker": {"cpu": need.cpu, "memory_gib": need.memory_gib, "gpu": need.gpu},
        "prices": prices.provenance,
        "task_seconds_of_a_case": {name: round(_mean_s(found), 1) for name, found in chains.items()},
        "airflow_seconds_of_a_task": round(airflow_s(), 2),
        "days": rows,
    }
    log.info("kept in %s", keep("scale", results))


def worker() -> Resources:
    """Return the size of a worker: it holds any one stage."""
    stages = [stage.resources for pipeline in pipelines().values() for stage in pipeline.stages]
    return Resources(max(s.cpu for s in stages), max(s.memory_gib for s in stages), max(s.gpu for s in stages))


def measured_chains() -> dict[str, list[Chain]]:
    """Return the measured cases of each diagnostic, stage after stage; Airflow's own share of a task is part of it."""
    own_s = airflow_s()
    found: dict[str, list[Chain]] = {}
    for name, benchmark in (("coronary", "coronary_easy"), ("prostate", "prostate")):
        order = [stage.name for stage in pipelines()[name].stages]
        cases = [case["stages"] for case in _kept(benchmark)["cases"]]
        whole = [stages for stages in cases if set(stages) == set(order)]
        found[name] = [[[run["cpu_seconds"] + own_s for run in _runs(stages[s])] for s in order] for stages in whole]
    return found


def airflow_s() -> float:
    """Return the seconds that Airflow adds to a task."""
    measured = _kept("airflow")["airflow"]
    return float(measured["own_s"] / measured["stages"])


def day(cases: int, machines: str, chains: dict[str, list[Chain]], prices: Prices, need: Resources) -> dict[str, Any]:
    """Return what one day of so many cases comes to."""
    rng = np.random.default_rng([SEED, cases])
    times_s = arrivals_s(cases, PROFILE, rng)
    # Every case is one of the measured ones, drawn anew.
    kinds = [found for found in chains.values() if found]
    of_kind = rng.integers(len(kinds), size=len(times_s)).tolist()
    draws = rng.random(len(times_s)).tolist()
    plan = Plan(least=2, most=most_workers(cases, chains), taken_per_hour=TAKEN_PER_HOUR[machines])
    started = time.perf_counter()

    def chain_of(case: int) -> Chain:
        kind: list[Chain] = kinds[of_kind[case]]
        return kind[int(draws[case] * len(kind))]

    outcome = simulate(times_s, chain_of, plan, rng)
    share = prices.spot_share if machines == "spot" else 1.0
    row = _row(outcome, cases, machines, share * prices.of(need, [HOUR_S]))
    row["limit"] = plan.most
    log.info("%s simulated in %.0f s", json.dumps(row), time.perf_counter() - started)
    return row


def most_workers(cases: int, chains: dict[str, list[Chain]]) -> int:
    """Return the limit of the fleet: half as many again as the busiest hour needs on average, and ten."""
    busiest_per_s = cases / DAY_S * max(PROFILE) / (sum(PROFILE) / len(PROFILE))
    load = busiest_per_s * float(np.mean([_mean_s(found) for found in chains.values() if found]))
    return math.ceil(1.5 * load) + 10


def _row(outcome: Outcome, cases: int, machines: str, hourly: float) -> dict[str, Any]:
    p50, p95 = np.quantile(outcome.turnaround_s, [0.5, 0.95])
    return {
        "cases_a_day": cases,
        "machines": machines,
        "answered": len(outcome.turnaround_s),
        "p50_s": round(float(p50), 1),
        "p95_s": round(float(p95), 1),
        "utilisation": round(outcome.utilisation, 3),
        "price_of_a_case": round(outcome.paid_s / HOUR_S * hourly / len(outcome.turnaround_s), 5),
        "lost_share": round(outcome.lost_share, 5),
        "taken": outcome.taken,
        "most_workers": outcome.most_workers,
        "most_waiting": outcome.most_waiting,
    }


def _mean_s(found: list[Chain]) -> float:
    return float(np.mean([sum(sum(step) for step in chain) for chain in found]))


def _runs(cost: Any) -> list[dict[str, float]]:
    """Return a stage's runs: one a case, or one an item."""
    return cost if isinstance(cost, list) else [cost]


def _kept(benchmark: str) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((RESULTS / f"{benchmark}.json").read_text())["results"]
    return results


if __name__ == "__main__":
    main()
