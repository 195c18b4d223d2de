"""Work in threads: nobody sees which of them was first."""

import threading

from algorithms.contract.threads import each


def test_answers_come_in_the_order_of_what_was_given():
    """The first one ends last."""
    second_done = threading.Event()

    def slow_first(number: int) -> int:
        if number == 1:
            assert second_done.wait(60)
        else:
            second_done.set()
        return 10 * number

    assert each(slow_first, [1, 2], workers=2) == [10, 20]


def test_nothing_gives_nothing():
    """As where a volume has no new block."""
    assert each(str, []) == []
