"""What is minimised: the Cox partial likelihood and the discrete-time likelihood of survival data with right censoring.

Times are years, (N,); events are bool, (N,): whether the time ends with the event or with the end of observation.
"""

from __future__ import annotations

import numpy as np
import torch


def cox_loss(log_hazard: torch.Tensor, time: torch.Tensor, event: torch.Tensor) -> torch.Tensor:
    """Return the negative log partial likelihood an event, ties after Efron; 0 where nobody has an event.

    ``log_hazard`` (N,) is the logarithm of each man's relative hazard; an added constant changes nothing.

    References
    ----------
    Cox, *Regression models and life-tables*, J R Stat Soc B 34:187 (1972), eq. 12; Efron, *The efficiency of Cox's
    likelihood function for censored data*, J Am Stat Assoc 72:557 (1977), for ties.
    """
    if not bool(event.any()):
        return log_hazard.sum() * 0.0
    order = torch.argsort(time, descending=True, stable=True)
    eta, when, dead = log_hazard[order], time[order], event[order]
    _, tie, size = torch.unique_consecutive(when, return_inverse=True, return_counts=True)
    log_risk = torch.logcumsumexp(eta, dim=0)[torch.cumsum(size, 0) - 1]  # everyone with this time or a later one
    dead_eta, dead_tie = eta[dead], tie[dead]
    deaths = torch.bincount(dead_tie, minlength=len(size))
    first = torch.cumsum(deaths, 0) - deaths
    share = (torch.arange(len(dead_tie), device=eta.device) - first[dead_tie]) / deaths[dead_tie]
    # The sum of the hazards of those who die at one time, relative to the risk set of that time.
    relative = torch.exp(dead_eta - log_risk[dead_tie])
    dying = torch.zeros(len(size), dtype=eta.dtype, device=eta.device).index_add(0, dead_tie, relative)[dead_tie]
    log_at_risk = log_risk[dead_tie] + torch.log1p(-share.to(eta.dtype) * dying)
    return (log_at_risk - dead_eta).mean()


def discrete_time_loss(log_log_hazard: torch.Tensor, survived: torch.Tensor, died: torch.Tensor) -> torch.Tensor:
    """Return the mean negative log likelihood a man of hazards that are constant over intervals.

    The chance to have the event in interval j, having come to its start, is ``1 - exp(-exp(log_log_hazard[:, j]))``; with
    this link a difference of ``log_log_hazard`` is a log hazard ratio, as in Cox's model.

    ``log_log_hazard`` (N, J) is the logarithm of the cumulative hazard within each interval; ``survived`` and ``died`` are
    those of :func:`interval_outcomes`.

    References
    ----------
    Gensheimer and Narasimhan, *A scalable discrete-time survival model for neural networks*, PeerJ 7:e6257 (2019), eq. 5;
    Prentice and Gloeckler, *Regression analysis of grouped survival data*, Biometrics 34:57 (1978), for the link.
    """
    hazard = torch.exp(log_log_hazard)
    log_death = torch.log(-torch.expm1(-hazard.clamp(min=1e-12)))
    return (survived * hazard - died * log_death).sum(dim=1).mean()


def interval_outcomes(time: np.ndarray, event: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return, (N, J) float32 each, which intervals a man survived and in which, if in any, he had the event.

    Who is censored in the second half of an interval counts as having survived it, in the first half as never having come
    to it (Gensheimer and Narasimhan, PeerJ 7:e6257 (2019), Methods).  What happens after the last edge is not looked at.
    ``edges`` (J,) are the ends of the intervals, years, rising; the first interval begins at 0.
    """
    starts = np.concatenate([[0.0], edges[:-1]])
    middle = (starts + edges) / 2
    credited = np.where(event[:, None], time[:, None] > edges, time[:, None] >= middle)
    died = event[:, None] & (time[:, None] > starts) & (time[:, None] <= edges)
    died[:, 0] |= event & (time <= 0)
    return credited.astype(np.float32), died.astype(np.float32)
