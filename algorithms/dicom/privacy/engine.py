"""One image without its patient: a new file made of what the policy lets through, and a list of what was taken out.

The output is not the input with things deleted.  It starts empty; an attribute of the input gets in only through its rule.
Most elements are equal in every slice of a study, so what was judged once is known by its bytes from then on, alone and in
stretches of many elements, and raw pixels are copied unread where nothing but pixels is in them.
"""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from algorithms.dicom.privacy import pixels
from algorithms.dicom.privacy.blanking import Rectangle, blanked
from algorithms.dicom.privacy.codes import encoded_code
from algorithms.dicom.privacy.decompress import decoded
from algorithms.dicom.privacy.dictionary import label_of, tag_of, vr_of
from algorithms.dicom.privacy.judging import Header, Judging, Part
from algorithms.dicom.privacy.marks import BODY_PART, FIXED, LATERALITY, TITLE, WINDOW, WITH_LATERALITY, marks, meta, present
from algorithms.dicom.privacy.objects import ASKED, FAMILIES, MODALITIES, PIXELLESS, family_of, require_clean
from algorithms.dicom.privacy.policy import Policy
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
from algorithms.dicom.privacy.taken import Taken, texts
from algorithms.dicom.privacy.values import grouped_age
from algorithms.dicom.pseudonym import dicom_date, replaced_uid

CHARACTER_SET, SOP_INSTANCE, BURNED_IN = 0x00080005, 0x00080018, 0x00280301
PATIENT_AGE, BIRTH_DATE, STUDY_DATE = 0x00101010, 0x00100030, 0x00080020
META_TEXTS = (0x00020003, 0x00020013, 0x00020016, 0x00020017, 0x00020018, 0x00020026, 0x00020027, 0x00020028, 0x00020102)
UTF8_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
DECISIVE = frozenset({*ASKED.values(), *pixels.LAYOUT, PATIENT_AGE, BIRTH_DATE, STUDY_DATE})


