"""What becomes of each element of a header, by the policy's rules; what was judged once is known by its bytes.

The judgement of an element hangs on its bytes, the encoding, the character set and the sign of the pixels alone.  Not so free
text, which must hold no name found elsewhere, and private elements, which hang on who reserved their block.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from algorithms.dicom.privacy.dictionary import label_of
from algorithms.dicom.privacy.marks import NEEDED
from algorithms.dicom.privacy.needles import spellings_of_day
from algorithms.dicom.privacy.nested import Nested
from algorithms.dicom.privacy.policy import Policy, Rule
from algorithms.dicom.privacy.stretches import Stretch, Stretches
from algorithms.dicom.privacy.subject import Subject
from algorithms.dicom.privacy.syntax import PIXEL_DATA, File, Span, damaged, encoded, encoded_items
from algorithms.dicom.privacy.taken import Place, Taken, charset_of, swallowed, taken, texts
from algorithms.dicom.privacy.values import Value, Values
from algorithms.dicom.pseudonym import dicom_date

LATE = frozenset({"text", "words"})
"""Rules for free text, judged after all others, because it must not hold any name found elsewhere."""

MOST_REMEMBERED = 50000
LONGEST_REMEMBERED = 65536
"""Elements, and bytes of one, that are remembered; beyond that memory would grow with the study."""

SIGNED = 0x00280103


class Judged(NamedTuple):
    """What became of one element: the output's bytes, and (keyword, action) for the count."""

    tag: int
    output: bytes
    done: tuple[str, str]
    source: bytes
    inner: tuple[tuple[str, str], ...] = ()


class Part:
    """What became of some elements one behind the other."""

    def __init__(self, judged: Sequence[Judged], decisive: frozenset[int]) -> None:
        tags = [one.tag for one in judged]
        self.first, self.last = (tags[0], tags[-1]) if tags else (0, 0)
        self.in_order = all(one < two for one, two in pairwise(tags))
        self.decisive = {one.tag: one for one in judged if one.tag in decisive}
        """The elements that say what the whole image is, by tag."""
        self.outputs = {one.tag: one.output for one in judged if one.output}
        self.done = [pair for one in judged for pair in (one.done, *one.inner)]
        """Every (keyword, action)."""


@dataclass
class Header:
    """What became of the elements of a file: of those that are known in stretches, and of those that stood alone."""

    decisive: dict[int, Judged] = field(default_factory=dict)
    outputs: dict[int, bytes] = field(default_factory=dict)
    known: list[Part] = field(default_factory=list)
    alone: list[tuple[str, str]] = field(default_factory=list)
    """Every (keyword, action) of the elements that stood alone."""
    pixels: list[Span] = field(default_factory=list)
    """Where Pixel Data lies; it is judged elsewhere."""
    end: int = 0
    """Where the data set ends."""
    in_order: bool = True
    """Whether each tag is greater than the one before."""

    def add(self, part: Part) -> None:
        """Take in what the output gets, and what decides."""
        self.decisive.update(part.decisive)
        self.outputs.update(part.outputs)


@dataclass
class Memory:
    """What is known of elements in one encoding and character set: each by its bytes, and those that stand together."""

    stretches: Stretches[Judged, Part]
    elements: dict[bytes, Judged] = field(default_factory=dict)


@dataclass
class InHand:
    """What is noted of the file in hand: kept if it is accepted, forgotten if it is refused."""

    memory: Memory = field(repr=False)
    taken: dict[Taken, None] = field(default_factory=dict, repr=False)
    learnt: list[bytes] = field(default_factory=list, repr=False)
    alone: list[tuple[bytes, Judged] | None] = field(default_factory=list, repr=False)


