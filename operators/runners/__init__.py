"""Places of execution, one thin operator each, and which one a stage runs in."""

from __future__ import annotations

import importlib

from operators.stage import StageTask

RUNNERS = {
    "local": "operators.runners.local:LocalStage",
    "container": "operators.runners.container:ContainerStage",
    "ecs": "operators.runners.ecs:EcsStage",
    "kubernetes": "operators.runners.kubernetes:KubernetesStage",
}
"""Places by the name that ``[heartwood] runner`` chooses; a provider is imported only where it is chosen."""

ON_WORKERS = frozenset({"local", "container"})
"""Places whose stages take the memory of the machine that the worker is on."""


def runner(name: str) -> type[StageTask]:
    """Return the operator class of a place of execution; raises ``ValueError`` with the known names."""
    if name not in RUNNERS:
        raise ValueError(f"[heartwood] runner must be one of {', '.join(RUNNERS)}")
    module, attribute = RUNNERS[name].split(":")
    kind: type[StageTask] = getattr(importlib.import_module(module), attribute)
    return kind
