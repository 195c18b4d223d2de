"""A fleet of workers that answers cases, simulated event by event.

A case is a chain of steps; a step is one task, or several that run beside each other, and ends with the last of them.  A worker
takes one task at a time, first come first served.  A scaler looks at the queue from time to time; a worker that it asks for
comes after a delay and is paid from the moment it is asked for.  A spot worker may be taken away: the task that it had is lost,
goes to the head of the queue and begins again, as Airflow's retry does.

Each task is one event, whatever happens to it: when it starts it is drawn whether its worker will be taken away before its end.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from simpy import Environment, Event, Timeout

Chain = Sequence[Sequence[float]]
"""The seconds of each task of each step of a case."""

HOUR_S = 3600
DAY_S = 24 * HOUR_S
DRAWS = 2**16


@dataclass(frozen=True)
class Plan:
    """How a fleet is kept: between ``least`` and ``most`` workers, ``spare`` more than are needed now (a share)."""

    least: int
    most: int
    spare: float = 0.1
    look_s: float = 60.0
    start_s: float = 90.0
    calm_s: float = 600.0
    taken_per_hour: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What came of it; times in seconds, ``waited_s`` of each case is what its tasks waited for a worker, together."""

    turnaround_s: np.ndarray
    waited_s: np.ndarray
    busy_s: float
    paid_s: float
    lost_s: float
    taken: int
    most_workers: int
    most_waiting: int

    @property
    def utilisation(self) -> float:
        """Share of the paid time in which a worker worked, lost work included."""
        return self.busy_s / self.paid_s

    @property
    def lost_share(self) -> float:
        """Share of the work that was lost with a worker."""
        return self.lost_s / self.busy_s


def simulate(arrivals_s: np.ndarray, chain_of: Callable[[int], Chain], plan: Plan, rng: np.random.Generator) -> Outcome:
    """Return what a fleet makes of cases that arrive at these times, in order; it ends with the last case."""
    return _Fleet(arrivals_s, chain_of, plan, rng).run()


def arrivals_s(cases: int, profile: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Return the times at which about so many cases arrive in one day: a Poisson process whose rate has a profile.

    ``profile`` has one weight for each equal part of the day.
    """
    number = rng.poisson(cases)
    weights = np.asarray(profile, dtype=float)
    edges_s = np.linspace(0, DAY_S, len(weights) + 1)
    shares = np.concatenate([[0.0], np.cumsum(weights) / weights.sum()])
    return np.interp(np.sort(rng.random(number)), shares, edges_s)


class _Fleet:
    def __init__(self, arrivals_s: np.ndarray, chain_of: Callable[[int], Chain], plan: Plan, rng: np.random.Generator) -> None:
        self.env = Environment()
        self.plan, self.chain_of, self.rng = plan, chain_of, rng
        self.arrivals: list[float] = arrivals_s.tolist()
        self.chains: dict[int, tuple[Chain, int, int]] = {}  # the chain, the step and its unfinished tasks of a case at work
        self.queue: deque[tuple[int, float, float]] = deque()  # case, seconds, since when it waits
        self.turnaround_s, self.waited_s = np.zeros(len(self.arrivals)), np.zeros(len(self.arrivals))
        self.workers = self.idle = plan.least
        self.starting = 0
        self.busy_s = self.lost_s = self.paid_s = 0.0
        self.paid_until_s, self.above_since_s = 0.0, math.inf
        self.finished = self.taken = 0
        self.most_workers, self.most_waiting = plan.least, 0
        self.ended: Event = self.env.event()
        self.draws: list[float] = []

    def run(self) -> Outcome:
        self._after(self.arrivals[0], 0, self._arrive)
        self._after(self.plan.look_s, None, self._look)
        self.env.run(until=self.ended)
        self._pay()
        return Outcome(
            self.turnaround_s,
            self.waited_s,
            self.busy_s,
            self.paid_s,
            self.lost_s,
            self.taken,
            self.most_workers,
            self.most_waiting,
        )

    def _after(self, seconds: float, value: object, then: Callable[[Event], None]) -> None:
        event = Timeout(self.env, seconds, value)
        assert event.callbacks is not None
        event.callbacks.append(then)

    def _arrive(self, event: Any) -> None:
        case: int = event.value
        self._begin(case, self.chain_of(case), 0)
        if case + 1 < len(self.arrivals):
            self._after(self.arrivals[case + 1] - self.env.now, case + 1, self._arrive)

    def _begin(self, case: int, chain: Chain, step: int) -> None:
        self.chains[case] = (chain, step, len(chain[step]))
        now = self.env.now
        self.queue.extend((case, seconds, now) for seconds in chain[step])
        self._serve()
        self.most_waiting = max(self.most_waiting, len(self.queue))

    def _serve(self) -> None:
        now = self.env.now
        while self.idle and self.queue:
            case, seconds, since = self.queue.popleft()
            self.idle -= 1
            self.waited_s[case] += now - since
            left_s = self._left_s()
            lost = left_s < seconds
            self._after(min(left_s, seconds), (case, seconds, now, lost), self._end)

    def _left_s(self) -> float:
        """Return after how long the worker will be taken away; it forgets how long it has been there, as the process does."""
        if not self.plan.taken_per_hour:
            return math.inf
        if not self.draws:
            self.draws = self.rng.exponential(HOUR_S / self.plan.taken_per_hour, DRAWS).tolist()
        return self.draws.pop()

    def _end(self, event: Any) -> None:
        case, seconds, began, lost = event.value
        spent_s = self.env.now - began
        self.busy_s += spent_s
        if lost:
            self._pay()
            self.workers -= 1
            self.taken += 1
            self.lost_s += spent_s
            self.queue.appendleft((case, seconds, self.env.now))
        else:
            self.idle += 1
            self._finish(case)
        self._serve()

    def _finish(self, case: int) -> None:
        chain, step, tasks = self.chains[case]
        if tasks > 1:
            self.chains[case] = (chain, step, tasks - 1)
        elif step + 1 < len(chain):
            self._begin(case, chain, step + 1)
        else:
            del self.chains[case]
            self.turnaround_s[case] = self.env.now - self.arrivals[case]
            self.finished += 1
            if self.finished == len(self.arrivals):
                self.ended.succeed()

    def _look(self, _: Event) -> None:
        plan = self.plan
        if plan.taken_per_hour and self.idle:
            self._stop(int(self.rng.binomial(self.idle, -math.expm1(-plan.taken_per_hour * plan.look_s / HOUR_S))))
        busy = self.workers - self.idle
        wanted = min(plan.most, max(plan.least, math.ceil((busy + len(self.queue)) * (1 + plan.spare))))
        there = self.workers + self.starting
        if wanted > there:
            self._pay()
            self.starting += wanted - there
            self._after(plan.start_s, wanted - there, self._started)
        if wanted >= there:
            self.above_since_s = math.inf
        else:
            self.above_since_s = min(self.above_since_s, self.env.now)
            if self.env.now - self.above_since_s >= plan.calm_s:
                self._stop(min(self.idle, there - wanted))
        self._after(plan.look_s, None, self._look)

    def _started(self, event: Any) -> None:
        self.starting -= event.value
        self.workers += event.value
        self.idle += event.value
        self.most_workers = max(self.most_workers, self.workers)
        self._serve()

    def _stop(self, number: int) -> None:
        self._pay()
        self.workers -= number
        self.idle -= number

    def _pay(self) -> None:
        self.paid_s += (self.workers + self.starting) * (self.env.now - self.paid_until_s)
        self.paid_until_s = self.env.now
