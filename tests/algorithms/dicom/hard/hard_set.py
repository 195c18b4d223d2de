"""The hard set: a folder of files in which identifying values are planted wherever one can be, and what must become of each.

Everything is made here from nothing and is the same every time.  The files lie in folders and have names that identify too.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tests.algorithms.dicom.hard import attacks, codestreams, scripts, table
from tests.algorithms.dicom.hard.elements import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    Element,
    as_un,
    element,
    encapsulated,
    even,
    fragments,
    nested,
    part10,
    with_value,
    written,
)
from tests.algorithms.dicom.hard.examination import CT_IMAGE, NAMING, Study, image, meta, patient, pixels, study
from tests.algorithms.dicom.hard.hostile import hostile
from tests.algorithms.dicom.hard.ledger import Ledger, Planted
from tests.algorithms.dicom.hard.places import KNOWN_SEQUENCES, PIXEL_DATA, PLACES, PRIVATE, REFUSABLE, UNKNOWN_SEQUENCES
from tests.algorithms.dicom.hard.refused import refused

CLEAN, REFUSED, EITHER = "clean", "refused", "either"
"""What must become of a file: a clean image, nothing but a line with the reason, or one of the two."""


@dataclass(frozen=True)
class HardFile:
    """One file: ``number`` is its InstanceNumber, by which it is known again; ``pixels`` are what must be in its output."""

    name: str
    content: bytes
    what: str
    expected: str
    number: int = 0
    pixels: np.ndarray | None = None
    study: Study | None = None


@dataclass
class HardSet:
    """The files, and every value that is planted in them or in their names."""

    ledger: Ledger = field(default_factory=Ledger)
    files: list[HardFile] = field(default_factory=list)

    @property
    def planted(self) -> list[Planted]:
        """Every planted value."""
        return self.ledger.planted

    def write(self, folder: Path) -> Path:
        """Write the files, a link and a pipe below ``folder`` and return it."""
        for file in self.files:
            path = folder / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)
        (folder / "link").symlink_to("/etc/hostname")
        (folder / "link to nothing").symlink_to("nowhere")
        (folder / "link to above").symlink_to("..")
        os.mkfifo(folder / "pipe")
        return folder


@dataclass
class _Maker:
    """Numbers the files; each case has a patient of its own, so that what is wrong with one file touches no other."""

    made: HardSet = field(default_factory=HardSet)
    number: int = 0

    def case(self, what: str) -> tuple[Study, list[Element]]:
        """Return a study of a new patient and the elements of its only image."""
        ledger = self.made.ledger
        of = study(ledger, patient(ledger, what), what)
        return of, self.next(of)

    def next(self, of: Study) -> list[Element]:
        """Return the elements of the next image of a study."""
        self.number += 1
        return image(self.made.ledger, of, self.number)

    def add(self, what: str, of: Study, elements: list[Element], *, syntax: str = EXPLICIT, expected: str = CLEAN,
            decoded: np.ndarray | None = None, more_meta: tuple[Element, ...] = (), **ends: bytes) -> None:  # fmt: skip
        """Add the file of the number that was given last; ``decoded`` are its pixels where they are not the plain ones."""
        ledger = self.made.ledger
        kept = {one.tag: one for one in elements}
        replaced = [one for one in image(ledger, of, self.number) if one.tag in NAMING and kept.get(one.tag) != one]
        if replaced:  # what a change took away lies where editing software keeps it
            elements = [*elements, element(0x00B90010, "LO", "ORIGINAL VALUES"), nested(replaced, [0x00B91010])]
        encoding = syntax if syntax in {IMPLICIT, BIG} else EXPLICIT
        content = part10(written(elements, encoding), syntax, [*meta(ledger, elements), *more_meta], **ends)
        self.add_bytes(what, content, expected, pixels(self.number) if decoded is None else decoded, of)

    def add_bytes(
        self, what: str, content: bytes, expected: str, picture: np.ndarray | None = None, of: Study | None = None
    ) -> None:
        """Add a file under a name that identifies, some in a folder that does."""
        files = self.made.files
        folder = self.made.ledger.word("name of a folder") if len(files) % 8 == 0 else f"{len(files) // 40:02d}"
        name = f"{folder}/{self.made.ledger.word('name of a file')} {len(files)}.dcm"
        files.append(HardFile(name, content, what, expected, self.number if of else 0, picture, of))


def hard_set() -> HardSet:
    """Return the whole set, the same every time."""
    maker = _Maker()
    ledger = maker.made.ledger
    _plain(maker)
    _tables(maker)
    for name, change in PLACES.items():
        of, elements = maker.case(name)
        maker.add(name, of, change(ledger, elements), expected=EITHER if name in REFUSABLE else CLEAN)
    _ends(maker)
    _syntaxes(maker)
    for script in scripts.SCRIPTS:
        of, elements = maker.case(f"texts in {script.term}")
        maker.add(f"texts in {script.term}", of, scripts.in_script(ledger, elements, script))
    for texts in (scripts.in_another_set, scripts.with_spelt_dates):
        of, elements = maker.case(texts.__name__.replace("_", " "))
        maker.add(texts.__name__.replace("_", " "), of, texts(ledger, elements))
    _attacks(maker)
    of, elements = maker.case("refused objects")
    maker.add("sound image beside refused ones", of, elements)
    for name, changed in refused(ledger, elements):
        maker.add(name, of, _renumbered(changed, maker.next(of)), expected=REFUSED)
    of, elements = maker.case("hostile files")
    maker.add("sound image beside hostile ones", of, elements)
    for name, content in hostile(ledger, elements, meta(ledger, elements)):
        maker.add_bytes(name, content, EITHER)
    directory = with_value(meta(ledger, elements), element(0x00020002, "UI", "1.2.840.10008.1.3.10"))
    record = [element(0x00041430, "CS", "PATIENT"), element(0x00100010, "PN", ledger.word("DICOMDIR"))]
    content = part10(written([element(0x00041130, "CS", "DISC"), element(0x00041220, "SQ", [record])]), EXPLICIT, directory)
    maker.made.files.append(HardFile("DICOMDIR", content, "directory of a disc", EITHER))
    return maker.made


def _renumbered(elements: list[Element], plain: list[Element]) -> list[Element]:
    """Return the elements with the number, the UID and the position of another image."""
    return with_value(elements, *(one for one in plain if one.tag in {0x00080018, 0x00200013, 0x00200032}))


def _plain(maker: _Maker) -> None:
    """Images of four studies of three patients, mixed; each study refers to the images of the others of its patient."""
    ledger = maker.made.ledger
    first = patient(ledger, "the first patient")
    studies = [
        study(ledger, first, "the first study"),
        study(ledger, first, "the second study"),
        study(
            ledger, patient(ledger, "the old patient", sex="M", age="094Y", size_m="1.825", weight_kg="91"), "the third study"
        ),
        study(
            ledger,
            patient(ledger, "the small patient", sex="O", age="011M", size_m="0.74", weight_kg="9.25"),
            "the fourth study",
        ),
    ]
    for _ in range(3):
        for one in studies:
            elements = maker.next(one)
            known = [uid for other in studies if other.patient == one.patient for uid in other.image_uids.values()]
            items = [[element(0x00081150, "UI", CT_IMAGE), element(0x00081155, "UI", uid)] for uid in known]
            seen = [element(0x00081150, "UI", "1.2.840.10008.3.1.2.3.1"), element(0x00081155, "UI", one.uid)]
            references = element(0x00081140, "SQ", items), element(0x00081110, "SQ", [seen])
            maker.add("plain image", one, with_value(elements, *references))


def _tables(maker: _Maker) -> None:
    ledger = maker.made.ledger
    for syntax, name in ((EXPLICIT, "explicit"), (IMPLICIT, "implicit"), (BIG, "big endian"), (DEFLATED, "deflated")):
        what = f"table, own VRs, {name}"
        of, elements = maker.case(what)
        maker.add(what, of, with_value(elements, *table.every_attribute(ledger, where=f"{name}: ")), syntax=syntax)
    for vr in table.WRONG_VRS:
        of, elements = maker.case(f"table, as {vr}")
        maker.add(f"table, as {vr}", of, with_value(elements, *table.every_attribute(ledger, vr=vr)))
    for what, tags, vr, undefined, syntax in (
        ("in known sequences", KNOWN_SEQUENCES, "SQ", False, EXPLICIT),
        ("in known sequences, big endian", KNOWN_SEQUENCES, "SQ", False, BIG),
        ("in known sequences, implicit", KNOWN_SEQUENCES, "SQ", True, IMPLICIT),
        ("in open sequences", KNOWN_SEQUENCES, "SQ", True, EXPLICIT),
        ("in unknown sequences", UNKNOWN_SEQUENCES, "SQ", False, EXPLICIT),
        ("in unknown sequences, implicit", UNKNOWN_SEQUENCES, "SQ", False, IMPLICIT),
        ("in private sequences", (PRIVATE, 0x00081140, 0x00091020), "SQ", False, EXPLICIT),
        ("in sequences coded UN", KNOWN_SEQUENCES, "UN", False, EXPLICIT),
        ("in open sequences coded UN", KNOWN_SEQUENCES, "UN", True, EXPLICIT),
        ("in a kept sequence", (0x00081140,), "SQ", False, EXPLICIT),
        ("in codes of kept references", (0x00081140, 0x0040A170, 0x00080121), "SQ", False, EXPLICIT),
    ):  # fmt: skip
        of, elements = maker.case(f"table, {what}")
        deep = table.deep(ledger, tags, vr=vr, open=undefined, where=what)
        maker.add(f"table, {what}", of, [*elements, deep], syntax=syntax)
    for syntax, name in ((EXPLICIT, "explicit"), (IMPLICIT, "implicit")):
        of, elements = maker.case(f"whole dictionary, {name}")
        maker.add(f"whole dictionary, {name}", of, table.whole_dictionary(ledger, elements), syntax=syntax)
    of, elements = maker.case("groups of no data set")
    maker.add("groups of no data set", of, [*elements, *table.outside_data_sets(ledger)], expected=EITHER)
    for tag in sorted(table.TOP_ONLY):
        of, elements = maker.case(f"{tag:08x} as UT")
        wrong = element(tag, "UT", ledger.word(f"{tag:08x} as UT"))
        maker.add(f"{tag:08x} as UT", of, with_value(elements, wrong), expected=EITHER)


def _ends(maker: _Maker) -> None:
    """Texts before, behind and around the data set."""
    ledger = maker.made.ledger
    of, elements = maker.case("preamble")
    maker.add("preamble", of, elements, preamble=f"II*\0 {ledger.word('preamble')}".encode())
    of, elements = maker.case("file meta information")
    more = (
        element(0x00020017, "AE", ledger.word("meta, sender")), element(0x00020018, "AE", ledger.word("meta, receiver")),
        element(0x00020026, "UR", ledger.word("meta, address")), element(0x00020099, "LO", ledger.word("meta, unknown")),
        element(0x00020100, "UI", ledger.uid("meta, private creator")),
        element(0x00020102, "OB", ledger.word("meta, private information").encode()),
    )  # fmt: skip
    maker.add("file meta information", of, elements, more_meta=more)
    tails = {
        "a text": ledger.word("behind the data set, text").encode(),
        "an element": written([element(0xFFFCFFFC, "OB", ledger.word("behind the data set, padding"))]),
        "a name": written([element(0x00100010, "PN", ledger.word("behind the data set, name"))]),
        "a whole file": part10(written([element(0x00100010, "PN", ledger.word("a file behind the file"))]), EXPLICIT, []),
    }
    for name, tail in tails.items():
        of, elements = maker.case(f"behind the data set: {name}")
        # Bytes that are an element out of order, or none at all, are reason enough to refuse the file, but not its neighbours.
        maker.add(f"behind the data set: {name}", of, elements, behind=even(tail), expected=EITHER)
        maker.add(f"sound image beside one with {name} behind it", of, maker.next(of))
    of, elements = maker.case("behind a deflated data set")
    # The bytes after the end of the deflated stream belong to nothing.
    maker.add("behind a deflated data set", of, elements, syntax=DEFLATED, behind=ledger.word("behind the deflated").encode(),
              expected=EITHER)  # fmt: skip
    of, elements = maker.case("signatures behind the pixels")
    late = nested([element(0x00100010, "PN", ledger.word("in an item behind the pixels"))], [0xFFFAFFFA])
    maker.add("signatures behind the pixels", of, [*elements, late])


def _syntaxes(maker: _Maker) -> None:
    """Each transfer syntax, with texts in the codestream where it has room for them."""
    ledger = maker.made.ledger
    for syntax in (IMPLICIT, BIG, DEFLATED):
        what = f"transfer syntax {syntax}"
        of, elements = maker.case(what)
        maker.add(what, of, with_value(elements, element(0x00204000, "LT", ledger.word(f"comments, {what}"))), syntax=syntax)
    for codec in ("4.50", "4.70", "4.80", "4.90", "5"):
        syntax = f"1.2.840.10008.1.2.{codec}"
        for variant in ("plain", "texts", "two fragments"):
            what = f"transfer syntax {syntax}, {variant}"
            of, elements = maker.case(what)
            stream, picture, change = _compressed(ledger, maker.number, syntax, texts=variant == "texts")
            frames = [stream]
            if variant == "two fragments" and syntax != codestreams.RLE:  # PS3.5 G.2: one fragment a frame
                half = len(stream) // 4 * 2
                frames = [stream[:half], stream[half:]]
            change.append(encapsulated(fragments(frames)))
            maker.add(what, of, with_value(elements, *change), syntax=syntax, decoded=picture)
    syntax = codestreams.JPEG_LS
    for what in ("texts in the offset table", "extended offset table", "a fragment that is a text"):
        of, elements = maker.case(what)
        stream, picture, change = _compressed(ledger, maker.number, syntax, texts=False)
        expected, offsets, frames = EITHER, b"", [stream]
        if what == "texts in the offset table":
            offsets = ledger.word(what).encode()
        elif what == "a fragment that is a text":
            frames.append(ledger.word(what).encode())
        else:
            expected = CLEAN
            change += [element(0x7FE00001, "OV", b"\0" * 8), element(0x7FE00002, "OV", len(even(stream)).to_bytes(8, "little"))]
        change.append(encapsulated(fragments(frames, offsets)))
        maker.add(what, of, with_value(elements, *change), syntax=syntax, decoded=picture, expected=expected)


def _attacks(maker: _Maker) -> None:
    """What keeps to the rules, or nearly so."""
    ledger = maker.made.ledger
    for name, change in attacks.PLACES.items():
        of, elements = maker.case(name)
        maker.add(name, of, change(ledger, elements))
    streams = list(attacks.cunning_codestreams(ledger, maker.number))
    for name, syntax, stream, picture in streams:
        of, elements = maker.case(name)
        maker.add(name, of, attacks.with_codestream(elements, stream), syntax=syntax, decoded=picture, expected=EITHER)
    for name, changed, picture in list(attacks.odd_pixels(ledger, maker.number)):
        of, elements = maker.case(name)
        maker.add(name, of, with_value(elements, *changed), decoded=picture, expected=EITHER)
    for name, ordinary in attacks.ordinary_words():
        of, elements = maker.case(name)
        maker.add(name, of, with_value(elements, ordinary))
    for name, broken in attacks.odd_structures(ledger):
        of, elements = maker.case(name)
        maker.add(name, of, with_value(elements, broken), expected=EITHER)
    of, elements = maker.case("everything coded UN")
    maker.add("everything coded UN", of, [as_un(one) for one in elements], expected=EITHER)
    what = "value behind the transfer syntax"
    of, elements = maker.case(what)
    content = part10(written(elements), f"{EXPLICIT}\0{ledger.word(what)}", meta(ledger, elements))
    maker.add_bytes(what, content, EITHER, pixels(maker.number), of)
    _frames(maker)
    of, elements = maker.case("the same image twice")
    maker.add("an image that is sent twice", of, elements)
    first = maker.made.files[-1]
    maker.made.files.append(replace(first, name=f"again/{ledger.word('name of the copy')}", number=0, expected=EITHER))
    other = element(PIXEL_DATA, "OW", pixels(0).astype("<u2").tobytes()), element(0x00200013, "IS", "9001")
    content = part10(written(with_value(elements, *other)), EXPLICIT, meta(ledger, elements))
    maker.add_bytes("another image of the same UID", content, EITHER)


def _frames(maker: _Maker) -> None:
    """Two frames in one image, compressed, a comment in each."""
    ledger = maker.made.ledger
    what = "two frames with comments"
    of, elements = maker.case(what)
    picture = np.stack([pixels(maker.number), pixels(maker.number + 1)])
    frames = [
        codestreams.with_segments(codestreams.jpeg_ls(frame), (0xFE, ledger.word(f"{what}, {number}").encode()))
        for number, frame in enumerate(picture)
    ]
    offsets = struct.pack("<2L", 0, 8 + len(even(frames[0])))
    changes = element(0x00280008, "IS", "2"), encapsulated(fragments(frames, offsets))
    maker.add(what, of, with_value(elements, *changes), syntax=codestreams.JPEG_LS, decoded=picture, expected=EITHER)


def _compressed(ledger: Ledger, number: int, syntax: str, *, texts: bool) -> tuple[bytes, np.ndarray, list[Element]]:
    """Return codestream, decoded picture, and the elements that say how its pixels are stored."""
    picture = pixels(number)
    room = {codestreams.RLE: 1, codestreams.JPEG_2000: 3}.get(syntax, 5)
    words = [ledger.word(f"codestream of {syntax}, {place}").encode() for place in range(room if texts else 0)]
    change: list[Element] = []
    if syntax == codestreams.RLE:
        return codestreams.run_length(picture, words[0] if words else b""), picture, change
    if syntax == codestreams.JPEG_2000:
        stream = codestreams.jpeg_2000(picture, 12)
        if words:
            stream = codestreams.with_comment_2000(codestreams.with_comment_2000(stream, words[0]), words[1]) + words[2]
        return stream, picture, change
    if syntax == codestreams.JPEG_BASELINE:
        stream = codestreams.baseline_jpeg(picture >> 4)
        change = [element(0x00280100, "US", 8), element(0x00280101, "US", 8), element(0x00280102, "US", 7),
                  element(0x00282110, "CS", "01")]  # fmt: skip
    elif syntax == codestreams.JPEG_LS:
        stream = codestreams.jpeg_ls(picture)
    else:
        stream = codestreams.lossless_jpeg(picture)
    if words:
        stream = codestreams.with_segments(
            stream, (0xFE, words[0]), (0xE0, b"JFIF\0" + words[1]), (0xE1, b"Exif\0\0" + words[2]), (0xEF, words[3])
        )
        stream += words[4]
    if syntax == codestreams.JPEG_BASELINE:
        picture = codestreams.baseline_jpeg_decoded(stream)
    return stream, picture, change


def named(files: Iterable[HardFile], expected: str) -> list[HardFile]:
    """Return the files that must become ``expected``."""
    return [file for file in files if file.expected == expected]