@dataclass
class Cleaned:
    """One image without identity: the pieces of the new file."""

    pieces: list[Any] = field(repr=False)
    sop_class: str
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
        self._judging = Judging(policy, subject, DECISIVE)
        self._readers = Readers()
        self._admitted: dict[tuple[bytes | None, ...], tuple[str, tuple[Rectangle, ...]]] = {}
        self._layouts: dict[tuple[bytes | None, ...], pixels.Layout] = {}
        self._required: dict[str, dict[int, bytes]] = {}
        self._marks = marks(policy)
        self._wide_words = not "".join(policy.words).isascii()
        self._rectangles: tuple[Rectangle, ...] = ()
        """What is blanked in the file in hand."""
        self._actions: Counter[tuple[str, str]] = Counter()
        self._known_parts: Counter[Part] = Counter()
        self.taken: dict[Taken, None] = {}

    @property
    def actions(self) -> Counter[tuple[str, str]]:
        """Return how often each (keyword, action) was done."""
        for part, files in self._known_parts.items():
            for pair in part.done:
                self._actions[pair] += files
        self._known_parts.clear()
        return self._actions

    @property
    def kept(self) -> set[str]:
        """Return the free texts that were let through, from closed vocabularies."""
        return self._judging.kept

    @property
    def retained(self) -> set[str]:
        """Return the identifying values that an option of the profile keeps."""
        return self._judging.retained

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
        try:
            cleaned = self._clean(data)
        except BaseException:
            self._judging.refused()
            raise
        self.taken |= self._judging.accepted()
        return cleaned

    def _clean(self, data: bytes) -> Cleaned:
        file = read(data, self._readers)
        family = family_of(file)
        header = self._judging.header(file, family)
        if not header.in_order and len({span[0] for span in file.spans}) != len(file.spans):
            raise damaged("an attribute stands in it twice")
        sop_class = self._admission(file, header)
        pixel_data: list[Any] = []
        done = list(header.alone)
        if family not in PIXELLESS:
            pixel_data, action = self._pixels(header, file)
            done.append(("PixelData", action))
        elif header.pixels:
            raise Refused("unknown pixels", "a document holds pixel data; send the original series")
        outputs = header.outputs
        done += self._completed(outputs, file, header, sop_class)
        done += self._outside(file, data, header.end)
        self._actions.update(done)
        self._known_parts.update(header.known)
        head = meta(sop_class.encode(), outputs[SOP_INSTANCE][8:].rstrip(b"\0"))
        return Cleaned([head, *(outputs[tag] for tag in sorted(outputs)), *pixel_data], sop_class, bool(self._rectangles))

    def _outside(self, file: File, data: bytes, end: int) -> list[tuple[str, str]]:
        """Note what lies outside the data set: file meta information, preamble, bytes behind the end."""
        done = []
        for tag in META_TEXTS:
            if tag in file.meta:
                self._judging.take(texts(label_of(tag), tag, vr_of(tag), file.meta[tag], ()))
        if trailing := file.behind(end):
            done.append(("bytes behind the data set", "X"))
            self._judging.take(texts("bytes behind the data set", 0, "UN", trailing, ()))
        if data[:128].strip(b"\0"):
            done.append(("preamble", "X"))
            self._judging.take(texts("preamble", 0, "OB", data[:128], ()))
        return done

    def _admission(self, file: File, header: Header) -> str:
        """Return the SOP class; what decides is equal in most images, so it is decided once."""
        key = tuple(one.source if (one := header.decisive.get(tag)) else None for tag in ASKED.values())
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
            matrix = {keyword: one for keyword in ("Rows", "Columns") if (one := header.decisive.get(ASKED[keyword]))}
            values |= {keyword: str(int.from_bytes(one.output[8:10], "little")) for keyword, one in matrix.items()}
            admitted = require_clean(values, self._policy.options, self._policy.blank)
            self._admitted[(*key, meta_class)] = admitted
        sop_class, self._rectangles = admitted
        return sop_class

    def _completed(self, outputs: dict[int, bytes], file: File, header: Header, sop_class: str) -> list[tuple[str, str]]:
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
        if sum(len(outputs.get(tag, b"")) > 8 for tag in WINDOW) == 1:
            for tag in WINDOW:
                outputs.pop(tag, None)
        family = FAMILIES[sop_class]
        if self._rectangles:
            outputs[BURNED_IN] = encoded(BURNED_IN, "CS", b"NO")
        if len(outputs.get(BODY_PART, b"")) <= 8 and family in WITH_LATERALITY:
            outputs[LATERALITY] = encoded(LATERALITY, "CS", b"")
        wide = self._wide_words and family in PIXELLESS
        if wide or (
            self._policy.keeps_texts and any(vr_of(t) in UTF8_VRS and not output.isascii() for t, output in outputs.items())
        ):
            outputs[CHARACTER_SET] = encoded(CHARACTER_SET, "CS", b"ISO_IR 192")
        if PATIENT_AGE not in self._policy.rules[family] or PATIENT_AGE in header.decisive:
            return []
        return self._computed_age(outputs, file, header)

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
            self._judging.retained |= set(TITLE)
            return encoded_items([b"".join(encoded_code(*TITLE).values())])
        pseudonym = self._subject.pseudonym
        known = {"PatientName": pseudonym, "PatientID": pseudonym, "SOPClassUID": sop_class, "Modality": modality}
        return (known | FIXED).get(keyword, "").encode()

    def _own_uid(self, file: File) -> bytes:
        named = file.meta.get(0x00020003, b"").decode("latin-1").strip(" \0")
        pixel = next((file.data[s[3] : s[4]] for s in file.spans if s[0] == PIXEL_DATA), b"")
        return replaced_uid(self._subject.secret, named or hashlib.sha256(pixel).hexdigest()).encode()

    def _computed_age(self, outputs: dict[int, bytes], file: File, header: Header) -> list[tuple[str, str]]:
        """Add the age that follows from the birth date, before that goes."""
        raws = [file.reader.value(one.source) if (one := header.decisive.get(tag)) else b"" for tag in (BIRTH_DATE, STUDY_DATE)]
        born, seen = (dicom_date(raw.decode("latin-1")) for raw in raws)
        if born is None or seen is None or seen < born:
            return []
        years = seen.year - born.year - ((seen.month, seen.day) < (born.month, born.day))
        grouped = grouped_age(f"{min(years, 999):03d}Y") or ""
        outputs[PATIENT_AGE] = encoded(PATIENT_AGE, "AS", grouped.encode())
        return [("PatientAge", "C")]

    def _pixels(self, header: Header, file: File) -> tuple[list[Any], str]:
        """Return the element Pixel Data in pieces, uncompressed, and the action."""
        if not header.pixels:
            raise Refused("no pixels", "an image holds no pixel data; ask the site to send it again")
        span = header.pixels[0]
        key = tuple(one.output if (one := header.decisive.get(tag)) else None for tag in pixels.LAYOUT)
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._layouts[key] = pixels.layout_of(key)
        value, changed = self._plain(file, span, layout)
        clean, cut = pixels.cleaned_raw(value, layout, big_endian=file.transfer_syntax == BIG_ENDIAN)
        if len(value) > len(clean) + 1:
            self._judging.take(texts("PixelData", PIXEL_DATA, "OB", bytes(value[len(clean) :]), ()))
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
