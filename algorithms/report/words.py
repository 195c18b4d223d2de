"""How fields, numbers and messages are written for a reader."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Vocabulary:
    """A diagnostic's own field names: endings that are units, and how the parts of a name are written."""

    units: tuple[str, ...]
    abbreviations: Mapping[str, str]

    def name(self, field: str) -> str:
        """Return a field's name for a reader, without its unit: ``aortic_pressure_mmhg`` is ``Aortic pressure``."""
        for unit in self.units:
            field = field.removesuffix(unit)
        parts = [self.abbreviations.get(part, part) for part in field.replace("_", " ").split()]
        text = " ".join(parts)
        return text[:1].upper() + text[1:]


def shown(value: Any) -> str:
    """Return a value for a reader: short numbers, powers of ten where they must be, lists with signs between."""
    if isinstance(value, list):
        return " × ".join(shown(v) for v in value)
    if isinstance(value, bool | str) or value is None:
        return str(value)
    if isinstance(value, int):
        return str(value).replace("-", "−")
    if value and not 1e-3 <= abs(value) < 1e6:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa} × 10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    return f"{value:.4g}".replace("-", "−")


def with_unit(value: Any, unit: str) -> str:
    """Return a value with its unit; a relative one as per cent."""
    if unit == "relative" and isinstance(value, float):
        return f"{100 * value:.3g} %"
    return shown(value) if unit in {"", "1"} else f"{shown(value)} {typeset(unit)}"


def typeset(text: str) -> str:
    """Return a text with the signs of print for units that programs write in plain letters: ``um``, ``mm2``, ``m3``."""
    return re.sub(r"\bum\b", "µm", re.sub(r"m([23])\b", lambda m: "m" + {"2": "²", "3": "³"}[m[1]], text))


def limit(text: str) -> str:
    """Return a check's limit with the signs of mathematics: ``<= 1e-09`` is ``≤ 10⁻⁹``."""
    text = re.sub(r"(?<![\w.])-(?=\d)", "−", text.replace("<=", "≤").replace(">=", "≥").replace("== ", ""))
    return re.sub(r"\b1e(-?\d+)", lambda m: "10" + str(int(m[1])).translate(SUPERSCRIPTS), text)


def shared_out(parts: Sequence[float], whole: int) -> list[int]:
    """Return whole numbers in the proportion of ``parts`` (>= 0, not all 0) that add up to ``whole``.

    Each part is rounded down, and what is left over goes to the largest remainders, of equal ones to the first: per cents
    that are rounded each for itself may add up to 99 or 101.
    """
    shares = [whole * part / sum(parts) for part in parts]
    rounded = [int(share + 1e-9) for share in shares]  # 0.3 of 1000 must not become 299
    order = sorted(range(len(parts)), key=lambda i: rounded[i] - shares[i])
    for i in order[: whole - sum(rounded)]:
        rounded[i] += 1
    return rounded


def sentence(message: str) -> str:
    """Return an error's message (lower case, no full stop, plain letters for units) as a sentence."""
    text = typeset(message.strip())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
