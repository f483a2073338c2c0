"""The plot of `benchmarks/coding.py`: encoding rates as bars on a logarithmic scale, as SVG without a library."""

from __future__ import annotations

import math
from html import escape

from benchmarks.coding_peers import WASM, WHEEL
from benchmarks.coding_questions import Scenario
from benchmarks.coding_results import Results
from benchmarks.coding_tables import number

WIDTH, LEFT, RIGHT, TOP = 860, 120, 60, 70
BAR, GAP = 13, 12
COLOURS = ("#9db8d2", "#6d9bc3", "#3d7cb0", "#1f5a8c", "#0b3a63")
"""Ours, slowest first."""
PEER_COLOURS = {WASM: "#d9822b", WHEEL: "#e3b778"}


def draw(results: Results) -> str:
    """Return the picture."""
    lines = [line for line in results.lines if line.work == "encode" and line.rounds]
    names = list(dict.fromkeys(line.contestant for line in lines))
    scenarios = list(dict.fromkeys(line.scenario for line in lines))
    rates = [line.mb_per_s for line in lines]
    low, high = math.floor(math.log10(min(rates))), math.ceil(math.log10(max(rates)))
    height = TOP + len(scenarios) * (len(names) * BAR + GAP) + 30
    colours = _colours(names)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14">Encode: MB/s of the blob, logarithmic; longer is faster</text>',
        *_legend(names, colours),
        *_scale(low, high, height),
    ]
    top = TOP
    for scenario in scenarios:
        parts += _group(results, scenario, names, colours, top=top, low=low, high=high)
        top += len(names) * BAR + GAP
    return "\n".join([*parts, "</svg>"]) + "\n"


def _colours(names: list[str]) -> dict[str, str]:
    own = [name for name in names if name not in PEER_COLOURS]
    return PEER_COLOURS | dict(zip(own, COLOURS[-len(own) :], strict=True))


def _legend(names: list[str], colours: dict[str, str]) -> list[str]:
    parts, left = [], LEFT
    for name in names:
        parts.append(f'<rect x="{left}" y="30" width="10" height="10" fill="{colours[name]}"/>')
        parts.append(f'<text x="{left + 14}" y="39" font-size="11">{escape(name)}</text>')
        left += 30 + 7 * len(name)
    return parts


def _scale(low: int, high: int, height: int) -> list[str]:
    parts = []
    for power in range(low, high + 1):
        at = _at(10.0**power, low, high)
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP - 8}" y2="{height - 25}" stroke="#dddddd"/>')
        parts.append(f'<text x="{at:.1f}" y="{height - 10}" text-anchor="middle" font-size="11">{10.0**power:g}</text>')
    return parts


def _group(
    results: Results, scenario: Scenario, names: list[str], colours: dict[str, str], *, top: int, low: int, high: int
) -> list[str]:
    middle = top + len(names) * BAR / 2 + 4
    parts = [f'<text x="{LEFT - 8}" y="{middle:.1f}" text-anchor="end" font-size="11">{escape(scenario.name)}</text>']
    for place, name in enumerate(names):
        line = results.line("encode", scenario, name)
        if line is None:
            continue
        end, y = _at(line.mb_per_s, low, high), top + place * BAR
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="{BAR - 2}" fill="{colours[name]}"/>')
        parts.append(f'<text x="{end + 4:.1f}" y="{y + 9}" font-size="9">{number(line.mb_per_s)}</text>')
    return parts


def _at(rate: float, low: int, high: int) -> float:
    """Return where a rate stands."""
    return LEFT + (math.log10(rate) - low) / (high - low) * (WIDTH - LEFT - RIGHT)
