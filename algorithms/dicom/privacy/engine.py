"""One image without its patient: a new file made of what the policy lets through, and a list of what was taken out.

The output is not the input with things deleted.  It starts empty; an attribute of the input gets in only through its rule.
Most elements are equal in every slice of a study, so an element that was judged once is known by its bytes from then on, and
raw pixels are copied unread where nothing but pixels is in them.
"""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from algorithms.dicom.privacy import pixels
from algorithms.dicom.privacy.blanking import Rectangle, blanked
from algorithms.dicom.privacy.codes import encoded_code
from algorithms.dicom.privacy.decompress import decoded
from algorithms.dicom.privacy.dictionary import label_of, tag_of, vr_of
from algorithms.dicom.privacy.marks import BODY_PART, FIXED, LATERALITY, NEEDED, TITLE, WITH_LATERALITY, marks, meta, present
from algorithms.dicom.privacy.nested import Nested
from algorithms.dicom.privacy.objects import ASKED, FAMILIES, MODALITIES, PIXELLESS, family_of, require_clean
from algorithms.dicom.privacy.policy import Policy, Rule
from algorithms.dicom.privacy.subject import Subject
from algorithms.dicom.privacy.syntax import (
    BIG_ENDIAN,
    PIXEL_DATA,
    File,
    Readers,
    Refused,
    Span,
    damaged,
    encoded,
    encoded_items,
    read,
)
from algorithms.dicom.privacy.taken import Place, Taken, charset_of, swallowed, taken, texts
from algorithms.dicom.privacy.values import Value, Values, grouped_age
from algorithms.dicom.pseudonym import dicom_date, replaced_uid

LATE = frozenset({"text"})
"""Rules for free text, judged after all others, because it must not hold any name found elsewhere."""

MOST_REMEMBERED = 50000
LONGEST_REMEMBERED = 65536
"""Elements, and bytes of one, that are remembered; beyond that memory would grow with the study."""

BURNED_IN = 0x00280301
CHARACTER_SET, SOP_INSTANCE, PATIENT_AGE, SIGNED = 0x00080005, 0x00080018, 0x00101010, 0x00280103
META_TEXTS = (0x00020003, 0x00020013, 0x00020016, 0x00020017, 0x00020018, 0x00020026, 0x00020027, 0x00020028, 0x00020102)
UTF8_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})


class Judged(NamedTuple):
    """What became of one element: the output's bytes, and (keyword, action) for the count."""

    tag: int
    output: bytes
    done: tuple[str, str]
    source: bytes
    inner: tuple[tuple[str, str], ...] = ()


@dataclass
class Cleaned:
    """One image without identity: the pieces of the new file, and the counts of (keyword, action)."""

    pieces: list[Any] = field(repr=False)
    sop_class: str
    done: list[tuple[str, str]]
    blanked: bool = False
    """Whether rectangles were blacked out: then it may leave only if no text is seen in what is left."""

    def data(self) -> bytes:
        """Return the whole file."""
        return b"".join(self.pieces)


