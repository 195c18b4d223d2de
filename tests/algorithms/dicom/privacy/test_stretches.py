"""What is remembered of earlier files makes later ones faster, and changes nothing of what becomes of them."""

from __future__ import annotations

from collections import Counter
from io import BytesIO

import numpy as np
import pytest
from pydicom.config import disable_value_validation
from pydicom.dataelem import DataElement
from pydicom.dataset import FileDataset
from pydicom.uid import ImplicitVRLittleEndian

from algorithms.dicom.privacy.engine import Engine
from algorithms.dicom.privacy.policy import DEFAULT, policy_of
from algorithms.dicom.privacy.stretches import Stretches
from algorithms.dicom.privacy.syntax import Refused
from tests.algorithms.dicom.ct_series import image
from tests.algorithms.dicom.privacy.cleaning import SUBJECT

PIXELS = np.random.default_rng(3).integers(-1000, 1500, (16, 16)).astype(np.int16)
KEEPING = {"version": 1, "options": ["retain_institution_identity", "retain_full_dates"]}


def known(data: bytes) -> Stretches[bytes, list[bytes]]:
    """Return what is known after two equal files."""
    stretches: Stretches[bytes, list[bytes]] = Stretches(list)
    for _ in range(2):
        walked(stretches, data)
    return stretches


def walked(stretches: Stretches[bytes, list[bytes]], data: bytes, never: bytes = b"") -> list[list[bytes]]:
    """Return the stretches found in a file, whose elements have ten bytes each; an empty list where one is not known."""
    found: list[list[bytes]] = []
    alone: list[tuple[bytes, bytes] | None] = []
    at = 0
    while at < len(data):
        stretch = stretches.at(data, at)
        element = data[at : at + 10]
        found.append(stretch.sum if stretch else [])
        alone.append(None if stretch or element == never else (element, element))
        at += len(stretch.source) if stretch else 10
    stretches.seen(alone)
    return found


A, B, C, D, X = (letter * 10 for letter in (b"a", b"b", b"c", b"d", b"x"))
OTHER_B = b"b" * 9 + b"-"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        pytest.param(A + B + C + D, [[A, B, C, D]], id="the same"),
        pytest.param(A + OTHER_B + C + D, [[A], [], [C, D]], id="one differs"),
        pytest.param(A + X + B + C + D, [[A], [], [], [C, D]], id="one more: what follows the cut is known by its own head"),
        pytest.param(A + C + D, [[A], [C, D]], id="one less"),
        pytest.param(X + B + C + D, [[], [], [], []], id="the first differs"),
        pytest.param(A + B + C, [[A, B, C]], id="the end is missing"),
        pytest.param(A + B + C + D[:9], [[A, B, C], []], id="the end is cut"),
    ],
)
def test_a_stretch_is_cut_where_a_file_differs(data, found):
    """Only equal bytes are known, and of an element only all of them."""
    assert walked(known(A + B + C + D), data) == found


def test_pieces_stay_known_after_a_cut():
    """The second file that differs in the same place costs no further cut."""
    stretches = known(A + B + C + D)
    walked(stretches, A + OTHER_B + C + D)

    assert walked(stretches, A + b"b" * 8 + b"--" + C + D) == [[A], [], [C, D]]


def test_an_element_that_must_be_judged_each_time_is_in_no_stretch():
    """``None`` parts what stands before it from what stands behind it."""
    stretches: Stretches[bytes, list[bytes]] = Stretches(list)
    for _ in range(2):
        walked(stretches, A + B + C + D, never=B)

    assert walked(stretches, A + B + C + D, never=B) == [[A], [], [C, D]]


def test_what_stood_in_one_file_only_is_not_known():
    """An image's own time and UID would be stretches that never come again."""
    stretches: Stretches[bytes, list[bytes]] = Stretches(list)
    walked(stretches, A + B + C + D)
    walked(stretches, A + X + C + D)

    assert walked(stretches, A + X + C + D) == [[A], [], [C, D]]


def test_a_second_series_is_learnt_beside_the_first():
    """What both have in common stays known, and what is new is known from its third image on."""
    stretches = known(A + B + C + D)
    second = A + X + OTHER_B + D

    assert [walked(stretches, second) for _ in range(3)] == [
        [[A], [], [], []],
        [[A], [], [], [D]],
        [[A], [X, OTHER_B], [D]],
    ]


def changed(number: int) -> bytes:
    """Return one image of a series in which everything happens that a header can do."""
    with disable_value_validation():
        dataset = image(PIXELS, number)
        change(dataset, number)
        buffer = BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def change(dataset: FileDataset, number: int) -> None:
    dataset.ImageComments = f"image {number} of Quastenflosser"
    if number % 3 == 0:
        del dataset.KVP
        dataset.add(DataElement(0x00180015, "CS", "HEART"))
    if number % 4 == 1:
        dataset.PatientName = "Zaunkoenig^Emil"
        dataset.SliceThickness = "0.7519480317"
    if number % 5 == 2:
        dataset.SpecificCharacterSet = "ISO_IR 144"
        dataset.OperatorsName = "Люкceмбypг"
    if number % 6 == 5:
        del dataset.PatientAge
        del dataset.PatientID
    if number == 8:
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian


@pytest.mark.parametrize("policy", [DEFAULT, KEEPING], ids=["default", "identity kept"])
def test_a_series_comes_out_as_each_image_alone_would(policy):
    """Bytes, counts and texts; an engine of its own for each image knows nothing of the others."""
    together = Engine(policy_of(policy), SUBJECT)
    actions: Counter[tuple[str, str]] = Counter()
    taken: set = set()

    for number in range(20):
        data = changed(number)
        alone = Engine(policy_of(policy), SUBJECT)
        expected = alone.clean(data).data()
        actions += alone.actions
        taken |= set(alone.fresh())
        assert together.clean(data).data() == expected

    assert together.actions == actions
    assert set(together.fresh()) == taken


def test_a_refused_file_leaves_nothing_behind():
    """What a damaged file calls its institution must not excuse the same word in others, nor be looked for in them."""
    engine = Engine(policy_of(KEEPING), SUBJECT)
    data = changed(1)

    with pytest.raises(Refused):
        engine.clean(data[: data.index(b"\xe0\x7f\x10\0") + 20])

    assert engine.retained == set()
    assert engine.fresh() == []
    assert engine.clean(data).data() == Engine(policy_of(KEEPING), SUBJECT).clean(data).data()
    assert engine.retained != set()


KVP = b"\x18\0\x60\0DS\x04\x00100 "


@pytest.mark.parametrize("moved", [False, True], ids=["in order", "KVP before its time"])
def test_an_attribute_that_stands_twice_is_refused_however_much_is_known(moved):
    """Within what was a known stretch, where its own place would be, and at the end; also where one stands out of order."""
    data = changed(1)
    behind = data[data.index(KVP) + len(KVP) :][:8]
    if moved:
        patient = data.index(b"\x10\0\x10\0PN")
        data = data.replace(KVP, b"")
        data = data[:patient] + KVP + data[patient:]

    for place in (data.index(KVP), data.index(behind), data.index(b"\xe0\x7f\x10\0")):
        engine = Engine(policy_of(DEFAULT), SUBJECT)
        for _ in range(3):
            engine.clean(data)
        with pytest.raises(Refused, match="twice"):
            engine.clean(data[:place] + KVP + data[place:])
