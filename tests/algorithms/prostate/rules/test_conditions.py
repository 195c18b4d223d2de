"""Conditions as data: each form, and Kleene's logic where facts are not known."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.prostate.rules.conditions import comparisons, holds, names

YES = {"fact": "yes", "is": True}
NO = {"fact": "no", "is": True}
OPEN = {"fact": "unheard of", "is": True}
FACTS = {"yes": True, "no": False, "seven": 7, "word": "b", "silent": None}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"fact": "seven", "above": 6}, True),
        ({"fact": "seven", "above": 7}, False),
        ({"fact": "seven", "below": 8}, True),
        ({"fact": "seven", "below": 7}, False),
        ({"fact": "seven", "at_least": 7}, True),
        ({"fact": "seven", "at_most": 7}, True),
        ({"fact": "seven", "at_least": 5, "at_most": 6}, False),
        ({"fact": "word", "among": ["a", "b"]}, True),
        ({"fact": "word", "is": "a"}, False),
        ({"fact": "silent", "above": 1}, None),
        ({"fact": "silent", "known": True}, False),
        ({"fact": "unheard of", "known": False}, True),
        ({"fact": "seven", "known": True}, True),
    ],
)
def test_a_comparison_holds_as_its_words_say(condition, expected):
    """Bounds are inclusive only where the word says "at"; a fact that is None is as unknown as an absent one."""
    assert holds(condition, FACTS, {}) is expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"all": [YES, OPEN]}, None),
        ({"all": [NO, OPEN]}, False),
        ({"all": []}, True),
        ({"any": [YES, OPEN]}, True),
        ({"any": [NO, OPEN]}, None),
        ({"any": []}, False),
        ({"none": [NO, OPEN]}, None),
        ({"none": [YES, OPEN]}, False),
        ({"none": [NO]}, True),
        ({"count_of": [YES, YES, OPEN], "at_least": 2}, True),
        ({"count_of": [YES, OPEN, OPEN], "at_least": 2}, None),
        ({"count_of": [NO, NO, OPEN], "at_least": 2}, False),
        ({"count_of": [YES, OPEN], "at_least": 1, "at_most": 1}, None),
        ({"count_of": [YES, YES, OPEN], "at_most": 1}, False),
    ],
)
def test_what_is_built_on_unknown_facts_is_decided_where_it_can_be(condition, expected):
    """Kleene's strong tables: one false part decides "all", one true part decides "any", enough true parts decide a count."""
    assert holds(condition, FACTS, {}) is expected


LEAVES = [{"fact": name, "is": True} for name in "abc"]
CONDITIONS = st.recursive(
    st.sampled_from(LEAVES),
    lambda parts: st.one_of(
        *(st.builds(lambda p, key=key: {key: p}, st.lists(parts, max_size=3)) for key in ("all", "any", "none")),
        st.builds(
            lambda p, low, high: {"count_of": p, "at_least": low, "at_most": high},
            st.lists(parts, max_size=3),
            st.integers(0, 3),
            st.integers(0, 3),
        ),
    ),
    max_leaves=8,
)


@given(CONDITIONS, st.fixed_dictionaries({name: st.sampled_from([True, False, None]) for name in "abc"}))
def test_a_decided_condition_is_true_of_every_completion(condition, facts):
    """Soundness: whatever the unknown facts turn out to be, an answer other than None stays the same."""
    answer = holds(condition, facts, {})
    open_names = [name for name, value in facts.items() if value is None]
    completions = [
        facts | dict(zip(open_names, v, strict=True)) for v in itertools.product([True, False], repeat=len(open_names))
    ]
    answers = {holds(condition, completion, {}) for completion in completions}

    assert None not in answers
    assert answer is None or answers == {answer}


def test_a_name_stands_for_its_condition_and_is_listed_in_reading_order():
    """Reasons are made of the names; what must not hold is no reason."""
    named = {"seven": {"fact": "seven", "is": 7}, "yes": YES, "no": NO}
    condition = {"all": ["seven", {"any": ["yes", "no"]}, {"none": ["no"]}]}

    assert holds(condition, FACTS, named) is True
    assert list(names(condition)) == ["seven", "yes", "no"]
    assert [c["fact"] for c in comparisons(condition, named)] == ["seven", "yes", "no", "no"]


@pytest.mark.parametrize(
    "condition",
    [
        {},
        "nobody",
        {"fact": "seven"},
        {"fact": "seven", "over": 3},
        {"all": [], "any": []},
        {"all": [], "at_least": 1},
        {"sum_of": []},
    ],
)
def test_a_rule_file_of_another_language_is_a_bug(condition):
    """A mistyped word in a rule must not silently never apply."""
    with pytest.raises(ValueError, match=r"condition|compared by|go with"):
        holds(condition, FACTS, {})