class Judging:
    """Judges the headers of one patient's images.

    Parameters
    ----------
    policy, subject
        What becomes of each attribute, and whose images these are.
    decisive
        Tags of the elements that say what the whole image is.
    """

    def __init__(self, policy: Policy, subject: Subject, decisive: frozenset[int]) -> None:
        self.kept: set[str] = set()
        """Free texts that were let through, from closed vocabularies."""
        self.retained: set[str] = set()
        """Identifying values that an option of the profile keeps: they are no longer taken out, wherever else they stand."""
        self._policy = policy
        self._rules = policy.rules["image"]
        self._values = Values(policy, subject)
        self._signed = False
        self._keeps_texts = policy.keeps_texts
        self._nested = Nested(policy, self._judge, self.take, self._values.retained)
        self._decisive = decisive
        self._memories: dict[tuple[str, str, tuple[str, ...], bool], Memory] = defaultdict(self._memory)
        self._none = InHand(self._memory())
        self._hand = self._none

    def _memory(self) -> Memory:
        return Memory(Stretches(partial(Part, decisive=self._decisive)))

    def accepted(self) -> dict[Taken, None]:
        """Return the texts that were taken out of the file in hand, which is done with."""
        done, self._hand = self._hand, self._none
        done.memory.stretches.seen(done.alone)
        self.kept |= self._values.kept
        self.retained |= self._values.retained
        return done.taken

    def refused(self) -> None:
        """Forget the file in hand: what it says does not get out; a damaged one would have us search for pieces of anything."""
        done, self._hand = self._hand, self._none
        for source in done.learnt:
            done.memory.elements.pop(source, None)

    def take(self, found: Iterable[Taken]) -> None:
        """Note texts that are taken out of the file in hand."""
        for one in found:
            self._hand.taken[one] = None
            if one.kind in {"PN", "ID"}:
                parts = _parts(one.text)
                self._values.names |= {part for part in parts if len(part) > 2 or not part.isascii()}
                self._values.people |= set(parts) if one.kind == "PN" else set()
            elif self._keeps_texts and one.kind in {"DA", "DT"}:
                day = dicom_date(one.text)
                self._values.names |= set() if day is None else {spelling.casefold() for spelling in spellings_of_day(day)}

    def header(self, file: File, family: str) -> Header:
        """Return what becomes of each element of a file, which is the one in hand from now on.

        ``family`` says which set of rules counts for the top of it.
        """
        data = file.data
        terms = charset_of(data, file.reader.top(data, file.start))
        self._signed = file.reader.implicit and any(s[0] == SIGNED and data[s[3] : s[4]] == b"\1\0" for s in file.spans)
        place = Place(file.reader, terms, 0)
        hand = self._hand = InHand(self._memories[family, file.transfer_syntax, terms, self._signed])
        self._rules = self._policy.rules[family]
        self._nested.begin()
        self._values.kept.clear()
        self._values.retained.clear()
        header, judged, late = Header(end=file.start), [], []
        before = -1
        for piece in file.reader.walk(data, file.start, hand.memory.stretches):
            if isinstance(piece, Stretch):
                header.known.append(piece.sum)
                header.add(piece.sum)
                header.end += len(piece.source)
                hand.alone.append(None)
                first, last = piece.sum.first, piece.sum.last
                header.in_order = header.in_order and piece.sum.in_order
            else:
                first = last = piece[0]
                header.end = piece[5]
                one = self._alone(file, piece, place)
                if one is not None:
                    judged.append(one)
                elif first == PIXEL_DATA:
                    header.pixels.append(piece)
                else:
                    late.append(piece)
            header.in_order = header.in_order and first > before
            before = last
        judged += [self._judge(data, span, place, self._rules[span[0]]) for span in late]
        alone = Part(judged, self._decisive)
        header.add(alone)
        header.alone = alone.done
        return header

    def _alone(self, file: File, span: Span, place: Place) -> Judged | None:
        """Return what becomes of an element that stands in no stretch; ``None`` for pixels, and for what is judged last."""
        tag, _, begin, _, _, end = span
        hand, elements = self._hand, self._hand.memory.elements
        source = file.data[begin:end] if end - begin < LONGEST_REMEMBERED else b""
        one = elements.get(source)
        if one is None:
            private = tag >> 16 & 1 and self._policy.private
            rule = self._private_rule(file, tag) if private else self._rules.get(tag)
            if tag == PIXEL_DATA or (rule is not None and rule.name in LATE):
                hand.alone.append(None)
                return None
            one = self._judge(file.data, span, place, rule)
            if private or not source:
                hand.alone.append(None)
                return one
            if len(elements) >= MOST_REMEMBERED:
                elements.clear()
            elements[source] = one
            hand.learnt.append(source)
        hand.alone.append((source, one))
        return one

    def _private_rule(self, file: File, tag: int) -> Rule | None:
        """Return the rule of a safe private attribute, or of the creator that reserves its block."""
        if tag & 0xFFFF < 0x10:
            return None
        group, block = tag >> 16, tag >> 8 & 0xFF
        creator_tag = tag if block == 0 else group << 16 | block
        creator = next((file.data[s[3] : s[4]] for s in file.spans if s[0] == creator_tag), b"").strip(b" \0").decode("latin-1")
        if block == 0:
            safe = any(name == creator and number == group for name, number, _ in self._policy.private)
            return Rule("codes", "K", ("LO",), terms=frozenset({creator.upper(), creator})) if safe else None
        return self._policy.private.get((creator, group, tag & 0xFF))

    def _judge(self, data: bytes, span: Span, place: Place, rule: Rule | None) -> Judged:
        tag, vr, begin, value, stop, end = span
        source = data[begin:end]
        if rule is None:
            self.take(taken(data, span, place))
            return Judged(tag, b"", (label_of(tag), "X"), source)
        if rule.name == "items":
            items, inner = self._items(data, span, place, rule)
            return Judged(tag, items, (label_of(tag), rule.action), source, inner)
        if rule.name in Nested.RULES:
            items, inner = self._nested.rebuilt(data, span, place, rule)
            return Judged(tag, items, (label_of(tag), rule.action if items else "X"), source, inner)
        if self._signed and rule.vrs == ("US", "SS"):
            vr = "SS"  # Implicit VR does not say which
        order = place.reader.order
        if vr == "UN":
            vr, order = rule.vrs[0], "<"  # PS3.5 6.2.2: whoever did not know the attribute wrote it so
        raw = data[value:stop]
        if swallowed(vr, raw):
            raise damaged("a text holds zero bytes, as if it had taken its neighbours in")
        output = self._values.applied(rule, Value(vr, raw, order, place.terms)) if vr in rule.vrs else None
        same = (
            output is not None and rule.action == "K" and output != rule.otherwise and output.count(b"\\") == raw.count(b"\\")
        )
        if not same and not (rule.name == "age" and output):
            self.take(texts(label_of(tag), tag, vr, raw, place.terms))
        if output is None:
            return Judged(tag, b"", (label_of(tag), "X"), source)
        return Judged(tag, encoded(tag, vr, output), (label_of(tag), rule.action), source)

    def _items(self, data: bytes, span: Span, place: Place, rule: Rule) -> tuple[bytes, tuple[tuple[str, str], ...]]:
        """Return a sequence whose items hold what their set of rules lets through, and the count; items that end empty go."""
        inside = place.reader.datasets(data, span, place.depth)
        if inside is None:
            self.take(taken(data, span, place))
            return b"", ()
        inner, datasets = inside
        rules = self._policy.rules[rule.items]
        needed = NEEDED.get(rule.items, frozenset())
        items: list[bytes] = []
        done: list[tuple[str, str]] = []
        for dataset in datasets:
            own = place.below(inner, data, dataset)
            judged = [self._judge(data, one, own, rules.get(one[0])) for one in dataset]
            done += [pair for one in judged for pair in (one.done, *one.inner)]
            outputs = {one.tag: one.output for one in judged if len(one.output) > 8}
            if outputs.keys() >= needed:  # a reference without its target is none (PS3.3 table 10-11)
                items.append(b"".join(outputs[tag] for tag in sorted(outputs)))
        return (encoded(span[0], "SQ", encoded_items(items)) if items else b""), tuple(done)


def _parts(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text.casefold()).split()
