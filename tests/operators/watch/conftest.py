"""A StatsD server to which this process sends its metrics."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from operators.watch import metrics
from tests.services import StatsD, statsd


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StatsD]:
    """A StatsD server, and this process sending its metrics there, as a worker's task does."""
    with statsd() as listening:
        with monkeypatch.context() as patch:
            for name, value in listening.environment.items():
                patch.setenv(name, value)
            metrics.prepare()
            yield listening
        metrics.prepare()
