"""The simulated fleet against closed forms of queueing theory."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

from benchmarks.fleet import DAY_S, HOUR_S, Chain, Outcome, Plan, arrivals_s, simulate

SERVICE_S = 60.0
CUSTOMERS = 150_000
DROPPED = 5_000
"""The first customers find an empty house."""


def fixed(workers: int, **choices: float) -> Plan:
    """Return a fleet that does not scale."""
    return Plan(least=workers, most=workers, look_s=HOUR_S, **choices)


def erlang_c(servers: int, load: float) -> float:
    """Return the probability that a customer of M/M/c waits; ``load`` in erlang (Erlang 1917)."""
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(load**k / math.factorial(k) for k in range(servers)) + last)


@functools.cache
def queue(servers: int, load: float, seed: int = 1) -> tuple[Outcome, float]:
    """Return an M/M/c queue of one-task cases and its arrival rate, 1/s."""
    rng, rate = np.random.default_rng(seed), load / SERVICE_S
    times = np.cumsum(rng.exponential(1 / rate, CUSTOMERS))
    seconds = rng.exponential(SERVICE_S, CUSTOMERS).tolist()
    return simulate(times, lambda case: ((seconds[case],),), fixed(servers), rng), rate


@pytest.mark.parametrize(("servers", "load"), [(1, 0.5), (1, 0.8), (5, 4.0), (30, 27.0)])
def test_customers_wait_as_erlang_says(servers: int, load: float) -> None:
    """The probability to wait is Erlang's C; the mean wait is C / (c mu - lambda)."""
    outcome, rate = queue(servers, load)
    waited_s = outcome.waited_s[DROPPED:]
    probability = erlang_c(servers, load)

    # Waits are correlated: at a load of 0.9 a busy spell lasts a hundred customers, so 150,000 are some 1,500 spells.
    assert probability == pytest.approx((waited_s > 0).mean(), rel=0.05)
    assert probability / (servers / SERVICE_S - rate) == pytest.approx(waited_s.mean(), rel=0.1)


def test_waits_are_spread_as_an_exponential() -> None:
    """In M/M/c those who wait at all wait exponentially with rate c mu - lambda, so the 95th percentile is 3.0 means."""
    outcome, rate = queue(5, 4.0)
    waited_s = outcome.waited_s[DROPPED:]

    expected_s = math.log(20) / (5 / SERVICE_S - rate)
    assert expected_s == pytest.approx(np.quantile(waited_s[waited_s > 0], 0.95), rel=0.1)  # as above


def test_workers_are_used_by_the_load() -> None:
    """Utilisation of M/M/c is load / c, where every worker is paid all the time."""
    outcome, _ = queue(5, 4.0)

    assert 4 / 5 == pytest.approx(outcome.utilisation, rel=0.02)  # 150,000 services: 0.3 % each way, and the empty beginning


@pytest.mark.parametrize("per_hour", [0.5, 6.0])
def test_work_is_lost_as_a_memoryless_loss_says(per_hour: float) -> None:
    """A task of d seconds that begins again after each loss at rate h costs (exp(h d) - 1) / h seconds on average."""
    d_s, h = 300.0, per_hour / HOUR_S
    times = np.arange(20_000) * 1.0
    plan = Plan(least=50, most=400, taken_per_hour=per_hour)

    outcome = simulate(times, lambda _: ((d_s,),), plan, np.random.default_rng(2))

    assert math.expm1(h * d_s) / h == pytest.approx(outcome.busy_s / 20_000, rel=0.03)  # 20,000 tasks, some 800 losses at least
    assert outcome.lost_s == pytest.approx(outcome.busy_s - 20_000 * d_s, rel=1e-6)


def test_a_case_alone_takes_its_longest_path() -> None:
    """Steps follow each other; tasks of one step run beside each other: 10 + max(20, 30) + 5."""
    chain: Chain = ((10.0,), (20.0, 30.0), (5.0,))

    outcome = simulate(np.array([0.0]), lambda _: chain, fixed(2), np.random.default_rng(0))

    assert [45.0] == outcome.turnaround_s.tolist()
    assert (outcome.busy_s, outcome.waited_s.tolist()) == (65.0, [0.0])


def test_one_worker_does_everything_in_turn() -> None:
    """The second case comes after the first task and waits for what stands before it: first come, first served."""
    outcome = simulate(np.array([0.0, 1.0]), lambda _: ((10.0,), (10.0,)), fixed(1), np.random.default_rng(0))

    assert [30.0, 39.0] == outcome.turnaround_s.tolist()


def test_a_worker_comes_after_its_delay() -> None:
    """None is there: the scaler looks after 60 s, the worker comes 90 s later, and is paid from when it was asked for."""
    plan = Plan(least=0, most=1, spare=0.0)

    outcome = simulate(np.array([0.0]), lambda _: ((30.0,),), plan, np.random.default_rng(0))

    assert [180.0] == outcome.turnaround_s.tolist()
    assert outcome.paid_s == 120.0


def test_the_fleet_keeps_to_its_limits() -> None:
    """A thousand cases at once: no more workers than the pool has slots, and all are answered."""
    outcome = simulate(np.zeros(1000), lambda _: ((30.0,),), Plan(least=1, most=7), np.random.default_rng(0))

    assert outcome.most_workers == 7
    assert outcome.turnaround_s.max() >= 1000 * 30 / 7
    assert (outcome.turnaround_s > 0).all()


def test_a_fleet_shrinks_when_it_is_quiet() -> None:
    """A burst in the morning and one case at night: nobody pays for a day of idle workers."""
    times = np.concatenate([np.zeros(100), [20 * HOUR_S]])

    outcome = simulate(times, lambda _: ((60.0,),), Plan(least=0, most=50), np.random.default_rng(0))

    assert outcome.paid_s < 50 * HOUR_S


def test_the_same_seed_is_the_same_day() -> None:
    """Otherwise a table of results could not be checked."""

    def day() -> Outcome:
        rng = np.random.default_rng(7)
        return simulate(arrivals_s(500, [1, 2, 1], rng), lambda _: ((60.0,), (90.0,)), Plan(1, 9, taken_per_hour=2.0), rng)

    assert day().turnaround_s.tolist() == day().turnaround_s.tolist()


def test_cases_arrive_by_the_profile_of_a_day() -> None:
    """A third of the day with three times the rate gets three fifths of the cases."""
    times = arrivals_s(90_000, [1, 3, 1], np.random.default_rng(3))

    counted = np.histogram(times, bins=3, range=(0, DAY_S))[0] / len(times)
    assert counted == pytest.approx([0.2, 0.6, 0.2], abs=0.006)  # four standard deviations of a count of 54,000
    assert len(times) == pytest.approx(90_000, rel=0.015)  # the same of a Poisson number
