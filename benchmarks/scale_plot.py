"""The plots of `benchmarks/scale.py`: lines on logarithmic scales, measured as dots and extrapolated dashed, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 90, 20, 90, 45


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that grows with the network."""

    name: str
    colour: str
    measured: Sequence[tuple[float, float]]
    extrapolated: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """An axis: its text, and the marks on it with what they are called."""

    text: str
    marks: Sequence[tuple[float, str]]


def draw(title: str, lines: Sequence[Line], *, right: Axis, up: Axis) -> str:
    """Return the picture."""
    frame = _Frame(right, up)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{title}</text>',
        *frame.grid(right, up),
    ]
    for number, line in enumerate(lines):
        y = 38 + 15 * number
        parts.append(f'<rect x="{LEFT}" y="{y - 6}" width="18" height="3" fill="{line.colour}"/>')
        parts.append(f'<text x="{LEFT + 24}" y="{y}" font-size="11">{line.name}</text>')
        parts.append(frame.path(line.measured, line.colour, dash="none"))
        parts.append(frame.path([*line.measured[-1:], *line.extrapolated], line.colour, dash="5,4"))
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{line.colour}"/>'
            for x, y in (frame.at(*each) for each in line.measured)
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Frame:
    """Where things stand: both scales are logarithmic, from the first mark to the last."""

    def __init__(self, right: Axis, up: Axis) -> None:
        self._x = math.log10(right.marks[0][0]), math.log10(right.marks[-1][0])
        self._y = math.log10(up.marks[0][0]), math.log10(up.marks[-1][0])

    def grid(self, right: Axis, up: Axis) -> list[str]:
        """Return lines at the marks, with what they are called."""
        parts = []
        for value, text in right.marks:
            x, _ = self.at(value, up.marks[0][0])
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#dddddd"/>')
            parts.append(_text(x, HEIGHT - BOTTOM + 16, text, "middle"))
        for value, text in up.marks:
            _, y = self.at(right.marks[0][0], value)
            parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
            parts.append(_text(LEFT - 6, y + 4, text, "end"))
        parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, right.text, "middle"))
        parts.append(_text(LEFT - 6, TOP - 12, up.text, "end"))
        return parts

    def path(self, values: Sequence[tuple[float, float]], colour: str, *, dash: str) -> str:
        """Return a line through these values."""
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(*each) for each in values))
        return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-dasharray="{dash}"/>'

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where a value stands in the picture."""
        right = (math.log10(x) - self._x[0]) / (self._x[1] - self._x[0])
        up = (math.log10(y) - self._y[0]) / (self._y[1] - self._y[0])
        return LEFT + right * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="11">{text}</text>'
