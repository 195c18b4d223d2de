"""The few block kinds that a report is built from.

Text is plain: writers escape it, so nothing in a value can become markup.  The only reference inside a text is a
citation, and that stands beside it (:class:`Cited`), never in it.  A tone says how a thing is meant, never its colour:
``positive`` (disease found), ``grey`` (undecided), ``negative`` (no disease found), ``warning``, ``error``, ``neutral``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

TONES = ("positive", "grey", "negative", "warning", "error", "neutral")


@dataclass(frozen=True)
class Badge:
    """A short word in a tone, as in ``assumed`` or ``passed``."""

    text: str
    tone: str = "neutral"
    kind: ClassVar[str] = "badge"


@dataclass(frozen=True)
class Code:
    """Text in a monospaced face: a hash, a key, a parameter."""

    text: str
    kind: ClassVar[str] = "code"


@dataclass(frozen=True)
class Interval:
    """A value with its interval, drawn on a scale from ``minimum`` to ``maximum`` with zones in their tones.

    ``zones`` are (upper end, tone) from low to high; the last one ends at ``maximum``.  ``stretch`` is how many times as
    long as usual the scale is drawn.
    """

    value: float
    low: float
    high: float
    minimum: float
    maximum: float
    zones: tuple[tuple[float, str], ...]
    text: str
    tone: str = "neutral"
    stretch: float = 1.0
    kind: ClassVar[str] = "interval"


@dataclass(frozen=True)
class Shares:
    """Parts of a whole, drawn as one bar, each (share, tone) in order; the shares add up to 1 and ``text`` says them."""

    parts: tuple[tuple[float, str], ...]
    text: str
    kind: ClassVar[str] = "shares"


@dataclass(frozen=True)
class Cited:
    """Text with the numbers of the references that support it."""

    text: str
    numbers: tuple[int, ...]
    kind: ClassVar[str] = "cited"


Cell = str | Badge | Code | Interval | Shares | Cited
"""What a table's cell or a key's value may hold."""


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str
    kind: ClassVar[str] = "heading"


@dataclass(frozen=True)
class Paragraph:
    """One paragraph; ``small`` is for notes below a table or picture."""

    text: str
    small: bool = False
    kind: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Verdict:
    """The answer in one line, one paragraph, and a few facts that stand beside it."""

    tone: str
    label: str
    title: str
    text: str
    facts: tuple[tuple[str, str], ...] = ()
    kind: ClassVar[str] = "verdict"


@dataclass(frozen=True)
class Callout:
    """Sentences that must not be missed."""

    tone: str
    title: str
    sentences: tuple[str, ...]
    kind: ClassVar[str] = "callout"


@dataclass(frozen=True)
class KeyValues:
    """Facts with their names, set in ``columns``."""

    rows: tuple[tuple[str, Cell], ...]
    columns: int = 2
    kind: ClassVar[str] = "keyvalues"


@dataclass(frozen=True)
class Column:
    """A table's column; numbers are set to the right, and ``width`` is its share (0: as wide as its content).

    ``least_em`` keeps a column of sentences readable on a narrow screen, where the table is then scrolled.
    """

    title: str
    number: bool = False
    width: float = 0.0
    least_em: float = 0.0


@dataclass(frozen=True)
class Table:
    """A table whose first column names its rows; ``caption`` says what it shows."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str
    small: bool = False
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Picture:
    """An image by its bytes (PNG, JPEG or SVG), and ``alt``: what it shows, in words for who cannot see it."""

    data: bytes
    alt: str

    @property
    def mime(self) -> str:
        """Return the media type, from the first bytes."""
        if self.data.startswith(b"\xff\xd8"):
            return "image/jpeg"
        return "image/png" if self.data.startswith(b"\x89PNG") else "image/svg+xml"


@dataclass(frozen=True)
class Figure:
    """Pictures side by side in ``columns`` (one below the other on a narrow screen), with one caption.

    ``width`` is the share of the text's width that the figure takes on paper; with ``lead`` the first picture is
    twice as wide as the others, which stand beside it in one column.
    """

    pictures: tuple[Picture, ...]
    caption: str
    columns: int = 1
    width: float = 1.0
    lead: bool = False
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True)
class Methods:
    """The methods text: paragraphs of sentences with the numbers of what they rest on."""

    paragraphs: tuple[tuple[Cited, ...], ...]
    kind: ClassVar[str] = "methods"


@dataclass(frozen=True)
class References:
    """The numbered references."""

    entries: tuple[str, ...]
    kind: ClassVar[str] = "references"


Block = Heading | Paragraph | Verdict | Callout | KeyValues | Table | Figure | Methods | References
"""What a section may hold."""


@dataclass(frozen=True)
class Section:
    """A titled run of blocks; ``new_page`` starts it on a page of its own on paper."""

    title: str
    blocks: tuple[Block, ...]
    new_page: bool = False


@dataclass(frozen=True)
class Report:
    """A whole report: what it is, of which case, and its sections.

    ``statement`` is repeated at the foot of every page: what the report may not be used for.  A report that is not of one
    case has in ``case`` what it is known by, and in ``known_as`` what that is.
    """

    title: str
    subtitle: str
    case: str
    statement: str
    maker: str
    sections: tuple[Section, ...]
    language: str = "en"
    known_as: str = "Case"


class Bibliography:
    """Numbers references in the order in which they are first cited.

    Two references with the same DOI, the same volume, page and year, or the same edition of a guideline, are one; the
    longer text is printed.
    """

    def __init__(self) -> None:
        self.entries: list[str] = []

    def numbers(self, sources: tuple[str, ...]) -> tuple[int, ...]:
        """Return the number of each source, 1 for the first one ever cited."""
        return tuple(sorted({self._number(source) for source in sources}))

    def _number(self, source: str) -> int:
        keys = _identifiers(source)
        for index, entry in enumerate(self.entries):
            if entry == source or keys & _identifiers(entry):
                self.entries[index] = max(entry, source, key=len)
                return index + 1
        self.entries.append(source)
        return len(self.entries)

    def cite(self, text: str, *sources: str) -> Cited:
        """Return ``text`` with the numbers of its ``sources``."""
        return Cited(text, self.numbers(tuple(s for s in sources if s)))

    def references(self) -> References:
        """Return the list to print."""
        return References(tuple(self.entries))


def _identifiers(source: str) -> set[str]:
    """Return what tells a source from others in a reference: DOI, volume:page (year) if only one is named, edition."""
    places = re.findall(r"\d+:\w+ \(\d{4}\)", source)
    editions = re.findall(r"\w+ \w+, Version \d+\.\d{4}", source)
    named = {doi.rstrip(".,)") for doi in re.findall(r"doi:\S+", source)} | set(editions)
    return named | (set(places) if len(places) == 1 else set())


def plain(thing: Any) -> Any:
    """Return a block, cell or section as dictionaries and lists, each with its ``kind``; pictures keep their bytes."""
    if isinstance(thing, tuple | list):
        return [plain(item) for item in thing]
    if isinstance(thing, Picture):
        return {"data": thing.data, "alt": thing.alt, "mime": thing.mime}
    if not hasattr(thing, "__dataclass_fields__"):
        return thing
    fields = {name: plain(getattr(thing, name)) for name in thing.__dataclass_fields__}
    kind = getattr(thing, "kind", None)
    return fields | {"kind": kind} if kind else fields
