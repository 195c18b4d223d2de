"""What each rule makes of a value: the value that gets into the output, or nothing.

A rule takes the value's bytes as they stand in the input and returns bytes for the output.  ``None`` removes the attribute.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from algorithms.dicom.kernel import kernel_name
from algorithms.dicom.privacy import frames
from algorithms.dicom.privacy.charset import decoded
from algorithms.dicom.privacy.dictionary import sop_classes
from algorithms.dicom.privacy.policy import MAKERS, Policy, Rule
from algorithms.dicom.privacy.subject import Subject
from algorithms.dicom.pseudonym import dicom_date, digest, replaced_uid, shifted_date

OLDEST_YEARS = 89
"""Ages above are one group, as the HIPAA Safe Harbor asks (45 CFR 164.514(b)(2)(i)(C))."""

DECIMALS = re.compile(rb"[+-]?(?:\d{1,15}\.?\d{0,20}|\.\d{1,20})(?:[eE][+-]?\d{1,3})?")
INTEGER = re.compile(rb"[+-]?\d{1,11}")
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+/()-]{0,39}")
MODEL_PART = re.compile(r"([A-Za-z]*)(\d{0,3})([A-Za-z]?)")
MODEL_NUMBERS = frozenset({"2007", "7500"})
"""Numbers of more than three digits in names of models: one Siemens Emotion, one Philips Spectral CT."""
UID_TEXT = re.compile(r"[0-9]+(\.[0-9]+){1,31}")
TIME_TEXT = re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?")
WORD = re.compile(r"\w+")

TINY = 1e-9
DIGITS = 6
SHORT_NUMBER = 7
"""Significant digits of a number that is no geometry, and characters of a decimal string that cannot have more."""

MOST_WHOLE = 999_999
"""The largest whole number that stays, whatever a site's bounds are: one with seven digits can be a telephone number."""

LONGEST_DECIMAL = 16
"""Characters of a decimal string (PS3.5 6.2)."""

GEOMETRY_DECIMALS = 6
GEOMETRY_DIGITS = 7
FRACTION = 2**13
SINGLE_DIGITS = 10
"""Decimals, and digits of a number under 1, that geometry may have at will: a nanometre, but no date and no telephone number.
More stay in fractions of this power of two, into which a field of view divides (0.48828125), and in numbers of so many digits
or more that are a single-precision number written out."""

SHORT_LABEL = 4
"""Characters from which a label could be more than a count."""

BINARY = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
"""Numbers in binary: the codes of `struct`."""


class Value(NamedTuple):
    """A value of the input: its VR, its bytes, their order, and the character set of its data set."""

    vr: str
    raw: bytes
    order: str
    terms: tuple[str, ...]

    def __repr__(self) -> str:
        """Return the VR alone; the value may identify somebody."""
        return f"Value({self.vr!r})"

    def text(self) -> str:
        """Return the whole value as text without padding."""
        return decoded(self.raw, self.terms).strip(" \0")


Applied = Callable[[Rule, Value], bytes | None]


