"""Shortest ways through the engine, for tests."""

from __future__ import annotations

from algorithms.dicom.privacy.engine import Engine
from algorithms.dicom.privacy.policy import DEFAULT, policy_of
from algorithms.dicom.privacy.subject import Subject

SUBJECT = Subject(bytes(range(32)), "KH7301942", "study")


def deidentified(data: bytes, subject: Subject = SUBJECT, policy: dict | None = None) -> tuple[bytes, Engine]:
    """Return the clean file, and the engine that remembers what it did."""
    engine = Engine(policy_of(policy or DEFAULT), subject)
    return engine.clean(data).data(), engine
