"""Synthetic men with their tissue and fate: what the risk model that ships with this project was trained and judged on.

Each man is followed in one arm of a trial that randomises between radiotherapy alone and with short-term androgen
deprivation.  Nothing here comes from a patient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from algorithms.phantom.biopsy import man as men
from algorithms.prostate.risk.covariates import NAMES, measured
from algorithms.prostate.risk.model import ENDPOINTS

Embed = Callable[[int, Sequence[men.Man]], np.ndarray]
"""Returns the features, (N, T, D), of the tiles of all men of a cohort, given its seed."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """N men: features (N, T, D) float16, variables (N, 6) as `measured` gives them, arm (N,) bool, and their fate.

    ``time`` (N, E) years and ``event`` (N, E) follow `ENDPOINTS`; ``other_death`` (N,) says that his observation ended
    with death of another cause, so that it competes wherever his time does not end with the endpoint.
    """

    men: tuple[men.Man, ...]
    features: np.ndarray
    variables: np.ndarray
    treated: np.ndarray
    time: np.ndarray
    event: np.ndarray
    other_death: np.ndarray

    def __len__(self) -> int:
        return len(self.men)

    def part(self, which: np.ndarray) -> Cohort:
        """Return the men at the indices ``which``; a man may be there twice."""
        return Cohort(
            tuple(self.men[i] for i in which),
            *(a[which] for a in (self.features, self.variables, self.treated, self.time, self.event, self.other_death)),
        )

    def competing(self, endpoint: int) -> np.ndarray:
        """Return who died of another cause before the endpoint, (N,) bool."""
        return np.asarray(self.other_death & ~self.event[:, endpoint])


def people(seed: int, count: int) -> list[men.Man]:
    """Return the first ``count`` men of the cohort of a seed."""
    return [men.man(np.random.default_rng([seed, number, 0])) for number in range(count)]


def cohort(seed: int, count: int, embed: Embed) -> Cohort:
    """Return the first ``count`` men of the cohort of a seed; a man's tissue and fate depend on the seed and his number."""
    ones = people(seed, count)
    treated, fates = [], []
    for number, one in enumerate(ones):
        rng = np.random.default_rng([seed, number, 1])
        treated.append(bool(rng.random() < 0.5))
        fates.append(men.follow_up(one, rng, adt=treated[-1]))
    time, event = follow_ups(fates)
    return Cohort(
        tuple(ones),
        embed(seed, ones).astype(np.float16),
        np.stack([measured({name: getattr(one, name) for name in NAMES}) for one in ones]),
        np.array(treated),
        time,
        event,
        np.array([fate["other_cause_death"][1] for fate in fates]),
    )


def follow_ups(fates: Sequence[Mapping[str, tuple[float, bool]]]) -> tuple[np.ndarray, np.ndarray]:
    """Return times (N, E) and events (N, E) of what `man.follow_up` told of N men."""
    pairs = np.array([[fate[name] for name in ENDPOINTS] for fate in fates])
    return pairs[..., 0], pairs[..., 1].astype(bool)


def followed_again(ones: tuple[men.Man, ...], treated: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return times and events, (N, E) each, of another life of the same men in the same arms."""
    return follow_ups([men.follow_up(one, rng, adt=bool(adt)) for one, adt in zip(ones, treated, strict=True)])


def true_log_hazard(ones: tuple[men.Man, ...], treated: np.ndarray, endpoint: int) -> np.ndarray:
    """Return what ranks N men best, (N,): the logarithm of their true hazard in their arms."""
    return np.array([men.log_hazard(o, ENDPOINTS[endpoint], adt=bool(a)) for o, a in zip(ones, treated, strict=True)])


def joined(cohorts: Sequence[Cohort]) -> Cohort:
    """Return the men of several cohorts as one."""
    arrays = ("features", "variables", "treated", "time", "event", "other_death")
    return Cohort(
        tuple(one for c in cohorts for one in c.men), *(np.concatenate([getattr(c, a) for c in cohorts]) for a in arrays)
    )