class Values:
    """The rules for one patient; ``kept`` collects the free texts that were let through."""

    def __init__(self, policy: Policy, subject: Subject) -> None:
        self._policy = policy
        self._secret, self._days, self._pseudonym = subject.secret, subject.days, subject.pseudonym.encode()
        self.kept: set[str] = set()
        self.retained: set[str] = set()
        """Identifying values that an option keeps: they are no longer taken out, wherever else they stand."""
        self.names: set[str] = set()
        """Parts of names and identifiers, and dates, that were taken out, in lower case: no free text with one is kept."""
        self.people: set[str] = set()
        """Parts of persons' names, however short: no free text with one as a word is kept, and no listed word that is one."""
        self._rules: Mapping[str, Applied] = {
            "number": number, "geometry": number, "codes": codes, "empty": lambda _, __: b"",
            "pseudonym": lambda _, __: self._pseudonym, "uid": self._uid, "uid_kept": self._retaining(uid_kept),
            "sop_class": sop_class, "date": self._date, "date_kept": self._retaining(date_kept),
            "time_kept": self._retaining(time_kept), "age": age, "presence": presence, "maker": maker,
            "kernel": self._kernel, "model": self._model, "text": self._text, "words": self._words,
            "fixed": lambda _, __: None, "in_place": frames.in_place, "frame_type": frames.frame_type,
            "pointer": frames.pointer, "label": self._label, "moment": self._date,
            "short_number": short_number, "moment_kept": self._retaining(frames.moment_kept),
        }  # fmt: skip

    def applied(self, rule: Rule, value: Value) -> bytes | None:
        """Return what the rule makes of the value."""
        output = self._rules[rule.name](rule, value)
        output = output or rule.otherwise or output
        if output and not rule.common and (rule.terms or output == rule.otherwise):
            self.retained.update(output.decode().split("\\"))
        return output

    def _uid(self, _: Rule, value: Value) -> bytes | None:
        text = value.text()
        return replaced_uid(self._secret, text).encode() if text else None

    def _date(self, _: Rule, value: Value) -> bytes:
        shifted = shifted_date(value.raw.decode("latin-1"), self._days)
        return shifted.encode()

    def _label(self, _: Rule, value: Value) -> bytes | None:
        """Return a small number as it is, and a short keyed hash of anything else."""
        text = value.text()
        if not text or (len(text) < SHORT_LABEL and text.isascii() and text.isdigit()):
            return text.encode() or None
        return f"S{digest(self._secret, 'label', text).hex()[:8].upper()}".encode()

    def _kernel(self, _: Rule, value: Value) -> bytes | None:
        name = kernel_name(value.text())
        self.kept |= {name} - {""}
        return name.encode() or None

    def _model(self, _: Rule, value: Value) -> bytes | None:
        text = value.text()
        if not is_model_name(text):
            return None
        self.kept.add(text)
        return text.encode()

    def _text(self, _: Rule, value: Value) -> bytes | None:
        text = value.text()
        folded = text.casefold()
        if not text.isprintable() or any(name in folded for name in self.names):
            return None
        if not self.people.isdisjoint(WORD.findall(folded)):
            return None
        self.retained |= {text} - {""}
        return text.encode()

    def _retaining(self, rule: Applied) -> Applied:
        def applied(of: Rule, value: Value) -> bytes | None:
            output = rule(of, value)
            self.retained |= {output.decode()} if output else set()
            return output

        return applied

    def _words(self, _: Rule, value: Value) -> bytes | None:
        listed = self._policy.words - self.people
        words = [word for word in WORD.findall(value.text()) if word.casefold() in listed]
        self.kept.update(words)
        return " ".join(words)[:64].encode()


@cache
def model_words() -> frozenset[str]:
    """Return the words that makers build model names from, in capitals."""
    lines = Path(__file__).with_name("models.txt").read_text().splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


def is_model_name(text: str) -> bool:
    """Return whether a text is built from makers' words for models, and numbers."""
    if not MODEL_NAME.fullmatch(text):
        return False
    split = [part for part in re.split(r"[ ._+/()-]+", text) if part and part not in MODEL_NUMBERS]
    parts = [MODEL_PART.fullmatch(part) for part in split]
    words = [part.group(1).upper() for part in parts if part and part.group(1)]
    # More than one number could be a date.
    plain = sum(part.isdigit() for part in split)
    return all(parts) and bool(words) and plain <= 1 and all(word in model_words() for word in words)


def number(rule: Rule, value: Value) -> bytes | None:
    """Return numbers within the rule's bounds; those that are no geometry with six digits, as more could be a date."""
    if value.vr in BINARY:
        return _binary(rule, value)
    raw = value.raw.strip(b" \0")
    if not raw:
        return b""
    shape = INTEGER if value.vr == "IS" else DECIMALS
    parts = [part.strip(b" ") for part in raw.split(b"\\")]
    if len(parts) > rule.most:
        return None
    for text in parts:
        # Whoever bounds a decimal number widely still gets six digits of it; a whole one cannot be cut.
        most = MOST_WHOLE if value.vr == "IS" else float("inf")
        if shape.fullmatch(text) is None or not max(rule.low, -most) <= float(text) <= min(rule.high, most):
            return None
    if rule.name == "geometry":
        return b"\\".join(_measured(text) for text in parts)
    longest = LONGEST_DECIMAL if value.vr == "IS" else SHORT_NUMBER
    return b"\\".join(text if len(text) <= longest else _rounded(float(text)) for text in parts)


def _rounded(number: float) -> bytes:
    return f"{number:.{DIGITS}g}".encode()


