"""The second hard set through engine and proof: nothing planted comes out, and no everyday value keeps an image back."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator

import pydicom
import pytest

from algorithms.dicom.privacy.engine import Engine
from algorithms.dicom.privacy.policy import DEFAULT, policy_of
from algorithms.dicom.privacy.syntax import Refused
from tests.algorithms.dicom.hard.command import run
from tests.algorithms.dicom.hard.second_set import Trap, second_set
from tests.algorithms.dicom.privacy.cleaning import SUBJECT

CODINGS = ("utf-8", "utf-16-le", "shift_jis", "euc_jp", "gb18030", "iso8859_5", "iso8859_7", "tis_620", "cp1251", "latin-1")

SPELT_OTHERWISE = ("001893", "00080020", "00080021", "00080022", "00080023", "00100030")
"""Places, by the beginning of their tag, where a secret is a binary number, or a date in a spelling of its own."""

FEWEST = 500
"""Images of the set that come out: a set that is refused proves nothing."""


@pytest.fixture(scope="module")
def traps() -> list[Trap]:
    """The whole set."""
    return second_set()


def outputs(traps: list[Trap]) -> Iterator[tuple[Trap, bytes]]:
    """Yield what comes out of each image, as of a patient of its own."""
    policy = policy_of(DEFAULT)
    for trap in traps:
        try:
            yield trap, Engine(policy, SUBJECT).clean(trap.content).data()
        except Refused:
            assert not trap.wanted, trap.where


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_nothing_planted_comes_out_of_what_stays(traps: list[Trap]) -> None:
    """Not in the bytes, in any encoding of ten, nor in the digits of a number, in binary or over its point."""
    leaks: Counter[str] = Counter()
    seen = 0
    for trap, output in outputs(traps):
        seen += 1
        texts = [output[:-2048].lower(), *numbers(output)]
        leaks.update(trap.where for secret in trap.secrets for piece in pieces(secret) if any(piece in text for text in texts))

    assert leaks == Counter()
    assert seen >= FEWEST


def pieces(secret: str | bytes) -> Iterator[bytes]:
    """Yield every six letters, every eight digits, and a text of another script as ten encodings write it."""
    if isinstance(secret, bytes):
        yield secret.lower()
    elif secret.isascii():
        size = min(len(secret), 8 if secret.isdigit() else 6)
        yield from (secret[at : at + size].lower().encode() for at in range(len(secret) - size + 1))
    else:
        for coding in CODINGS:
            raw = secret.lower().encode(coding, "ignore")
            if len(raw) > 3:
                yield raw


def numbers(output: bytes) -> Iterator[bytes]:
    """Yield the digits of every number of a file."""
    for one in pydicom.dcmread(io.BytesIO(output), stop_before_pixels=True):
        if one.VR in {"DS", "IS", "FD", "FL", "US", "SS", "UL"}:
            yield re.sub(r"\D", "", str(one.value)).encode()


def test_the_set_has_what_it_says(traps: list[Trap]) -> None:
    """Each kind of place is there, and every secret is in its input."""
    counts = Counter(
        "script" if any(isinstance(s, bytes) or not s.isascii() for s in t.secrets) else t.where[:8] for t in traps
    )

    assert len(counts) > 45
    assert counts["script"] > 100
    for trap in traps:
        if not trap.where.startswith(SPELT_OTHERWISE):
            for secret in trap.secrets:
                raw = secret.encode() if isinstance(secret, str) else secret

                assert not raw.isascii() or raw.lower() in trap.content.lower(), trap.where


def test_everyday_values_keep_no_image_back(traps: list[Trap], tmp_path_factory: pytest.TempPathFactory) -> None:
    """A patient called AXIAL, a station called by its scanner, an identifier of 120: the whole command, with its proof."""
    folder = tmp_path_factory.mktemp("everyday")
    wanted = [trap for trap in traps if trap.wanted]
    (folder / "in").mkdir()
    for number, trap in enumerate(wanted):
        (folder / "in" / f"{number}").write_bytes(trap.content)

    done = run(folder / "in", folder / "out", "--key-file", folder / "key")

    assert done.returncode == 0, done.stderr
    assert len(list((folder / "out").rglob("*.dcm"))) == len(wanted)
