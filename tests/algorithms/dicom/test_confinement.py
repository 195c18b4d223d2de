"""What a hostile item can cost: one child."""

from __future__ import annotations

import pytest

from algorithms.contract.errors import DataError, TransientError
from algorithms.dicom.confinement import KILLED, Answer, Confinement

HERE = "tests.algorithms.dicom.misbehaving"


def test_answers_come_in_order_and_the_child_serves_again():
    """More items than a pipe holds, and a second function without a second start."""
    with Confinement() as confinement:
        first = [answer.value for answer in confinement.map(f"{HERE}:double", 3, list(range(20000)))]
        second = [answer.value for answer in confinement.map(f"{HERE}:double", 5, [1, 2])]

    assert first == [3 * n for n in range(20000)]
    assert second == [5, 10]


def test_a_hostile_item_costs_itself_only():
    """Memory, time, an abort and nesting: each is reported for its item, and all others are answered."""
    items = ["a", "memory", "b", "time", "c", "abort", "d", "nesting", "print", "e"]

    with Confinement(memory_gib=1, item_seconds=2) as confinement:
        answers = list(confinement.map(f"{HERE}:misbehave", None, items))

    failures = {item: answer.failure for item, answer in zip(items, answers, strict=True) if answer.failure}
    assert failures == {"memory": KILLED, "time": KILLED, "abort": KILLED, "nesting": "nested too deeply"}
    assert [answer.value for answer in answers if not answer.failure] == ["a", "b", "c", "d", "print", "e"]


def test_a_folder_of_killers_is_given_up():
    """Each death costs a second; thousands would hold a worker for hours."""
    with Confinement() as confinement, pytest.raises(DataError, match="9 files kill the parser"):
        list(confinement.map(f"{HERE}:misbehave", None, ["abort"] * 12))


def test_data_errors_cross_and_bugs_say_no_value():
    """A `DataError` is for a person; a bug's text may repeat what the file says, so only its type and place cross."""
    with Confinement() as confinement:
        with pytest.raises(DataError, match="send another file"):
            list(confinement.map(f"{HERE}:misbehave", None, ["a", "data"]))
        with pytest.raises(RuntimeError, match=r"KeyError at misbehaving.py:\d+$"):
            list(confinement.map(f"{HERE}:misbehave", None, ["bug"]))
        assert list(confinement.map(f"{HERE}:misbehave", None, ["a"])) == [Answer("a")]


def test_a_full_disk_is_no_bug():
    """The child writes the de-identified files; what passes by itself must reach Airflow as something to try again."""
    with Confinement() as confinement, pytest.raises(TransientError, match=r"^No space left on device, while a file was"):
        list(confinement.map(f"{HERE}:misbehave", None, ["a", "disk"]))
