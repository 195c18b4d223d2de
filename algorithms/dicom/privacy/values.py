"""What each rule makes of a value: the value that gets into the output, or nothing.

A rule takes the value's bytes as they stand in the input and returns bytes for the output.  ``None`` removes the attribute.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from algorithms.dicom.kernel import kernel_name
from algorithms.dicom.privacy import frames
from algorithms.dicom.privacy.charset import decoded
from algorithms.dicom.privacy.dictionary import sop_classes
from algorithms.dicom.privacy.policy import MAKERS, Policy, Rule
from algorithms.dicom.privacy.subject import Subject
from algorithms.dicom.pseudonym import dicom_date, digest, replaced_uid, shifted_date

OLDEST_YEARS = 89
"""Ages above are one group, as the HIPAA Safe Harbor asks (45 CFR 164.514(b)(2)(i)(C))."""

DECIMALS = re.compile(rb"[+-]?(?:\d{1,15}\.?\d{0,14}|\.\d{1,14})(?:[eE][+-]?\d{1,3})?")
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

LONGEST_DECIMAL = 16
GEOMETRY_DIGITS = 10
"""Characters of a decimal string (PS3.5 6.2), and the digits that fit into them with sign, point and exponent."""

SHORT_LABEL = 4
"""Characters from which a label could be more than a count."""

BINARY = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
"""Numbers in binary: the codes of `struct`."""


@dataclass(frozen=True)
class Value:
    """A value of the input: its VR, its bytes, their order, and the character set of its data set."""

    vr: str
    raw: bytes = field(repr=False)
    order: str
    terms: tuple[str, ...]

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
        """Parts of names and identifiers that were taken out, in lower case: no free text that holds one is kept."""
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
        self.retained |= {text} - {""}
        return text.encode()

    def _retaining(self, rule: Applied) -> Applied:
        def applied(of: Rule, value: Value) -> bytes | None:
            output = rule(of, value)
            self.retained |= {output.decode()} if output else set()
            return output

        return applied

    def _words(self, _: Rule, value: Value) -> bytes | None:
        words = [word for word in WORD.findall(value.text()) if word.casefold() in self._policy.words]
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
        if shape.fullmatch(text) is None or not rule.low <= float(text) <= rule.high:
            return None
    longest = LONGEST_DECIMAL if rule.name == "geometry" or value.vr == "IS" else SHORT_NUMBER
    digits = GEOMETRY_DIGITS if rule.name == "geometry" else DIGITS
    return b"\\".join(text if len(text) <= longest else _rounded(float(text), digits) for text in parts)


def _rounded(number: float, digits: int = DIGITS) -> bytes:
    return f"{number:.{digits}g}".encode()


def _binary(rule: Rule, value: Value) -> bytes | None:
    code = BINARY[value.vr]
    count, rest = divmod(len(value.raw), struct.calcsize("<" + code))
    if rest or count > rule.most:
        return None
    numbers = struct.unpack(f"{value.order}{count}{code}", value.raw)
    # Tiny numbers are no measurements, but bytes that spell digits are.
    if not all(rule.low <= one <= rule.high and (one == 0 or abs(one) > TINY) for one in numbers):
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
