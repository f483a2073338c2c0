"""Tables for a person: a line a thing, and on a terminal that is too narrow what must stay whole on lines of its own.

Ids and addresses are there to be copied: they are never cut or broken by us.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from p2pnode.cli.output import one_line

_GAP = "  "
_CUT_MIN = 8
"""Columns that a name has on the narrowest terminal: of less nobody recognizes it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line."""

    cells: tuple[str, ...]
    whole: tuple[str, ...]
    """What stays whole, at the end."""


def print_table(titles: Row, rows: Sequence[Row], *, cuts_first: bool = False) -> None:
    """Print a table for whoever reads stdout; with `cuts_first` the first cells may be cut where they do not fit."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in table_lines(titles, rows, width=width, cuts_first=cuts_first):
        print(line)


def table_lines(titles: Row, rows: Sequence[Row], *, width: int | None, cuts_first: bool = False) -> list[str]:
    """Return the lines for a terminal of this width; None has no end. Parts of the text may come from elsewhere."""
    cells = [[one_line(cell) for cell in row.cells] for row in (titles, *rows)]
    whole = [[one_line(cell) for cell in row.whole] for row in (titles, *rows)]
    if width is None or _length([[*left, *right] for left, right in zip(cells, whole, strict=True)]) <= width:
        return _aligned([[*left, *right] for left, right in zip(cells, whole, strict=True)])
    if cuts_first:
        first_max = max(_CUT_MIN, max(cell_len(row[0]) for row in cells) + width - _length(cells))
        cells = [[_cut(row[0], first_max), *row[1:]] for row in cells]
    lines = zip(_aligned(cells), whole, strict=True)
    return [part for line, parts in lines for part in (line, *(f"{_GAP}{each}" for each in parts if each))]


def _aligned(rows: list[list[str]]) -> list[str]:
    lengths = _lengths(rows)
    return [
        _GAP.join(set_cell_size(cell, length) for cell, length in zip(row, lengths, strict=True)).rstrip()
        for row in rows
    ]


def _lengths(rows: list[list[str]]) -> list[int]:
    return [max(cell_len(cell) for cell in column) for column in zip(*rows, strict=True)]


def _length(rows: list[list[str]]) -> int:
    lengths = _lengths(rows)
    return sum(lengths) + len(_GAP) * (len(lengths) - 1)


def _cut(text: str, length: int) -> str:
    return text if cell_len(text) <= length else set_cell_size(text, length - 1).rstrip() + "…"
