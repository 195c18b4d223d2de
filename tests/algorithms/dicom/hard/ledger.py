"""Unique values that are planted in the hard set, and the record of where each one was put.

No value is part of another one and none is a word of any language, so that finding one is finding a leak.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta

SYLLABLES = [consonant + vowel for consonant in "bdfgjkmpqvwxz" for vowel in "aeiou"]
PRIME = 48_271_813_909
"""Multiplying by it, modulo a number that it does not share a factor with, scatters a count without ever repeating."""

UID_ROOT = "1.2.826.0.1.3680043.9.7301"

MOVED_YEAR = 2020
"""Dates that may be moved and kept lie in this year: moved back by 366 days or more, none becomes another one of them."""


@dataclass(frozen=True)
class Planted:
    """One value: ``kind`` is word, text (of another script), number, date, time or uid; ``coding`` is that of a text."""

    value: str
    kind: str
    where: str
    coding: str = "ascii"


@dataclass
class Ledger:
    """Mints values; ``planted`` holds all of them in order."""

    planted: list[Planted] = field(default_factory=list)
    _counts: Counter[str] = field(default_factory=Counter)
    _moved: dict[str, str] = field(default_factory=dict)

    def word(self, where: str) -> str:
        """Return twelve letters, the first one a capital, which could be a name."""
        number, letters = self._scattered("word", 65**5), ""
        for _ in range(5):
            number, syllable = divmod(number, 65)
            letters += SYLLABLES[syllable]
        return self._noted(f"Q{letters}x", "word", where)

    def number(self, where: str) -> str:
        """Return twelve digits, as a registration number may have."""
        return self._noted(f"7{self._scattered('number', 10**10):010d}3", "number", where)

    def uid(self, where: str) -> str:
        """Return a valid UID with twelve digits of its own at its end."""
        return self._noted(f"{UID_ROOT}.8{self._scattered('uid', 10**10):010d}9", "uid", where)

    def date(self, where: str) -> str:
        """Return a day of 1921 to 1998 as ``YYYYMMDD``."""
        day = date(1921, 1, 2) + timedelta(days=self._scattered("date", 28_441))
        return self._noted(f"{day:%Y%m%d}", "date", where)

    def moved_date(self, where: str) -> str:
        """Return a day of ``MOVED_YEAR``, always the same for one ``where``."""
        if where not in self._moved:
            day = date(MOVED_YEAR, 1, 3) + timedelta(days=len(self._moved))
            assert day.year == MOVED_YEAR
            self._moved[where] = self._noted(f"{day:%Y%m%d}", "date", where)
        return self._moved[where]

    def time(self, where: str) -> str:
        """Return a time of day as ``HHMMSS.FFFFFF``."""
        second, fraction = self._counts["time"] * 7919 % 86400, self._scattered("time", 999_983)
        if 41460 <= second < 41520:  # 11:31 reads like the codes 113100 to 113112 of de-identification (CID 7050)
            second += 3600
        return self._noted(f"{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}.{fraction:06d}", "time", where)

    def text(self, value: str, where: str, coding: str) -> str:
        """Note a value in another script; ``coding`` is the codec of Python that it was written with."""
        return self._noted(value, "text", where, coding)

    def _noted(self, value: str, kind: str, where: str, coding: str = "ascii") -> str:
        self.planted.append(Planted(value, kind, where, coding))
        return value

    def _scattered(self, kind: str, modulus: int) -> int:
        self._counts[kind] += 1
        assert self._counts[kind] < modulus
        return self._counts[kind] * PRIME % modulus
