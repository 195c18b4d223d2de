"""The small drawings in a table: an interval (zones, a bar, a dot at the value) and shares of a whole.  SVG without text."""

from __future__ import annotations

from algorithms.report.blocks import Interval, Shares
from algorithms.report.palette import INK, TONES

WIDTH, HEIGHT = 120.0, 16.0


def interval_svg(interval: Interval) -> str:
    """Return ``interval`` as an SVG element of 120 by 16 units, longer if stretched; a value beyond the scale is at its end."""
    low, value, high = (_x(interval, v) for v in (interval.low, interval.value, interval.high))
    parts, start = [], interval.minimum
    for end, tone in interval.zones:
        x0, x1 = _x(interval, start), _x(interval, end)
        parts.append(f'<rect x="{x0:.2f}" y="6" width="{x1 - x0:.2f}" height="4" fill="{TONES[tone].line}" opacity="0.28"/>')
        start = end
    line = TONES[interval.tone].line if interval.tone in TONES else INK
    parts.append(f'<path d="M{low:.2f} 8H{high:.2f}" stroke="{TONES[interval.tone].ink}" stroke-width="2"/>')
    parts += [f'<path d="M{x:.2f} 5V11" stroke="{TONES[interval.tone].ink}" stroke-width="1.4"/>' for x in (low, high)]
    parts.append(f'<circle cx="{value:.2f}" cy="8" r="4" fill="{line}" stroke="#fff" stroke-width="1.2"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * interval.stretch:g} {HEIGHT:g}">{"".join(parts)}</svg>'
    )


def shares_svg(shares: Shares) -> str:
    """Return ``shares`` as an SVG bar of 120 by 8 units; a part of less than half a unit is left to its neighbours."""
    parts, start = [], 0.0
    for share, tone in shares.parts:
        width = share * WIDTH
        if width >= 0.5:
            parts.append(
                f'<rect x="{start:.2f}" y="1" width="{max(width - 0.8, 0.4):.2f}" height="6" fill="{TONES[tone].line}"/>'
            )
        start += width
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {HEIGHT / 2:g}">{"".join(parts)}</svg>'


def _x(interval: Interval, value: float) -> float:
    share = (value - interval.minimum) / (interval.maximum - interval.minimum)
    return 5 + (WIDTH * interval.stretch - 10) * min(max(share, 0.0), 1.0)
