"""Texts in every character set, beside pydicom's reading of them and the examples of the standard."""

from __future__ import annotations

import pytest
from pydicom.charset import convert_encodings, decode_bytes, encode_string

from algorithms.dicom.privacy.charset import decoded


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        pytest.param(("ISO_IR 100",), "Äneas^Rüdiger", id="latin-1"),
        pytest.param(("ISO_IR 101",), "Wałęsa^Łukasz", id="latin-2"),
        pytest.param(("ISO_IR 144",), "Люкceмбypг", id="cyrillic"),
        pytest.param(("ISO_IR 126",), "Διονυσιος", id="greek"),
        pytest.param(("ISO_IR 127",), "قباني^لنزار", id="arabic"),
        pytest.param(("ISO_IR 138",), "שרון^דבורה", id="hebrew"),
        pytest.param(("ISO_IR 148",), "Çavuşoğlu", id="turkish"),
        pytest.param(("ISO_IR 166",), "สมชาย", id="thai"),
        pytest.param(("ISO_IR 192",), "Wang^XiaoDong=王^小東", id="utf-8"),
        pytest.param(("GB18030",), "王^小东", id="gb18030"),
        pytest.param(("GBK",), "王^小东", id="gbk"),
        pytest.param(("", "ISO 2022 IR 87"), "Yamada^Tarou=山田^太郎=やまだ^たろう", id="IR 87"),
        pytest.param(("ISO 2022 IR 100", "ISO 2022 IR 144"), "Дюк", id="IR 144 by escape"),
    ],
)
def test_a_text_is_read_as_pydicom_reads_it(terms, text):
    """Encoded by pydicom, then decoded by both."""
    codecs = convert_encodings(list(terms))
    raw = encode_string(text, codecs)

    assert decode_bytes(raw, codecs, {0x5C, 0x5E, 0x3D}) == text
    assert decoded(raw, terms) == text


def test_the_standards_japanese_example():
    """PS3.5 H.3.1, byte for byte: ISO 2022 escapes switch between ASCII and JIS X 0208."""
    raw = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"

    assert decoded(raw, ("", "ISO 2022 IR 87")) == "Yamada^Tarou=山田^太郎=やまだ^たろう"


@pytest.mark.parametrize(
    ("terms", "raw", "text"),
    [
        pytest.param(
            ("", "ISO 2022 IR 149"),
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            "Hong^Gildong=洪^吉洞=홍^길동",
            id="korean, I.2",
        ),
        pytest.param(
            ("", "ISO 2022 IR 58"),
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
            "Zhang^XiaoDong=张^小东=",
            id="chinese, K.2",
        ),
        pytest.param(
            ("ISO 2022 IR 13", "ISO 2022 IR 87"),
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
            id="katakana, H.3.2",
        ),
    ],
)
def test_the_standards_other_examples(terms, raw, text):
    """PS3.5 annexes H to K, byte for byte; pydicom decodes these, but does not encode them back."""
    assert decoded(raw, terms) == text


def test_a_backslash_within_a_character_is_no_separator():
    """The second byte of 表 in Shift JIS and of 乗 in GBK is 0x5C."""
    assert decoded("表^乗".encode("shift_jis"), ("ISO_IR 13",)) == "表^乗"
    assert decoded("昞".encode("gbk"), ("GBK",)) == "昞"


def test_utf_8_that_nobody_declared_is_read_as_such():
    """Many devices write it; other bytes are Latin-1."""
    assert decoded("Müller".encode(), ()) == "Müller"
    assert decoded("Müller".encode("latin-1"), ()) == "Müller"
