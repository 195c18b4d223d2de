"""Sequences that take more than a rule for each attribute: codes, contents of reports, and what must be there and empty."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any

from algorithms.dicom.privacy import content
from algorithms.dicom.privacy.charset import decoded
from algorithms.dicom.privacy.codes import encoded_code, meaning_of
from algorithms.dicom.privacy.dictionary import label_of
from algorithms.dicom.privacy.graphics import Drawn
from algorithms.dicom.privacy.marks import NEEDED
from algorithms.dicom.privacy.policy import Policy, Rule
from algorithms.dicom.privacy.syntax import Span, encoded, encoded_items
from algorithms.dicom.privacy.table import Option
from algorithms.dicom.privacy.taken import Place, Taken, taken, texts

CODE_VALUE, SCHEME, MEANING, LONG_CODE = 0x00080100, 0x00080102, 0x00080104, 0x00080119
CODE = frozenset({CODE_VALUE, SCHEME, MEANING, LONG_CODE})
"""Attributes of a coded entry that are written anew."""

HEAD = {b"SQ": 12, b"UT": 12}
"""Bytes before the value, where they are not eight."""

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

    RULES = frozenset({"coded", "emptied", "content", "drawn"})

    def __init__(
        self, policy: Policy, judge: Callable[..., Any], take: Callable[[Iterable[Taken]], None], public: set[str]
    ) -> None:
        self._policy, self._judge, self._take, self._public = policy, judge, take, public
        self._drawn = Drawn()

    def begin(self) -> None:
        """Begin another object, whose drawings are counted anew."""
        self._drawn = Drawn()

    def rebuilt(self, data: bytes, span: Span, place: Place, rule: Rule) -> tuple[bytes, Done]:
        """Return the element without identity, and what was done inside of it."""
        if rule.name == "emptied":
            self._take(taken(data, span, place))
            return encoded(span[0], "SQ", b""), ()
        one = {"coded": self._coded_item, "content": self._content_item, "drawn": self._drawn_item}[rule.name]
        items: list[bytes] = []
        done: list[tuple[str, str]] = []
        inside = self._inside(data, span, place)
        if inside is None:
            self._take(taken(data, span, place))
        for dataset, own in inside or ():
            item, inner = one(data, dataset, own, rule)
            items += [item] if item else []
            done += inner
        return (encoded(span[0], "SQ", encoded_items(items)) if items else b""), tuple(done)

    def _inside(self, data: bytes, span: Span, place: Place) -> list[tuple[list[Span], Place]] | None:
        """Return the elements of each item, and their place."""
        inside = place.reader.datasets(data, span, place.depth)
        return None if inside is None else [(dataset, place.below(inside[0], data, dataset)) for dataset in inside[1]]

    def _coded_item(self, data: bytes, dataset: list[Span], own: Place, rule: Rule) -> tuple[bytes, list[tuple[str, str]]]:
        outputs = self._code(data, dataset, own)
        rules = self._policy.rules.get(rule.items, {})
        judged = [self._judge(data, one, own, rules.get(one[0])) for one in dataset if one[0] not in CODE]
        done = [pair for one in judged for pair in (one.done, *one.inner)]
        done.append(("CodeMeaning", "C" if outputs else "X"))
        if not outputs:
            return b"", done
        outputs |= {one.tag: one.output for one in judged if one.output}
        return b"".join(outputs[tag] for tag in sorted(outputs)), done

    def _code(self, data: bytes, dataset: list[Span], place: Place) -> dict[int, bytes]:
        """Return the elements of a coded entry by tag; none where its code is not known."""
        scheme, code, meaning = self._read_code(data, dataset, place)
        for tag, vr, _, value, stop, _ in dataset:
            # A known code is public; the meaning that came with it is not.
            if tag in CODE and (meaning is None or (tag == MEANING and _text(data[value:stop], place) != meaning)):
                self._take(texts(label_of(tag), tag, vr, data[value:stop], place.terms))
        if meaning is None:
            return {}
        self._public |= {meaning, scheme, code}
        return encoded_code(scheme, code, meaning)

    def _read_code(self, data: bytes, dataset: list[Span], place: Place) -> tuple[str, str, str | None]:
        """Return scheme and code of a coded entry, and the meaning if it is known."""
        text = {s[0]: _text(data[s[3] : s[4]], place) for s in dataset if s[0] in CODE}
        scheme, code = text.get(SCHEME, ""), text.get(CODE_VALUE) or text.get(LONG_CODE, "")
        return scheme, code, meaning_of(scheme, code, self._policy.codes)

    def _content_item(self, data: bytes, dataset: list[Span], own: Place, _: Rule) -> tuple[bytes, list[tuple[str, str]]]:
        """Return an item of a report's content without identity; nothing where it may not stay."""
        spans = {span[0]: span for span in dataset}
        kind = _text(data[slice(*spans[content.VALUE_TYPE][3:5])], own) if content.VALUE_TYPE in spans else ""
        allowed = content.admitted(
            kind, self._concept(data, spans, own), content.CONCEPT in spans,
            characteristics=Option.RETAIN_PATIENT_CHARACTERISTICS in self._policy.options,
        )  # fmt: skip
        if len(spans) != len(dataset) or not self._measures(data, spans, own, kind) or not self._draws(data, spans, own, kind):
            allowed = frozenset()
        if not allowed:
            for span in dataset:
                self._take(taken(data, span, own))
            return b"", [("ContentSequence", "X")]
        rules = self._policy.rules["content"]
        judged = [self._judge(data, one, own, rules.get(one[0]) if one[0] in allowed else None) for one in dataset]
        done = [pair for one in judged for pair in (one.done, *one.inner)]
        outputs = {one.tag: one.output for one in judged if len(one.output) > HEAD.get(one.output[4:6], 8)}
        if not outputs.keys() >= content.NEEDED[kind] | {content.RELATIONSHIP, content.VALUE_TYPE}:
            return b"", [*done, ("ContentSequence", "X")]
        return b"".join(outputs[tag] for tag in sorted(outputs)), done

    def _concept(self, data: bytes, spans: dict[int, Span], place: Place) -> tuple[str, str, str] | None:
        inside = self._inside(data, spans[content.CONCEPT], place) if content.CONCEPT in spans else None
        if not inside:
            return None
        scheme, code, meaning = self._read_code(data, *inside[0])
        return None if meaning is None else (scheme, code, meaning)

    def _measures(self, data: bytes, spans: dict[int, Span], place: Place, kind: str) -> bool:
        """Return whether a number is one measurement, and no age above the oldest group; true for other items."""
        if kind != "NUM":
            return True
        inside = self._inside(data, spans[content.MEASURED], place) if content.MEASURED in spans else None
        if not inside or len(inside) > 1:
            return False
        dataset, own = inside[0]
        units = next((self._inside(data, one, own) for one in dataset if one[0] == content.UNITS), None) or []
        number = next((data[one[3] : one[4]] for one in dataset if one[0] == content.NUMBER), b"")
        return bool(units) and not content.is_old_age(number, self._read_code(data, *units[0])[1])

    def _drawn_item(self, data: bytes, dataset: list[Span], own: Place, rule: Rule) -> tuple[bytes, list[tuple[str, str]]]:
        """Return an object that is drawn on an image; nothing where it may not stay."""
        if not self._draws(data, {span[0]: span for span in dataset}, own, "SCOORD"):
            for span in dataset:
                self._take(taken(data, span, own))
            return b"", [("GraphicData", "X")]
        rules = self._policy.rules[rule.items]
        judged = [self._judge(data, one, own, rules.get(one[0])) for one in dataset]
        outputs = {one.tag: one.output for one in judged if one.output}
        complete = outputs.keys() >= NEEDED[rule.items]
        done = [pair for one in judged for pair in (one.done, *one.inner)]
        return b"".join(outputs[tag] for tag in sorted(outputs)) if complete else b"", done

    def _draws(self, data: bytes, spans: dict[int, Span], place: Place, kind: str) -> bool:
        """Return whether a shape may stay; true for items that are none."""
        if kind not in {"SCOORD", "SCOORD3D"}:
            return True
        if not {content.GRAPHIC_DATA, content.GRAPHIC_TYPE} <= spans.keys():
            return False
        raw = data[slice(*spans[content.GRAPHIC_DATA][3:5])]
        shape = _text(data[slice(*spans[content.GRAPHIC_TYPE][3:5])], place)
        numbers = struct.unpack(f"{place.reader.order}{len(raw) // 4}f", raw[: len(raw) // 4 * 4])
        return self._drawn.admits(shape, numbers, 2 if kind == "SCOORD" else 3)


def _text(raw: bytes, place: Place) -> str:
    return decoded(raw, place.terms).strip(" \0")