def _measured(text: bytes) -> bytes:
    """Return a number of geometry: as it was written where its digits are a measurement's, else without those behind them."""
    decimals = text.partition(b".")[2]
    number = float(text)
    plain = len(decimals) <= GEOMETRY_DECIMALS and b"e" not in text.lower()
    if len(text) <= LONGEST_DECIMAL and (plain or (number * FRACTION).is_integer() or _is_single(text, number, len(decimals))):
        return text
    if abs(number) < 1:
        return f"{number:.{GEOMETRY_DIGITS}g}".encode()
    return f"{number:.{GEOMETRY_DECIMALS}f}".rstrip("0").rstrip(".").encode()


def _is_single(text: bytes, number: float, decimals: int) -> bool:
    """Return whether a decimal fraction is, to its last digit, a single-precision number: by chance one in 600 is."""
    digits = text.strip(b"+-").replace(b".", b"").lstrip(b"0")
    single = struct.unpack("f", struct.pack("f", number))[0]
    return digits.isdigit() and len(digits) >= SINGLE_DIGITS and f"{single:.{decimals}f}" == f"{number:.{decimals}f}"


def _binary(rule: Rule, value: Value) -> bytes | None:
    code = BINARY[value.vr]
    count, rest = divmod(len(value.raw), struct.calcsize("<" + code))
    if rest or count > rule.most:
        return None
    numbers = struct.unpack(f"{value.order}{count}{code}", value.raw)
    # Tiny numbers are no measurements, but bytes that spell digits are.
    if not all(rule.low <= one <= rule.high and (one == 0 or abs(one) > TINY) for one in numbers):
        return None
    if code not in "fd" and any(abs(one) > MOST_WHOLE for one in numbers):
        return None
    if code in "fd":
        numbers = tuple(float(_rounded(one)) for one in numbers)
    return struct.pack(f"<{count}{code}", *numbers)


def codes(rule: Rule, value: Value) -> bytes | None:
    """Return those of the values that are on the rule's list."""
    parts = [part.strip(" \0").upper() for part in value.text().split("\\")]
    kept = [part for part in parts if part in rule.terms]
    return "\\".join(kept).encode() if kept or parts == [""] else None


def uid_kept(_: Rule, value: Value) -> bytes | None:
    """Return a UID as it is, if it is one."""
    text = value.text()
    return text.encode() if len(text) <= 64 and UID_TEXT.fullmatch(text) else None


def sop_class(_: Rule, value: Value) -> bytes | None:
    """Return the UID of a SOP class of the standard."""
    text = value.text()
    return text.encode() if text in sop_classes() else None


def short_number(_: Rule, value: Value) -> bytes | None:
    """Return a number of a text that has five digits at most, as those of templates do."""
    text = value.text()
    return text.encode() if len(text) < DIGITS and text.isascii() and text.isdigit() else None


def date_kept(_: Rule, value: Value) -> bytes | None:
    """Return a date as it is, in the standard's spelling."""
    day = dicom_date(value.raw.decode("latin-1"))
    return None if day is None else day.strftime("%Y%m%d").encode()


def time_kept(_: Rule, value: Value) -> bytes | None:
    """Return a time as it is."""
    text = value.text()
    return text.encode() if TIME_TEXT.fullmatch(text) else None


def age(_: Rule, value: Value) -> bytes | None:
    """Return an age, grouped."""
    grouped = grouped_age(value.text())
    return None if grouped is None else grouped.encode()


def presence(_: Rule, value: Value) -> bytes:
    """Return the fact that there was one."""
    return b"CONTRAST AGENT" if value.text() else b""


def maker(_: Rule, value: Value) -> bytes:
    """Return a maker's own name for itself; any other text is emptied."""
    return MAKERS.get(value.text().upper(), "").encode()


def grouped_age(text: str) -> str | None:
    """Return an AS value with all ages above 89 years as ``090Y``; ``None`` where it is no age."""
    found = re.fullmatch(r"([0-9]{3})([DWMY])", text.strip(" \0").upper())
    if not found:
        return None
    days = int(found.group(1)) * {"D": 1.0, "W": 7.0, "M": 30.44, "Y": 365.25}[found.group(2)]
    return "090Y" if days >= (OLDEST_YEARS + 1) * 365.25 else found.group(0)