class Engine:
    """Cleans the images of one patient; ``actions``, ``taken`` and ``kept`` grow with each.

    Parameters
    ----------
    policy, subject
        What becomes of each attribute, and whose images these are.
    """

    def __init__(self, policy: Policy, subject: Subject) -> None:
        self._policy, self._subject = policy, subject
        self._values = Values(policy, subject)
        self._readers = Readers()
        self._nested = Nested(policy, self._judge, self._take, self._values.retained)
        self._rules = policy.rules["image"]
        self._keeps_texts = any(rule.name in {"text", "words"} for rule in self._rules.values())
        self._known: dict[tuple[str, str, tuple[str, ...], bool], dict[bytes, Judged]] = {}
        self._admitted: dict[tuple[bytes | None, ...], tuple[str, tuple[Rectangle, ...]]] = {}
        self._layouts: dict[tuple[bytes | None, ...], pixels.Layout] = {}
        self._required: dict[str, dict[int, bytes]] = {}
        self._marks = marks(policy)
        self._signed = False
        self._wide_words = not "".join(policy.words).isascii()
        self._rectangles: tuple[Rectangle, ...] = ()
        """What is blanked in the file in hand."""
        self.actions: Counter[tuple[str, str]] = Counter()
        self.taken: dict[Taken, None] = {}
        self._pending: dict[Taken, None] = {}
        self._learnt: list[tuple[dict[bytes, Judged], bytes]] = []
        """What was noted and remembered of the file in hand: forgotten if it is refused."""

    @property
    def kept(self) -> set[str]:
        """Return the free texts that were let through, from closed vocabularies."""
        return self._values.kept

    @property
    def retained(self) -> set[str]:
        """Return the identifying values that an option of the profile keeps."""
        return self._values.retained

    def fresh(self) -> list[Taken]:
        """Return the texts taken out since the last call."""
        found = list(self.taken)
        self.taken.clear()
        return found

    def clean(self, data: bytes) -> Cleaned:
        """Return the file of one image without identity.

        Raises
        ------
        Refused
            If it is not an image that can be cleaned: another object, burned-in text, unknown compression, damage.
        """
        self._pending.clear()
        self._learnt.clear()
        try:
            cleaned = self._clean(data)
        except BaseException:
            # What a refused file says does not get out; a damaged one would have us search for pieces of anything.
            for known, source in self._learnt:
                known.pop(source, None)
            raise
        self.taken |= self._pending
        return cleaned

    def _clean(self, data: bytes) -> Cleaned:
        file = read(data, self._readers)
        family = family_of(file)
        self._nested.begin()
        self._rules = self._policy.rules[family]
        judged, pixel_spans = self._judged(file, family)
        by_tag = {one.tag: one for one in judged}
        if len(by_tag) != len(judged) or len(pixel_spans) > 1:
            raise damaged("an attribute stands in it twice")
        sop_class = self._admission(file, by_tag)
        done = [one.done for one in judged]
        done += [pair for one in judged if one.inner for pair in one.inner]
        pixel_data: list[Any] = []
        if family not in PIXELLESS:
            pixel_data, action = self._pixels(by_tag, file, pixel_spans)
            done.append(("PixelData", action))
        elif pixel_spans:
            raise Refused("unknown pixels", "a document holds pixel data; send the original series")
        outputs = {one.tag: one.output for one in judged if one.output}
        done += self._completed(outputs, file, by_tag, sop_class)
        done += self._outside(file, data)
        self.actions.update(done)
        head = meta(sop_class.encode(), outputs[SOP_INSTANCE][8:].rstrip(b"\0"))
        return Cleaned([head, *(outputs[tag] for tag in sorted(outputs)), *pixel_data], sop_class, done, bool(self._rectangles))

    def _outside(self, file: File, data: bytes) -> list[tuple[str, str]]:
        """Note what lies outside the data set: file meta information, preamble, bytes behind the end."""
        done = []
        for tag in META_TEXTS:
            if tag in file.meta:
                self._take(texts(label_of(tag), tag, vr_of(tag), file.meta[tag], ()))
        if file.trailing:
            done.append(("bytes behind the data set", "X"))
            self._take(texts("bytes behind the data set", 0, "UN", file.trailing, ()))
        if any(data[:128]):
            done.append(("preamble", "X"))
            self._take(texts("preamble", 0, "OB", data[:128], ()))
        return done

    def _judged(self, file: File, family: str) -> tuple[list[Judged], list[Span]]:
        """Return what becomes of each element, and the elements that hold pixels."""
        data, spans = file.data, file.spans
        terms = charset_of(data, spans)
        self._signed = signed = file.reader.implicit and any(s[0] == SIGNED and data[s[3] : s[4]] == b"\1\0" for s in spans)
        known = self._known.setdefault((family, file.transfer_syntax, terms, signed), {})
        if len(known) > MOST_REMEMBERED:
            known.clear()
        found: list[Judged] = []
        late: list[Span] = []
        pixel_spans: list[Span] = []
        for span in spans:
            tag, _, begin, _, _, end = span
            source = data[begin:end] if end - begin < LONGEST_REMEMBERED else b""
            one = known.get(source)
            if one is None:
                if tag == PIXEL_DATA:
                    pixel_spans.append(span)
                    continue
                rule = self._private_rule(file, tag) if tag >> 16 & 1 else self._rules.get(tag)
                if rule is not None and rule.name in LATE:
                    late.append(span)
                    continue
                one = self._judge(data, span, Place(file.reader, terms, 0), rule)
                if source and not (tag >> 16 & 1 and self._policy.private):
                    known[source] = one
                    self._learnt.append((known, source))
            found.append(one)
        found += [self._judge(data, span, Place(file.reader, terms, 0), self._rules[span[0]]) for span in late]
        return found, pixel_spans

    def _private_rule(self, file: File, tag: int) -> Rule | None:
        """Return the rule of a safe private attribute, or of the creator that reserves its block."""
        if not self._policy.private or tag & 0xFFFF < 0x10:
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
            self._take(taken(data, span, place))
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
            self._take(texts(label_of(tag), tag, vr, raw, place.terms))
        if output is None:
            return Judged(tag, b"", (label_of(tag), "X"), source)
        return Judged(tag, encoded(tag, vr, output), (label_of(tag), rule.action), source)

    def _items(self, data: bytes, span: Span, place: Place, rule: Rule) -> tuple[bytes, tuple[tuple[str, str], ...]]:
        """Return a sequence whose items hold what their set of rules lets through, and the count; items that end empty go."""
        inside = place.reader.datasets(data, span, place.depth)
        if inside is None:
            self._take(taken(data, span, place))
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

    def _take(self, found: Iterable[Taken]) -> None:
        for one in found:
            self._pending[one] = None
            if one.kind in {"PN", "ID"}:
                self._values.names |= {part for part in _parts(one.text) if len(part) > 2}

    def _admission(self, file: File, by_tag: dict[int, Judged]) -> str:
        """Return the SOP class; what decides is equal in most images, so it is decided once."""
        key = tuple(by_tag[tag].source if tag in by_tag else None for tag in ASKED.values())
        meta_class = file.meta.get(0x00020002, b"")
        admitted = self._admitted.get((*key, meta_class))
        if admitted is None:
            asked = {tag: keyword for keyword, tag in ASKED.items()}
            raws = {asked[s[0]]: file.data[s[3] : s[4]] for s in file.spans if s[0] in asked}
            values = {keyword: raw.decode("latin-1").strip(" \0") for keyword, raw in raws.items()}
            named = meta_class.decode("latin-1").strip(" \0")
            if named and values.get("SOPClassUID", "") not in {"", named}:
                raise damaged("it says in two places what kind of object it is, and not the same")
            values["SOPClassUID"] = values.get("SOPClassUID") or named
            matrix = {keyword: by_tag[ASKED[keyword]] for keyword in ("Rows", "Columns") if ASKED[keyword] in by_tag}
            values |= {keyword: str(int.from_bytes(one.output[8:10], "little")) for keyword, one in matrix.items()}
            admitted = require_clean(values, self._policy.options, self._policy.blank)
            self._admitted[(*key, meta_class)] = admitted
        sop_class, self._rectangles = admitted
        return sop_class

    def _completed(
        self, outputs: dict[int, bytes], file: File, by_tag: dict[int, Judged], sop_class: str
    ) -> list[tuple[str, str]]:
        """Add the marks of de-identification, and what the object must have and the input lacks."""
        required = self._required.get(sop_class)
        if required is None:
            required = self._required[sop_class] = self._stand_ins(sop_class)
        for tag, output in required.items():
            if len(outputs.get(tag, b"")) <= 8:  # missing or empty
                outputs[tag] = output
        if len(outputs[SOP_INSTANCE]) <= 8:
            outputs[SOP_INSTANCE] = encoded(SOP_INSTANCE, "UI", self._own_uid(file))
        outputs.update(self._marks)
        if self._rectangles:
            outputs[BURNED_IN] = encoded(BURNED_IN, "CS", b"NO")
        if len(outputs.get(BODY_PART, b"")) <= 8 and FAMILIES[sop_class] in WITH_LATERALITY:
            outputs[LATERALITY] = encoded(LATERALITY, "CS", b"")
        wide = self._wide_words and FAMILIES[sop_class] in PIXELLESS
        if wide or (self._keeps_texts and any(vr_of(t) in UTF8_VRS and not output.isascii() for t, output in outputs.items())):
            outputs[CHARACTER_SET] = encoded(CHARACTER_SET, "CS", b"ISO_IR 192")
        if PATIENT_AGE in by_tag or PATIENT_AGE not in self._rules:
            return []
        return self._computed_age(outputs, file)

    def _stand_ins(self, sop_class: str) -> dict[int, bytes]:
        modality = MODALITIES[sop_class]
        found = {}
        for keyword in present(sop_class):
            tag = tag_of(keyword)
            assert tag is not None
            found[tag] = encoded(tag, vr_of(tag), self._stand_in(keyword, sop_class, modality))
        return found

    def _stand_in(self, keyword: str, sop_class: str, modality: str) -> bytes:
        if keyword in {"StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"}:
            return replaced_uid(self._subject.secret, f"{keyword} of {self._subject.study}").encode()
        if keyword == "ConceptNameCodeSequence":
            self._values.retained |= set(TITLE)
            return encoded_items([b"".join(encoded_code(*TITLE).values())])
        pseudonym = self._subject.pseudonym
        known = {"PatientName": pseudonym, "PatientID": pseudonym, "SOPClassUID": sop_class, "Modality": modality}
        return (known | FIXED).get(keyword, "").encode()

    def _own_uid(self, file: File) -> bytes:
        named = file.meta.get(0x00020003, b"").decode("latin-1").strip(" \0")
        pixel = next((file.data[s[3] : s[4]] for s in file.spans if s[0] == PIXEL_DATA), b"")
        return replaced_uid(self._subject.secret, named or hashlib.sha256(pixel).hexdigest()).encode()

    def _computed_age(self, outputs: dict[int, bytes], file: File) -> list[tuple[str, str]]:
        """Add the age that follows from the birth date, before that goes."""
        raws = {s[0]: file.data[s[3] : s[4]] for s in file.spans if s[0] in {0x00100030, 0x00080020}}
        born, seen = (dicom_date(raws.get(tag, b"").decode("latin-1")) for tag in (0x00100030, 0x00080020))
        if born is None or seen is None or seen < born:
            return []
        years = seen.year - born.year - ((seen.month, seen.day) < (born.month, born.day))
        grouped = grouped_age(f"{min(years, 999):03d}Y") or ""
        outputs[PATIENT_AGE] = encoded(PATIENT_AGE, "AS", grouped.encode())
        return [("PatientAge", "C")]

    def _pixels(self, by_tag: dict[int, Judged], file: File, pixel_spans: list[Span]) -> tuple[list[Any], str]:
        """Return the element Pixel Data in pieces, uncompressed, and the action."""
        if not pixel_spans:
            raise Refused("no pixels", "an image holds no pixel data; ask the site to send it again")
        span = pixel_spans[0]
        key = tuple(by_tag[tag].output if tag in by_tag else None for tag in pixels.LAYOUT)
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._layouts[key] = pixels.layout_of(key)
        value, changed = self._plain(file, span, layout)
        clean, cut = pixels.cleaned_raw(value, layout, big_endian=file.transfer_syntax == BIG_ENDIAN)
        if len(value) > len(clean) + 1:
            self._take(texts("PixelData", PIXEL_DATA, "OB", bytes(value[len(clean) :]), ()))
            cut = True
        if self._rectangles:
            clean, cut = blanked(clean, layout, self._rectangles), True
        pad = b"\0" * (len(clean) % 2)
        head = b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<L", len(clean) + len(pad))
        return [head, clean, pad], "C" if changed or cut else "K"

    def _plain(self, file: File, span: Span, layout: pixels.Layout) -> tuple[Any, bool]:
        """Return the value of Pixel Data without compression, and whether text was found in a codestream."""
        syntax, value = file.transfer_syntax, memoryview(file.data)[span[3] : span[4]]
        if (syntax in pixels.RAW or syntax == BIG_ENDIAN) != (span[5] == span[4]):
            raise damaged("its pixels are not compressed as it says")
        if syntax in pixels.RAW or syntax == BIG_ENDIAN:
            return value, False
        if layout.samples != 1:
            raise Refused("colour image", f"a picture in colour is compressed; {pixels.REMEDY}")
        if syntax == pixels.RLE:
            return memoryview(pixels.decoded_rle(bytes(value), layout)), False
        frames, segments = pixels.cleaned_frames(bytes(value), syntax, layout)
        return memoryview(b"".join(decoded(frame, syntax, layout) for frame in frames)), bool(segments)


def _parts(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text.casefold()).split()
