"""Sequences that take more than a rule for each attribute: codes, and sequences that must be there and be empty."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from algorithms.dicom.privacy.charset import decoded
from algorithms.dicom.privacy.codes import encoded_code, meaning_of
from algorithms.dicom.privacy.dictionary import label_of
from algorithms.dicom.privacy.policy import Policy, Rule
from algorithms.dicom.privacy.syntax import Span, encoded, encoded_items
from algorithms.dicom.privacy.taken import Place, Taken, taken, texts

CODE_VALUE, SCHEME, MEANING, LONG_CODE = 0x00080100, 0x00080102, 0x00080104, 0x00080119
CODE = frozenset({CODE_VALUE, SCHEME, MEANING, LONG_CODE})
"""Attributes of a coded entry that are written anew."""

Done = tuple[tuple[str, str], ...]
"""Pairs of keyword and action."""


class Nested:
    """Rebuilds such sequences for one patient.

    Parameters
    ----------
    policy
        What a site adds to the standard's codes, and the rules of sets.
    judge
        Judges one element by its rule: the engine's own way, for what lies inside.
    take
        Notes what does not get into the output.
    public
        Grows with the texts of the standard that get into an output: finding them proves no leak.
    """

    RULES = frozenset({"coded", "emptied"})

    def __init__(
        self, policy: Policy, judge: Callable[..., Any], take: Callable[[Iterable[Taken]], None], public: set[str]
    ) -> None:
        self._policy, self._judge, self._take, self._public = policy, judge, take, public

    def rebuilt(self, data: bytes, span: Span, place: Place, rule: Rule) -> tuple[bytes, Done]:
        """Return the element without identity, and what was done inside of it."""
        if rule.name == "emptied":
            self._take(taken(data, span, place))
            return encoded(span[0], "SQ", b""), ()
        return self._coded(data, span, place, rule)

    def _coded(self, data: bytes, span: Span, place: Place, rule: Rule) -> tuple[bytes, Done]:
        inside = place.reader.datasets(data, span, place.depth)
        if inside is None:
            self._take(taken(data, span, place))
            return b"", ()
        inner, datasets = inside
        items: list[bytes] = []
        done: list[tuple[str, str]] = []
        for dataset in datasets:
            own = place.below(inner, data, dataset)
            outputs = self.code(data, dataset, own)
            rules = self._policy.rules.get(rule.items, {})
            judged = [self._judge(data, one, own, rules.get(one[0])) for one in dataset if one[0] not in CODE]
            done += [pair for one in judged for pair in (one.done, *one.inner)]
            done.append(("CodeMeaning", "C" if outputs else "X"))
            if outputs:
                outputs |= {one.tag: one.output for one in judged if one.output}
                items.append(b"".join(outputs[tag] for tag in sorted(outputs)))
        return (encoded(span[0], "SQ", encoded_items(items)) if items else b""), tuple(done)

    def code(self, data: bytes, dataset: list[Span], place: Place) -> dict[int, bytes]:
        """Return the elements of a coded entry by tag; none where its code is not known."""
        found = {s[0]: (s[1], data[s[3] : s[4]]) for s in dataset if s[0] in CODE}
        text = {tag: decoded(raw, place.terms).strip(" \0") for tag, (_, raw) in found.items()}
        scheme, code = text.get(SCHEME, ""), text.get(CODE_VALUE) or text.get(LONG_CODE, "")
        meaning = meaning_of(scheme, code, self._policy.codes)
        for tag, (vr, raw) in found.items():
            # A known code is public; the meaning that came with it is not.
            if meaning is None or (tag == MEANING and text[tag] != meaning):
                self._take(texts(label_of(tag), tag, vr, raw, place.terms))
        if meaning is None:
            return {}
        self._public |= {meaning, scheme, code}
        return encoded_code(scheme, code, meaning)
