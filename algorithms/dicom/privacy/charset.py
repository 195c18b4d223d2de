"""Texts of a DICOM data set, whatever character set they are coded in (PS3.3 C.12.1.1.2, PS3.5 6.1).

Texts are decoded as a whole before they are split into values: in GB18030, GBK and ISO 2022 a backslash or a caret may be half
of a character.
"""

from __future__ import annotations

import re

SINGLE = {
    "": "latin-1", "ISO_IR 6": "latin-1", "ISO 2022 IR 6": "latin-1",
    "ISO_IR 100": "latin-1", "ISO 2022 IR 100": "latin-1", "ISO_IR 101": "iso8859_2", "ISO 2022 IR 101": "iso8859_2",
    "ISO_IR 109": "iso8859_3", "ISO 2022 IR 109": "iso8859_3", "ISO_IR 110": "iso8859_4", "ISO 2022 IR 110": "iso8859_4",
    "ISO_IR 144": "iso8859_5", "ISO 2022 IR 144": "iso8859_5", "ISO_IR 127": "iso8859_6", "ISO 2022 IR 127": "iso8859_6",
    "ISO_IR 126": "iso8859_7", "ISO 2022 IR 126": "iso8859_7", "ISO_IR 138": "iso8859_8", "ISO 2022 IR 138": "iso8859_8",
    "ISO_IR 148": "iso8859_9", "ISO 2022 IR 148": "iso8859_9", "ISO_IR 203": "iso8859_15", "ISO 2022 IR 203": "iso8859_15",
    "ISO_IR 13": "shift_jis", "ISO 2022 IR 13": "shift_jis", "ISO_IR 166": "tis_620", "ISO 2022 IR 166": "tis_620",
    "ISO_IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk",
    "ISO 2022 IR 87": "latin-1", "ISO 2022 IR 159": "latin-1", "ISO 2022 IR 149": "euc_kr", "ISO 2022 IR 58": "gb2312",
}  # fmt: skip
"""Python's codec for each defined term, without code extensions."""

ENCODINGS = ("utf-8", "latin-1", "iso8859_2", "iso8859_3", "iso8859_4", "iso8859_5", "iso8859_6", "iso8859_7", "iso8859_8",
             "iso8859_9", "iso8859_15", "tis_620", "shift_jis", "euc_jp", "iso2022_jp", "iso2022_jp_2", "euc_kr", "gb2312",
             "gbk", "gb18030")  # fmt: skip
"""Every encoding that a DICOM text may have, and the Japanese one of files that break the rules."""

G0 = {b"(B": "ascii", b"(J": "shift_jis", b"$B": "jis", b"$@": "jis", b"$(D": "jis_x0212"}
G1 = {b")I": "shift_jis", b"$)C": "euc_kr", b"$)A": "gb2312", b"-A": "latin-1", b"-B": "iso8859_2", b"-C": "iso8859_3",
      b"-D": "iso8859_4", b"-L": "iso8859_5", b"-G": "iso8859_6", b"-F": "iso8859_7", b"-H": "iso8859_8", b"-M": "iso8859_9",
      b"-b": "iso8859_15", b"-T": "tis_620"}  # fmt: skip
"""Escape sequences (without ESC) of PS3.3 tables C.12-3 and C.12-4: what the lower and the upper half of the bytes become."""

ESCAPE = re.compile(rb"\x1b(\$\([A-Z]|\$\)[A-Z]|\$[A-Z@]|[()\-][A-Za-z])")


def decoded(value: bytes, terms: tuple[str, ...]) -> str:
    """Return a text; a byte that its character set does not know becomes U+FFFD.

    Parameters
    ----------
    value
        As it stands in the file.
    terms
        Values of SpecificCharacterSet; empty where the file has none.
    """
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    first = SINGLE.get(terms[0] if terms else "", "latin-1")
    if b"\x1b" in value:
        return _extended(value, first)
    if not terms and first == "latin-1":
        # Many devices write UTF-8 and do not say so.
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            pass
    codec = first
    if len(terms) > 1 and first == "latin-1":  # code extensions without an escape: the other set is in the upper half
        codec = next((SINGLE[t] for t in terms[1:] if SINGLE.get(t, "latin-1") != "latin-1"), first)
    return value.decode(codec, "replace")


def _extended(value: bytes, first: str) -> str:
    lower, upper, parts, at = "ascii", first, [], 0
    for escape in [*ESCAPE.finditer(value), None]:
        stop = escape.start() if escape else len(value)
        parts.append(_piece(value[at:stop], lower, upper))
        if escape:
            code = escape.group(1)
            lower, upper = G0.get(code, lower), G1.get(code, upper)
            at = escape.end()
    return "".join(parts)


def _piece(piece: bytes, lower: str, upper: str) -> str:
    if lower == "jis":
        return (b"\x1b$B" + piece + b"\x1b(B").decode("iso2022_jp", "replace")
    if lower == "jis_x0212":
        return (b"\x1b$(D" + piece + b"\x1b(B").decode("iso2022_jp_2", "replace")
    return piece.decode(upper, "replace")
