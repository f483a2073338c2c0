"""The plot of `testnet/detection.py`: how many cheats are found within so many audits, as SVG without a library."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 150, 45
COLOURS = ("#777777", "#1f5a8c", "#3a923a", "#d9822b", "#b03060")
AUDITS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300)
"""Where the grid has lines, and measured dots stand."""

_STEPS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """One adversary, often played."""

    name: str
    failure_rate: float
    """By theory."""
    firsts: Sequence[int]
    """Of each run, audits up to and with the first that failed."""
    ends: Sequence[int]
    """Of each run, audits until it was given nothing new."""
    ends_theory: Sequence[int]
    """The same of a coin that fails as often as theory says."""


def found_by_theory(failure_rate: float, audits: float) -> float:
    """Return the share of cheats that have failed an audit by then."""
    return 1 - math.pow(1 - failure_rate, audits)


def found(counts: Sequence[int], audits: float) -> float:
    """Return the share of runs that needed no more audits."""
    return sum(count <= audits for count in counts) / len(counts)


def draw(all_curves: Sequence[Curves]) -> str:
    """Return the picture: lines are the theory, dots are seen."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 20, "Cheats that one asker has found within so many audits of its own", "start", size=14),
        _text(LEFT, 38, "failed an audit: line and full dots; get nothing new: dashed and open dots; lines are theory"),
        *_grid(),
    ]
    for number, (curves, colour) in enumerate(zip(all_curves, COLOURS, strict=True)):
        y = 58 + 15 * number
        parts.append(f'<rect x="{LEFT}" y="{y - 6}" width="18" height="3" fill="{colour}"/>')
        parts.append(_text(LEFT + 24, y, f"{curves.name} ({100 * curves.failure_rate:.1f} % of audits fail)"))
        parts.append(_line(partial(found_by_theory, curves.failure_rate), colour))
        parts.append(_line(partial(found, curves.ends_theory), colour, dash="5,4"))
        parts += _dots(curves.firsts, colour, fill=colour)
        parts += _dots(curves.ends, colour, fill="white")
    return "\n".join([*parts, "</svg>"]) + "\n"


def _grid() -> list[str]:
    parts = []
    for audits in AUDITS:
        x, _ = _at(audits, 0)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#dddddd"/>')
        parts.append(_text(x, HEIGHT - BOTTOM + 16, str(audits), "middle"))
    for percent in (0, 25, 50, 75, 100):
        _, y = _at(1, percent / 100)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{percent} %", "end"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "audits", "middle"))
    return parts


def _line(share: Callable[[float], float], colour: str, *, dash: str = "none") -> str:
    """Return a line through the shares at all numbers of audits, the whole ones only: there are no halves."""
    numbers = sorted({round(AUDITS[-1] ** (step / _STEPS)) for step in range(_STEPS + 1)})
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in (_at(each, share(each)) for each in numbers))
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-dasharray="{dash}"/>'


def _dots(counts: Sequence[int], colour: str, *, fill: str) -> list[str]:
    places = [_at(audits, found(counts, audits)) for audits in AUDITS]
    return [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" stroke="{colour}" fill="{fill}"/>' for x, y in places]


def _at(audits: float, share: float) -> tuple[float, float]:
    right = math.log(audits) / math.log(AUDITS[-1])
    return LEFT + right * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _text(x: float, y: float, text: str, anchor: str = "start", *, size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{text}</text>'
