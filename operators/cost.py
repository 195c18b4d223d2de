"""What a case's results cost, and an estimate of it in money from a list of prices.

The figures of a run stand in its manifest; artefacts never hold them, so that equal cases stay equal byte for byte.  From the
manifests that a report rests on, `case_cost` makes ``cost.json``, which lies beside the report in the store, and the price in
``stage_runs`` of the results database.  A price is what a machine of the declared size costs for the seconds that the stage
took: an estimate for comparing stages and cases, and no bill.
"""

from __future__ import annotations

import json
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from algorithms.contract.case import Case
from algorithms.contract.manifest import Manifest
from algorithms.contract.pipeline import Pipeline, Resources
from algorithms.contract.record import StageState
from algorithms.contract.store import Store

LIST = Path(__file__).with_name("prices.toml")
"""The list that comes with Heartwood."""

COST = "cost.json"

HOUR_S = 3600


@dataclass(frozen=True)
class Prices:
    """One edition of a list of prices; ``currency`` an hour of each, and what is billed at least."""

    edition: str
    date: str
    region: str
    currency: str
    source: str
    vcpu_hour: float
    gib_hour: float
    gpu_hour: float
    disk_gib_hour: float
    disk_gib_free: float
    seconds_at_least: float
    spot_share: float

    @staticmethod
    def read(path: Path) -> Prices:
        """Return the list in a TOML file; raises ``ValueError`` if an entry is missing, unknown, or no number of 0 or more."""
        document = tomllib.loads(path.read_text())
        known = {f.name: f.type for f in fields(Prices)}
        if set(document) != set(known):
            raise ValueError(f"a list of prices has the entries {', '.join(known)}, and no others")
        document["date"] = str(document["date"])
        numbers = [name for name, kind in known.items() if kind == "float"]
        wrong = [n for n in numbers if type(document[n]) not in {int, float} or not document[n] >= 0]
        if wrong:
            raise ValueError(f"in a list of prices {', '.join(wrong)} must be a number of 0 or more")
        return Prices(**document)

    def of(self, need: Resources, runs_s: Iterable[float]) -> float:
        """Return what machines of this size cost for runs of these lengths."""
        hours = sum(max(seconds, self.seconds_at_least) for seconds in runs_s) / HOUR_S
        disk_gib = max(0.0, need.disk_gib - self.disk_gib_free)
        hourly = need.cpu * self.vcpu_hour + need.memory_gib * self.gib_hour
        return hours * (hourly + need.gpu * self.gpu_hour + disk_gib * self.disk_gib_hour)

    @property
    def provenance(self) -> dict[str, str]:
        """What a reader of a price must know of the list it is from."""
        return {name: getattr(self, name) for name in ("edition", "date", "region", "currency", "source")}


def stage_price(state: StageState, prices: Prices) -> float | None:
    """Return the price of a stage's result, of all items together, or ``None`` where there is no result."""
    runs = _runs(state)
    return round(prices.of(state.stage.resources, (m.seconds for m in runs)), 6) if runs else None


def case_cost(pipeline: Pipeline, case: Case, found: Mapping[str, StageState], prices: Prices) -> dict[str, Any]:
    """Return what the results that a case has now took, stage by stage and together.

    Runs that failed and results of other parameters are not in it: it says what these results cost, not what was spent.
    """
    stages = [_stage_cost(found[stage.name], prices) for stage in pipeline.stages if _runs(found[stage.name])]
    together = {
        "seconds": round(sum(s["seconds"] for s in stages), 3),
        "cpu_seconds": round(sum(s["cpu_seconds"] for s in stages), 3),
        "peak_memory_mib": max((s["peak_memory_mib"] for s in stages), default=0.0),
        "price": round(sum(s["price"] for s in stages), 6),
    }
    return {
        "case_id": case.case_id,
        "pipeline": pipeline.name,
        "estimate": "list prices of machines of the declared size for the seconds taken; no bill",
        "prices": prices.provenance,
        "stages": stages,
        "together": together,
    }


def leave_cost(store: Store, report: StageState, document: Mapping[str, Any]) -> str:
    """Put ``cost.json`` beside a report and return its name; what is there already stays, as every object of the store does."""
    assert report.manifest is not None
    name = f"cases/{document['case_id']}/{report.stage.name}/{report.manifest.key[:12]}/{COST}"
    if not store.exists(name):
        with tempfile.TemporaryDirectory() as folder, suppress(FileExistsError):  # another task was first
            path = Path(folder) / COST
            path.write_text(json.dumps(document, indent=2) + "\n")
            store.put_file(path, name)
    return name


def _stage_cost(state: StageState, prices: Prices) -> dict[str, Any]:
    assert state.manifest is not None
    manifest, need = state.manifest, state.stage.resources
    return {
        "stage": state.stage.name,
        "key": manifest.key,
        "runs": len(_runs(state)),
        "seconds": manifest.seconds,
        "cpu_seconds": manifest.cpu_seconds,
        "peak_memory_mib": manifest.peak_memory_mib,
        "declared": {name: value for name, value in asdict(need).items() if name != "timeout_s"},
        "price": stage_price(state, prices),
    }


def _runs(state: StageState) -> list[Manifest]:
    """Return the manifests of the runs that a result is made of: its own, or one an item."""
    if state.manifest is None:
        return []
    return [item.manifest for item in state.items.values() if item.manifest is not None] or [state.manifest]
