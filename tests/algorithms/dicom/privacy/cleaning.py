"""Shortest ways through the engine, for tests: an image with something planted in it, and what comes out."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pydicom
from pydicom.config import disable_value_validation
from pydicom.dataset import FileDataset

from algorithms.dicom.privacy.engine import Engine
from algorithms.dicom.privacy.policy import DEFAULT, policy_of
from algorithms.dicom.privacy.subject import Subject
from tests.algorithms.dicom.ct_series import image

SUBJECT = Subject(bytes(range(32)), "KH7301942", "study")
PIXELS = np.random.default_rng(3).integers(-1000, 1500, (16, 16)).astype(np.int16)
SECRET_WORD = "Xanthippe"


def deidentified(data: bytes, subject: Subject = SUBJECT, policy: dict | None = None) -> tuple[bytes, Engine]:
    """Return the clean file, and the engine that remembers what it did."""
    engine = Engine(policy_of(policy or DEFAULT), subject)
    return engine.clean(data).data(), engine


def encoded(dataset: FileDataset) -> bytes:
    buffer = BytesIO()
    with disable_value_validation():
        dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def planted(change: Callable[[FileDataset], None]) -> bytes:
    with disable_value_validation():
        dataset = image(PIXELS, 7)
        change(dataset)
    return encoded(dataset)


def output(data: bytes) -> tuple[bytes, FileDataset]:
    clean, _ = deidentified(data)
    return clean, pydicom.dcmread(BytesIO(clean))


def assert_gone(word: str, clean: bytes) -> None:
    """Look for a word in the plainest way, in any case and in the encodings that matter."""
    for spelling in {word, word.upper(), word.lower()}:
        for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be", "shift_jis", "iso2022_jp"):
            try:
                raw = spelling.encode(encoding)
            except UnicodeEncodeError:
                continue
            assert raw not in clean
