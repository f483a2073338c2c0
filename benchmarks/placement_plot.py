"""The plot of `benchmarks/placement.py`: the share of shards that moves, on logarithmic scales, as SVG, no library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 90, 45
LEAST, OURS, IN_TURN = "#777777", "#1f5a8c", "#d9822b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What moves of a blob when one joins, as shares of its n shards."""

    members: int
    n: int
    least: float
    """The newcomer's own share."""
    theory: float
    theory_in_turn: float
    matched: float
    in_turn: float


def draw(points: Sequence[Point]) -> str:
    """Return the picture: lines are the theory, dots are measured."""
    frame = _Frame(points)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14">Shards of a blob that move when one member joins or leaves</text>',
        *_legend(),
        *frame.grid(),
        frame.line([(each.members, each.least) for each in points], LEAST, dash="5,4"),
        frame.line([(each.members, each.theory) for each in points], OURS),
        frame.line([(each.members, each.theory_in_turn) for each in points], IN_TURN),
        *frame.dots([(each.members, each.matched) for each in points], OURS),
        *frame.dots([(each.members, each.in_turn) for each in points], IN_TURN),
    ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend() -> list[str]:
    rows = (
        (LEAST, "the newcomer's share: the least that can move"),
        (OURS, "smallest number first, as nodes do: theory (line) and measured (dots)"),
        (IN_TURN, "one shard after the other, the rejected way: theory and measured"),
    )
    parts = []
    for number, (colour, text) in enumerate(rows):
        y = 38 + 15 * number
        parts.append(f'<rect x="{LEFT}" y="{y - 6}" width="18" height="3" fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + 24}" y="{y}" font-size="11">{text}</text>')
    return parts


class _Frame:
    """Where things stand: members to the right, shares upwards, both logarithmic."""

    def __init__(self, points: Sequence[Point]) -> None:
        shares = [share for each in points for share in (each.least, each.theory_in_turn, each.matched, each.in_turn)]
        members = [each.members for each in points]
        self._x = math.log10(min(members)), math.log10(max(members))
        self._y = math.log10(min(shares)) - 0.05, math.log10(max(shares)) + 0.05

    def grid(self) -> list[str]:
        """Return lines at round numbers, with what they mean."""
        parts = []
        for members in (10, 20, 50, 100, 200, 500, 1000):
            x, _ = self._at(members, 1)
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#dddddd"/>')
            parts.append(_text(x, HEIGHT - BOTTOM + 16, f"{members:,}", "middle"))
        for percent in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20):
            _, y = self._at(10, percent / 100)
            if TOP <= y <= HEIGHT - BOTTOM:
                parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
                parts.append(_text(LEFT - 6, y + 4, f"{percent:g} %", "end"))
        parts.append(
            _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "members; n is the default for large blobs", "middle")
        )
        return parts

    def line(self, values: Sequence[tuple[int, float]], colour: str, *, dash: str = "none") -> str:
        """Return a line through these values."""
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self._at(*each) for each in values))
        return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-dasharray="{dash}"/>'

    def dots(self, values: Sequence[tuple[int, float]], colour: str) -> list[str]:
        """Return a dot for each value."""
        places = [self._at(*each) for each in values]
        return [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places]

    def _at(self, members: float, share: float) -> tuple[float, float]:
        right = (math.log10(members) - self._x[0]) / (self._x[1] - self._x[0])
        up = (math.log10(share) - self._y[0]) / (self._y[1] - self._y[0])
        return LEFT + right * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="11">{text}</text>'
